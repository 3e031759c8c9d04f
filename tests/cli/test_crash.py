"""kill -9 at any moment: each call that was answered is in the books, once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.process import Reply, ask, command, server
from tests.wall import Wall

CONFIG = """
limit_per_address = "off"
limit_per_key = "off"
limit_per_model = "off"

[[providers]]
name = "acme"
base_url = "{url}"

[[offers]]
model = "small"
provider = "acme"
upstream_model = "ok?delay=0.002"
input_usd_per_million = "2.50"
output_usd_per_million = "10"
"""
COST = 9 * 2_500 + 3 * 10_000
WORKERS = 6


async def call_on(url: str, key: str, answered: list[str], chance: random.Random) -> None:
    """Call after call, until the server is gone; notes the id of each that was answered whole."""
    while True:
        stream = chance.random() < 0.5
        messages = [{"role": "user", "content": "Say something."}]
        body = {"model": "small", "messages": messages, "stream": stream}
        reply = await ask(url, "POST", "/v1/chat/completions", key, body)
        if reply is None:
            return
        assert reply.status == 200, reply.body
        if is_whole(reply, stream=stream):
            answered.append(reply.headers["x-request-id"])


def is_whole(reply: Reply, *, stream: bool) -> bool:
    return reply.body.endswith(b"data: [DONE]\n\n" if stream else b"}")


async def torture(folder: Path, cycles: int, seed: int) -> None:
    """Serve under light load, kill, start again; the books must agree with the callers."""
    chance = random.Random(seed)
    answered: list[str] = []
    async with Wall() as wall:
        config = folder / "apertura.toml"
        config.write_text(CONFIG.format(url=wall.url))
        org = (await command(folder, "orgs", "create", "acme"))["id"]
        key = (await command(folder, "keys", "create", "--org", org, "--name", "x"))["key"]
        await command(folder, "orgs", "top-up", org, "1000", "--reference", "r")
        for _ in range(cycles):
            before = len(answered)
            async with server(folder, "--config", str(config)) as running:
                callers = [
                    asyncio.create_task(call_on(running.url, key, answered, chance))
                    for _ in range(WORKERS)
                ]
                while len(answered) == before:
                    assert not any(caller.done() for caller in callers), "".join(running.said)
                    await asyncio.sleep(0.01)
                await asyncio.sleep(chance.uniform(0, 0.25))
                await running.kill()
                await asyncio.gather(*callers)
        async with server(folder, "--config", str(config)) as running:
            assert await running.stop() == 0
        check_books(folder / "data" / "apertura.db", answered, len(wall.calls()))


def check_books(path: Path, answered: list[str], asked: int) -> None:
    """One row for each answered call, none for calls that were never made, sums that agree."""
    with closing(sqlite3.connect(path)) as books:
        rows = books.execute("SELECT call_id, outcome, cost FROM usage").fetchall()
        days = books.execute("SELECT SUM(calls), SUM(cost) FROM usage_days").fetchone()
    ids = [call_id for call_id, _, _ in rows]
    assert len(set(answered)) == len(answered)
    assert len(set(ids)) == len(ids)
    assert set(answered) <= set(ids)
    assert len(ids) <= asked
    charged = {call_id: cost for call_id, outcome, cost in rows if outcome == "answered"}
    assert set(answered) <= set(charged)
    assert set(charged.values()) <= {COST}
    assert days == (len(rows), sum(cost for _, _, cost in rows))


async def test_no_answered_call_is_lost_or_booked_twice(tmp_path: Path) -> None:
    """Five times killed under light load."""
    await torture(tmp_path, cycles=5, seed=1)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("seed", [2, 3])
async def test_no_answered_call_is_lost_in_many_crashes(tmp_path: Path, seed: int) -> None:
    """Twenty-five times each."""
    await torture(tmp_path, cycles=25, seed=seed)
