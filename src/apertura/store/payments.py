"""Payments as they are kept: who pays, what was asked for, what came of it.

What it is: the rows of payments and customers, and payments made by hand. What it is not: what a
processor's messages do (`payment_events`), what goes back (`refunds`).

The rule that keeps it honest: a payment is kept before the processor hears of it, so that whatever
the processor tells later finds it; and a processor's name of a payment is of one payment only.
"""

from __future__ import annotations

from functools import cache

import msgspec

from apertura.domain.payments import Payment
from apertura.store.database import Database, Row, Tx

COLUMNS = Payment.__struct_fields__
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM payments"
PAGE = 50
"""Payments in one answer."""


@cache
def _insert_sql() -> str:
    return f"INSERT INTO payments ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


def as_payment(row: Row) -> Payment:
    """A row of the columns."""
    return Payment(**dict(zip(COLUMNS, row, strict=True)))


async def insert(tx: Tx, payment: Payment) -> None:
    """Keep a new payment. Raises: Conflict: its id or one of its names is taken."""
    await tx.execute(_insert_sql(), msgspec.structs.astuple(payment))


async def set_checkout(tx: Tx, payment_id: str, checkout: str) -> None:
    """The processor has made a page on which this payment can be paid."""
    await tx.execute("UPDATE payments SET checkout = ? WHERE id = ?", (checkout, payment_id))


async def close(tx: Tx, payment_id: str, reason: str) -> None:
    """The processor refused to make a page, so nobody will pay: unless somebody did."""
    await tx.execute(
        "UPDATE payments SET status = 'failed', failure = ? WHERE id = ? AND status = 'open'",
        (reason, payment_id),
    )


async def get(tx: Tx, payment_id: str) -> Payment | None:
    """A payment by our id, within a transaction."""
    rows = await tx.execute(f"{_SELECT} WHERE id = ?", (payment_id,))
    return as_payment(rows[0]) if rows else None


async def get_by_subject(tx: Tx, via: str, subject: str) -> Payment | None:
    """A payment by the processor's name of it."""
    rows = await tx.execute(f"{_SELECT} WHERE via = ? AND subject = ?", (via, subject))
    return as_payment(rows[0]) if rows else None


async def find(db: Database, payment_id: str) -> Payment | None:
    """A payment by our id."""
    rows = await db.read(f"{_SELECT} WHERE id = ?", (payment_id,))
    return as_payment(rows[0]) if rows else None


async def listing(
    db: Database, org_id: str, *, before: str = "", most: int = PAGE
) -> list[Payment]:
    """An organization's payments, the newest first; those older than `before`, if it is one."""
    last = await find(db, before) if before else None
    if last is None or last.org_id != org_id:
        rows = await db.read(
            f"{_SELECT} WHERE org_id = ? ORDER BY created_at DESC, id DESC LIMIT ?", (org_id, most)
        )
    else:
        rows = await db.read(
            f"{_SELECT} WHERE org_id = ? AND (created_at < ? OR (created_at = ? AND id < ?)) "
            "ORDER BY created_at DESC, id DESC LIMIT ?",
            (org_id, last.created_at, last.created_at, last.id, most),
        )
    return [as_payment(row) for row in rows]


async def unheard(
    db: Database, via: str, *, since_ms: int, before_ms: int, most: int = PAGE
) -> list[Payment]:
    """Open payments, made since then, of which nothing was heard for long: the longest first."""
    rows = await db.read(
        f"{_SELECT} WHERE status = 'open' AND via = ? AND created_at >= ? AND checked_at < ? "
        "ORDER BY checked_at, id LIMIT ?",
        (via, since_ms, before_ms, most),
    )
    return [as_payment(row) for row in rows]


async def claim_check(tx: Tx, payment: Payment, now_ms: int) -> bool:
    """One worker asks the processor for a payment: False if another does."""
    rows = await tx.execute(
        "UPDATE payments SET checked_at = ? WHERE id = ? AND checked_at = ? AND status = 'open' "
        "RETURNING id",
        (now_ms, payment.id, payment.checked_at),
    )
    return bool(rows)


# Who an organization is to a processor.


async def customer(db: Database, via: str, org_id: str) -> str | None:
    """The processor's name of an organization."""
    rows = await db.read(
        "SELECT customer FROM customers WHERE processor = ? AND org_id = ?", (via, org_id)
    )
    return str(rows[0][0]) if rows else None


async def keep_customer(tx: Tx, via: str, org_id: str, name: str) -> str:
    """Keep the processor's name of an organization; returns the one that was first."""
    await tx.execute(
        "INSERT INTO customers (processor, org_id, customer) VALUES (?, ?, ?) "
        "ON CONFLICT (processor, org_id) DO NOTHING",
        (via, org_id, name),
    )
    rows = await tx.execute(
        "SELECT customer FROM customers WHERE processor = ? AND org_id = ?", (via, org_id)
    )
    return str(rows[0][0])


async def organization_of(tx: Tx, via: str, name: str) -> str | None:
    """The organization that a processor calls so."""
    rows = await tx.execute(
        "SELECT org_id FROM customers WHERE processor = ? AND customer = ?", (via, name)
    )
    return str(rows[0][0]) if rows else None


async def owner_email(db: Database, org_id: str) -> str:
    """Where receipts go: the address of the first owner, empty if there is none."""
    rows = await db.read(
        "SELECT email FROM users JOIN memberships ON user_id = users.id "
        "WHERE org_id = ? AND role = 'owner' ORDER BY created_at, users.id LIMIT 1",
        (org_id,),
    )
    return str(rows[0][0]) if rows else ""
