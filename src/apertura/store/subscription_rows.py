"""The rows of subscriptions: how one is read, held on to while it changes, and written.

What it is not: what may become of a subscription (`domain.plans`, `subscriptions`). The rule that
keeps it honest: who changes one has locked its row first, in the same transaction, and what touches
its cycles' funds does so after that; so two who do never act on the same past.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from apertura.domain.plans import Subscription, Terms
from apertura.errors import NotFound
from apertura.store.database import Database, Tx

_TERMS = ("plan", "period", "price", "allowance")
_BARE = tuple(
    name for name in Subscription.__struct_fields__ if name not in ("terms", "next", "next_at_ms")
)
_COLUMNS = (*_BARE, *_TERMS, *(f"next_{name}" for name in _TERMS), "next_at_ms")
_FLAGS = ("cancel_at_end", "fallback")
_LIST = ", ".join(_COLUMNS)


class Change(msgspec.Struct, frozen=True):
    """One thing that became of a subscription."""

    at: int
    what: str
    detail: str


async def find(db: Database, org_id: str) -> Subscription | None:
    """An organization's subscription: the one that lives, else the last that did."""
    rows = await db.read(
        f"SELECT {_LIST} FROM subscriptions WHERE org_id = ? "
        "ORDER BY CASE WHEN status = 'expired' THEN 1 ELSE 0 END, anchor_ms DESC, id LIMIT 1",
        (org_id,),
    )
    return _subscription(rows[0]) if rows else None


async def find_by_key(db: Database, org_id: str, key_id: str) -> Subscription | None:
    """The subscription of a key."""
    rows = await db.read(
        f"SELECT {_LIST} FROM subscriptions WHERE key_id = ? AND org_id = ?", (key_id, org_id)
    )
    return _subscription(rows[0]) if rows else None


async def find_by_id(db: Database, sub_id: str) -> Subscription | None:
    """A subscription by its own id."""
    rows = await db.read(f"SELECT {_LIST} FROM subscriptions WHERE id = ?", (sub_id,))
    return _subscription(rows[0]) if rows else None


async def listing(db: Database, *, alive: bool = True) -> list[Subscription]:
    """Those of all organizations that have not ended, or all; the oldest first."""
    where = "WHERE status <> 'expired'" if alive else ""
    rows = await db.read(f"SELECT {_LIST} FROM subscriptions {where} ORDER BY anchor_ms, id")
    return [_subscription(row) for row in rows]


async def history(db: Database, sub_id: str) -> list[Change]:
    """What became of a subscription, the oldest first."""
    rows = await db.read(
        "SELECT at, what, detail FROM plan_changes WHERE subscription_id = ? ORDER BY number",
        (sub_id,),
    )
    return [Change(*row) for row in rows]


async def open_cycles(db: Database) -> list[tuple[Subscription, int]]:
    """The cycles whose rest has not ended, by number, with their subscriptions."""
    columns = ", ".join(f"subscriptions.{name}" for name in _COLUMNS)
    found = await db.read(
        f"SELECT number, {columns} FROM plan_cycles "
        "JOIN subscriptions ON subscriptions.id = plan_cycles.subscription_id "
        "WHERE plan_cycles.ended_ms IS NULL ORDER BY subscriptions.id, number"
    )
    return [(_subscription(row), number) for number, *row in found]


async def lock(tx: Tx, sub_id: str) -> Subscription:
    """A subscription that nobody else changes before this transaction ends. Raises: NotFound."""
    rows = await tx.execute(
        f"UPDATE subscriptions SET id = id WHERE id = ? RETURNING {_LIST}", (sub_id,)
    )
    if not rows:
        raise NotFound(f"There is no subscription {sub_id!r}.", code="subscription_not_found")
    return _subscription(rows[0])


async def insert(tx: Tx, sub: Subscription) -> None:
    """Raises Conflict: the organization has one that has not ended."""
    values = _values(sub)
    marks = ",".join("?" * len(values))
    await tx.execute(f"INSERT INTO subscriptions ({_LIST}) VALUES ({marks})", values)


async def save(tx: Tx, sub: Subscription) -> None:
    """Write a subscription that is locked."""
    assignments = ", ".join(f"{name} = ?" for name in _COLUMNS)
    await tx.execute(
        f"UPDATE subscriptions SET {assignments} WHERE id = ?", (*_values(sub), sub.id)
    )


async def note(tx: Tx, sub_id: str, at: int, what: str, detail: str = "") -> None:
    """Add to the history of a subscription that is locked."""
    await tx.execute(
        "INSERT INTO plan_changes (subscription_id, number, at, what, detail) "
        "SELECT CAST(? AS TEXT), COUNT(*), CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT) "
        "FROM plan_changes WHERE subscription_id = ?",
        (sub_id, at, what, detail, sub_id),
    )


def _values(sub: Subscription) -> list[Any]:
    fields = {name: getattr(sub, name) for name in _BARE}
    for flag in _FLAGS:
        fields[flag] = int(fields[flag])
    following: Sequence[Any] = [None] * len(_TERMS)
    if sub.next is not None:
        following = [getattr(sub.next, name) for name in _TERMS]
    terms = [getattr(sub.terms, name) for name in _TERMS]
    return [*fields.values(), *terms, *following, sub.next_at_ms]


def _subscription(row: Sequence[Any]) -> Subscription:
    fields = dict(zip(_COLUMNS, row, strict=True))
    for flag in _FLAGS:
        fields[flag] = bool(fields[flag])
    terms = Terms(**{name: fields.pop(name) for name in _TERMS})
    following = {name: fields.pop(f"next_{name}") for name in _TERMS}
    after = Terms(**following) if following["plan"] is not None else None
    return Subscription(**fields, terms=terms, next=after)
