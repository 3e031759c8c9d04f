"""Behaviour of leases as workers come and go: death, silence, recall, and a database away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from apertura.domain.funds import Fund, Hold, Short, quota_of
from apertura.errors import Unavailable
from apertura.relay import leases as module
from apertura.relay.leases import RARELY, Leases
from apertura.store import funds, keys
from apertura.store.charges import record_and_charge
from apertura.store.identity import create_organization
from tests.relay.lent import (
    ON,
    WALLET,
    Counted,
    assert_sound,
    book,
    call,
    counted,
    give_all_back,
    held,
    pay,
)
from tests.store.examples import key_record


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Counted]:
    async with counted(tmp_path) as made:
        yield made


async def test_what_another_worker_gave_back_can_be_held(db: Counted) -> None:
    """A worker with little to do does not starve the others."""
    await pay(db, 3200)
    idle, busy = Leases(db, "idle"), Leases(db, "busy")
    idle.release(await held(idle, 50))
    refused = await busy.hold(ON, 3200)

    assert refused == Short(WALLET, False, 3100)
    await give_all_back(idle)
    assert isinstance(await busy.hold(ON, 3200), Hold)


async def test_a_dead_workers_leases_come_back_when_it_starts(db: Counted) -> None:
    """First its journal is settled, under its old name; then the rest is returned."""
    await pay(db, 100)
    before = Leases(db, "w")
    ended, _running = await held(before, 30), await held(before, 70)
    lines = [call("c1", before, ended, 25)]

    again = Leases(db, "w")
    await record_and_charge(db, lines)
    assert await again.start() == 1

    assert again.worker != before.worker
    assert await funds.find(db, WALLET) == Fund(75)
    assert isinstance(await again.hold(ON, 75), Hold)
    await again.close()
    await assert_sound(db)


async def test_a_worker_that_was_silent_begins_anew(
    db: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds nothing from leases that others may have taken back; its calls are still charged."""
    await pay(db, 100)
    leases = Leases(db, "w")
    hold = await held(leases, 40)
    name = leases.worker
    leases._until = 0

    assert leases.take(ON, 1) is None
    assert leases.worker != name
    assert not await leases.extend(hold, 1)
    row = call("c1", leases, hold, 35)
    assert row.covered == 0
    await db.write(partial(funds.return_expired, now_ms=2**62))
    await book(db, leases, row)
    assert await funds.find(db, WALLET) == Fund(65)
    await assert_sound(db)


async def test_a_worker_that_lives_is_renewed_and_returns_others(db: Counted) -> None:
    """Its own leases last; those of one that is not heard of go back."""
    await pay(db, 100)
    gone, alive = Leases(db, "gone"), Leases(db, "alive")
    gone._expires_ms = 1
    await held(gone, 30)
    await held(alive, 30)

    await alive.renew()

    assert await funds.find(db, WALLET) == Fund(100, 30)
    assert (await alive.hold(ON, 70)).__class__ is Hold
    await assert_sound(db)


async def test_a_lowered_quota_is_recalled(db: Counted) -> None:
    """What is at hand of it goes back at once: no call after the change draws on it."""
    org = await create_organization(db, "o", random=b"o" * 13, now_ms=1)
    await keys.create(db, key_record("k", org.id, quota_nano=3200))
    leases = Leases(db, "w")
    hold = await held(leases, 50, (quota_of("k"),))

    await db.write(partial(funds.set_quota, key_id="k", quota=10))
    await leases.recall()

    assert await funds.find(db, quota_of("k")) == Fund(10, 50)
    assert await leases.hold((quota_of("k"),), 1) == Short(quota_of("k"), False, 0)
    leases.release(hold)
    await leases.recall()
    assert await funds.find(db, quota_of("k")) == Fund(10)
    assert isinstance(await leases.hold((quota_of("k"),), 10), Hold)


async def test_what_is_idle_goes_back_soon_where_little_is_left(db: Counted) -> None:
    """Where much is left it stays at hand for longer, so that the next call asks nobody."""
    await pay(db, 32_000)
    leases = Leases(db, "w")
    leases.release(await held(leases, 50))
    await leases.tidy()
    await leases.tidy()
    assert await funds.find(db, WALLET) == Fund(32_000, 1_000)

    await db.write(partial(funds.pay_in, fund=WALLET, amount=-24_000))
    await leases.tidy()
    await leases.tidy()
    assert await funds.find(db, WALLET) == Fund(8_000, 0)


async def test_what_is_idle_for_long_goes_back(db: Counted) -> None:
    """However much is left; what was touched since stays."""
    await pay(db, 32_000)
    leases = Leases(db, "w")
    for _ in range(2 * RARELY):
        leases.release(await held(leases, 50))
        await leases.tidy()
    assert await funds.find(db, WALLET) == Fund(32_000, 50)
    for _ in range(2 * RARELY):
        await leases.tidy()
    assert await funds.find(db, WALLET) == Fund(32_000, 0)


async def test_without_the_database_a_call_that_needs_it_is_503(db: Counted) -> None:
    """Never 402: nobody knows what is in the wallet. What is at hand still serves."""
    await pay(db, 3200)
    leases = Leases(db, "w")
    first = await held(leases, 50)
    db.away = True

    assert isinstance(await leases.hold(ON, 50), Hold)
    with pytest.raises(Unavailable):
        await leases.hold(ON, 50)
    leases.release(first)
    await leases.sweep()
    with pytest.raises(Unavailable):
        await leases.sweep()
    assert leases._known[WALLET].free == 50
    db.away = False
    assert isinstance(await leases.hold(ON, 50), Hold)
    await assert_sound(db)


async def test_what_it_does_by_itself_outlives_an_outage(
    db: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that fails is made up for, and closing gives everything back."""
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.02)
    await pay(db, 3200)
    leases = Leases(db, "w")
    await leases.start()
    leases.release(await held(leases, 50))
    db.away = True
    await asyncio.sleep(0.1)
    db.away = False

    async with asyncio.timeout(5):
        while (await funds.find(db, WALLET)) != Fund(3200):
            await asyncio.sleep(0.01)

    hold = await held(leases, 50)
    leases.release(hold)
    await leases.close()
    assert await funds.find(db, WALLET) == Fund(3200)
