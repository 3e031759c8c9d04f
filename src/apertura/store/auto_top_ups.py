"""Wishes to be charged when the balance is low, and the one charge that is made of each.

What it is: the settings of an organization, the claim of a charge, and what its end does to them.
What it is not: asking the processor (`jobs.top_ups`), or whether a charge is due (`domain`).

The rule that keeps it honest: a charge is claimed by the update that finds none being made, in the
transaction that keeps its payment; and it ends once, with the payment.
"""

from __future__ import annotations

import msgspec

from apertura.domain.funds import wallet_of
from apertura.domain.payments import TRIES, AutoTopUp, Payment, is_due
from apertura.store import payments
from apertura.store.database import Database, Row, Tx

_COLUMNS = AutoTopUp.__struct_fields__
_NAMES = ", ".join(f"auto_top_ups.{name}" for name in _COLUMNS)
_SELECT = f"SELECT {_NAMES} FROM auto_top_ups"


def _wish(row: Row) -> AutoTopUp:
    wish = AutoTopUp(**dict(zip(_COLUMNS, row, strict=True)))
    return msgspec.structs.replace(wish, enabled=bool(wish.enabled))


async def find(db: Database, org_id: str) -> AutoTopUp | None:
    """An organization's wish; None if it never had one."""
    rows = await db.read(f"{_SELECT} WHERE org_id = ?", (org_id,))
    return _wish(rows[0]) if rows else None


async def put(tx: Tx, wish: AutoTopUp) -> None:
    """Set it. A charge that is being made goes on; failures are forgotten."""
    values = (wish.org_id, int(wish.enabled), wish.threshold, wish.amount, wish.method)
    await tx.execute(
        "INSERT INTO auto_top_ups (org_id, enabled, threshold, amount, method, failures, "
        "failed_at, attempt, attempted_at) VALUES (?, ?, ?, ?, ?, 0, 0, NULL, 0) "
        "ON CONFLICT (org_id) DO UPDATE SET enabled = excluded.enabled, "
        "threshold = excluded.threshold, amount = excluded.amount, method = excluded.method, "
        "failures = 0, failed_at = 0",
        values,
    )


async def low(db: Database, most: int = 100) -> list[AutoTopUp]:
    """Those whose wallet, what is lent to calls included, is below the threshold."""
    rows = await db.read(
        f"{_SELECT} LEFT JOIN funds ON funds.id = 'org:' || org_id || ':wallet' "
        "WHERE enabled = 1 AND attempt IS NULL AND COALESCE(posted, 0) < threshold "
        "ORDER BY failed_at, org_id LIMIT ?",
        (most,),
    )
    return [_wish(row) for row in rows]


async def left_alone(db: Database, before_ms: int) -> list[AutoTopUp]:
    """Those whose charge was begun before then and has no end: whoever made it is gone."""
    rows = await db.read(
        f"{_SELECT} WHERE attempt IS NOT NULL AND attempted_at < ? ORDER BY attempted_at",
        (before_ms,),
    )
    return [_wish(row) for row in rows]


async def claim(tx: Tx, payment: Payment) -> AutoTopUp | None:
    """Begin a charge: keep its payment, if it is still due and none is being made."""
    rows = await tx.execute(f"{_SELECT} WHERE org_id = ?", (payment.org_id,))
    funds = await tx.execute("SELECT posted FROM funds WHERE id = ?", (wallet_of(payment.org_id),))
    now_ms = payment.created_at
    if not rows or not is_due(_wish(rows[0]), funds[0][0] if funds else 0, now_ms):
        return None
    wish = _wish(rows[0])
    amount = wish.amount
    await payments.insert(tx, msgspec.structs.replace(payment, amount=amount, cash=amount))
    begun = await tx.execute(
        "UPDATE auto_top_ups SET attempt = ?, attempted_at = ? "
        "WHERE org_id = ? AND attempt IS NULL RETURNING org_id",
        (payment.id, now_ms, payment.org_id),
    )
    assert begun, "nobody else writes within this transaction"
    return msgspec.structs.replace(wish, attempt=payment.id, attempted_at=now_ms)


async def take_over(tx: Tx, wish: AutoTopUp, now_ms: int) -> bool:
    """Go on with a charge that was left alone: False if somebody else does."""
    rows = await tx.execute(
        "UPDATE auto_top_ups SET attempted_at = ? "
        "WHERE org_id = ? AND attempt = ? AND attempted_at = ? RETURNING org_id",
        (now_ms, wish.org_id, wish.attempt, wish.attempted_at),
    )
    return bool(rows)


async def paid(tx: Tx, payment_id: str) -> None:
    """The charge that is being made was paid."""
    await tx.execute(
        "UPDATE auto_top_ups SET attempt = NULL, failures = 0, failed_at = 0 WHERE attempt = ?",
        (payment_id,),
    )


async def declined(tx: Tx, payment_id: str, now_ms: int) -> AutoTopUp | None:
    """The charge that is being made was declined; returns what follows, None if it was no such."""
    await tx.execute(
        "UPDATE auto_top_ups SET enabled = 0 WHERE attempt = ? AND failures + 1 >= ?",
        (payment_id, TRIES),
    )
    rows = await tx.execute(
        "UPDATE auto_top_ups SET attempt = NULL, failures = failures + 1, failed_at = ? "
        f"WHERE attempt = ? RETURNING {', '.join(_COLUMNS)}",
        (now_ms, payment_id),
    )
    return _wish(rows[0]) if rows else None
