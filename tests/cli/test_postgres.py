"""`apertura` on PostgreSQL, as processes: commands beside a server, and deaths of either."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apertura.store.database import open_database
from tests.cli.conftest import Run
from tests.cli.process import Server, ask, command, server
from tests.cli.test_crash import CONFIG, COST, WORKERS, call_on
from tests.databases import IS_OURS, migrated_postgres
from tests.databases import server as postgres
from tests.wall import Wall

BODY = {"model": "small", "messages": [{"role": "user", "content": "Say something."}]}


@pytest.fixture
def url() -> Iterator[str]:
    with migrated_postgres() as made:
        yield made


class Installation:
    """A folder and a database of PostgreSQL, with one organization and its key."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.config = folder / "apertura.toml"
        self.org = self.key = self.key_id = ""

    async def set_up(self, wall: Wall) -> None:
        self.config.write_text(CONFIG.format(url=wall.url))
        self.org = (await self.run("orgs", "create", "acme"))["id"]
        await self.run("orgs", "top-up", self.org, "100", "--reference", "r")
        made = await self.run("keys", "create", "--org", self.org, "--name", "x")
        self.key, self.key_id = made["key"], made["id"]

    async def run(self, *arguments: str) -> Any:
        return await command(self.folder, *arguments, "--database", self.url)

    def serve(self) -> Any:
        return server(self.folder, "--config", str(self.config), APERTURA_DATABASE=self.url)

    async def call(self, running: Server) -> int:
        """What becomes of a call."""
        reply = await ask(running.url, "POST", "/v1/chat/completions", self.key, BODY)
        assert reply is not None
        return reply.status

    async def agree(self, answered: list[str], asked: int) -> None:
        """One row for each answered call, none for calls never made, sums that agree."""
        database = await open_database(self.url)
        rows = await database.read("SELECT call_id, outcome, cost FROM usage")
        days = await database.read(
            "SELECT CAST(SUM(calls) AS BIGINT), CAST(SUM(cost) AS BIGINT) FROM usage_days"
        )
        await database.close()
        charged = {call_id: cost for call_id, outcome, cost in rows if outcome == "answered"}
        assert len(set(answered)) == len(answered)
        assert set(answered) <= set(charged)
        assert len(rows) <= asked
        assert set(charged.values()) <= {COST}
        assert days == [(len(rows), sum(cost for _, _, cost in rows))]
        audit = await self.run("ledger", "audit")
        assert "findings" not in audit or audit["findings"] == []


def test_doctor_names_the_engine(run: Run, url: str) -> None:
    """And what it says of a server that is not there names no password."""
    assert "the database answers (PostgreSQL)" in run("doctor", "--database", url).out

    away = run("doctor", "--database", "postgresql://ada:geheim@127.0.0.1:1/apertura")
    assert away.code == 1
    assert "127.0.0.1:1/apertura cannot be opened" in away.out
    assert "geheim" not in away.out


async def test_what_commands_change_holds_when_they_return(tmp_path: Path, url: str) -> None:
    """A new key works in the running server, a suspended organization or a deleted key does not."""
    async with Wall() as wall:
        there = Installation(tmp_path, url)
        await there.set_up(wall)
        async with there.serve() as running:
            assert await there.call(running) == 200
            await there.run("orgs", "suspend", there.org)
            assert await there.call(running) == 403
            await there.run("keys", "delete", there.key_id)
            assert await there.call(running) == 401
            assert await running.stop() == 0
        assert not (tmp_path / "data" / "apertura.db").exists()


async def test_no_answered_call_is_lost_or_booked_twice(tmp_path: Path, url: str) -> None:
    """Killed under load, and again after PostgreSQL itself had died and come back."""
    answered: list[str] = []
    async with Wall() as wall:
        there = Installation(tmp_path, url)
        await there.set_up(wall)
        for cycle in range(2):
            before = len(answered)
            async with there.serve() as running:
                callers = [
                    asyncio.create_task(
                        call_on(running.url, there.key, answered, random.Random(number))
                    )
                    for number in range(WORKERS)
                ]
                while len(answered) == before:
                    assert not any(caller.done() for caller in callers), "".join(running.said)
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
                if cycle == 1 and IS_OURS:
                    await asyncio.to_thread(postgres().stop)
                    await asyncio.to_thread(postgres().start)
                    await asyncio.sleep(0.2)
                await running.kill()
                await asyncio.gather(*callers)
        async with there.serve() as running:
            assert await running.stop() == 0
        await there.agree(answered, len(wall.calls()))
