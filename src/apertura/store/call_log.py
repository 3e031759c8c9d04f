"""Calls as an organization looks at them: page by page, one by one, or all in turn.

What it is: questions to `usage`, newest calls first, by the index of an organization's calls. What
it is not: sums (`usage`, `standing`).

The rule that keeps it honest: every question names one organization, and none reads more than a
bounded number of calls: a filter that few calls pass ends a page early, with the place to go on
from.
"""

from __future__ import annotations

import msgspec

from apertura.store.database import Database, Row
from apertura.store.usage import COLUMNS, UsageRow

SCANNED_MOST = 20_000
"""Calls that one page looks through, however few of them pass its filter."""
_STREAMED, _ESTIMATED = COLUMNS.index("streamed"), COLUMNS.index("estimated")
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM usage"
_FIRST, _LAST = "req_", "req_g"
"""Below and above every call id: `req_` and digits in hex."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls; None is no bound. Times (ms since 1970) are those with which call ids begin."""

    key_id: str | None = None
    model: str | None = None
    outcome: str | None = None
    status: int | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    """The end, excluded."""


class Window(msgspec.Struct, frozen=True):
    """Calls from `low` (included) to `high` (excluded) by id; `more`: there are older ones."""

    low: str
    high: str
    more: bool


class Page(msgspec.Struct, frozen=True):
    """Some calls; `next` is where to go on (`before`), None at the end."""

    rows: list[UsageRow]
    next: str | None


def first_id(ms: int) -> str:
    """What is not above any call id of this time or later, and above all earlier ones."""
    return f"req_{max(0, min(ms, 2**48 - 1)):012x}"


async def window(
    db: Database, org_id: str, wanted: Wanted, before: str | None, most: int
) -> Window:
    """The newest `most` calls of the times that are wanted, from `before` (excluded) back."""
    low = _FIRST if wanted.from_ms is None else first_id(wanted.from_ms)
    high = _LAST if wanted.until_ms is None else first_id(wanted.until_ms)
    high = high if before is None else min(high, before)
    rows = await db.read(
        "SELECT MIN(call_id), COUNT(*) FROM (SELECT call_id FROM usage WHERE org_id = ? "
        "AND call_id >= ? AND call_id < ? ORDER BY call_id DESC LIMIT ?) AS newest",
        (org_id, low, high, most),
    )
    lowest, count = rows[0]
    return Window(lowest, high, True) if count == most else Window(low, high, False)


async def page(
    db: Database, org_id: str, wanted: Wanted, *, before: str | None, limit: int
) -> Page:
    """The newest calls that are wanted, from `before` (excluded) back, at most `limit`."""
    seen = await window(db, org_id, wanted, before, SCANNED_MOST)
    return await page_of(db, org_id, wanted, seen, limit)


async def page_of(db: Database, org_id: str, wanted: Wanted, seen: Window, limit: int) -> Page:
    """So, of a window."""
    where, values = _filter(wanted)
    rows = await db.read(
        f"{_SELECT} WHERE org_id = ? AND call_id >= ? AND call_id < ?{where} "
        "ORDER BY call_id DESC LIMIT ?",
        (org_id, seen.low, seen.high, *values, limit + 1),
    )
    found = [_row(row) for row in rows[:limit]]
    if len(rows) > limit:
        return Page(found, found[-1].call_id)
    return Page(found, seen.low if seen.more else None)


async def find(db: Database, org_id: str, call_id: str) -> UsageRow | None:
    """One call of an organization."""
    rows = await db.read(f"{_SELECT} WHERE call_id = ? AND org_id = ?", (call_id, org_id))
    return _row(rows[0]) if rows else None


def _filter(wanted: Wanted) -> tuple[str, list[object]]:
    """Conditions beside the time's, and their values."""
    where, values = "", []
    for name in ("key_id", "model", "outcome", "status"):
        value: object = getattr(wanted, name)
        if value is not None:
            where += f" AND {name} = ?"
            values.append(value)
    return where, values


def _row(row: Row) -> UsageRow:
    values = list(row)
    values[_STREAMED], values[_ESTIMATED] = bool(row[_STREAMED]), bool(row[_ESTIMATED])
    return UsageRow(*values)
