"""Stripe's objects, read into values of `domain.payments`; and the signature of its webhooks.

Formats: Stripe's API reference, versions from 2024 on (an invoice says what subscription it is of
in `parent.subscription_details`, older ones in `subscription` and `subscription_details`). Amounts
of Stripe are cents. Our own names travel in `metadata`: payment, org, kind, amount (of nano-
dollars), refund, subscription, plan, period.

What it is not: speaking to Stripe (`stripe`). The rule that keeps it honest: what is not one of
ours, or of a kind that is not known here, is read as nothing, never guessed at.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from apertura.domain.money import Nano
from apertura.domain.payments import (
    CENT,
    Disputed,
    Event,
    Expired,
    Failed,
    Kind,
    Paid,
    PlanDue,
    PlanEnded,
    PlanPaid,
    PlanPaymentFailed,
    Received,
    Refunded,
    RefundState,
)
from apertura.payments.base import BadSignature

TOLERANCE_SECONDS = 300
Object = Mapping[str, Any]


def sign(secret: str, body: bytes, at: int) -> str:
    """The header `Stripe-Signature` of a body sent at a time (seconds since 1970)."""
    return f"t={at},v1={_digest(secret, body, str(at))}"


def check(
    secret: str, body: bytes, header: str, *, now: int, tolerance: int = TOLERANCE_SECONDS
) -> None:
    """Check the header `Stripe-Signature`: a time and one or more digests (https://docs.stripe.com/
    webhooks#verify-manually). Raises: BadSignature.
    """
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    digests = [value for name, _, value in pairs if name == "v1"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12:
        raise BadSignature("the signature has no time")
    expected = _digest(secret, body, times[0]).encode()
    fits = [hmac.compare_digest(expected, one.encode("utf-8", "replace")) for one in digests]
    if not any(fits):
        raise BadSignature("the signature does not fit the body")
    if abs(now - int(times[0])) > tolerance:
        raise BadSignature("the signature is too old, or from the future")


def _digest(secret: str, body: bytes, at: str) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


class _Data(msgspec.Struct):
    object: dict[str, Any]


class _Message(msgspec.Struct):
    id: str
    type: str
    data: _Data


_decode = msgspec.json.Decoder(_Message).decode


def read_message(body: bytes) -> Received:
    """An event as Stripe sends it. Raises: ValueError: it is none."""
    message = _decode(body)
    read = _READERS.get(message.type)
    event = None if read is None else read(message.data.object)
    return Received(id=message.id, kind=message.type, event=event)


def cents(value: object) -> Nano:
    """Stripe's amount in nano-dollars."""
    return Nano(value * CENT) if isinstance(value, int) else Nano(0)


def _text(value: object) -> str:
    """An id, or the id of an object that was expanded."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def _meta(thing: Object) -> dict[str, str]:
    found = thing.get("metadata")
    return dict(found) if isinstance(found, Mapping) else {}


# Top-ups.


def intent_paid(intent: Object) -> Event | None:
    """A PaymentIntent that succeeded. One of an invoice is not ours to read: the invoice is."""
    meta = _meta(intent)
    if "payment" not in meta or intent.get("status") != "succeeded":
        return None
    return Paid(
        subject=_text(intent.get("id")),
        payment=meta["payment"],
        cash=cents(intent.get("amount_received")),
        currency=_text(intent.get("currency")),
        customer=_text(intent.get("customer")),
        **_ours(meta),
    )


def _ours(meta: Mapping[str, str]) -> dict[str, Any]:
    kind: Kind = "auto-top-up" if meta.get("kind") == "auto-top-up" else "top-up"
    amount = meta.get("amount", "")
    known = amount.isascii() and amount.isdigit() and len(amount) < 19
    return {
        "org_id": meta.get("org", ""),
        "kind": kind,
        "amount": Nano(int(amount) if known else 0),
    }


def intent_failed(intent: Object) -> Event | None:
    """A PaymentIntent that was declined; a visitor of a page may try again."""
    meta = _meta(intent)
    if "payment" not in meta:
        return None
    error = intent.get("last_payment_error")
    details = error if isinstance(error, Mapping) else {}
    return Failed(
        subject=_text(intent.get("id")),
        payment=meta["payment"],
        reason=_text(details.get("decline_code")) or _text(details.get("code")) or "declined",
        final=meta.get("kind") == "auto-top-up" or intent.get("status") == "canceled",
    )


def page_done(page: Object) -> Event | None:
    """A Checkout Session that was completed: paid, or to be paid by a slow way."""
    meta = _meta(page)
    if page.get("mode") != "payment" or "payment" not in meta:
        return None
    if page.get("payment_status") != "paid":
        return None
    return Paid(
        subject=_text(page.get("payment_intent")),
        payment=meta["payment"],
        cash=cents(page.get("amount_total")),
        currency=_text(page.get("currency")),
        customer=_text(page.get("customer")),
        **_ours(meta),
    )


def _page_failed(page: Object) -> Event | None:
    meta = _meta(page)
    if "payment" not in meta:
        return None
    return Failed(payment=meta["payment"], reason="the slow way to pay failed", final=True)


def page_expired(page: Object) -> Event | None:
    """A Checkout Session on which nobody paid in time."""
    meta = _meta(page)
    return Expired(payment=meta["payment"]) if "payment" in meta else None


# What goes back.

_STATES: dict[str, RefundState] = {
    "succeeded": "made",
    "pending": "pending",
    "requires_action": "pending",
    "failed": "failed",
    "canceled": "failed",
}


def refund_told(refund: Object) -> Event | None:
    """A Refund, in any of its states."""
    state = _STATES.get(_text(refund.get("status")))
    cash = cents(refund.get("amount"))
    if state is None or cash <= 0:
        return None
    meta = _meta(refund)
    return Refunded(
        subject=_text(refund.get("payment_intent")),
        payment=meta.get("payment", ""),
        foreign_id=_text(refund.get("id")),
        refund=meta.get("refund", ""),
        cash=cash,
        state=state,
    )


def _disputed(returned: bool) -> Callable[[Object], Event | None]:
    def read(dispute: Object) -> Event | None:
        cash = cents(dispute.get("amount"))
        if cash <= 0:
            return None
        return Disputed(
            subject=_text(dispute.get("payment_intent")),
            foreign_id=_text(dispute.get("id")),
            cash=cash,
            returned=returned,
        )

    return read


# Subscriptions.


def invoice_paid(invoice: Object) -> Event | None:
    """An Invoice of a subscription of ours that was paid."""
    foreign_id, meta = _subscription_of(invoice)
    if "subscription" not in meta:
        return None
    reason = invoice.get("billing_reason")
    return PlanPaid(
        subject=_text(invoice.get("id")),
        payment=meta.get("payment", "") if reason == "subscription_create" else "",
        cash=cents(invoice.get("amount_paid")),
        currency=_text(invoice.get("currency")),
        org_id=meta.get("org", ""),
        ticket=meta["subscription"],
        foreign_id=foreign_id,
        plan=meta.get("plan", ""),
        period=meta.get("period", ""),
        paid_until_ms=_paid_until(invoice) * 1_000,
        change=reason == "subscription_update",
    )


def _invoice_made(invoice: Object) -> Event | None:
    """An Invoice of a period that has begun: a draft, which Stripe would keep for an hour."""
    _, meta = _subscription_of(invoice)
    is_draft = invoice.get("status") == "draft"
    if "subscription" not in meta or invoice.get("billing_reason") != "subscription_cycle":
        return None
    return (
        PlanDue(subject=_text(invoice.get("id")), ticket=meta["subscription"]) if is_draft else None
    )


def _invoice_failed(invoice: Object) -> Event | None:
    _, meta = _subscription_of(invoice)
    if "subscription" not in meta or invoice.get("billing_reason") == "subscription_update":
        return None  # an upgrade that could not be paid does not happen
    return PlanPaymentFailed(
        subject=_text(invoice.get("id")),
        ticket=meta["subscription"],
        cash=cents(invoice.get("amount_due")),
        reason="declined",
    )


def _subscription_of(invoice: Object) -> tuple[str, dict[str, str]]:
    """Its id at Stripe, and our metadata of it."""
    parent = invoice.get("parent")
    details: Any = parent.get("subscription_details") if isinstance(parent, Mapping) else None
    if isinstance(details, Mapping):
        return _text(details.get("subscription")), _meta(details)
    older = invoice.get("subscription_details")
    return _text(invoice.get("subscription")), _meta(older) if isinstance(older, Mapping) else {}


def _paid_until(invoice: Object) -> int:
    """The end of the latest period among its lines, in seconds since 1970."""
    lines = invoice.get("lines")
    data = lines.get("data", ()) if isinstance(lines, Mapping) else ()
    ends = [line["period"]["end"] for line in data if isinstance(line.get("period"), Mapping)]
    return max((end for end in ends if isinstance(end, int)), default=0)


def plan_ended(subscription: Object) -> Event | None:
    """A Subscription that is over."""
    meta = _meta(subscription)
    return PlanEnded(ticket=meta["subscription"]) if "subscription" in meta else None


_READERS: dict[str, Callable[[Object], Event | None]] = {
    "payment_intent.succeeded": intent_paid,
    "payment_intent.payment_failed": intent_failed,
    "payment_intent.canceled": intent_failed,
    "checkout.session.completed": page_done,
    "checkout.session.async_payment_succeeded": page_done,
    "checkout.session.async_payment_failed": _page_failed,
    "checkout.session.expired": page_expired,
    "refund.created": refund_told,
    "refund.updated": refund_told,
    "refund.failed": refund_told,
    "charge.refund.updated": refund_told,
    "charge.dispute.funds_withdrawn": _disputed(returned=False),
    "charge.dispute.funds_reinstated": _disputed(returned=True),
    "invoice.created": _invoice_made,
    "invoice.paid": invoice_paid,
    "invoice.payment_failed": _invoice_failed,
    "customer.subscription.deleted": plan_ended,
}
KINDS = tuple(_READERS)
"""What the webhook endpoint at Stripe is to be subscribed to."""
