"""Topping up by itself: whose balance is low is charged, once.

A charge is claimed in the books before the processor is asked, and asked for under the payment's
id; whoever finds one left alone (a worker died in between) first looks for it at the processor and
then asks again under the same id.

What it is not: when a charge is due (`domain.payments`), or what its end does (`store`). The rule
that keeps it honest: an organization has one charge under way at most, and each ends as paid or
failed.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial

from apertura.domain.money import Nano
from apertura.domain.payments import AutoTopUp, Event, Failed, Paid, Payment
from apertura.payments.base import (
    Declined,
    PaymentProcessor,
    ProcessorAway,
    ProcessorRefused,
    TopUpOrder,
)
from apertura.store import auto_top_ups, payment_events, payments
from apertura.store.database import Database
from apertura.store.payment_events import Receiver
from apertura.store.plans import Plans
from apertura.telemetry import log

SECONDS = 5.0
"""Between two looks at the balances."""
LEFT_ALONE_MS = 90_000
"""A charge that takes longer is somebody else's to end: more than the processor's own timeouts."""


def mint_payment() -> str:
    """An id for a new payment."""
    return f"pay_{secrets.token_hex(12)}"


class TopUps:
    """The job, for one processor."""

    def __init__(self, database: Database, processor: PaymentProcessor, plans: Plans) -> None:
        self._database, self._processor, self._plans = database, processor, plans

    async def step(self, now_ms: int) -> None:
        """Charge whoever is due, and end what others have left."""
        for wish in await auto_top_ups.low(self._database):
            await self._begin(wish, now_ms)
        for wish in await auto_top_ups.left_alone(self._database, now_ms - LEFT_ALONE_MS):
            take_over = partial(auto_top_ups.take_over, wish=wish, now_ms=now_ms)
            if await self._database.write(take_over):
                await self._go_on(wish, now_ms)

    async def _begin(self, wish: AutoTopUp, now_ms: int) -> None:
        payment = Payment(
            id=mint_payment(),
            org_id=wish.org_id,
            kind="auto-top-up",
            via=self._processor.name,
            amount=wish.amount,
            cash=wish.amount,
            created_at=now_ms,
            checked_at=now_ms,
        )
        claimed = await self._database.write(lambda tx: auto_top_ups.claim(tx, payment))
        if claimed is not None:
            await self._charge(claimed, payment.id, claimed.amount, now_ms)

    async def _go_on(self, wish: AutoTopUp, now_ms: int) -> None:
        """With a charge of which nobody knows how far it got."""
        payment = await payments.find(self._database, wish.attempt or "")
        assert payment is not None, "the attempt refers to its payment"
        customer = await payments.customer(self._database, self._processor.name, wish.org_id)
        try:
            known = await self._processor.ask(payment, customer or "")
        except (ProcessorAway, ProcessorRefused) as error:
            log("payment_not_asked", payment=payment.id, error=error.message)
            return
        if known:
            await self._apply(_latest(known), now_ms)
        else:
            await self._charge(wish, payment.id, payment.amount, now_ms)

    async def _charge(self, wish: AutoTopUp, payment: str, amount: Nano, now_ms: int) -> None:
        customer = await payments.customer(self._database, self._processor.name, wish.org_id)
        try:
            event = await self._try(wish, payment, amount, customer)
        except Declined as error:
            event = Failed(payment=payment, reason=error.param or "declined", final=True)
        except ProcessorRefused as error:
            log("payment_refused", payment=payment, error=error.message)
            event = Failed(payment=payment, reason="refused by the processor", final=True)
        except ProcessorAway as error:
            log("payment_not_asked", payment=payment, error=error.message)
            return  # it is left alone, and will be found so
        await self._apply(event, now_ms)

    async def _try(
        self, wish: AutoTopUp, payment: str, amount: Nano, customer: str | None
    ) -> Event:
        methods = await self._processor.methods(customer) if customer else []
        chosen = [one.id for one in methods if wish.method in ("", one.id)]
        if customer is None or not chosen:
            return Failed(payment=payment, reason="no saved payment method", final=True)
        order = TopUpOrder(
            payment=payment,
            org_id=wish.org_id,
            customer=customer,
            amount=amount,
            cash=amount,
            kind="auto-top-up",
        )
        return await self._processor.charge(order, chosen[0])

    async def _apply(self, event: Event, now_ms: int) -> None:
        at = Receiver(via=self._processor.name, now_ms=now_ms, plans=self._plans)
        await self._database.write(lambda tx: payment_events.apply(tx, at, event))


def _latest(events: Sequence[Event]) -> Event:
    """Of several tries of one payment the one that was paid, or else the last."""
    return next((event for event in events if isinstance(event, Paid)), events[0])
