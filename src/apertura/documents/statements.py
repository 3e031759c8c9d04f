"""A month's statement on paper, and as a sheet.

What it is not: what stands in it (`domain.statements`). The rule that keeps it honest: every amount
is shown to its last digit, so that a reader can add up the columns and find the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from apertura.documents.pages import Column, Pages
from apertura.documents.sheets import sheet
from apertura.documents.words import (
    day,
    envelope,
    in_credits,
    in_dollars,
    in_unit,
    minute,
    of_kind,
    of_month,
)
from apertura.domain.invoices import Details, Invoice, Issuer
from apertura.domain.ledger import Unit
from apertura.domain.money import Nano, format_usd
from apertura.domain.statements import Line, ModelUse, Section, Statement

_RIGHT: Final = "right"


def statement_pdf(
    statement: Statement, *, buyer: Details, issuer: Issuer, invoices: Sequence[Invoice] = ()
) -> bytes:
    """A PDF in A4, of as many pages as it takes; `invoices` are those issued in the month."""
    title = f"Statement {of_month(statement.month)}"
    by = envelope(issuer)
    pages = Pages(title, made_ms=statement.until_ms, foot=" · ".join([*by[:1], title]))
    until = minute(statement.until_ms) if not statement.is_final else ""
    facts = [("Month", of_month(statement.month)), ("Organization", statement.org_id)]
    pages.head("Statement", by, [*facts, ("So far, until", until)] if until else facts)
    pages.block("For", envelope(buyer))
    pages.heading("Balance")
    pages.sums(_balance(statement.wallet))
    _others(pages, statement.sections[1:])
    _usage(pages, statement)
    _issued(pages, invoices)
    _lines(pages, statement.lines)
    pages.gap()
    pages.note(
        "Months and days are those of UTC. A movement counts on the day on which it was booked; "
        "calls and tokens on the day on which the call began. Usage is summed by day."
    )
    return pages.done()


def _balance(section: Section) -> Iterator[tuple[str, str, bool]]:
    yield "Opening balance", in_unit(section.opening, section.unit), False
    for movement in section.movements:
        label = of_kind(movement.kind)
        if movement.kind != "usage" and movement.entries > 1:
            label += f" ({movement.entries:,})"
        yield label, in_unit(movement.amount, section.unit), False
    yield "Closing balance", in_unit(section.closing, section.unit), True


def _others(pages: Pages, sections: Sequence[Section]) -> None:
    for what, heading, name in (
        ("promo", "Promotional credit (USD)", "Gift"),
        ("plan", "Allowances of plans (credits)", "Cycle"),
    ):
        rows = [_across(section) for section in sections if section.what == what]
        if rows:
            pages.heading(heading)
            amounts = ("Opening", "Added", "Used", "Expired, other", "Closing")
            columns = [Column(name, 2.2), *(Column(text, 1.3, _RIGHT) for text in amounts)]
            pages.table(columns, rows)


def _across(section: Section) -> tuple[str, ...]:
    shown = in_credits if section.unit == "credits" else in_dollars
    used = section.moved("usage")
    rest = [movement for movement in section.movements if movement.kind != "usage"]
    added = sum(movement.amount for movement in rest if movement.amount > 0)
    taken = sum(movement.amount for movement in rest if movement.amount < 0)
    amounts = (section.opening, added, used, taken, section.closing)
    return (section.name, *(shown(amount) for amount in amounts))


def _usage(pages: Pages, statement: Statement) -> None:
    if not statement.models:
        return
    pages.heading("Usage by model")
    total = statement.total
    columns = [
        Column("Model", 2.6),
        Column("Calls", 0.9, _RIGHT),
        Column("Input tokens", 1.3, _RIGHT),
        Column("Output tokens", 1.3, _RIGHT),
        Column("Cost (USD)", 1.5, _RIGHT),
    ]
    if total.credits:
        columns.append(Column("Credits", 1.1, _RIGHT))
    rows = (_used(use, use.model, len(columns)) for use in statement.models)
    pages.table(columns, rows, _used(total, "In all", len(columns)))
    if total.written_off:
        amount = in_dollars(total.written_off)
        pages.gap(2)
        pages.note(f"Of the cost {amount} USD was written off: it was not taken from any balance.")


def _used(use: ModelUse, name: str, columns: int) -> tuple[str, ...]:
    counts = (f"{number:,}" for number in (use.calls, use.input, use.output))
    return (name, *counts, in_dollars(use.cost), in_credits(use.credits))[:columns]


def _issued(pages: Pages, invoices: Sequence[Invoice]) -> None:
    if not invoices:
        return
    pages.heading("Invoices and credit notes")
    columns = [
        Column("Number", 2),
        Column("Date", 1.3),
        Column("For", 2.4),
        Column("Amount (USD)", 1.6, _RIGHT),
    ]
    rows = (
        (one.number, day(one.issued_at), of_kind(one.kind), in_dollars(_signed(one)))
        for one in sorted(invoices, key=lambda one: (one.issued_at, one.number))
    )
    pages.table(columns, rows)


def _signed(invoice: Invoice) -> int:
    return -invoice.amount if invoice.is_credit_note else invoice.amount


def _lines(pages: Pages, lines: Sequence[Line]) -> None:
    if not lines:
        return
    pages.heading("Transactions")
    columns = [
        Column("Date", 1.2),
        Column("What", 2),
        Column("Account", 1.7),
        Column("Reference", 2.6),
        Column("Amount", 2.2, _RIGHT),
    ]
    pages.table(columns, (_line(line) for line in lines))


def _line(line: Line) -> tuple[str, ...]:
    account = {"wallet": "Balance", "promo": "Gift"}.get(line.what, "Plan")
    amount = in_unit(line.amount, line.unit)
    return (day(line.at), of_kind(line.kind), f"{account} {line.name}", line.reference, amount)


# As a sheet: one table, each row of one kind.

HEADINGS = (
    *("row", "date", "account", "kind", "reference", "model", "calls"),
    *("input_tokens", "output_tokens", "amount", "unit", "written_off"),
)


def statement_csv(statement: Statement) -> bytes:
    """The statement as CSV. Rows are `opening`, `movement`, `closing` (of an account) and `usage`
    (of a model); amounts are dollars or credits, as `unit` says.
    """
    return sheet(HEADINGS, _sheet_rows(statement))


def _sheet_rows(statement: Statement) -> Iterable[tuple[str, ...]]:
    empty = ("",) * 3
    first, last = f"{statement.month}-01", day(statement.until_ms - 1)
    for section in statement.sections:
        opening = _amount(section.opening, section.unit)
        yield ("opening", first, _short(section), "", "", "", *empty, *opening, "")
    for line in statement.lines:
        head = ("movement", day(line.at), _short(line), line.kind, line.reference)
        yield (*head, "", *empty, *_amount(line.amount, line.unit), "")
    for section in statement.sections:
        closing = _amount(section.closing, section.unit)
        yield ("closing", last, _short(section), "", "", "", *empty, *closing, "")
    for use in statement.models:
        yield from _model_rows(use, last)


def _model_rows(use: ModelUse, last: str) -> Iterator[tuple[str, ...]]:
    head = ("usage", last, "", "usage", "", use.model)
    counts = tuple(str(number) for number in (use.calls, use.input, use.output))
    lost = format_usd(Nano(use.written_off))
    yield (*head, *counts, format_usd(Nano(use.cost)), "usd", lost)
    if use.credits:
        zeros = ("0",) * 3  # the calls stand in the row above
        yield (*head, *zeros, _credits(use.credits), "credits", _credits(use.credits_lost))


def _short(of: Section | Line) -> str:
    return f"{of.what}:{of.name}" if of.name else of.what


def _amount(amount: int, unit: Unit) -> tuple[str, str]:
    if unit == "credits":
        return _credits(amount), "credits"
    return format_usd(Nano(amount)), "usd"


def _credits(thousandths: int) -> str:
    whole, part = divmod(abs(thousandths), 1000)
    return f"{'-' if thousandths < 0 else ''}{whole}.{part:03d}"
