"""One row for each call, and the sums of them by key, model and day.

What it is: the value that the journal keeps and the books take in, its insertion, and the questions
that are answered from the sums. What it is not: what a call costs (`pricing`) or the money
(`ledger`).

The rule that keeps it honest: a row and its share of the sums go in together, and a row that is
known by its call id changes neither, however often the journal brings it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any, Literal

import msgspec

from apertura.store.database import Database, Tx, placeholders

_MS_PER_DAY = 86_400_000
_DAY_ZERO = date(1970, 1, 1).toordinal()
_SUMS_PER_STATEMENT = (16, 1)


class UsageRow(msgspec.Struct, frozen=True, gc=False):
    """One call. Times: `started_ms` since 1970, the others since the start; cost in nano-dollars.

    As JSON it is a line of the journal and of the call log: a new field has a default.
    """

    call_id: str
    org_id: str
    key_id: str
    model: str
    provider: str
    offer: str
    operation: Literal["chat", "embeddings", "rerank"]
    streamed: bool
    status: int
    outcome: Literal["answered", "cut", "failed"]
    error_code: str
    started_ms: int
    first_ms: int | None
    total_ms: int
    attempts: int
    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    audio_input: int
    output: int
    reasoning: int
    audio_output: int
    estimated: bool
    cost: int
    """What its caller pays in money: nothing, where a plan's allowance pays."""
    price_id: str
    image_output: int = 0
    credits: int = 0
    """What it takes of a plan's allowance, in thousandths of a credit."""
    upstream_cost: int = 0
    """What its provider takes, as far as known; the margin is the difference to the cost."""
    payer: Literal["", "wallet", "promo", "allowance"] = ""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over calls: tokens, cost in nano-dollars, credits in thousandths."""

    calls: int = 0
    input: int = 0
    output: int = 0
    cost: int = 0
    credits: int = 0
    upstream_cost: int = 0


class Part(Totals, frozen=True, kw_only=True):
    """The sums of one model, or of one day (`2026-01-31`)."""

    name: str


COLUMNS = UsageRow.__struct_fields__
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(UsageRow)
_STREAMED, _ESTIMATED = COLUMNS.index("streamed"), COLUMNS.index("estimated")


def encode(row: UsageRow) -> bytes:
    """One compact line, without a line feed."""
    return _encoder.encode(row)


def decode(line: bytes) -> UsageRow:
    """Raises msgspec.DecodeError (a ValueError): it is no line of `encode`."""
    return _decoder.decode(line)


def values_of(row: UsageRow) -> list[Any]:
    """What is stored. Truth as 0 and 1: a bool costs the SQLite module a microsecond to look up."""
    values = list(msgspec.structs.astuple(row))
    values[_STREAMED] = 1 if row.streamed else 0
    values[_ESTIMATED] = 1 if row.estimated else 0
    return values


@lru_cache(maxsize=16)
def _date(day: int) -> str:
    return date.fromordinal(_DAY_ZERO + day).isoformat()


def day_of(ms: int) -> str:
    """The day (UTC) of milliseconds since 1970, as `2026-01-31`."""
    return _date(ms // _MS_PER_DAY)


async def add_to_days(tx: Tx, rows: Iterable[UsageRow]) -> None:
    sums: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows:
        key = (row.key_id, _date(row.started_ms // _MS_PER_DAY), row.model)
        total = sums.get(key)
        if total is None:
            sums[key] = [row.key_id, row.org_id, row.model, key[1], 1]
            sums[key] += [row.input, row.output, row.cost, row.credits, row.upstream_cost]
            sums[key] += [0, row.total_ms] if row.outcome != "failed" else [1, 0]
        else:
            total[4] += 1
            total[5] += row.input
            total[6] += row.output
            total[7] += row.cost
            total[8] += row.credits
            total[9] += row.upstream_cost
            if row.outcome == "failed":
                total[10] += 1
            else:
                total[11] += row.total_ms
    # In the order of the primary key: transactions side by side then never wait in a circle.
    ordered, at = [sums[key] for key in sorted(sums)], 0
    for size in _SUMS_PER_STATEMENT:
        while len(ordered) - at >= size:
            values = [value for total in ordered[at : at + size] for value in total]
            await tx.execute(_add_sql(size), values)
            at += size


@lru_cache(maxsize=8)
def _add_sql(size: int) -> str:
    return (
        f"INSERT INTO usage_days (key_id, org_id, model, day, {', '.join(_KEPT)}) "
        f"VALUES {placeholders(4 + len(_KEPT), size)} "
        "ON CONFLICT (key_id, day, model) DO UPDATE SET "
        + ", ".join(f"{name} = usage_days.{name} + excluded.{name}" for name in _KEPT)
    )


_SUMMED = Totals.__struct_fields__
_KEPT = (*_SUMMED, "failed", "took_ms")
"""The last two: calls that failed, and the milliseconds of all others (`store.standing`)."""
_SUMS = ", ".join(f"CAST(COALESCE(SUM({name}), 0) AS BIGINT)" for name in _SUMMED)


async def totals(db: Database, key_id: str) -> Totals:
    """Everything that a key has ever used."""
    return await _totals(db, "key_id", key_id)


async def org_totals(db: Database, org_id: str) -> Totals:
    """Everything that an organization has ever used."""
    return await _totals(db, "org_id", org_id)


async def by_model(db: Database, key_id: str, first: str, last: str) -> list[Part]:
    """A key's use from day `first` to day `last`, both included, by model."""
    return await _parts(db, ("key_id", key_id), "model", first, last)


async def by_day(db: Database, key_id: str, first: str, last: str) -> list[Part]:
    """So, by day; days without a call are left out."""
    return await _parts(db, ("key_id", key_id), "day", first, last)


async def org_by_model(db: Database, org_id: str, first: str, last: str) -> list[Part]:
    """An organization's use from day `first` to day `last`, both included, by model."""
    return await _parts(db, ("org_id", org_id), "model", first, last)


async def org_by_day(db: Database, org_id: str, first: str, last: str) -> list[Part]:
    """So, by day; days without a call are left out."""
    return await _parts(db, ("org_id", org_id), "day", first, last)


async def _totals(db: Database, owner: str, owner_id: str) -> Totals:
    rows = await db.read(f"SELECT {_SUMS} FROM usage_days WHERE {owner} = ?", (owner_id,))
    return Totals(**dict(zip(_SUMMED, rows[0], strict=True)))


async def _parts(
    db: Database, owner: tuple[str, str], group: str, first: str, last: str
) -> list[Part]:
    rows = await db.read(
        f"SELECT {group}, {_SUMS} FROM usage_days WHERE {owner[0]} = ? AND day BETWEEN ? AND ? "
        f"GROUP BY {group} ORDER BY {group}",
        (owner[1], first, last),
    )
    return [Part(name=name, **dict(zip(_SUMMED, sums, strict=True))) for name, *sums in rows]
