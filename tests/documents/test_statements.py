"""What stands in a statement, on paper and as a sheet."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from apertura.documents.statements import statement_csv, statement_pdf
from apertura.domain.money import usd
from apertura.domain.statements import MS_PER_DAY, DaySum, Found, Item, Statement, statement
from tests.documents.reading import pages_of, text_of
from tests.documents.samples import BUYER, END, FIRST, ISSUER, NOVEMBER, WALLET, invoice, sample


def pdf(made: Statement) -> bytes:
    return statement_pdf(made, buyer=BUYER, issuer=ISSUER, invoices=[invoice()])


def cells(made: Statement) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(statement_csv(made).decode(), newline="")))


def test_a_statement_shows_its_figures() -> None:
    """Balances, movements, usage by model, credits in their own unit, invoices, each line."""
    text = text_of(pdf(sample()))

    for said in (
        "Month  November 2026",
        "Opening balance  10.00 USD",
        "Top-up  250.00 USD",
        "Refund  −20.00 USD",
        "Usage  −37.03703673 USD",
        "Closing balance  202.96296327 USD",
        "welcome  1.00  0.00  −0.0005  −0.50  0.4995",
        "sub_7.3  0  600  −12.75  0  587.25",
        "gpt-4o-mini  12,345  98,765,432  1,234,567  37.037536637  0",
        "claude-opus  17  170  34  0.0000001  12.75",
        "In all  12,362  98,765,602  1,234,601  37.037536737  12.75",
        "0.000000007 USD was written off",
        "INV-2026-000042  2026-11-06  Top-up  225.00",
        "2026-11-01  Usage  Balance  −1.234567891 USD",
        "2026-11-03  Plan allowance  Plan sub_7.3  sub_7.3  600 credits",
        "2026-11-21  Promotion expired  Gift welcome  welcome  −0.50 USD",
    ):
        assert said in text
    assert "So far" not in text


def test_a_month_that_goes_on_says_until_when() -> None:
    """To the minute."""
    text = text_of(pdf(sample(now_ms=END - 61_000)))

    assert "So far, until  2026-11-30 23:58 UTC" in text


def test_a_month_without_anything_is_a_page() -> None:
    """With its two balances."""
    empty = Found(opening={}, sums=[], items=[], models=[])
    text = text_of(pdf(statement("org_1", NOVEMBER, empty, now_ms=END)))

    assert "Opening balance  0.00 USD\nClosing balance  0.00 USD" in text
    assert "Usage by model" not in text
    assert "Transactions" not in text


def test_a_long_statement_has_every_line() -> None:
    """Over many pages."""
    items = [Item(WALLET, FIRST + n, "top-up", f"pay_{n}", 10**9) for n in range(500)]
    found = Found(
        opening={},
        sums=[DaySum(WALLET, FIRST // MS_PER_DAY, "top-up", 500, 500 * 10**9)],
        items=items,
        models=[],
    )
    read = pages_of(pdf(statement("org_1", NOVEMBER, found, now_ms=END)))

    words = [shown.text for page in read for shown in page]
    assert [w for w in words if w.startswith("pay_")] == [item.reference for item in items]
    assert len(read) > 8
    assert "Top-up (500)" in words


def test_a_sheet_adds_up() -> None:
    """For each account: opening and movements are closing; for usage, the models' costs."""
    made = sample()
    rows = cells(made)

    for section in made.sections:
        name = f"{section.what}:{section.name}".removesuffix(":")
        own = [row for row in rows if row["account"] == name]
        amounts = {
            kind: sum(Decimal(r["amount"]) for r in own if r["row"] == kind) for kind in KINDS
        }
        assert amounts["opening"] + amounts["movement"] == amounts["closing"]
        assert {row["unit"] for row in own} == {"credits" if section.what == "plan" else "usd"}
    used = [row for row in rows if row["row"] == "usage" and row["unit"] == "usd"]
    assert sum(Decimal(row["amount"]) for row in used) == usd(made.total.cost)
    assert sum(int(row["calls"]) for row in rows if row["row"] == "usage") == made.total.calls
    assert sum(Decimal(row["written_off"]) for row in used) == Decimal("0.000000007")


KINDS = ("opening", "movement", "closing")


def test_a_sheet_runs_nothing() -> None:
    """Whatever was given as a reference."""
    found = Found(
        opening={},
        sums=[DaySum(WALLET, FIRST // MS_PER_DAY, "top-up", 1, 5)],
        items=[Item(WALLET, FIRST, "top-up", '=cmd|"/c calc"!A1, and\r\n"more"', 5)],
        models=[],
    )
    rows = cells(statement("org_1", NOVEMBER, found, now_ms=END))

    (reference,) = [row["reference"] for row in rows if row["row"] == "movement"]
    assert reference == '\'=cmd|"/c calc"!A1, and\r\n"more"'
