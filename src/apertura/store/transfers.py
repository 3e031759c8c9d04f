"""Money that came in by hand: a wire transfer, say, that the operator books.

What it is not: what a processor tells (`payment_events`). The rule that keeps it honest: a
reference is booked once, with its payment, its invoice and the mail that says so.
"""

from __future__ import annotations

from apertura.domain import ledger as books
from apertura.domain.ledger import Transaction
from apertura.domain.money import Nano
from apertura.domain.payments import Payment
from apertura.store import ledger
from apertura.store.database import Tx
from apertura.store.payment_events import confirm
from apertura.store.payments import insert


async def pay_by_hand(
    tx: Tx, org_id: str, amount: Nano, reference: str, *, transaction_id: str, at: int
) -> Transaction:
    """Book a wire transfer or the like, and keep it as a payment; again, it changes nothing.

    Raises: ValueError, as `ledger.top_up`. Conflict: the reference is taken by another payment.
    """
    made = books.top_up(org_id, amount, reference, transaction_id=transaction_id, at=at)
    posted = await ledger.post(tx, made)
    if posted.id == made.id:
        payment = Payment(
            id=f"pay_{transaction_id.removeprefix('txn_')}",
            org_id=org_id,
            kind="top-up",
            via="manual",
            amount=amount,
            cash=amount,
            status="paid",
            subject=posted.id,
            created_at=at,
            paid_at=at,
        )
        await insert(tx, payment)
        await confirm(tx, payment, at)
    return posted
