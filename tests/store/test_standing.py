"""Behaviour of how organizations and keys stand, with both engines."""

from __future__ import annotations

import os
from functools import partial

import pytest

from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.store import funds, identity, keys, ledger, promos, standing
from apertura.store.database import Database
from apertura.store.promos import Promo
from apertura.store.standing import Budget, Contact
from tests.store.examples import NEW_YEAR_MS, key_record, record, usage_row

DAY_MS = 86_400_000


@pytest.fixture
async def org(db: Database) -> str:
    made = await identity.create_organization(db, "Acme", random=os.urandom(13), now_ms=NEW_YEAR_MS)
    return made.id


def gift(org_id: str, name: str, amount: int, days: int) -> Promo:
    end = NEW_YEAR_MS + days * DAY_MS
    return Promo(
        id=name, org_id=org_id, amount=amount, note="n", granted_at=NEW_YEAR_MS, expires_at=end
    )


async def test_money_is_the_wallet_and_the_gifts_that_last(db: Database, org: str) -> None:
    """The one that ends first, first; what is lent is held, and is in the sums too."""
    paid = top_up(org, Nano(1_000), "r", transaction_id="t", at=1)
    await db.write(partial(ledger.post, transaction=paid))
    for each in (gift(org, "late", 30, 9), gift(org, "soon", 20, 2), gift(org, "over", 10, 1)):
        await db.write(partial(promos.grant, promo=each))
    for fund in (f"org:{org}:wallet", f"org:{org}:promo:soon"):
        await db.write(
            lambda tx, fund=fund: funds.lend(tx, "w/1", fund, [5], free=0, expires_at=2**60)
        )

    money = await standing.money(db, org, NEW_YEAR_MS + DAY_MS)

    assert [(one.id, one.amount, one.left) for one in money.promos] == [
        ("soon", 20, 20),
        ("late", 30, 30),
    ]
    assert (money.balance, money.credit) == (1_000, 1_050)
    held = money.held + money.promos[0].held
    assert held >= 10
    assert money.available == 1_050 - held


async def test_a_budget_counts_its_month(db: Database, org: str) -> None:
    """From its day to the next; of a key its own calls, of an organization all of them."""
    await keys.create(db, key_record("a", org))
    start = NEW_YEAR_MS + 9 * DAY_MS  # 10 January
    rows = [
        usage_row(f"c{n}", org_id=org, key_id=key, started_ms=at, cost=10**n)
        for n, (key, at) in enumerate(
            [("a", start - 1), ("a", start), ("b", start), ("a", start + 30 * DAY_MS)]
        )
    ]
    await record(db, rows)
    for owner in (org, "a"):
        await db.write(lambda tx, owner=owner: funds.set_budget(tx, owner, 500, 10, start))

    now_ms = start + DAY_MS
    resets_at = NEW_YEAR_MS + 40 * DAY_MS  # 10 February
    for shelf, owner, used in (("key", "a", 1_010), ("org", org, 1_110)):
        budget = await standing.budget(db, shelf, owner, now_ms)  # type: ignore[arg-type]
        assert budget == Budget(cap=500, used=used, reset_day=10, resets_at=resets_at)
    later = await standing.budget(db, "key", "a", resets_at)
    assert later is not None
    assert (later.used, later.resets_at) == (0, NEW_YEAR_MS + 68 * DAY_MS)
    assert await standing.budgets_of_keys(db, org) == {"a": (500, 10)}
    assert await standing.budgets_of_keys(db, "none") == {}


async def test_somebody_stands_for_a_key(db: Database, org: str) -> None:
    """Whose it is; else the first owner; else the organization's mere name."""
    for name in ("a", "b"):
        await keys.create(db, key_record(name, org))
    assert await standing.contact(db, org, "a") == Contact("Acme", "")
    people = [
        await identity.create_user(
            db, f"{name}@example.com", name, random=os.urandom(13), now_ms=at
        )
        for at, name in enumerate(("reader", "first", "second", "holder"))
    ]
    for person, role in zip(people, ("reader", "owner", "owner", "reader"), strict=True):
        await identity.add_member(db, org, person.id, role)
    await keys.create(db, key_record("c", org, user_id=people[3].id))

    assert await standing.contact(db, org, "a") == Contact("first", "first@example.com")
    assert await standing.contact(db, org, "c") == Contact("holder", "holder@example.com")
    assert await standing.contact(db, org, "of another") == Contact("first", "first@example.com")
