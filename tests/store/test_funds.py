"""Behaviour of funds and leases in the database."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from apertura.domain.funds import SHARE, UNBOUNDED, Fund, budget_of, quota_of, wallet_of
from apertura.domain.ledger import refund, reversal, top_up
from apertura.domain.money import Nano
from apertura.store import funds, keys, ledger
from apertura.store.audit import audit
from apertura.store.database import Conflict, Database, open_database
from apertura.store.funds import Grant
from apertura.store.identity import create_organization
from tests.store.examples import NEW_YEAR_MS, key_record, record, usage_row

WALLET = "org:o:wallet"
LATER = NEW_YEAR_MS + 60_000


async def pay(db: Database, amount: int, reference: str = "r", org: str = "o") -> None:
    made = top_up(org, Nano(amount), reference, transaction_id=f"t {reference} {org}", at=1)
    await db.write(lambda tx: ledger.post(tx, made))


async def lend(
    db: Database, *amounts: int, worker: str = "w/1", fund: str = WALLET, free: int = 0
) -> Grant:
    return await db.write(
        partial(funds.lend, worker=worker, fund=fund, amounts=amounts, free=free, expires_at=LATER)
    )


async def stands(db: Database, fund: str = WALLET) -> tuple[int, int]:
    found = await funds.find(db, fund)
    assert found is not None
    return found.posted, found.held


async def leases(db: Database) -> dict[tuple[str, str], int]:
    rows = await db.read("SELECT worker, fund_id, amount FROM leases")
    return {(worker, fund): amount for worker, fund, amount in rows}


async def assert_sound(db: Database) -> None:
    assert [finding for check in await audit(db) for finding in check.findings] == []


async def test_a_lease_is_what_is_needed_and_a_small_part_of_the_rest(db: Database) -> None:
    """With plenty, more than one call's worth; it is held, and nothing is spent by it."""
    await pay(db, 10_000)

    grant = await lend(db, 7)

    assert grant.amount == 10_000 // SHARE // 7 * 7
    assert grant.fund == Fund(10_000, grant.amount)
    assert await stands(db) == (10_000, grant.amount)
    assert await leases(db) == {("w/1", WALLET): grant.amount}
    await assert_sound(db)


async def test_no_more_is_lent_than_there_is(db: Database) -> None:
    """The calls that fit are covered, the first first; the others are not."""
    await pay(db, 25)

    grant = await lend(db, 10, 10, 10, 5)

    assert (grant.amount, grant.fund) == (25, Fund(25, 25))
    assert (await lend(db, 1, worker="w/2")).amount == 0
    await assert_sound(db)


async def test_leases_of_one_worker_add_up(db: Database) -> None:
    """What is free with it already is not lent again."""
    await pay(db, 100)

    assert (await lend(db, 10)).amount == 10
    assert (await lend(db, 15, free=10)).amount == 5

    assert await leases(db) == {("w/1", WALLET): 15}


async def test_what_is_given_back_can_be_lent_again(db: Database) -> None:
    """A lease on which nothing is left is gone."""
    await pay(db, 20)
    await lend(db, 20)

    await db.write(partial(funds.give_back, worker="w/1", amounts={WALLET: 15}))
    assert await stands(db) == (20, 5)
    await db.write(partial(funds.give_back, worker="w/1", amounts={WALLET: 5}))

    assert (await stands(db), await leases(db)) == ((20, 0), {})


async def test_giving_back_what_is_back_already_changes_nothing(db: Database) -> None:
    """After a lease has ended by time its worker may still try."""
    await pay(db, 20)
    await lend(db, 20)
    assert await db.write(partial(funds.return_expired, now_ms=LATER)) == 0
    assert await db.write(partial(funds.return_expired, now_ms=LATER + 1)) == 1

    await db.write(partial(funds.give_back, worker="w/1", amounts={WALLET: 15}))

    assert await stands(db) == (20, 0)


async def test_a_worker_that_lives_keeps_its_leases(db: Database) -> None:
    """Renewed, they last longer; another's do not."""
    await pay(db, 20)
    await lend(db, 10, worker="w/1")
    await lend(db, 10, worker="v/1")

    await db.write(partial(funds.renew, worker="w/1", expires_at=LATER + 60_000))
    await db.write(partial(funds.return_expired, now_ms=LATER + 1))

    assert await leases(db) == {("w/1", WALLET): 10}
    assert await stands(db) == (20, 10)


async def test_the_leases_of_a_place_go_back_when_it_starts_again(db: Database) -> None:
    """Those of all its lives, and of no place whose name begins alike."""
    await pay(db, 40)
    for worker in ("w/1", "w/2", "w2/1", "v/1"):
        await lend(db, 10, worker=worker)

    assert await db.write(partial(funds.return_of_place, place="w")) == 2

    assert await leases(db) == {("w2/1", WALLET): 10, ("v/1", WALLET): 10}
    await assert_sound(db)


async def test_many_who_ask_at_once_get_no_more_than_there_is(db: Database, url: str) -> None:
    """From two connections, each as many as it likes: exactly as many as are paid for."""
    await pay(db, 50 * 7 + 3)
    other = await open_database(url)
    asked = [lend(one, 7, worker=f"w/{number}") for number in range(100) for one in (db, other)]

    granted = [grant.amount for grant in await asyncio.gather(*asked)]

    await other.close()
    assert sum(granted) == 50 * 7
    assert await stands(db) == (50 * 7 + 3, 50 * 7)
    await assert_sound(db)


async def test_a_refund_takes_only_what_is_available(db: Database) -> None:
    """What running calls need stays; so for a reversal. Refused, nothing is posted."""
    await pay(db, 100)
    await lend(db, 60)
    for wrong in (
        refund("o", Nano(41), "back", transaction_id="t2", at=2),
        reversal(
            top_up("o", Nano(100), "r", transaction_id="t r o", at=1), transaction_id="t3", at=2
        ),
    ):
        with pytest.raises(Conflict, match="running calls"):
            await db.write(lambda tx, wrong=wrong: ledger.post(tx, wrong))  # type: ignore[misc]

    made = refund("o", Nano(40), "back", transaction_id="t2", at=2)
    await db.write(lambda tx: ledger.post(tx, made))

    assert await stands(db) == (60, 60)
    await assert_sound(db)


async def test_a_repeated_top_up_fills_the_wallet_once(db: Database) -> None:
    """The fund follows the books."""
    for _ in range(3):
        await pay(db, 100)

    assert await stands(db) == (100, 0)


async def test_who_never_paid_has_an_empty_wallet(db: Database) -> None:
    """The first call of a new organization is refused, not let through."""
    assert await lend(db, 1, fund=wallet_of("new")) == Grant(0, Fund(0))
    assert (await lend(db, 1, fund="org:o:promo:p")).amount == 0


async def org_with_key(db: Database, quota: int | None) -> str:
    org = await create_organization(db, "o", random=b"o" * 13, now_ms=1)
    await keys.create(db, key_record("k", org.id, quota_nano=quota))
    return org.id


async def test_a_quota_is_what_is_not_used_of_it(db: Database) -> None:
    """Made a fund when it is first asked; what was used before counts."""
    await org_with_key(db, 100)
    await record(db, [usage_row("c1", key_id="k", cost=30)])

    assert (await lend(db, 70, 1, fund=quota_of("k"))).amount == 70

    assert await stands(db, quota_of("k")) == (70, 70)


async def test_a_key_without_a_quota_is_not_bounded(db: Database) -> None:
    """Also where its fund is asked all the same."""
    await org_with_key(db, None)

    assert (await lend(db, 10**15, fund=quota_of("k"))).amount >= 10**15


@pytest.mark.parametrize("quota", [50, 250, None])
async def test_a_changed_quota_holds_at_once(db: Database, quota: int | None) -> None:
    """Raised, lowered below what is lent, or taken away: what may be lent follows."""
    await org_with_key(db, 200)
    await lend(db, 120, fund=quota_of("k"))

    await db.write(partial(funds.set_quota, key_id="k", quota=quota))

    cap = UNBOUNDED if quota is None else quota
    assert await stands(db, quota_of("k")) == (cap, 120)
    more = await lend(db, 10, worker="v/1", fund=quota_of("k"))
    assert (more.amount >= 10) == (cap >= 130)
    assert await funds.overlent(db, "w/1") == ([quota_of("k")] if cap < 120 else [])


async def test_a_month_has_a_budget_of_its_own(db: Database) -> None:
    """What was used in it before counts, what was used in another month does not."""
    day_ms, now = 86_400_000, NEW_YEAR_MS + 86_400_000
    await db.write(partial(funds.set_budget, owner="o", cap=100, reset_day=1, now_ms=NEW_YEAR_MS))
    rows = [
        usage_row("c1", org_id="o", started_ms=NEW_YEAR_MS - 1, cost=50),
        usage_row("c2", org_id="o", started_ms=NEW_YEAR_MS, cost=7),
        usage_row("c3", org_id="p", key_id="key_2", started_ms=NEW_YEAR_MS, cost=9),
    ]
    await record(db, rows)
    this, following = budget_of("org", "o", 1, now), budget_of("org", "o", 1, now + 31 * day_ms)

    assert (await lend(db, 93, 1, fund=this)).amount == 93
    assert (await lend(db, 100, 1, fund=following)).amount == 100
    await db.write(partial(funds.set_budget, owner="o", cap=150, reset_day=1, now_ms=now))

    assert await stands(db, this) == (143, 93)
    assert await stands(db, following) == (150, 100)


async def test_a_budget_that_is_taken_away_bounds_no_longer(db: Database) -> None:
    """Nor does one that was never there."""
    fund = budget_of("org", "o", 1, NEW_YEAR_MS)
    await db.write(partial(funds.set_budget, owner="o", cap=5, reset_day=1, now_ms=NEW_YEAR_MS))
    assert (await lend(db, 6, fund=fund)).amount == 0

    await db.write(partial(funds.set_budget, owner="o", cap=None, reset_day=1, now_ms=NEW_YEAR_MS))

    assert (await lend(db, 6, fund=fund)).amount >= 6


async def test_no_statement_brings_a_wallet_below_what_is_lent(db: Database) -> None:
    """The database itself refuses, whoever asks."""
    await pay(db, 10)
    await lend(db, 10)

    for sql in (
        "UPDATE funds SET posted = 9",
        "UPDATE funds SET held = 11",
        "UPDATE funds SET held = -1",
        "UPDATE leases SET amount = -1",
    ):
        with pytest.raises(Conflict):
            await db.write(lambda tx, sql=sql: tx.execute(sql))  # type: ignore[misc]
