"""Behaviour of calls becoming charges: the money of section "the path of one dollar"."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.funds import UNBOUNDED, Fund, budget_of, quota_of
from apertura.domain.ledger import REVENUE, WRITE_OFFS, Transaction, give, top_up
from apertura.domain.money import Nano
from apertura.store import funds, ledger, usage
from apertura.store.audit import audit
from apertura.store.charges import Charge, decode, record_and_charge
from apertura.store.database import Database, open_database
from apertura.store.ledger import balance
from apertura.store.migrate import migrate
from tests.store.examples import NEW_YEAR_MS, allow, usage_row

WALLET = "org:o:wallet"
DAY_MS = 86_400_000


def call(call_id: str, cost: int, **fields: Any) -> Charge:
    given = {"org_id": "o", "key_id": "k", **fields}
    extra = {name: given.pop(name) for name in ("worker", "funds", "covered") if name in given}
    row = usage_row(call_id, cost=cost, **given)
    return Charge(*msgspec.structs.astuple(row), **extra)


def held(call_id: str, cost: int, covered: int | None = None, **fields: Any) -> Charge:
    """A call whose cost a lease of w/1 covers."""
    given = {"worker": "w/1", "funds": (WALLET,), **fields}
    return call(call_id, cost, covered=cost if covered is None else covered, **given)


async def pay(db: Database, amount: int, org: str = "o") -> None:
    made = top_up(org, Nano(amount), "r" + org, transaction_id="t" + org, at=1)
    await db.write(lambda tx: ledger.post(tx, made))


async def lend(db: Database, amount: int, fund: str = WALLET, worker: str = "w/1") -> None:
    grant = await db.write(
        partial(
            funds.lend, worker=worker, fund=fund, amounts=[amount], free=0, expires_at=NEW_YEAR_MS
        )
    )
    assert grant.amount == amount or grant.fund.posted == UNBOUNDED


async def leases(db: Database) -> list[tuple[str, int]]:
    return await db.read("SELECT fund_id, amount FROM leases ORDER BY 1")  # type: ignore[return-value]


async def assert_sound(db: Database) -> None:
    assert [finding for check in await audit(db) for finding in check.findings] == []


async def test_a_call_is_charged_from_its_lease(db: Database) -> None:
    """Wallet, lease, books and usage move by its cost, together."""
    await pay(db, 100)
    await lend(db, 60)

    assert await record_and_charge(db, [held("c1", 25), held("c2", 10)]) == 2

    assert await funds.find(db, WALLET) == Fund(65, 25)
    assert await leases(db) == [(WALLET, 25)]
    assert await balance(db, WALLET) == 65
    assert await balance(db, REVENUE) == 35
    assert await balance(db, WRITE_OFFS) == 0
    assert (await usage.org_totals(db, "o")).cost == 35
    await assert_sound(db)


async def test_a_batch_is_one_transaction_for_each_organization(db: Database) -> None:
    """However many calls, keys and models; its parts tell them apart."""
    for org in "op":
        await pay(db, 1000, org)
        await lend(db, 500, f"org:{org}:wallet")
    rows = [
        held(
            f"{org}{n}",
            10 + n,
            org_id=org,
            key_id=f"k{n % 2}{org}",
            model=("small", "large")[n % 3 == 0],
            started_ms=NEW_YEAR_MS + n * DAY_MS // 4,
            funds=(f"org:{org}:wallet",),
        )
        for org in "op"
        for n in range(12)
    ]

    await record_and_charge(db, rows)

    made = await db.read("SELECT id, kind, reference FROM transactions WHERE kind = 'usage'")
    assert sorted(made) == [("usage_o0", "usage", "o0"), ("usage_p0", "usage", "p0")]
    assert await balance(db, "org:p:wallet") == 1000 - sum(10 + n for n in range(12))
    await assert_sound(db)


async def test_a_replayed_call_changes_nothing(db: Database) -> None:
    """Again alone, among others, or twice in a batch: it is charged once."""
    await pay(db, 100)
    await lend(db, 60)
    await record_and_charge(db, [held("c1", 25)])

    assert await record_and_charge(db, [held("c1", 25)]) == 0
    assert await record_and_charge(db, [held("c1", 25), held("c2", 5), held("c2", 5)]) == 1

    assert await funds.find(db, WALLET) == Fund(70, 30)
    await assert_sound(db)


async def test_what_no_lease_covers_is_drawn_from_what_is_available(db: Database) -> None:
    """A provider reports more than was held; there is more in the wallet."""
    await pay(db, 100)
    await lend(db, 60)

    await record_and_charge(db, [held("c1", 90, covered=55)])

    assert await funds.find(db, WALLET) == Fund(10, 5)
    await assert_sound(db)


async def test_what_cannot_be_drawn_is_written_off(db: Database) -> None:
    """Never below zero, and what is lent to other calls is left to them."""
    await pay(db, 100)
    await lend(db, 30)
    await lend(db, 50, worker="w/2")

    await record_and_charge(db, [held("c1", 90, covered=30)])

    assert await funds.find(db, WALLET) == Fund(50, 50)
    assert await balance(db, REVENUE) == 90
    assert await balance(db, WRITE_OFFS) == 40
    assert (await usage.org_totals(db, "o")).cost == 90
    await assert_sound(db)


async def test_a_call_whose_lease_has_ended_is_charged_all_the_same(db: Database) -> None:
    """From what is available; nobody else's lease is touched."""
    await pay(db, 100)
    await lend(db, 60)
    await db.write(partial(funds.return_expired, now_ms=NEW_YEAR_MS + 1))
    await lend(db, 90, worker="w/2")

    await record_and_charge(db, [held("c1", 25)])

    assert await funds.find(db, WALLET) == Fund(90, 90)
    assert await balance(db, WRITE_OFFS) == 15
    await assert_sound(db)


async def test_a_call_without_a_hold_is_paid_by_the_wallet(db: Database) -> None:
    """A line of the journal from before there were holds, say; and without a wallet by nobody."""
    await pay(db, 100)

    await record_and_charge(db, [call("c1", 30), call("c2", 7, org_id="q")])

    assert await funds.find(db, WALLET) == Fund(70)
    assert await balance(db, WRITE_OFFS) == 7
    await assert_sound(db)


async def quota(db: Database, amount: int) -> None:
    await db.write(
        lambda tx: tx.execute("INSERT INTO organizations VALUES ('o', 'o', 'active', 1)")
    )
    await db.write(
        lambda tx: tx.execute(
            "INSERT INTO keys (id, org_id, name, kind, digest, last4, status, models, addresses, "
            "quota_nano, created_at) VALUES ('k', 'o', '', '', '', '', 'enabled', '', '', ?, 1)",
            (amount,),
        )
    )


async def test_a_call_counts_under_every_cap(db: Database) -> None:
    """Its key's quota and both budgets of its month, held or not; another month's it does not."""
    await pay(db, 100)
    await quota(db, 80)
    caps = [quota_of("k")]
    for owner, shelf in (("k", "key"), ("o", "org")):
        await db.write(
            partial(funds.set_budget, owner=owner, cap=70, reset_day=1, now_ms=NEW_YEAR_MS)
        )
        months = (NEW_YEAR_MS, NEW_YEAR_MS + 31 * DAY_MS)
        caps += [budget_of(shelf, owner, 1, at) for at in months]  # type: ignore[arg-type]
    for fund in (WALLET, *caps):
        await lend(db, 40, fund)

    await record_and_charge(db, [held("c1", 30, funds=(WALLET, quota_of("k"), caps[1]))])

    assert await funds.find(db, WALLET) == Fund(70, 10)
    found = [await funds.find(db, cap) for cap in caps]
    assert found == [Fund(50, 10), Fund(40, 10), Fund(70, 40), Fund(40, 40), Fund(70, 40)]
    await assert_sound(db)


async def test_a_cap_bounds_what_is_drawn(db: Database) -> None:
    """More than was held is drawn only as far as the key's quota goes; all of it was used."""
    await pay(db, 1000)
    await quota(db, 50)
    for fund in (WALLET, quota_of("k")):
        await lend(db, 40 if fund != WALLET else 31, fund)

    await record_and_charge(db, [held("c1", 90, covered=30, funds=(WALLET, quota_of("k")))])

    assert await funds.find(db, WALLET) == Fund(960, 1)
    assert await funds.find(db, quota_of("k")) == Fund(-40, 10)
    assert await balance(db, WRITE_OFFS) == 50
    await assert_sound(db)


async def test_a_free_call_is_kept_and_moves_nothing(db: Database) -> None:
    """No transaction of nothing."""
    assert await record_and_charge(db, [call("c1", 0), call("c2", 0)]) == 2

    assert await db.read("SELECT COUNT(*) FROM transactions") == [(0,)]
    assert (await usage.org_totals(db, "o")).calls == 2


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 60), st.integers(0, 60)),
        min_size=1,
        max_size=25,
    ),
    st.integers(0, 300),
    st.integers(0, 300),
    st.randoms(use_true_random=False),
)
def test_any_batches_leave_sound_books(
    calls: list[tuple[int, int, int]], balance_of: int, lent: int, chance: Any
) -> None:
    """Whatever was covered, in whatever batches and however often: sound, and charged once."""
    rows = [
        held(f"c{n}", cost, covered=min(cost, covered), key_id=f"k{key % 3}", model=f"m{key % 2}")
        for n, (key, cost, covered) in enumerate(calls)
    ]

    async def run() -> tuple[int, int, int]:
        with TemporaryDirectory() as folder:
            db = await open_database(f"sqlite:{Path(folder) / 'apertura.db'}")
            try:
                await migrate(db)
                return await figures(db)
            finally:
                await db.close()

    async def figures(db: Database) -> tuple[int, int, int]:
        if balance_of:
            await pay(db, balance_of)
        if lent := min(lent_wanted, balance_of):
            await lend(db, lent)
        for _ in range(3):
            size = chance.randint(1, len(rows))
            await record_and_charge(db, chance.sample(rows, size))
        await record_and_charge(db, rows)
        await assert_sound(db)
        left = await balance(db, WALLET)
        return left, await balance(db, REVENUE), await balance(db, WRITE_OFFS)

    lent_wanted = min(lent, balance_of)
    left, revenue, lost = asyncio.run(run())
    total = sum(row.cost for row in rows)
    assert revenue == total
    assert left == balance_of - (total - lost)
    assert left >= 0


def test_an_older_line_of_the_journal_reads_as_a_charge() -> None:
    """A row from before there were holds has none."""
    row = usage_row("c1", cost=5)

    assert decode(usage.encode(row)) == Charge(*msgspec.structs.astuple(row))
    charge = held("c1", 5)
    assert decode(usage.encode(charge)) == charge


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
async def test_many_organizations_are_charged_in_one_batch(db: Database, count: int) -> None:
    """Each its own."""
    for n in range(count):
        await pay(db, 50, f"o{n}")
    rows = [call(f"c{n}", n % 50 + 1, org_id=f"o{n}", key_id=f"k{n}") for n in range(count)]

    assert await record_and_charge(db, rows) == count

    left = [await balance(db, f"org:o{n}:wallet") for n in range(count)]
    assert left == [50 - (n % 50 + 1) for n in range(count)]
    await assert_sound(db)


async def test_a_gift_pays_and_the_wallet_does_not(db: Database) -> None:
    """The key's quota counts it all the same."""
    await pay(db, 100)
    await db.write(lambda tx: ledger.post(tx, gift(50)))
    await lend(db, 40, fund=GIFT)
    await lend(db, 40, fund=quota_of("k"))

    await record_and_charge(db, [held("c1", 25, funds=(GIFT, quota_of("k")), payer="promo")])

    assert await funds.find(db, GIFT) == Fund(25, 15)
    assert await balance(db, GIFT) == 25
    assert await balance(db, WALLET) == 100
    assert await balance(db, REVENUE) == 25
    await assert_sound(db)


async def test_a_plan_pays_in_credits_and_nothing_else_moves(db: Database) -> None:
    """No revenue, no wallet, no cap; the row has no cost."""
    await pay(db, 100)
    await allow(db, 900)
    await lend(db, 300, fund=ALLOWANCE)

    await record_and_charge(
        db, [by_plan("c1", 100), by_plan("c2", 50, model="other"), held("c3", 7)]
    )

    assert await funds.find(db, ALLOWANCE) == Fund(750, 150)
    assert await balance(db, ALLOWANCE) == 750
    assert await balance(db, WALLET) == 93
    assert await balance(db, REVENUE) == 7
    assert (await usage.org_totals(db, "o")).credits == 150
    await assert_sound(db)


async def test_credits_that_no_allowance_has_are_lost_and_cost_no_money(db: Database) -> None:
    """A lease that ended meanwhile, an allowance that is over: the wallet is left alone."""
    await pay(db, 100)
    await allow(db, 60)

    await record_and_charge(db, [by_plan("c1", 100), by_plan("c2", 5, funds=("org:o:plan:x.9",))])

    assert await funds.find(db, ALLOWANCE) == Fund(0, 0)
    assert await balance(db, WALLET) == 100
    assert await db.read("SELECT SUM(credits), SUM(credits_lost) FROM charges") == [(105, 45)]
    assert await balance(db, "contra:lost-credits") == 45
    await assert_sound(db)


async def test_fallback_counts_under_its_cap(db: Database) -> None:
    """The wallet pays; what was paid beside the plan is known by its own fund."""
    await pay(db, 100)
    await lend(db, 40)
    await lend(db, 30, fund="org:o:fallback:s.0")
    beside = await funds.find(db, "org:o:fallback:s.0") or Fund(0)

    await record_and_charge(db, [held("c1", 25, funds=(WALLET, "org:o:fallback:s.0"))])

    assert await funds.find(db, "org:o:fallback:s.0") == Fund(UNBOUNDED - 25, beside.held - 25)
    await assert_sound(db)


async def test_what_providers_take_is_owed_to_each_of_them(db: Database) -> None:
    """Also for calls that nobody pays for."""
    await record_and_charge(
        db,
        [
            call("c1", 0, upstream_cost=3),
            call("c2", 0, upstream_cost=4, provider="other"),
            call("c3", 0, upstream_cost=5),
        ],
    )

    assert await balance(db, "cost:acme") == await balance(db, "upstream:acme") == 8
    assert await balance(db, "cost:other") == 4
    await assert_sound(db)


GIFT, ALLOWANCE = "org:o:promo:p", "org:o:plan:s.0"


def gift(amount: int) -> Transaction:
    return give("o", "p", Nano(amount), "p", transaction_id="gift", at=1)


def by_plan(call_id: str, credits_taken: int, **fields: Any) -> Charge:
    given = {"credits": credits_taken, "payer": "allowance", "funds": (ALLOWANCE,), **fields}
    return held(call_id, 0, covered=credits_taken, **given)
