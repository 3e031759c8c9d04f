"""A machine that dies and does not come back: what it was lent returns by time to the others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.torture.cycles import opened
from tests.torture.load import Role, until_all_are_told
from tests.torture.place import Place, held
from tests.wall import Wall

pytestmark = pytest.mark.slow
PATIENCE = 30
SHORT = (
    "apertura.relay.leases:LEASE_MS=1500;apertura.relay.leases:TRUST_SECONDS=1;"
    "apertura.relay.leases:RENEW_SECONDS=0.3"
)
"""Leases of a second and a half in place of two minutes."""
REFUSALS = 50
STALLS = Role("stalls", org="small", behaviour="stall-in-the-middle", stream=True, max_tokens=40)
ASKS = Role("asks", org="small", stream=False, max_tokens=40)


async def test_leases_of_a_dead_machine_return_by_time(place: Place, wall: Wall) -> None:
    """It held the whole balance of an organization. The other machine says 429 (it is only tied
    up) until the time is over, and then serves; the dead one's journal is still good later.
    """
    async with opened(place, wall) as torture, AsyncExitStack() as stack:
        [stalls] = await place.hire(torture.database, [STALLS])
        [asks] = await place.hire(torture.database, [ASKS])
        place.configure(wall.url)
        await place.pay(torture.database, "small", 1_000_000)
        dying = await stack.enter_async_context(place.server("dying", TORTURE_SET=SHORT))
        alive = await stack.enter_async_context(place.server("alive", TORTURE_SET=SHORT))
        tasks = [asyncio.create_task(stalls.run(dying.url)) for _ in range(2)]
        async with asyncio.timeout(PATIENCE):
            while not any(attempt.status in (402, 429) for attempt in stalls.attempts):
                await asyncio.sleep(0.01)
        tasks.append(asyncio.create_task(asks.run(alive.url)))
        async with asyncio.timeout(PATIENCE):
            while len(asks.attempts) < REFUSALS:  # longer than a lease lasts: it is renewed
                await asyncio.sleep(0.01)
        assert {attempt.status for attempt in asks.attempts[:-1]} == {429}
        assert await held(torture.database) > 0

        await dying.kill()
        await until_all_are_told([asks], {200})
        asks.stopping = stalls.stopping = True
        await asyncio.gather(*tasks)

        assert {attempt.status for attempt in asks.attempts} <= {200, 429}
        assert await alive.stop() == 0
        assert await held(torture.database) == 0
        again = await stack.enter_async_context(place.server("dying", TORTURE_SET=SHORT))
        assert await again.stop() == 0
        assert await place.faults(torture.database) == []
        assert await held(torture.database) == 0
