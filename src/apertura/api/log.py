"""The calls of an organization, for its admin keys: /api/log.

    GET /api/log                page by page, newest first; `/api/log/self` is the same
    GET /api/log.csv            as a file
    GET /api/log/{call_id}      one of them

Both take `key`, `model`, `outcome`, `status`, `from` and `to` (a day or a time in UTC, `to` not
included), and `before`, where the last page said to go on. What it is not: sums (`usage`), or what
the gateway itself needs to know of a call (offers, prices, what providers take).

The rule that keeps it honest: a page looks through a bounded number of calls, and a file has a
bounded number of them; whichever ends early says where to go on.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, get_args

from apertura.api import manage
from apertura.api.amounts import credits_of, dollars
from apertura.api.manage import moment, query_of, read_value, reply_data, whole
from apertura.api.parts import Parts
from apertura.relay.call import Outcome
from apertura.relay.exchange import Exchange, Head
from apertura.relay.steps import Signal
from apertura.store import call_log
from apertura.store.call_log import Wanted
from apertura.store.usage import UsageRow

LIMIT, LIMIT_MOST = 50, 500
EXPORT_MOST = 100_000
"""Calls in one file."""
EXPORT_PIECE = 1_000
FILTERS = ("key", "model", "outcome", "status", "from", "to", "before")
_CALL_ID = re.compile(r"req_[0-9a-f]{32}")
_TOKENS: Final = (
    *("input", "cache_read", "cache_write", "cache_write_1h", "audio_input"),
    *("output", "reasoning", "audio_output", "image_output"),
)


async def index(parts: Parts, exchange: Exchange) -> None:
    """GET /api/log: a page, with where to go on."""
    caller, head = await manage.enter(parts, exchange, query=True)
    query = query_of(exchange, (*FILTERS, "limit"))
    wanted, before = _wanted(query)
    wants = f"a whole number from 1 to {LIMIT_MOST}"
    limit = read_value(query, "limit", LIMIT, whole(1, LIMIT_MOST), wants)
    await parts.settlement.flush()
    page = await call_log.page(parts.database, caller.org_id, wanted, before=before, limit=limit)
    data = {"items": [show_call(row) for row in page.rows], "next": page.next}
    reply_data(exchange, data, head)


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /api/log/{call_id}."""
    caller, head = await manage.enter(parts, exchange, query=True)
    call_id = manage.last_part(exchange, "/api/log/")
    await parts.settlement.flush()
    row = await call_log.find(parts.database, caller.org_id, call_id)
    if row is None:
        raise manage.not_found("call", call_id)
    reply_data(exchange, show_call(row), head)


async def export(parts: Parts, exchange: Exchange) -> None:
    """GET /api/log.csv. Where it does not hold all, `x-next-before` says where to go on."""
    caller, head = await manage.enter(parts, exchange, query=True)
    wanted, before = _wanted(query_of(exchange, FILTERS))
    await parts.settlement.flush()
    seen = await call_log.window(parts.database, caller.org_id, wanted, before, EXPORT_MOST)
    if seen.more:
        head += b"x-next-before: %b\r\n" % seen.low.encode()
    door = _Door(exchange)
    exchange.start(200, CSV + head)
    exchange.write(_lines([COLUMNS]))
    at: str | None = seen.high
    while at is not None:
        piece = call_log.Window(seen.low, at, more=False)
        page = await call_log.page_of(parts.database, caller.org_id, wanted, piece, EXPORT_PIECE)
        exchange.write(_lines([[cell(value) for value in _flat(row)] for row in page.rows]))
        await door.open()
        at = page.next
    exchange.end()


CSV: Head = (
    b"content-type: text/csv; charset=utf-8\r\n"
    b'content-disposition: attachment; filename="calls.csv"\r\n'
    b"cache-control: no-store\r\n"
)


class _Door:
    """Lets a file's next piece go when the caller has read what was written."""

    def __init__(self, exchange: Exchange) -> None:
        self._shut: Signal | None = None
        exchange.on_pause, exchange.on_resume = self._pause, self._resume

    def _pause(self) -> None:
        self._shut = Signal()

    def _resume(self) -> None:
        shut, self._shut = self._shut, None
        if shut is not None:
            shut.fire()

    async def open(self) -> None:
        """Wait until it is open."""
        if self._shut is not None:
            await self._shut


def _wanted(query: Mapping[str, str]) -> tuple[Wanted, str | None]:
    """The filter, and where to go on. Raises: BadRequest."""
    given = dict(query)
    outcomes = get_args(Outcome)
    a_time = "a day or a time such as 2026-01-31 or 2026-01-31T12:00:00Z"
    wanted = Wanted(
        key_id=given.get("key"),
        model=given.get("model"),
        outcome=read_value(
            given, "outcome", None, _one_of(outcomes), f"one of {', '.join(outcomes)}"
        ),
        status=read_value(given, "status", None, whole(100, 599), "an HTTP status"),
        from_ms=read_value(given, "from", None, _time, a_time),
        until_ms=read_value(given, "to", None, _time, a_time),
    )
    said = "what `next` or `x-next-before` said"
    return wanted, read_value(given, "before", None, _place, said)


def _one_of(known: tuple[str, ...]) -> Callable[[str], str | None]:
    def read(text: str) -> str | None:
        if text not in known:
            raise ValueError(text)
        return text

    return read


def _time(text: str) -> int | None:
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp() * 1000)


def _place(text: str) -> str | None:
    if not _CALL_ID.fullmatch(text):
        raise ValueError(text)
    return text


def show_call(row: UsageRow) -> dict[str, object]:
    """A call as its organization sees it."""
    return {
        "id": row.call_id,
        "at": moment(row.started_ms),
        "started_ms": row.started_ms,
        "key_id": row.key_id,
        "model": row.model,
        "provider": row.provider,
        "operation": row.operation,
        "streamed": row.streamed,
        "status": row.status,
        "outcome": row.outcome,
        "error_code": row.error_code,
        "first_ms": row.first_ms,
        "total_ms": row.total_ms,
        "attempts": row.attempts,
        "tokens": {name: getattr(row, name) for name in _TOKENS},
        "estimated": row.estimated,
        "cost_usd": dollars(row.cost),
        "credits": credits_of(row.credits),
        "payer": row.payer,
    }


COLUMNS = (
    *("id", "at", "started_ms", "key_id", "model", "provider", "operation", "streamed", "status"),
    *("outcome", "error_code", "first_ms", "total_ms", "attempts", *_TOKENS, "estimated"),
    *("cost_usd", "credits", "payer"),
)
"""Of the file: what a call shows, its tokens in columns of their own."""


def _flat(row: UsageRow) -> list[object]:
    shown = show_call(row)
    shown |= {name: getattr(row, name) for name in _TOKENS}
    return [shown[name] for name in COLUMNS]


def cell(value: object) -> object:
    """A value as a spreadsheet may have it: text that it would take for a formula gets an
    apostrophe before it (OWASP, CSV injection); amounts are written out in full.
    """
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else format(value, "f" if not isinstance(value, int) else "d")


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
