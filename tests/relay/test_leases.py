"""Behaviour of a worker's leases: holds without the database, and never more than there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from apertura.domain.funds import Fund, Hold, Short, quota_of
from apertura.relay.leases import Leases
from apertura.store import funds, keys
from apertura.store.charges import Charge
from apertura.store.database import open_database
from apertura.store.identity import create_organization
from apertura.store.migrate import migrate
from tests.databases import new_url
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


async def test_most_holds_ask_no_database(db: Counted) -> None:
    """With money enough, one question serves many calls; settling asks nothing."""
    await pay(db, 1_000_000)
    leases = Leases(db, "w")
    first = await held(leases, 10)
    before = db.writes

    rows = [call(f"c{n}", leases, await held(leases, 10), 7) for n in range(1000)]
    leases.release(first)

    assert db.writes == before
    await book(db, leases, *rows)
    assert await funds.find(db, WALLET) == Fund(1_000_000 - 7000, 1_000_000 // 32 // 10 * 10 - 7000)
    await give_all_back(leases)
    assert await funds.find(db, WALLET) == Fund(1_000_000 - 7000)
    await assert_sound(db)


async def test_calls_that_wait_share_a_question(db: Counted) -> None:
    """A hundred who come at once cost few writes, and all get theirs."""
    await pay(db, 1_000)
    leases = Leases(db, "w")
    before = db.writes

    holds = await asyncio.gather(*[leases.hold(ON, 10) for _ in range(100)])

    assert all(isinstance(hold, Hold) for hold in holds)
    assert db.writes - before <= 2
    assert leases.held() == 1000


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with new_url(request.param) as made:
        yield made


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize(("amount", "k"), [(10, 50), (7, 332), (1_000_003, 8)])
async def test_a_balance_for_k_calls_lets_k_calls_through(
    url: str, workers: int, amount: int, k: int
) -> None:
    """4k callers behind a barrier, from several workers with a connection each: exactly k."""
    db = await open_database(url)
    await migrate(db)
    await pay(db, k * amount + amount - 1)
    others = [await open_database(url) for _ in range(workers)]
    gates = [Leases(other, f"w{n}") for n, other in enumerate(others)]
    barrier = asyncio.Event()

    async def attempt(leases: Leases) -> Hold | Short:
        await barrier.wait()
        return await leases.hold(ON, amount)

    attempts = [asyncio.create_task(attempt(gates[n % workers])) for n in range(4 * k)]
    await asyncio.sleep(0)
    barrier.set()
    results = await asyncio.gather(*attempts)

    holds = [one for one in results if isinstance(one, Hold)]
    shorts = [one for one in results if isinstance(one, Short)]
    assert (len(holds), len(shorts)) == (k, 3 * k)
    assert {short.empty for short in shorts} == {False}, "it is only tied up"
    fund = await funds.find(db, WALLET)
    assert fund is not None
    assert fund.posted - fund.held == amount - 1
    await assert_sound(db)
    for other in (*others, db):
        await other.close()


async def test_a_new_organization_is_refused(db: Counted) -> None:
    """Its first call finds an empty wallet; also many at once."""
    leases = Leases(db, "w")

    answers = await asyncio.gather(*[leases.hold(ON, 1) for _ in range(20)])

    assert answers == [Short(WALLET, True, 0)] * 20


async def test_a_free_call_needs_no_fund(db: Counted) -> None:
    """Nothing is asked, and its end changes nothing."""
    leases = Leases(db, "w")
    before = db.writes

    hold = await held(leases, 0)

    assert (leases.settle(hold, 0), db.writes) == (0, before)


async def test_a_refusal_says_what_would_be_covered(db: Counted) -> None:
    """So that a call may ask for less; and whether waiting helps."""
    await pay(db, 100)
    leases = Leases(db, "w")

    assert await leases.hold(ON, 101) == Short(WALLET, True, 100)
    hold = await held(leases, 60)
    assert await leases.hold(ON, 50) == Short(WALLET, False, 40)
    row = call("c1", leases, hold, 60)
    assert await leases.hold(ON, 50) == Short(WALLET, True, 40), "spent, though not booked yet"
    await book(db, leases, row)
    assert isinstance(await leases.hold(ON, 40), Hold)


async def test_all_funds_or_none(db: Counted) -> None:
    """A quota that does not cover a call leaves the wallet untouched."""
    org = await create_organization(db, "o", random=b"o" * 13, now_ms=1)
    await keys.create(db, key_record("k", org.id, quota_nano=15))
    await pay(db, 100)
    leases = Leases(db, "w")
    both = (WALLET, quota_of("k"))
    hold = await held(leases, 10, both)

    assert await leases.hold(both, 10) == Short(quota_of("k"), False, 5)
    assert leases.held() == 10
    assert leases._known[quota_of("k")].held == 10
    leases.release(hold)
    assert leases.held() == 0
    assert isinstance(await leases.hold(both, 15), Hold)
    await assert_sound(db)


async def test_a_caller_who_gives_up_holds_nothing(db: Counted) -> None:
    """Cancelled while waiting for the database, at whatever step: nothing stays held."""
    await pay(db, 100)
    for steps in range(12):
        leases = Leases(db, f"w{steps}")
        waiting = [asyncio.create_task(leases.hold(ON, 10)) for _ in range(10)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        for hold in results:
            if isinstance(hold, Hold):
                leases.release(hold)
        assert isinstance(await leases.hold(ON, 100), Hold | Short)
        assert leases.held() in {0, 100}
        for lease in leases._known.values():
            lease.free, lease.held = lease.free + lease.held, 0
        await leases.close()
    assert await funds.find(db, WALLET) == Fund(100)
    await assert_sound(db)


async def test_after_a_storm_nothing_is_held(db: Counted) -> None:
    """Hundreds of calls, many cancelled anywhere: the whole balance but for the costs is there."""
    await pay(db, 500)
    leases = Leases(db, "w")
    booked: list[Charge] = []

    async def one(number: int) -> None:
        hold = await leases.hold(ON, 10 + number % 7)
        if isinstance(hold, Short):
            return
        cost = 0
        try:
            await asyncio.sleep(0.001 * (number % 3))
            cost = number % 2
        finally:
            booked.append(call(f"c{number}", leases, hold, cost))

    tasks = [asyncio.create_task(one(number)) for number in range(400)]
    for number, task in enumerate(tasks):
        if number % 3 == 0:
            await asyncio.sleep(0)
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    await book(db, leases, *booked)
    await give_all_back(leases)
    assert leases.held() == 0
    assert await funds.find(db, WALLET) == Fund(500 - sum(row.cost for row in booked))
    await assert_sound(db)


async def test_a_hold_grows_with_its_stream(db: Counted) -> None:
    """From the lease while it can, then from the fund, then not at all."""
    await pay(db, 100)
    leases = Leases(db, "w")
    hold = await held(leases, 10)

    assert await leases.extend(hold, 80)
    assert not await leases.extend(hold, 11)
    assert await leases.extend(hold, 10)
    assert hold.amount == 100
    await book(db, leases, call("c1", leases, hold, 95))
    assert await funds.find(db, WALLET) == Fund(5, 5)
    await give_all_back(leases)
    assert await funds.find(db, WALLET) == Fund(5)


async def test_idle_leases_go_back(db: Counted) -> None:
    """What no call touched between two looks; what runs is left alone."""
    await pay(db, 3200)
    leases = Leases(db, "w")
    hold = await held(leases, 10)

    await give_all_back(leases)

    assert await funds.find(db, WALLET) == Fund(3200, 10)
    leases.release(hold)
    await give_all_back(leases)
    await give_all_back(leases)
    assert await funds.find(db, WALLET) == Fund(3200)
    assert leases._known == {}
    assert await db.read("SELECT COUNT(*) FROM leases") == [(0,)]
