"""A month's statement of an organization, as values: what it had, what moved, what is left.

A statement has one section for each account of the organization that had or moved anything: the
wallet and gifts in nano-dollars, the allowances of plans in thousandths of a credit. Beside them
stand the usage by model and the movements one by one; those of calls are summed by day. A month is
one of UTC, and a movement belongs to the month of its transaction's `at`.

What it is not: where the sums are read (`store.statements`) or how they look (`documents`).

The rule that keeps it honest: opening + movements = closing in each section, to the last unit, and
closing is what the ledger's account held when the month ended; what calls took of the accounts is
what they cost by model less what was written off. A statement that breaks it is never made.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NewType

import msgspec

from apertura.domain.ledger import Unit, unit_of, wallet

Month = NewType("Month", str)
"""Such as `2026-11`."""
USAGE = "usage"
"""The kind of the transactions of calls, which a statement sums by day."""
MS_PER_DAY = 86_400_000
_EPOCH = date(1970, 1, 1)
_ORDER = (
    *("top-up", "refund", "reversal", "promo", "promo-end"),
    *("allowance", "allowance-expiry", USAGE),
)


class DaySum(msgspec.Struct, frozen=True):
    """The movements of one kind on one account on one day (from 1970); above zero it grew."""

    account: str
    day: int
    kind: str
    entries: int
    amount: int


class Item(msgspec.Struct, frozen=True):
    """One movement on one account, `at` in ms; above zero the account grew."""

    account: str
    at: int
    kind: str
    reference: str
    amount: int


class ModelUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one model was used for in a month. Calls and tokens count on the day on which a call
    began, cost (nano-dollars) and credits (thousandths) on the day on which it was booked.
    """

    model: str
    calls: int = 0
    input: int = 0
    output: int = 0
    cost: int = 0
    written_off: int = 0
    """Of the cost: what nobody was charged with."""
    credits: int = 0
    credits_lost: int = 0
    """Of the credits: what no allowance could be charged with."""


class Movement(msgspec.Struct, frozen=True):
    """All movements of one kind on one account in a month."""

    kind: str
    entries: int
    amount: int


class _OfAccount(msgspec.Struct, frozen=True, kw_only=True):
    account: str

    @property
    def what(self) -> str:
        """`wallet`, `promo` or `plan`."""
        return self.account.split(":")[2]

    @property
    def name(self) -> str:
        """The id of the gift, or the cycle of the plan; empty for the wallet."""
        return ":".join(self.account.split(":")[3:])

    @property
    def unit(self) -> Unit:
        """What its amounts count: nano-dollars, or thousandths of a credit."""
        return unit_of(self.account)


class Section(_OfAccount, frozen=True, kw_only=True):
    """One account in one month."""

    opening: int
    movements: tuple[Movement, ...]
    closing: int

    def moved(self, kind: str) -> int:
        """The sum of the movements of a kind."""
        return sum(movement.amount for movement in self.movements if movement.kind == kind)


class Line(_OfAccount, frozen=True, kw_only=True):
    """One movement, or the usage of a day on one account: `entries` batches of calls."""

    at: int
    kind: str
    reference: str
    entries: int
    amount: int


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A month of an organization. `until_ms`: it shows what was booked before this moment, the end
    of the month or, if that is still to come, the moment in which it was made.
    """

    org_id: str
    month: Month
    until_ms: int
    is_final: bool
    sections: tuple[Section, ...]
    """The wallet first, always; then gifts, then cycles of plans."""
    models: tuple[ModelUse, ...]
    lines: tuple[Line, ...]

    @property
    def wallet(self) -> Section:
        """The prepaid balance."""
        return self.sections[0]

    @property
    def total(self) -> ModelUse:
        """Over all models; its name is empty."""
        names = ModelUse.__struct_fields__[1:]
        sums = {name: sum(getattr(use, name) for use in self.models) for name in names}
        return ModelUse(model="", **sums)


# Months.


def month_of(ms: int) -> Month:
    """The month (UTC) of a moment."""
    return Month(datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m"))


def parse_month(text: str) -> Month:
    """Raises: ValueError: it is no month such as 2026-11."""
    if not re.fullmatch(r"(19[7-9]\d|2\d{3})-(0[1-9]|1[0-2])", text, re.ASCII):
        raise ValueError(f"{text!r} is no month such as 2026-11")
    return Month(text)


def days_of(month: Month) -> tuple[int, int]:
    """Its first day, and the first day after it, from 1970."""
    year, number = int(month[:4]), int(month[5:])
    following = date(year + number // 12, number % 12 + 1, 1)
    return (date(year, number, 1) - _EPOCH).days, (following - _EPOCH).days


def span_of(month: Month) -> tuple[int, int]:
    """Its first millisecond, and the first one after it."""
    first, end = days_of(month)
    return first * MS_PER_DAY, end * MS_PER_DAY


def months_between(first_ms: int, last_ms: int) -> list[Month]:
    """The months from one moment to another, the last one first; none if that is earlier."""
    months: list[Month] = []
    month, first = month_of(max(0, last_ms)), month_of(max(0, first_ms))
    while month >= first:
        months.append(month)
        month = month_of(span_of(month)[0] - 1) if month > "1970-01" else Month("")
    return months


# From what is read to a statement.


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of an organization's month, all of one moment.

    `opening`: what each account held when it began. `sums`: by day and kind. `items`: the
    movements that are not of calls, one by one.
    """

    opening: Mapping[str, int]
    sums: Sequence[DaySum]
    items: Sequence[Item]
    models: Sequence[ModelUse]


def statement(org_id: str, month: Month, found: Found, *, now_ms: int) -> Statement:
    """The statement of a month, out of what the store found."""
    end_ms = span_of(month)[1]
    made = Statement(
        org_id=org_id,
        month=month,
        until_ms=min(now_ms, end_ms),
        is_final=now_ms >= end_ms,
        sections=tuple(_sections(org_id, found)),
        models=tuple(sorted(found.models, key=lambda use: (-use.cost, -use.credits, use.model))),
        lines=tuple(_lines(found)),
    )
    _check(made)
    return made


def _sections(org_id: str, found: Found) -> Iterable[Section]:
    moved: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for one in found.sums:
        total = moved[one.account][one.kind]
        total[0] += one.entries
        total[1] += one.amount
    opened = {account for account, amount in found.opening.items() if amount}
    for account in sorted({wallet(org_id), *opened, *moved}, key=_place):
        kinds = sorted(moved[account].items(), key=lambda pair: _rank(pair[0]))
        movements = tuple(Movement(kind, entries, amount) for kind, (entries, amount) in kinds)
        opening = found.opening.get(account, 0)
        yield Section(
            account=account,
            opening=opening,
            movements=movements,
            closing=opening + sum(movement.amount for movement in movements),
        )


def _place(account: str) -> tuple[int, str]:
    what = account.split(":")[2]
    return {"wallet": 0, "promo": 1}.get(what, 2), account


def _rank(kind: str) -> tuple[int, str]:
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER) - 1, kind)


def _lines(found: Found) -> list[Line]:
    lines = [
        Line(
            at=item.at,
            kind=item.kind,
            account=item.account,
            reference=item.reference,
            entries=1,
            amount=item.amount,
        )
        for item in sorted(found.items, key=lambda item: (item.at, item.reference))
    ]
    lines += [
        Line(
            at=(one.day + 1) * MS_PER_DAY - 1,
            kind=USAGE,
            account=one.account,
            reference="",
            entries=one.entries,
            amount=one.amount,
        )
        for one in found.sums
        if one.kind == USAGE
    ]
    return sorted(lines, key=lambda line: (line.at, line.kind == USAGE, line.account))


def _check(made: Statement) -> None:
    moved = _by_account((line.account, line.amount) for line in made.lines)
    taken: dict[Unit, int] = {"nano-dollars": 0, "credits": 0}
    for section in made.sections:
        difference = section.closing - section.opening
        assert moved.get(section.account, 0) == difference, "the lines are the movements"
        taken[section.unit] -= section.moved(USAGE)
    total = made.total
    assert taken["nano-dollars"] == total.cost - total.written_off, "accounts paid for the calls"
    assert taken["credits"] == total.credits - total.credits_lost, "allowances paid for the calls"


def _by_account(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for account, amount in amounts:
        sums[account] = sums.get(account, 0) + amount
    return sums
