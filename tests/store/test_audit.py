"""Behaviour of the audit: each rule finds what breaks it."""

from __future__ import annotations

from functools import partial

import pytest

from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.store import funds, ledger
from apertura.store.audit import audit
from apertura.store.charges import Charge, record_and_charge
from apertura.store.database import Database
from tests.databases import tampered
from tests.store.examples import NEW_YEAR_MS, usage_row

USAGE = "what calls cost is revenue, by organization, key, model and day"


@pytest.fixture
async def books(db: Database) -> Database:
    """One of everything: a top-up, a lease, a charged call, a quota, a budget, a refused repeat."""
    made = top_up("o", Nano(100), "r", transaction_id="t1", at=1)
    await db.write(lambda tx: ledger.post(tx, made))
    budget = {"owner": "o", "cap": 90, "reset_day": 1, "now_ms": NEW_YEAR_MS}
    await db.write(partial(funds.set_budget, **budget))  # type: ignore[arg-type]
    for fund in ("org:o:wallet", "key:k:quota", "org:o:budget:2026-01-01"):
        lend = partial(
            funds.lend, worker="w/1", fund=fund, amounts=[50], free=0, expires_at=NEW_YEAR_MS
        )
        await db.write(lend)
    row = usage_row("c1", cost=30, org_id="o", key_id="k")
    fields = [getattr(row, name) for name in row.__struct_fields__]
    held_on = ("org:o:wallet",)
    await record_and_charge(db, [Charge(*fields, worker="w/1", funds=held_on, covered=30)])
    return db


async def test_sound_books_pass_and_something_was_looked_at(books: Database) -> None:
    """No finding, and for every rule at least one thing that it looked at."""
    checks = await audit(books)

    assert [check for check in checks if check.findings] == []
    assert [check.name for check in checks if not check.checked] == []
    assert len({check.name for check in checks}) == len(checks) == 12


async def test_an_empty_database_passes(db: Database) -> None:
    """Nothing there, nothing wrong."""
    checks = await audit(db)

    assert [(check.checked, check.findings) for check in checks] == [(0, ())] * len(checks)


@pytest.mark.parametrize(
    ("statement", "rules"),
    [
        (
            "UPDATE entries SET amount = 99 WHERE account_id = 'processor:manual'",
            {
                "each transaction sums to zero in each unit",
                "each account holds the sum of its entries",
            },
        ),
        (
            "DELETE FROM entries WHERE transaction_id = 't1'",
            {
                "each transaction sums to zero in each unit",
                "each account holds the sum of its entries",
                "what came in is top-ups less refunds",
            },
        ),
        (
            "UPDATE accounts SET posted = posted - 1 WHERE id = 'revenue:usage'",
            {"each account holds the sum of its entries", "all accounts of a unit sum to zero"},
        ),
        (
            "UPDATE funds SET posted = 10 WHERE kind = 'wallet'",
            {
                "what is available is never below zero",
                "a wallet's fund holds what its account does",
            },
        ),
        (
            "UPDATE leases SET amount = amount + 1",
            {"what is held is the sum of the live leases"},
        ),
        ("DELETE FROM leases", {"what is held is the sum of the live leases"}),
        (
            "UPDATE funds SET posted = posted + 1 WHERE kind = 'key-quota'",
            {"a key's quota is what it was given less what its calls cost"},
        ),
        (
            "UPDATE funds SET posted = posted + 1 WHERE kind = 'org-budget'",
            {"a budget is its cap less what the calls of its month cost"},
        ),
        (
            "UPDATE usage SET cost = 31",
            {USAGE, "the sums of usage are those of its rows"},
        ),
        ("UPDATE usage SET model = 'x'", {USAGE, "the sums of usage are those of its rows"}),
        ("UPDATE usage SET key_id = 'x'", {USAGE, "the sums of usage are those of its rows"}),
        ("UPDATE usage SET org_id = 'x'", {USAGE}),
        ("UPDATE usage SET started_ms = started_ms + 86400000", {USAGE}),
        (
            "UPDATE charges SET cost = cost + 1",
            {
                USAGE,
                "what a transaction books as revenue is the sum of its charges",
                "a budget is its cap less what the calls of its month cost",
            },
        ),
        (
            "UPDATE accounts SET posted = posted - 1 WHERE id = 'processor:manual'",
            {
                "each account holds the sum of its entries",
                "all accounts of a unit sum to zero",
                "what came in is top-ups less refunds",
            },
        ),
    ],
)
async def test_what_was_tampered_with_is_found(
    books: Database, url: str, statement: str, rules: set[str]
) -> None:
    """By the rules that it breaks, and by no other."""
    await tampered(url, statement)

    assert {check.name for check in await audit(books) if check.findings} == rules


async def test_a_finding_names_subject_and_amounts(books: Database, url: str) -> None:
    """What should be, and what is."""
    await tampered(url, "UPDATE usage SET cost = 31")

    (found,) = next(c.findings for c in await audit(books) if c.name == USAGE)

    assert (found.subject, found.expected, found.found) == ("o k small 20454", 31, 30)
