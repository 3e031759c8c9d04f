"""POST /webhooks/stripe: what the payment processor tells.

A message is answered with 200 once it is in the books, or if it says nothing to us; with 400 if it
is not the processor's; with 503 while the database is away, so that it is sent again. What it is
not: what a message does (`store.payment_events`).

The rule that keeps it honest: nothing of a body is believed before its signature is checked.
"""

from __future__ import annotations

import asyncio

from apertura.api.caller import client_address
from apertura.api.manage import now_ms
from apertura.api.parts import Parts
from apertura.api.reply import reply_json
from apertura.domain import keys
from apertura.domain.payments import PlanDue
from apertura.errors import BadRequest, NotFound, TooLarge
from apertura.payments.base import (
    BadSignature,
    Declined,
    PaymentProcessor,
    ProcessorAway,
    ProcessorRefused,
)
from apertura.relay.exchange import Exchange
from apertura.store import payment_events
from apertura.store.payment_events import Receiver
from apertura.telemetry import log

COLLECT_SECONDS = 10.0
"""Stripe waits for an answer to a message, and keeps a period's invoice back until it has one."""


async def receive(parts: Parts, exchange: Exchange) -> None:
    """Check, read and book a message."""
    if parts.payments is None:
        raise NotFound("No payment processor is set up here.", code="payments_not_set_up")
    if exchange.oversized:
        raise TooLarge("The message is too large.")
    now = now_ms()
    try:
        received = parts.payments.read(exchange.body, exchange.header(b"stripe-signature"), now)
    except BadSignature as error:
        count_stranger(parts, exchange)
        log("webhook_refused", reason=str(error))
        raise BadRequest(f"The signature is not good: {error}.", code="bad_signature") from None
    except ValueError:
        raise BadRequest("The message is not understood.") from None
    at = Receiver(via=parts.payments.name, now_ms=now, plans=parts.plans)
    state = await parts.database.write(lambda tx: payment_events.receive(tx, at, received))
    if state == "waiting":
        log("webhook_waits", id=received.id, kind=received.kind)
    if isinstance(received.event, PlanDue):
        await collect(parts.payments, received.event.subject)
    reply_json(exchange, {"received": True, "state": state or "known"})


async def collect(processor: PaymentProcessor, invoice: str) -> None:
    """A period has begun: have it paid now, and wait for that a while. What comes of it is told by
    messages; where it cannot be done, the processor does it by itself within hours.
    """
    task = asyncio.create_task(_collect(processor, invoice))
    await asyncio.wait([task], timeout=COLLECT_SECONDS)


async def _collect(processor: PaymentProcessor, invoice: str) -> None:
    try:
        await processor.collect(invoice)
    except (Declined, ProcessorAway, ProcessorRefused) as error:
        log("invoice_not_collected", invoice=invoice, error=error.message)


def count_stranger(parts: Parts, exchange: Exchange) -> None:
    """Who sends bad signatures is slowed down, as who sends bad keys is.

    Raises: RateLimited.
    """
    proxies = keys.parse_networks(parts.settings.trusted_proxies)
    parts.admission.count_stranger(client_address(exchange, proxies))
