"""Behaviour of the audit: each rule finds what breaks it."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.store import funds, invoices, ledger
from apertura.store.audit import audit
from apertura.store.charges import Charge, record_and_charge
from apertura.store.database import Database
from tests.databases import tampered
from tests.store.examples import NEW_YEAR_MS, allow, usage_row

USAGE = "what calls cost is revenue, by organization, key, model and day"
BY_DAY = "the sums of accounts by day are those of the entries"
CHARGES_BY_DAY = "the sums of charges by day are those of the charges"
CREDITS = "what calls took of allowances is booked, by organization, key, model and day"


@pytest.fixture
async def books(db: Database) -> Database:
    """One of everything: a top-up, a lease, a charged call, a quota, a budget, a call by a plan."""
    made = top_up("o", Nano(100), "r", transaction_id="t1", at=1)
    await db.write(lambda tx: ledger.post(tx, made))
    budget = {"owner": "o", "cap": 90, "reset_day": 1, "now_ms": NEW_YEAR_MS}
    await db.write(partial(funds.set_budget, **budget))  # type: ignore[arg-type]
    for fund in ("org:o:wallet", "key:k:quota", "org:o:budget:2026-01-01"):
        lend = partial(
            funds.lend, worker="w/1", fund=fund, amounts=[50], free=0, expires_at=NEW_YEAR_MS
        )
        await db.write(lend)
    row = usage_row("c1", cost=30, org_id="o", key_id="k", upstream_cost=20)
    by_plan = usage_row("c2", cost=0, credits=7, org_id="o", key_id="s", payer="allowance")
    held_on = ("org:o:wallet",)
    issue = {"org_id": "o", "payment": "p1", "kind": "top-up", "amount": 100, "via": "manual"}
    await db.write(partial(invoices.issue, **issue, now_ms=NEW_YEAR_MS))  # type: ignore[arg-type]
    await allow(db, 100)
    await record_and_charge(
        db,
        [
            Charge(*msgspec.structs.astuple(row), worker="w/1", funds=held_on, covered=30),
            Charge(*msgspec.structs.astuple(by_plan), funds=("org:o:plan:s.0",)),
        ],
    )
    return db


async def test_sound_books_pass_and_something_was_looked_at(books: Database) -> None:
    """No finding, and for every rule at least one thing that it looked at."""
    checks = await audit(books)

    assert [check for check in checks if check.findings] == []
    assert [check.name for check in checks if not check.checked] == []
    assert len({check.name for check in checks}) == len(checks) == 22


async def test_an_empty_database_passes(db: Database) -> None:
    """Nothing there, nothing wrong."""
    checks = await audit(db)

    assert [(check.checked, check.findings) for check in checks] == [(0, ())] * len(checks)


@pytest.mark.parametrize(
    ("statement", "rules"),
    [
        (
            "UPDATE entries SET amount = 99 WHERE account_id = 'processor:manual' AND amount = 100",
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
                BY_DAY,
                "what came in went to wallets and plans, less discounts and refunds",
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
                "a payer's fund holds what its account does",
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
            "UPDATE usage SET cost = 31 WHERE call_id = 'c1'",
            {USAGE, "the sums of usage are those of its rows"},
        ),
        (
            "UPDATE usage SET model = 'x' WHERE call_id = 'c1'",
            {USAGE, "the sums of usage are those of its rows"},
        ),
        (
            "UPDATE usage SET key_id = 'x' WHERE call_id = 'c1'",
            {USAGE, "the sums of usage are those of its rows"},
        ),
        ("UPDATE usage SET org_id = 'x' WHERE call_id = 'c1'", {USAGE}),
        ("UPDATE usage SET started_ms = started_ms + 86400000 WHERE call_id = 'c1'", {USAGE}),
        ("UPDATE usage SET credits = 8 WHERE call_id = 'c2'", {CREDITS}),
        ("UPDATE usage SET org_id = 'x' WHERE call_id = 'c2'", {CREDITS}),
        (
            "UPDATE charges SET credits = credits + 1 WHERE key_id = 's'",
            {
                CREDITS,
                CHARGES_BY_DAY,
                "what a transaction books of credits is the sum of its charges",
            },
        ),
        (
            "DELETE FROM funds WHERE kind = 'allowance'",
            {"what pays and has no fund is empty"},
        ),
        ("UPDATE account_days SET amount = amount + 1 WHERE kind = 'top-up'", {BY_DAY}),
        ("UPDATE charge_days SET credits = credits - 1", {CHARGES_BY_DAY}),
        ("UPDATE invoice_series SET last = 2", {"the numbers of invoices have no gaps"}),
        (
            "UPDATE plan_cycles SET granted = granted + 1",
            {"what cycles were granted is booked"},
        ),
        (
            "UPDATE plan_payments SET first_cycle = 1",
            {"no cycle is granted that is not paid for"},
        ),
        (
            "UPDATE plan_payments SET amount = amount + 1",
            {"each payment of a plan is booked"},
        ),
        ("DELETE FROM invoices", {"the numbers of invoices have no gaps"}),
        (
            "UPDATE usage SET upstream_cost = 21 WHERE call_id = 'c1'",
            {"what providers take is what their calls took"},
        ),
        (
            "UPDATE charges SET cost = cost + 1 WHERE key_id = 'k'",
            {
                USAGE,
                CHARGES_BY_DAY,
                "what a transaction books as revenue is the sum of its charges",
                "a budget is its cap less what the calls of its month cost",
            },
        ),
        (
            "UPDATE accounts SET posted = posted - 1 WHERE id = 'processor:manual'",
            {
                "each account holds the sum of its entries",
                "all accounts of a unit sum to zero",
                "what came in went to wallets and plans, less discounts and refunds",
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
    await tampered(url, "UPDATE usage SET cost = 31 WHERE call_id = 'c1'")

    (found,) = next(c.findings for c in await audit(books) if c.name == USAGE)

    assert (found.subject, found.expected, found.found) == ("o k small 20454", 31, 30)
