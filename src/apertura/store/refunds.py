"""What went back, as it is kept: refunds that we ask for, that others made, and disputes.

A refund that we ask for is booked before the processor is asked, so that the money cannot be spent
meanwhile; if the processor refuses, the booking is reversed. What was not asked for has happened
already: the wallet gives what it has, the rest is written off.

What it is not: how much may go back (`domain.payments`), or asking the processor (`payments`).

The rule that keeps it honest: each refund and dispute is booked once and reversed at most once, by
its state, which only moves on: asked, pending, made, failed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from apertura.domain.funds import wallet_of
from apertura.domain.ledger import Entry, Transaction, reversal
from apertura.domain.money import Nano
from apertura.domain.payments import Back, Payment, check_refund, going_back, returned
from apertura.errors import BadRequest, NotFound
from apertura.store import invoices, ledger, payments
from apertura.store.database import Database, Row, Tx

State = Literal["asked", "pending", "made", "failed"]
ORDER: tuple[State, ...] = ("asked", "pending", "made", "failed")


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Cash that went back, or is on its way. `foreign_id` is the processor's name of it."""

    id: str
    payment_id: str
    kind: Literal["refund", "dispute"] = "refund"
    via: str
    foreign_id: str | None = None
    cash: Nano
    refunded: Nano = Nano(0)
    withdrawn: Nano = Nano(0)
    state: State = "asked"
    reason: str = ""
    transaction_id: str | None = None
    created_at: int


_COLUMNS = Refund.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM refunds"
_INSERT = f"INSERT INTO refunds ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


def _refund(row: Row) -> Refund:
    return Refund(**dict(zip(_COLUMNS, row, strict=True)))


async def ask(
    tx: Tx, payment_id: str, cash: Nano, reason: str, *, refund_id: str, now_ms: int
) -> Refund:
    """Book a refund that the processor is to be asked for.

    Raises: NotFound; BadRequest: more than may go back, or than the wallet has.
    """
    payment = await payments.get(tx, payment_id)
    if payment is None:
        raise NotFound(f"there is no payment {payment_id!r}", code="payment_not_found")
    back = check_refund(payment, cash, await _available(tx, payment.org_id))
    refund = Refund(
        id=refund_id,
        payment_id=payment.id,
        via=payment.via,
        cash=cash,
        reason=reason,
        created_at=now_ms,
    )
    return await _book(tx, payment, refund, back, now_ms)


async def tell(tx: Tx, payment: Payment, told: Refund, now_ms: int) -> Refund:
    """The processor tells of a refund or dispute: book it, or move its state on."""
    known = await _known(tx, told)
    if known is None:
        if told.state == "failed":  # and nothing of it was heard before: nothing went back
            await tx.execute(_INSERT, msgspec.structs.astuple(told))
            return told
        back = going_back(payment, told.cash, await _available(tx, payment.org_id))
        return await _book(tx, payment, told, back, now_ms)
    if ORDER.index(told.state) <= ORDER.index(known.state):
        return known
    if told.state == "failed":
        await _undo(tx, known, now_ms)
    await tx.execute(
        "UPDATE refunds SET state = ?, foreign_id = COALESCE(foreign_id, ?) WHERE id = ?",
        (told.state, told.foreign_id, known.id),
    )
    return msgspec.structs.replace(known, state=told.state, foreign_id=told.foreign_id)


async def _known(tx: Tx, told: Refund) -> Refund | None:
    rows = await tx.execute(
        f"{_SELECT} WHERE id = ? OR (via = ? AND foreign_id = ?)",
        (told.id, told.via, told.foreign_id),
    )
    return _refund(rows[0]) if rows else None


async def _book(tx: Tx, payment: Payment, refund: Refund, back: Back, now_ms: int) -> Refund:
    made = await _post(tx, payment, refund, back, refund.id, now_ms)
    await tx.execute(_INSERT, msgspec.structs.astuple(made))
    return made


async def _post(
    tx: Tx, payment: Payment, refund: Refund, back: Back, reference: str, now_ms: int
) -> Refund:
    """Into the books, under a reference that is new."""
    posted = returned(payment, back, reference, transaction_id=f"txn_{reference}", at=now_ms)
    await ledger.post(tx, posted)
    await _move(tx, payment.id, back.refunded, back.withdrawn)
    return msgspec.structs.replace(
        refund, refunded=back.refunded, withdrawn=back.withdrawn, transaction_id=posted.id
    )


async def _undo(tx: Tx, refund: Refund, now_ms: int) -> None:
    """What was booked for a refund that did not happen, or for a dispute that was won.

    Others of the payment may have found all of its cash gone back, and were written off: there is
    room for them now, so they are booked anew.
    """
    await _reverse(tx, refund, now_ms)
    rows = await tx.execute(
        f"{_SELECT} WHERE payment_id = ? AND id <> ? AND state <> 'failed' AND refunded < cash "
        "ORDER BY created_at, id",
        (refund.payment_id, refund.id),
    )
    for other in map(_refund, rows):
        await _reverse(tx, other, now_ms)
        payment = await payments.get(tx, other.payment_id)
        assert payment is not None, "a refund refers to its payment"
        back = going_back(payment, other.cash, await _available(tx, payment.org_id))
        again = f"{(other.transaction_id or '').removeprefix('txn_')}+"
        made = await _post(tx, payment, other, back, again, now_ms)
        await tx.execute(
            "UPDATE refunds SET refunded = ?, withdrawn = ?, transaction_id = ? WHERE id = ?",
            (made.refunded, made.withdrawn, made.transaction_id, made.id),
        )


async def _reverse(tx: Tx, refund: Refund, now_ms: int) -> None:
    assert refund.transaction_id is not None, "what is not failed is booked"
    wrong = await transaction(tx, refund.transaction_id)
    await ledger.post(tx, reversal(wrong, transaction_id=f"{wrong.id}_undone", at=now_ms))
    await _move(tx, refund.payment_id, -refund.refunded, -refund.withdrawn)


async def _move(tx: Tx, payment_id: str, refunded: int, withdrawn: int) -> None:
    await tx.execute(
        "UPDATE payments SET refunded = refunded + ?, withdrawn = withdrawn + ? WHERE id = ?",
        (refunded, withdrawn, payment_id),
    )


async def _available(tx: Tx, org_id: str) -> Nano:
    """What the wallet can give now; nobody else takes of it before this transaction ends."""
    rows = await tx.execute(
        "UPDATE funds SET held = held WHERE id = ? RETURNING posted, held", (wallet_of(org_id),)
    )
    return Nano(rows[0][0] - rows[0][1] if rows else 0)


async def transaction(tx: Tx, transaction_id: str) -> Transaction:
    """A transaction of the books by its id. Raises: NotFound."""
    rows = await tx.execute(
        "SELECT kind, reference, at, account_id, amount FROM transactions "
        "JOIN entries ON transaction_id = transactions.id WHERE transactions.id = ? "
        "ORDER BY account_id",
        (transaction_id,),
    )
    if not rows:
        raise NotFound(f"there is no transaction {transaction_id!r}", code="payment_not_found")
    entries = tuple(Entry(account, amount) for *_, account, amount in rows)
    kind, reference, at, *_ = rows[0]
    return Transaction(id=transaction_id, kind=kind, reference=reference, entries=entries, at=at)


async def reverse(
    tx: Tx, wrong_id: str, reason: str, *, transaction_id: str, now_ms: int
) -> Transaction:
    """Undo a top-up that was booked by hand and is wrong; again, it changes nothing.

    Raises: NotFound; BadRequest: it is no top-up by hand, or part of it was refunded; Conflict: the
        wallet does not hold it any more.
    """
    wrong = await transaction(tx, wrong_id)
    by_hand = any(entry.account == "processor:manual" for entry in wrong.entries)
    if wrong.kind != "top-up" or not by_hand:
        raise BadRequest("Only a top-up by hand is reversed. A card payment is refunded.")
    payment = await payments.get_by_subject(tx, "manual", wrong.id)
    if payment is not None and payment.refunded:
        raise BadRequest(f"Part of {payment.id} was refunded; refund the rest of it.")
    undone = reversal(wrong, transaction_id=transaction_id, at=now_ms)
    posted = await ledger.post(tx, undone)
    if payment is not None:
        await tx.execute(
            "UPDATE payments SET status = 'failed', failure = ? WHERE id = ?",
            (f"reversed: {reason}", payment.id),
        )
        await invoices.issue(
            tx,
            org_id=payment.org_id,
            payment=undone.reference,
            kind="refund",
            amount=payment.cash,
            via=payment.via,
            now_ms=now_ms,
            corrects=payment.id,
        )
    return posted


async def of_payment(db: Database, payment_id: str) -> list[Refund]:
    """What went back of a payment, the oldest first."""
    rows = await db.read(f"{_SELECT} WHERE payment_id = ? ORDER BY created_at, id", (payment_id,))
    return [_refund(row) for row in rows]


async def unanswered(db: Database, via: str, before_ms: int, most: int = 20) -> list[Refund]:
    """Refunds for which the processor was to be asked before then and has not answered."""
    rows = await db.read(
        f"{_SELECT} WHERE state = 'asked' AND via = ? AND created_at < ? "
        "ORDER BY created_at, id LIMIT ?",
        (via, before_ms, most),
    )
    return [_refund(row) for row in rows]
