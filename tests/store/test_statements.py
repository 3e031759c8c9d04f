"""Statements from real books: what they say is what the ledger holds, to the nano-dollar."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from apertura.domain import ledger as books
from apertura.domain.ledger import Transaction, natural
from apertura.domain.money import Nano
from apertura.domain.plans import allowance, expiry
from apertura.domain.statements import MS_PER_DAY, Month, Statement, month_of, span_of
from apertura.store import ledger, statements
from apertura.store.charges import Charge, record_and_charge
from apertura.store.database import Conflict, Database, Tx, open_database
from apertura.store.identity import create_organization
from apertura.store.migrate import migrate
from tests.databases import empty_postgres
from tests.store.examples import usage_row
from tests.store.test_charges import call

OCTOBER, NOVEMBER, DECEMBER = Month("2026-10"), Month("2026-11"), Month("2026-12")
BEGIN, FINISH = span_of(OCTOBER)[0], span_of(DECEMBER)[1]
LATER = FINISH + 1
ORGS = ("o", "o2", "other")
CYCLE = "sub_1.0"


async def post(db: Database, transaction: Transaction) -> None:
    await db.write(lambda tx: ledger.post(tx, transaction))


async def statement(db: Database, month: Month, org: str = "o", now_ms: int = LATER) -> Statement:
    return await statements.find(db, org, month, now_ms=now_ms)


class History:
    """Things that happen to organizations in a random order, at rising times."""

    def __init__(self, seed: int, steps: int) -> None:
        self._random = random.Random(seed)
        self._times = iter(sorted(self._moments(steps)))
        self._wrong: list[Transaction] = []
        self._numbers = iter(range(10**6))

    def _moments(self, steps: int) -> Iterator[int]:
        edges = [edge + off for m in (OCTOBER, NOVEMBER) for edge in span_of(m) for off in (-1, 0)]
        yield from (edge for edge in edges if edge >= BEGIN)
        for _ in range(steps):
            yield self._random.randrange(BEGIN, FINISH - 10_000_000)

    async def happen(self, db: Database) -> None:
        for org in ORGS:
            await post(db, books.top_up(org, Nano(10**12), org, transaction_id=org, at=BEGIN))
            await post(
                db, books.give(org, "p", Nano(10**9), org, transaction_id=f"g{org}", at=BEGIN)
            )
        await post(db, allowance("o", CYCLE, 5_000, at=BEGIN))
        for at in self._times:
            await self._one(db, at)

    async def _one(self, db: Database, at: int) -> None:
        number, org = next(self._numbers), self._random.choice(ORGS)
        amount, name = Nano(self._random.randrange(1, 10**10)), f"n{number}"
        match self._random.choice(
            ["top-up", "refund", "reverse", "give", "calls", "calls", "calls"]
        ):
            case "top-up":
                made = books.top_up(org, amount, name, transaction_id=name, at=at)
                await post(db, made)
                self._wrong.append(made)
            case "refund":
                with suppress(Conflict):  # there may not be as much
                    await post(db, books.refund(org, amount, name, transaction_id=name, at=at))
            case "reverse" if self._wrong:
                with suppress(Conflict):
                    await post(db, books.reversal(self._wrong.pop(), transaction_id=name, at=at))
            case "give":
                await post(db, books.give(org, name, amount, name, transaction_id=name, at=at))
            case "calls":
                calls = [self._call(at, f"{name}.{n}") for n in range(self._random.randrange(1, 9))]
                await record_and_charge(db, calls)

    def _call(self, at: int, call_id: str) -> Charge:
        pick, org = self._random.choice, self._random.choice(ORGS)
        given: dict[str, Any] = {"org_id": org, "key_id": f"key of {org}", "model": pick("ab")}
        given |= {"started_ms": at - self._random.randrange(10_000_000), "total_ms": 1_000}
        cost = pick([0, 1, 7, 10**6, 10**9, 10**13])
        payer = pick(["wallet", "wallet", "promo", "plan"])
        if payer == "plan" and org == "o":
            fund = books.plan(org, CYCLE)
            return call(call_id, 0, **given, credits=700, payer="plan", funds=(fund,))
        if payer == "promo":
            return call(call_id, cost, **given, payer="promo", funds=(books.promo(org, "p"),))
        return call(call_id, cost, **given, payer="wallet", funds=(books.wallet(org),))


async def held_at(db: Database, org: str, until: int) -> dict[str, int]:
    """What each account of an organization held before a moment, by its entries."""
    rows = await db.read(
        "SELECT account_id, CAST(SUM(amount) AS BIGINT) FROM entries JOIN transactions "
        "ON transactions.id = transaction_id WHERE at < ? GROUP BY account_id",
        (until,),
    )
    return {
        name: natural(name, amount)
        for name, amount in rows
        if name.startswith(f"org:{org}:") and amount
    }


@pytest.mark.parametrize("seed", range(4))
async def test_a_statement_is_what_the_ledger_holds(db: Database, seed: int) -> None:
    """After any history: each month opens and closes as the books stood, and adds up; the last one
    closes as the ledger does now.
    """
    await History(seed, steps=60).happen(db)

    for org in ORGS:
        for month in (OCTOBER, NOVEMBER, DECEMBER):
            made = await statement(db, month, org)
            first, end = span_of(month)
            shown = made.sections
            opened = {section.account: section.opening for section in shown if section.opening}
            closed = {section.account: section.closing for section in shown if section.closing}
            assert opened == await held_at(db, org, first)
            assert closed == await held_at(db, org, end)
            for section in shown:
                moved = sum(movement.amount for movement in section.movements)
                assert section.opening + moved == section.closing
        for section in made.sections:
            assert section.closing == await ledger.balance(db, section.account)


@pytest.mark.parametrize("seed", range(2))
async def test_usage_by_model_is_what_the_calls_cost(db: Database, seed: int) -> None:
    """Over all months: calls, tokens, cost, what was written off, credits; by model."""
    await History(seed, steps=60).happen(db)

    months = [await statement(db, month) for month in (OCTOBER, NOVEMBER, DECEMBER)]
    months.append(await statement(db, Month("2026-09")))  # in which calls began
    sums: dict[str, list[int]] = {}
    for use in (use for made in months for use in made.models):
        total = sums.setdefault(use.model, [0] * 6)
        given = (use.calls, use.input, use.output, use.cost, use.credits, use.written_off)
        sums[use.model] = [a + b for a, b in zip(total, given, strict=True)]

    rows = await db.read(
        "SELECT model, COUNT(*), CAST(SUM(input) AS BIGINT), CAST(SUM(output) AS BIGINT), "
        "CAST(SUM(cost) AS BIGINT), CAST(SUM(credits) AS BIGINT), (SELECT CAST(SUM(written_off) "
        "AS BIGINT) FROM charges WHERE charges.model = usage.model AND org_id = 'o') "
        "FROM usage WHERE org_id = 'o' GROUP BY model"
    )
    assert {name: tuple(total) for name, total in sums.items()} == {r[0]: r[1:] for r in rows}
    assert any(total[5] for total in sums.values())  # more was spent than there was
    assert any(total[4] for total in sums.values())


async def test_a_transaction_is_in_the_month_of_its_time(db: Database) -> None:
    """To the millisecond."""
    first, end = span_of(NOVEMBER)
    for name, at in (("before", first - 1), ("in", first), ("last", end - 1), ("after", end)):
        await post(db, books.top_up("o", Nano(5), name, transaction_id=name, at=at))

    made = await statement(db, NOVEMBER)

    assert [line.reference for line in made.lines] == ["in", "last"]
    assert (made.wallet.opening, made.wallet.closing) == (5, 15)


async def test_a_call_across_the_end_of_a_month_is_paid_in_the_later_one(db: Database) -> None:
    """It counts where it began; its cost is where it was booked."""
    end = span_of(OCTOBER)[1]
    await post(db, books.top_up("o", Nano(100), "r", transaction_id="t", at=end - 9))
    given = {"started_ms": end - 5, "total_ms": 10, "model": "m"}
    await record_and_charge(db, [call("c", 7, **given)])

    (before,) = (await statement(db, OCTOBER)).models
    (after,) = (await statement(db, NOVEMBER)).models

    assert (before.calls, before.cost) == (1, 0)
    assert (after.calls, after.cost) == (0, 7)
    assert (await statement(db, OCTOBER)).wallet.closing == 100
    assert (await statement(db, NOVEMBER)).wallet.closing == 93


async def test_credits_and_dollars_are_never_mixed(db: Database) -> None:
    """An allowance is a section of its own, given, used and expired in thousandths."""
    at = span_of(NOVEMBER)[0]
    await post(db, allowance("o", CYCLE, 5_000, at=at))
    fund = books.plan("o", CYCLE)
    used = call("c", 0, started_ms=at, total_ms=1, credits=700, payer="plan", funds=(fund,))
    await record_and_charge(db, [used])
    await post(db, expiry("o", CYCLE, 4_300, at=at + 5))

    made = await statement(db, NOVEMBER)

    wallet, plan = made.sections
    assert (wallet.movements, wallet.closing) == ((), 0)
    assert (plan.unit, plan.name, plan.opening, plan.closing) == ("credits", CYCLE, 0, 0)
    assert [m.amount for m in plan.movements] == [5_000, -4_300, -700]
    assert (made.total.credits, made.total.cost) == (700, 0)


async def test_an_organization_sees_its_own_only(db: Database) -> None:
    """Also where one's id begins with another's, or holds what a pattern would match."""
    at = span_of(NOVEMBER)[0]
    for org in ("o", "o2", "%", "o_"):
        await post(db, books.top_up(org, Nano(5), org, transaction_id=org, at=at))

    for org in ("o", "o2", "%", "o_"):
        made = await statement(db, NOVEMBER, org)
        assert [line.reference for line in made.lines] == [org]
        assert made.wallet.closing == 5
    assert (await statement(db, NOVEMBER, "")).lines == ()


async def test_months_go_from_the_first_movement_to_now(db: Database) -> None:
    """Or from when the organization was made, if that is earlier; none for one that is not."""
    made = await create_organization(db, "acme", random=bytes(13), now_ms=span_of(NOVEMBER)[0])
    at = span_of(OCTOBER)[0]
    await post(db, books.top_up("old", Nano(5), "r", transaction_id="t", at=at))

    async def months(org: str) -> list[Month]:
        return await statements.months(db, org, now_ms=span_of(DECEMBER)[0])

    assert await months(made.id) == [DECEMBER, NOVEMBER]
    assert await months("old") == [DECEMBER, NOVEMBER, OCTOBER]
    assert await months("nobody") == []


async def test_a_statement_is_of_one_moment(db: Database) -> None:
    """While calls are being booked: each one read adds up (or it could not have been made)."""
    at = span_of(NOVEMBER)[0]
    await post(db, books.top_up("o", Nano(10**6), "r", transaction_id="t", at=at))

    async def book() -> None:
        for n in range(40):
            row = call(f"c{n}", 3, started_ms=at, total_ms=1, funds=("org:o:wallet",))
            await record_and_charge(db, [row])

    booking = asyncio.ensure_future(book())
    seen = []
    while not booking.done():
        seen.append((await statement(db, NOVEMBER)).wallet.closing)
    await booking

    assert seen == sorted(seen, reverse=True)
    assert (await statement(db, NOVEMBER)).wallet.closing == 10**6 - 120


async def test_what_is_undone_is_not_summed(db: Database) -> None:
    """The sums are part of the transaction that posts."""
    at = span_of(NOVEMBER)[0]

    async def work(tx: Tx) -> None:
        await ledger.post(tx, books.top_up("o", Nano(5), "r", transaction_id="t", at=at))
        raise Conflict("undone")

    with pytest.raises(Conflict):
        await db.write(work)

    assert await db.read("SELECT * FROM account_days") == []
    assert (await statement(db, NOVEMBER)).lines == ()


async def test_months_meet_for_rows_that_came_late(db: Database) -> None:
    """A journal may bring a call of an earlier month: that month's statement says so then."""
    row = usage_row("c", org_id="o", started_ms=span_of(OCTOBER)[0], total_ms=1, cost=9)
    assert month_of(row.started_ms) == OCTOBER
    assert (await statement(db, OCTOBER)).total.written_off == 0

    await record_and_charge(db, [call("c", 9, started_ms=row.started_ms, total_ms=1)])

    assert (await statement(db, OCTOBER)).total.written_off == 9


async def test_books_of_earlier_versions_have_statements(engine: str, tmp_path: Path) -> None:
    """What was posted before there were any sums is summed by the migration."""
    old = tmp_path / "migrations"
    old.mkdir()
    for file in sorted((files("apertura.store") / "migrations").iterdir(), key=lambda f: f.name):
        if file.name < "0008":
            (old / file.name).write_text(file.read_text())
    first, end = span_of(NOVEMBER)
    with old_url(engine, tmp_path) as url:
        database = await open_database(url)
        await migrate(database, old)
        for name, kind, at in (
            ("t", "top-up", first - 1),
            ("u", "usage", first),
            ("v", "usage", end),
        ):
            await database.write(partial(in_old_books, name=name, kind=kind, at=at))

        await migrate(database)

        made = await statement(database, NOVEMBER)
        assert (made.wallet.opening, made.wallet.closing) == (100, 100 - 7)
        assert [(use.model, use.cost, use.credits) for use in made.models] == [("m", 7, 0)]
        assert len((await statement(database, OCTOBER)).lines) == 1
        await database.close()


async def in_old_books(tx: Tx, name: str, kind: str, at: int) -> None:
    """A top-up of 100, or usage of 7, as a version before statements posted it."""
    moved = {"org:o:wallet": -100, "processor:manual": 100}
    if kind == "usage":
        moved = {"org:o:wallet": 7, "revenue:usage": -7}
    await tx.execute("INSERT INTO transactions VALUES (?, ?, ?, ?)", (name, kind, name, at))
    for account, amount in moved.items():
        await tx.execute(
            "INSERT INTO accounts VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (account, amount)
        )
        await tx.execute("INSERT INTO entries VALUES (?, ?, ?)", (name, account, amount))
    if kind == "usage":
        values = (name, "o", "k", "m", at // MS_PER_DAY, 7, 0)
        await tx.execute(
            "INSERT INTO charges (transaction_id, org_id, key_id, model, day, cost, written_off) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )


def old_url(engine: str, folder: Path) -> AbstractContextManager[str]:
    return nullcontext(f"sqlite:{folder}/old.db") if engine == "sqlite" else empty_postgres()
