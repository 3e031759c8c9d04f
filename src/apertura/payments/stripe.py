"""Stripe as a payment processor, by its official library.

The library blocks, so each call runs in one of a few threads, with a timeout; it is imported in
the first of them, because that takes most of a second. Amounts go out in cents, our own names in
`metadata` (see `stripe_events`, which reads both back).

What it is not: reading Stripe's objects. The rule that keeps it honest: whatever moves money is
asked with an idempotency key that is our own id of it, and looked for before it is asked again, so
that asking again does it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from apertura.domain.money import Nano, format_usd
from apertura.domain.payments import CENT, Event, Expired, Failed, Method, Payment, Received
from apertura.payments import stripe_events
from apertura.payments.base import (
    Declined,
    Page,
    PlanOrder,
    ProcessorAway,
    ProcessorRefused,
    TopUpOrder,
)

if TYPE_CHECKING:
    import stripe

T = TypeVar("T")
THREADS = 8
TIMEOUT_SECONDS = 20.0
NAME = "stripe"
CARDS_MOST = 100


class Stripe:
    """One account at Stripe. `url` is another server than theirs, for tests and `--dev`."""

    name = NAME

    def __init__(self, key: str, webhook_secret: str, *, public_url: str, url: str = "") -> None:
        self._key, self._secret, self._url = key, webhook_secret, url
        self._public = public_url.rstrip("/")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="stripe")

    def close(self) -> None:
        """Begin no more calls; those that run end by their timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _client(self) -> stripe.StripeClient:
        import stripe  # takes most of a second: in a thread, when first used

        return stripe.StripeClient(
            self._key,
            base_addresses={"api": self._url} if self._url else {},
            http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
            max_network_retries=2,
        )

    async def _ask(self, work: Callable[[stripe.StripeClient], T]) -> T:
        """Run `work` in a thread, and turn the library's errors into ours."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: _asked(self._client, work))

    # Customers and pages.

    async def customer(self, org_id: str, name: str, email: str) -> str:
        fields: dict[str, Any] = {"name": name, "metadata": {"org": org_id}}
        if email:
            fields["email"] = email
        made = await self._ask(
            lambda client: client.v1.customers.create(
                fields,  # type: ignore[arg-type]  # the library's own TypedDict
                {"idempotency_key": f"customer-{org_id}"},
            )
        )
        return made.id

    async def top_up_page(self, order: TopUpOrder) -> Page:
        meta = _top_up_meta(order)
        line = {
            "quantity": 1,
            "price_data": {
                "currency": "usd",
                "unit_amount": order.cash // CENT,
                "product_data": {"name": f"Top-up of {format_usd(order.amount)} USD"},
            },
        }
        return await self._page(
            order.payment,
            {
                "mode": "payment",
                "customer": order.customer,
                "line_items": [line],
                "metadata": meta,
                "payment_intent_data": {"metadata": meta, "setup_future_usage": "off_session"},
            },
        )

    async def plan_page(self, order: PlanOrder) -> Page:
        meta = _plan_meta(order)
        return await self._page(
            order.payment,
            {
                "mode": "subscription",
                "customer": order.customer,
                "line_items": [{"quantity": 1, "price_data": _price_data(order)}],
                "metadata": meta,
                "subscription_data": {"metadata": meta},
            },
        )

    async def card_page(self, customer: str) -> Page:
        return await self._page("", {"mode": "setup", "currency": "usd", "customer": customer})

    async def _page(self, payment: str, fields: Mapping[str, Any]) -> Page:
        whole: Any = {
            **fields,
            "success_url": f"{self._public}/billing?payment={payment or 'card'}",
            "cancel_url": f"{self._public}/billing?payment=cancelled",
        }
        options: Any = {"idempotency_key": f"page-{payment}"} if payment else {}
        made = await self._ask(lambda client: client.v1.checkout.sessions.create(whole, options))
        return Page(id=made.id, url=made.url or "")

    async def portal(self, customer: str) -> Page:
        fields: Any = {"customer": customer, "return_url": f"{self._public}/billing"}
        made = await self._ask(lambda client: client.v1.billing_portal.sessions.create(fields))
        return Page(id=made.id, url=made.url)

    # Cards.

    async def methods(self, customer: str) -> list[Method]:
        def ask(client: stripe.StripeClient) -> list[Method]:
            held = client.v1.customers.retrieve(customer).to_dict()
            chosen = (held.get("invoice_settings") or {}).get("default_payment_method")
            cards = client.v1.customers.payment_methods.list(customer, {"limit": CARDS_MOST})
            found = [_method(card.to_dict(), chosen) for card in cards.data]
            return sorted(found, key=lambda one: not one.is_default)

        return await self._ask(ask)

    async def set_default(self, customer: str, method: str) -> None:
        fields: Any = {"invoice_settings": {"default_payment_method": method}}
        await self._ask(lambda client: client.v1.customers.update(customer, fields))

    async def remove(self, method: str) -> None:
        await self._ask(lambda client: client.v1.payment_methods.detach(method))

    # Money.

    async def charge(self, order: TopUpOrder, method: str) -> Event:
        fields: Any = {
            "amount": order.cash // CENT,
            "currency": "usd",
            "customer": order.customer,
            "payment_method": method,
            "off_session": True,
            "confirm": True,
            "metadata": _top_up_meta(order),
        }
        options: Any = {"idempotency_key": f"charge-{order.payment}"}
        made = await self._ask(lambda client: client.v1.payment_intents.create(fields, options))
        intent = made.to_dict()
        return (
            stripe_events.intent_paid(intent)
            or stripe_events.intent_failed(intent)
            or Failed(payment=order.payment, reason=made.status, final=True)
        )

    async def refund(self, payment: Payment, refund: str, cash: Nano) -> Event:
        def ask(client: stripe.StripeClient) -> Event | None:
            intent = _intent_of(client, payment.subject or "")
            known: Any = {"payment_intent": intent, "limit": 100}
            for one in client.v1.refunds.list(known).auto_paging_iter():
                if (one.to_dict().get("metadata") or {}).get("refund") == refund:
                    return stripe_events.refund_told(one.to_dict())
            fields: Any = {
                "payment_intent": intent,
                "amount": cash // CENT,
                "metadata": {"refund": refund, "payment": payment.id},
            }
            options: Any = {"idempotency_key": f"refund-{refund}"}
            made = client.v1.refunds.create(fields, options)
            return stripe_events.refund_told(made.to_dict())

        told = await self._ask(ask)
        if told is None:
            raise ProcessorRefused("The processor answers a refund with what is none.")
        return told

    async def ask(self, payment: Payment, customer: str) -> Sequence[Event]:
        return await self._ask(lambda client: _known_of(client, payment, customer))

    # Subscriptions.

    async def ask_plan(self, foreign_id: str) -> Sequence[Event]:
        def ask(client: stripe.StripeClient) -> list[Event]:
            fields: Any = {"subscription": foreign_id, "status": "paid", "limit": 12}
            paid = [invoice.to_dict() for invoice in client.v1.invoices.list(fields).data]
            found = [stripe_events.invoice_paid(invoice) for invoice in reversed(paid)]
            held = client.v1.subscriptions.retrieve(foreign_id).to_dict()
            if held.get("status") in ("canceled", "incomplete_expired"):
                found.append(stripe_events.plan_ended(held))
            return [event for event in found if event is not None]

        return await self._ask(ask)

    async def change_plan(self, foreign_id: str, order: PlanOrder, *, at_once: bool) -> None:
        def ask(client: stripe.StripeClient) -> None:
            held = client.v1.subscriptions.retrieve(foreign_id).to_dict()
            [item] = held["items"]["data"]
            product = client.v1.products.create({"name": order.title})
            price = {**_price_data(order), "product": product.id}
            price.pop("product_data")
            fields: Any = {
                "items": [{"id": item["id"], "price_data": price}],
                "metadata": _plan_meta(order),
                "proration_behavior": "always_invoice" if at_once else "none",
            }
            if at_once:
                fields["payment_behavior"] = "error_if_incomplete"
            elif item["price"]["recurring"] != {**item["price"]["recurring"], **_every(order)}:
                # Another interval would begin, and be charged, now: the rest is a trial instead.
                fields["trial_end"] = item["current_period_end"]
            client.v1.subscriptions.update(foreign_id, fields)

        await self._ask(ask)

    async def collect(self, invoice: str) -> None:
        def ask(client: stripe.StripeClient) -> None:
            held = client.v1.invoices.retrieve(invoice)
            if held.status == "draft":
                options: Any = {"idempotency_key": f"finalize-{invoice}"}
                held = client.v1.invoices.finalize_invoice(invoice, {"auto_advance": True}, options)
            if held.status == "open":
                options = {"idempotency_key": f"pay-{invoice}"}
                client.v1.invoices.pay(invoice, {"off_session": True}, options)

        await self._ask(ask)

    async def cancel_plan(self, foreign_id: str, *, at_end: bool) -> None:
        fields: Any = {"cancel_at_period_end": at_end}
        await self._ask(lambda client: client.v1.subscriptions.update(foreign_id, fields))

    def read(self, body: bytes, signature: str, now_ms: int) -> Received:
        stripe_events.check(self._secret, body, signature, now=now_ms // 1_000)
        return stripe_events.read_message(body)


def _asked(client: stripe.StripeClient, work: Callable[[stripe.StripeClient], T]) -> T:
    import stripe

    try:
        return work(client)
    except stripe.CardError as error:
        reason = _decline_code(error)
        raise Declined(f"The card was declined ({reason}).", param=reason) from None
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise _away(error) from None
    except stripe.StripeError as error:
        if error.http_status is None or error.http_status >= 500 or error.http_status == 409:
            raise _away(error) from None
        said = error.user_message or type(error).__name__
        raise ProcessorRefused(f"The payment processor refuses this: {said}") from None


def _away(error: Exception) -> ProcessorAway:
    return ProcessorAway(
        f"The payment processor cannot be asked now ({type(error).__name__}).",
        headers={"Retry-After": "10"},
    )


def _decline_code(error: stripe.CardError) -> str:
    details = error.error
    said = getattr(details, "decline_code", None) if details is not None else None
    return str(said or error.code or "declined")


def _top_up_meta(order: TopUpOrder) -> dict[str, str]:
    return {
        "payment": order.payment,
        "org": order.org_id,
        "kind": order.kind,
        "amount": str(order.amount),
    }


def _plan_meta(order: PlanOrder) -> dict[str, str]:
    return {
        "payment": order.payment,
        "org": order.org_id,
        "subscription": order.ticket,
        "plan": order.plan,
        "period": order.period,
    }


def _price_data(order: PlanOrder) -> dict[str, Any]:
    return {
        "currency": "usd",
        "unit_amount": order.price // CENT,
        "recurring": _every(order),
        "product_data": {"name": order.title},
    }


def _every(order: PlanOrder) -> dict[str, Any]:
    return {"interval": "month", "interval_count": order.months}


def _method(card: Mapping[str, Any], chosen: object) -> Method:
    details = card.get("card") or {}
    year, month = details.get("exp_year", 0), details.get("exp_month", 0)
    return Method(
        id=card["id"],
        brand=details.get("brand") or card.get("type", ""),
        last4=details.get("last4", ""),
        expires=f"{year:04d}-{month:02d}" if year else "",
        is_default=card["id"] == chosen,
    )


def _intent_of(client: stripe.StripeClient, subject: str) -> str:
    """The PaymentIntent of a payment: an invoice has one of its own."""
    if not subject.startswith("in_"):
        return subject
    fields: Any = {"invoice": subject, "status": "paid"}
    for paid in client.v1.invoice_payments.list(fields).data:
        intent = paid.to_dict()["payment"].get("payment_intent")
        if intent:
            return str(intent)
    raise ProcessorRefused(f"The invoice {subject} was not paid by a card.")


def _known_of(client: stripe.StripeClient, payment: Payment, customer: str) -> list[Event]:
    """From the page on which it is paid, or from the customer's charges of that time."""
    if payment.checkout is not None:
        page = client.v1.checkout.sessions.retrieve(payment.checkout).to_dict()
        found = [stripe_events.page_done(page)]
        if page.get("mode") == "subscription" and page.get("invoice"):
            invoice = client.v1.invoices.retrieve(page["invoice"]).to_dict()
            if invoice.get("status") == "paid":
                found.append(stripe_events.invoice_paid(invoice))
        if page.get("status") == "expired":
            found.append(Expired(payment=payment.id))
        return [event for event in found if event is not None]
    since = payment.created_at // 1_000 - 60
    span = {"gte": since, "lte": since + 86_400}
    fields: Any = {"customer": customer, "created": span, "limit": 100}
    events = []
    for intent in client.v1.payment_intents.list(fields).auto_paging_iter():
        held = intent.to_dict()
        if (held.get("metadata") or {}).get("payment") == payment.id:
            events.append(stripe_events.intent_paid(held) or stripe_events.intent_failed(held))
    return [event for event in events if event is not None]
