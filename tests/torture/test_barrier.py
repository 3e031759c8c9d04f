"""Money for exactly k calls, and 4k at once, through real servers: exactly k reach the provider."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from apertura.store.database import Database
from tests.cli.process import Server
from tests.torture.load import OUTPUT, Attempt, Caller, Role, take_calls
from tests.torture.place import Place, held
from tests.wall import Wall

pytestmark = pytest.mark.slow
WORDS = 3
COST = WORDS * OUTPUT
"""Input is free here, so a call costs what it holds."""
ROLES = (
    Role("wallet", org="exact", behaviour="honest?delay=0.01", max_tokens=WORDS),
    Role("quota", behaviour="honest?delay=0.01", max_tokens=WORDS),
    Role("nothing", org="empty", behaviour="honest?delay=0.01", max_tokens=WORDS),
)


@pytest.mark.parametrize("k", [31])
@pytest.mark.parametrize("servers", [pytest.param(1, marks=pytest.mark.soak), 4])
async def test_a_balance_for_k_calls_lets_k_calls_through(
    place: Place, wall: Wall, servers: int, k: int
) -> None:
    """A wallet, a key's quota and an organization without any money, none of them ever used
    before: what is answered is exactly what is there, and all of it is.
    """
    place.input_price = "0"
    database = await place.open()
    roles = (ROLES[0], replace(ROLES[1], quota=k * COST), ROLES[2])
    callers = await place.hire(database, roles)
    await place.pay(database, "exact", k * COST)
    place.configure(wall.url)
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(place.server(f"machine-{number}"))
            for number in range(servers)
        ]
        attempts = await all_at_once(callers, running, 4 * k)
        await booked(database, 2 * k)
        late = await all_at_once(callers, running, 1)
        for server in running:
            assert await server.stop() == 0

    told = {
        caller.role.name: Counter(a.status for a in attempts[caller.model]) for caller in callers
    }
    assert told["wallet"][200] == told["quota"][200] == k, told
    assert told["nothing"] == {402: 4 * k}
    assert {status for counts in told.values() for status in counts} <= {200, 402, 429}
    assert {a.status for each in late.values() for a in each} == {402}
    names = {a.name for each in attempts.values() for a in each}
    reached = Counter(name.partition("/")[0] for name in take_calls(wall, names))
    assert reached == {caller.model: k for caller in callers if caller.role.name != "nothing"}
    assert wall.calls() == []
    assert await place.faults(database) == []
    assert await held(database) == 0
    rows = await database.read("SELECT kind, posted FROM funds WHERE posted < ?", (COST,))
    assert {posted for _, posted in rows} == {0}
    assert {"wallet", "key-quota"} <= {kind for kind, _ in rows}
    await database.close()


async def all_at_once(
    callers: Sequence[Caller], running: Sequence[Server], each: int
) -> dict[str, list[Attempt]]:
    """So many calls of each caller, spread over the servers, from behind one barrier."""
    barrier = asyncio.Event()
    ready = asyncio.Semaphore(0)
    attempts = {caller.model: [] for caller in callers}

    async def fire(caller: Caller, attempt: Attempt, url: str) -> None:
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        ready.release()
        await barrier.wait()
        writer.write(caller.request(attempt.name, stream=attempt.stream))
        await caller.listen(reader, attempt)
        writer.close()
        await writer.wait_closed()

    tasks = []
    for number in range(each):
        for caller in callers:
            caller.count += 1
            attempt = Attempt(f"{caller.model}/{caller.count}", number % 2 == 0, 0)
            attempts[caller.model].append(attempt)
            server = running[number % len(running)]
            tasks.append(asyncio.create_task(fire(caller, attempt, server.url)))
    for _ in tasks:
        await ready.acquire()
    barrier.set()
    await asyncio.gather(*tasks)
    return attempts


async def booked(database: Database, paid_for: int) -> None:
    """Waits until so many calls are in the books."""
    async with asyncio.timeout(20):
        while True:
            ((count,),) = await database.read("SELECT COUNT(*) FROM usage WHERE cost > 0")
            assert count <= paid_for
            if count == paid_for:
                return
            await asyncio.sleep(0.02)
