"""PostgreSQL taken away under load: 503 with Retry-After, and then everything as before."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.cli.process import ask
from tests.torture.cycles import opened
from tests.torture.load import Role, until_all_are_told
from tests.torture.place import Place
from tests.torture.postgres import Fragile
from tests.wall import Wall

pytestmark = pytest.mark.slow
ROLES = (
    Role("whole", stream=False),
    Role("stream", stream=True),
    Role("grows", behaviour="honest?chunks=40&delay=0.001"),
    Role("poor", org="poor", max_tokens=3),
    Role("fresh"),
)
"""The last one calls for the first time when the database is gone."""
HASTE = (
    "apertura.store.postgres_link:STATEMENT_SECONDS=1;apertura.store.postgres_link:"
    "CONNECT_SECONDS=1;apertura.store.postgres:RETRY_SECONDS=1;"
    "apertura.relay.leases:SWEEP_SECONDS=0.3"
)
"""A paused server is given up after a second in place of thirty; leases are small and go back."""


@pytest.mark.parametrize(
    "kind", ["killed", *(pytest.param(k, marks=pytest.mark.soak) for k in ("stopped", "paused"))]
)
async def test_the_database_goes_and_comes_back(
    postgres: Fragile, wall: Wall, tmp_path: Path, kind: str
) -> None:
    """Nobody is told that their key or their balance is at fault, no answer is without its row,
    and the gateway goes on by itself.
    """
    place = Place(tmp_path, postgres.url("postgres"), random.Random(1))
    async with opened(place, wall) as torture, AsyncExitStack() as stack:
        await torture.hire(ROLES)
        [machine] = torture.machines
        *callers, fresh = machine.callers
        running = await machine.begin(stack, TORTURE_SET=HASTE)
        assert running is not None
        tasks = [asyncio.create_task(caller.run(running.url)) for caller in callers]
        await until_all_are_told(callers, {200})
        machine.outages += 1

        await asyncio.to_thread(take_away, postgres, kind)
        await until_all_are_told(callers, {503})
        page = await ask(running.url, "GET", "/v1/token/usage", callers[0].key)
        assert page is not None
        assert (page.status, "retry-after" in page.headers) == (503, True)
        tasks.append(asyncio.create_task(fresh.run(running.url)))
        await until_all_are_told([fresh], {503})
        assert {attempt.status for attempt in fresh.attempts} <= {0, 503}

        await asyncio.to_thread(bring_back, postgres, kind)
        await until_all_are_told(machine.callers, {200, 402})
        await machine.end_well(running, tasks)
        said = "".join(running.said)
        assert '"event": "books_not_written"' in said
        assert '"event": "bug"' not in said, said
        await machine.look()
        await torture.last_look()
        assert torture.tally.wrong == []
        assert torture.tally.cut == []
        assert torture.tally.calls["answered"] > 50


def take_away(postgres: Fragile, kind: str) -> None:
    {"killed": postgres.kill, "stopped": postgres.stop, "paused": postgres.pause}[kind]()


def bring_back(postgres: Fragile, kind: str) -> None:
    if kind == "paused":
        postgres.resume()
    else:
        postgres.start()
