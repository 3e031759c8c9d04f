"""What processors tell us, applied once: from an event to the books.

Messages come twice, late, out of order and from several places at once (a webhook, the reply to our
own question, the reconciling job). Each is kept by the processor's id of it; what it does is
decided by the state of the payment it is about, which moves in one direction. An event about a
payment that is not known, or not paid, yet waits, and is applied right after the one it waits for.

What it is not: reading a processor's messages (`payments`), or what a movement of money consists of
(`domain.payments`).

The rule that keeps it honest: the message's id, the payment's state, the books, the invoice and the
mail are one transaction. A crash after it changes nothing; a crash before it leaves nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from apertura.domain.money import Nano, format_usd
from apertura.domain.payments import (
    CENT,
    Disputed,
    Event,
    Expired,
    Failed,
    Kind,
    Paid,
    Payment,
    PlanEnded,
    PlanPaid,
    PlanPaymentFailed,
    Received,
    Refunded,
    booked,
)
from apertura.store import auto_top_ups, invoices, ledger, outbox, payments, plan_payments, refunds
from apertura.store.database import Database, Tx
from apertura.store.plans import Plans
from apertura.store.refunds import Refund

State = Literal["applied", "waiting", "ignored"]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """Who tells, when it is heard, and the plans that it may tell of."""

    via: str
    now_ms: int
    plans: Plans


async def receive(tx: Tx, at: Receiver, received: Received) -> State | None:
    """Keep and apply a message; None if it was kept before."""
    event = received.event
    row = (
        at.via,
        received.id,
        received.kind,
        "ignored" if event is None else "applied",
        event.subject if event else "",
        event.payment if event else "",
        "",
        at.now_ms,
    )
    columns = ("via", "id", "kind", "state", "subject", "payment", "body", "received_at")
    if not await tx.insert_many("payment_events", columns, [row]):
        return None
    if event is None:
        return "ignored"
    if await apply(tx, at, event):
        return "applied"
    await tx.execute(
        "UPDATE payment_events SET state = 'waiting', body = ? WHERE via = ? AND id = ?",
        (_encode(event).decode(), at.via, received.id),
    )
    return "waiting"


async def apply(tx: Tx, at: Receiver, event: Event) -> bool:
    """Do what an event says, as often as it is said; False if it must wait for another."""
    if isinstance(event, Paid):
        return await _paid(tx, at, event)
    if isinstance(event, Failed):
        await _failed(tx, at, event)
    elif isinstance(event, Expired):
        await tx.execute(
            "UPDATE payments SET status = 'expired' WHERE id = ? AND status = 'open'",
            (event.payment,),
        )
    elif isinstance(event, Refunded | Disputed):
        return await _goes_back(tx, at, event)
    elif isinstance(event, PlanPaid):
        return await _plan_paid(tx, at, event)
    elif isinstance(event, PlanPaymentFailed):
        return await plan_payments.failed(tx, event, at.now_ms)
    elif isinstance(event, PlanEnded):
        return await plan_payments.ended(tx, event, at.now_ms)
    return True


async def _paid(tx: Tx, at: Receiver, event: Paid) -> bool:
    if event.currency != "usd" or event.cash < CENT:
        return False
    payment = await _payment_of(tx, at.via, event)
    if payment is not None and payment.subject not in (None, event.subject):
        payment = None  # it was paid before: this is other money, and a payment of its own
    if payment is None:
        payment = await _unknown(tx, at, event)
    if payment is None:
        return False
    if payment.status == "paid":
        return True
    as_asked = event.cash == payment.cash
    paid = msgspec.structs.replace(
        payment,
        status="paid",
        subject=event.subject or None,
        cash=event.cash,
        amount=payment.amount if as_asked else event.cash,
        failure="",
        paid_at=at.now_ms,
    )
    await tx.execute(
        "UPDATE payments SET status = 'paid', subject = ?, cash = ?, amount = ?, failure = '', "
        "paid_at = ? WHERE id = ?",
        (paid.subject, paid.cash, paid.amount, at.now_ms, paid.id),
    )
    await ledger.post(tx, booked(paid, transaction_id=f"txn_{paid.id}", at=at.now_ms))
    await auto_top_ups.paid(tx, paid.id)
    await confirm(tx, paid, at.now_ms)
    await _wake(tx, at, paid)
    return True


async def _payment_of(tx: Tx, via: str, event: Event) -> Payment | None:
    """The payment that an event is about: of our id, or by the processor's name of it."""
    found = await payments.get_by_subject(tx, via, event.subject) if event.subject else None
    if found is None and event.payment:
        found = await payments.get(tx, event.payment)
    return found if found is not None and found.via == via else None


async def _unknown(tx: Tx, at: Receiver, event: Paid) -> Payment | None:
    """A payment that we do not know of, made from what the processor keeps with it."""
    org_id = event.org_id or await payments.organization_of(tx, at.via, event.customer)
    if not org_id or not event.subject or not await _is_organization(tx, org_id):
        return None
    payment_id = event.payment
    if not payment_id or await payments.get(tx, payment_id) is not None:
        payment_id = f"pay_{event.subject}"
    amount = event.amount if payment_id == event.payment and event.amount else event.cash
    made = Payment(
        id=payment_id,
        org_id=org_id,
        kind=event.kind,
        via=at.via,
        amount=max(amount, event.cash),
        cash=event.cash,
        created_at=at.now_ms,
        checked_at=at.now_ms,
    )
    await payments.insert(tx, made)
    return made


async def _is_organization(tx: Tx, org_id: str) -> bool:
    return bool(await tx.execute("SELECT id FROM organizations WHERE id = ?", (org_id,)))


async def _wake(tx: Tx, at: Receiver, payment: Payment) -> None:
    """Apply what waited for this payment to be paid, in the order in which it came."""
    rows = await tx.execute(
        "SELECT id, body FROM payment_events WHERE via = ? AND state = 'waiting' "
        "AND ((subject <> '' AND subject = ?) OR payment = ?) ORDER BY received_at, id",
        (at.via, payment.subject, payment.id),
    )
    for event_id, body in rows:
        if await apply(tx, at, _decode(body)):
            await tx.execute(
                "UPDATE payment_events SET state = 'applied', body = '' WHERE via = ? AND id = ?",
                (at.via, event_id),
            )


async def _failed(tx: Tx, at: Receiver, event: Failed) -> None:
    payment = await _payment_of(tx, at.via, event)
    if payment is None or payment.status != "open":
        return
    final = event.final or payment.kind == "auto-top-up"
    await tx.execute(
        "UPDATE payments SET failure = ?, status = ? WHERE id = ?",
        (event.reason, "failed" if final else "open", payment.id),
    )
    if payment.kind == "auto-top-up":
        await _declined(tx, payment, event.reason, at.now_ms)


async def _declined(tx: Tx, payment: Payment, reason: str, now_ms: int) -> None:
    wish = await auto_top_ups.declined(tx, payment.id, now_ms)
    if wish is None:
        return
    await outbox.put(
        tx,
        key=f"payment:{payment.id}:failed",
        org_id=payment.org_id,
        template="payment_failed" if wish.enabled else "auto_top_up_failed",
        facts={
            "amount_usd": format_usd(payment.amount),
            "kind": payment.kind,
            "reason": reason,
            "tries": str(wish.failures),
        },
        now_ms=now_ms,
    )


async def _goes_back(tx: Tx, at: Receiver, event: Refunded | Disputed) -> bool:
    payment = await _payment_of(tx, at.via, event)
    if payment is None or payment.paid_at is None:
        return False
    told = Refund(
        id=event.refund or f"{at.via}_{event.foreign_id}",
        payment_id=payment.id,
        kind="refund" if isinstance(event, Refunded) else "dispute",
        via=at.via,
        foreign_id=event.foreign_id,
        cash=event.cash,
        state=event.state,
        created_at=at.now_ms,
    )
    refund = await refunds.tell(tx, payment, told, at.now_ms)
    if refund.state == "made":
        await _say_refunded(tx, payment, refund, at.now_ms)
    return True


async def _say_refunded(tx: Tx, payment: Payment, refund: Refund, now_ms: int) -> None:
    if refund.kind == "refund":
        await invoices.issue(
            tx,
            org_id=payment.org_id,
            payment=refund.id,
            kind="refund",
            amount=refund.cash,
            via=refund.via,
            now_ms=now_ms,
            corrects=payment.id,
        )
    await outbox.put(
        tx,
        key=f"refund:{refund.id}",
        org_id=payment.org_id,
        template="refund_made",
        facts={"amount_usd": format_usd(refund.cash), "payment": payment.id, "kind": refund.kind},
        now_ms=now_ms,
    )


async def _plan_paid(tx: Tx, at: Receiver, event: PlanPaid) -> bool:
    """A period was paid; money for a subscription that cannot be paid goes to the wallet."""
    if event.currency != "usd" or not await _is_organization(tx, event.org_id):
        return False
    known = await payments.get_by_subject(tx, at.via, event.subject)
    if known is not None or (event.cash < CENT and not event.change):
        return True  # an invoice of nothing pays for nothing
    done = await plan_payments.paid(tx, at.via, event, at.plans, at.now_ms)
    if done == "waits":
        return False
    if event.cash < CENT:
        return True
    payment = await _of_plan(tx, at, event, "plan" if done == "booked" else "top-up")
    await payments.insert(tx, payment)
    if payment.kind == "top-up":
        credit = booked(payment, transaction_id=f"txn_{payment.id}", at=at.now_ms)
        await ledger.post(tx, credit)
    await confirm(tx, payment, at.now_ms)
    await _wake(tx, at, payment)
    return True


async def _of_plan(tx: Tx, at: Receiver, event: PlanPaid, kind: Kind) -> Payment:
    """The payment of an invoice; of a first one, it is the one whose page was opened."""
    opened = await payments.get(tx, event.payment) if event.payment else None
    if opened is not None and opened.status == "paid":
        opened = None
    if opened is not None:
        await tx.execute("DELETE FROM payments WHERE id = ?", (opened.id,))
    return Payment(
        id=opened.id if opened else f"pay_{event.subject}",
        org_id=event.org_id,
        kind=kind,
        via=at.via,
        amount=event.cash,
        cash=event.cash,
        status="paid",
        subject=event.subject,
        checkout=opened.checkout if opened else None,
        subscription=event.ticket,
        created_at=opened.created_at if opened else at.now_ms,
        paid_at=at.now_ms,
    )


async def confirm(tx: Tx, payment: Payment, now_ms: int) -> None:
    """The invoice of a payment, and the mail that says that it came in."""
    invoice = await invoices.issue(
        tx,
        org_id=payment.org_id,
        payment=payment.id,
        kind="plan" if payment.kind == "plan" else "top-up",
        amount=payment.cash,
        credited=payment.cash if payment.kind == "plan" else payment.amount,
        via=payment.via,
        now_ms=now_ms,
    )
    await outbox.put(
        tx,
        key=f"payment:{payment.id}",
        org_id=payment.org_id,
        template="payment_received",
        facts={
            "amount_usd": format_usd(payment.cash),
            "credited_usd": format_usd(Nano(0) if payment.kind == "plan" else payment.amount),
            "kind": payment.kind,
            "invoice": invoice,
        },
        now_ms=now_ms,
    )


async def waiting(db: Database) -> int:
    """How many messages wait for another."""
    rows = await db.read("SELECT COUNT(*) FROM payment_events WHERE state = 'waiting'")
    return int(rows[0][0])
