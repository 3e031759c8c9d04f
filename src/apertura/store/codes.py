"""Codes that are worth money: minted by the operator, redeemed once.

What it is not: what a code looks like (`payments.manual`). The rule that keeps it honest: a code is
kept as a digest, and redeemed by the update that finds it not redeemed, in the transaction that
credits the wallet.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.domain.payments import Payment
from apertura.errors import BadRequest
from apertura.store import ledger, payments
from apertura.store.database import Database, Tx

VIA = "codes"


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """A code as it is kept; `id` is public, times are ms since 1970."""

    id: str
    digest: str
    amount: Nano
    note: str
    created_at: int
    expires_at: int
    redeemed_by: str | None = None
    redeemed_at: int | None = None


_COLUMNS = Code.__struct_fields__


async def create(tx: Tx, codes: Sequence[Code]) -> None:
    """Keep new codes."""
    rows = [msgspec.structs.astuple(code) for code in codes]
    made = await tx.insert_many("codes", _COLUMNS, rows)
    assert made == len(rows), "codes are random"


async def listing(db: Database) -> list[Code]:
    """All of them, the newest first."""
    rows = await db.read(f"SELECT {', '.join(_COLUMNS)} FROM codes ORDER BY created_at DESC, id")
    return [Code(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


async def redeem(tx: Tx, digest: str, org_id: str, now_ms: int) -> Payment:
    """Credit an organization with a code.

    Raises: BadRequest: there is no such code, it was redeemed before, or its time is over.
    """
    rows = await tx.execute(
        "UPDATE codes SET redeemed_by = ?, redeemed_at = ? "
        "WHERE digest = ? AND redeemed_by IS NULL AND expires_at > ? RETURNING id, amount",
        (org_id, now_ms, digest, now_ms),
    )
    if not rows:
        raise BadRequest(
            "This code is not known, was redeemed before, or its time is over.",
            code="code_not_valid",
            param="code",
        )
    code_id, amount = rows[0]
    payment = Payment(
        id=f"pay_{code_id}",
        org_id=org_id,
        kind="code",
        via=VIA,
        amount=amount,
        cash=amount,
        status="paid",
        subject=code_id,
        created_at=now_ms,
        paid_at=now_ms,
    )
    await payments.insert(tx, payment)
    credit = top_up(
        org_id, amount, payment.id, transaction_id=f"txn_{payment.id}", at=now_ms, via=VIA
    )
    await ledger.post(tx, credit)
    return payment
