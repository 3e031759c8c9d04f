"""What keeps our books and the processor's alike when messages are lost.

Open payments of which nothing was heard are asked for; refunds that were booked and perhaps never
asked for are asked again; subscriptions are asked for their invoices, and told what was changed
here. What it is not: a second way to book: all goes through `store.payment_events`.

The rule that keeps it honest: each question is claimed by one worker, and its answer may come twice
without harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from apertura.domain.payments import Event, Expired, Payment
from apertura.domain.plans import MONTHS
from apertura.payments.base import (
    PaymentProcessor,
    PlanOrder,
    ProcessorAway,
    ProcessorRefused,
    Refunds,
)
from apertura.store import payment_events, payments, plan_payments, refunds, subscriptions
from apertura.store.database import Database
from apertura.store.payment_events import Receiver
from apertura.store.plan_payments import Renewed
from apertura.store.plans import Plans
from apertura.store.refunds import Refund
from apertura.telemetry import log

SECONDS = 15.0
UNHEARD_MS = 600_000
"""A payment that is open so long is asked for."""
FORGOTTEN_MS = 7 * 86_400_000
"""One that is open so long is not asked for any more."""
NO_PAGE_MS = 86_400_000
"""One for which no page was made by then will not be paid."""
REFUND_MS = 60_000
"""A refund without an answer for so long is asked for again."""
PLANS_MS = 6 * 3_600_000
"""Between two questions for a subscription's invoices."""


class Reconciling:
    """The job, for one processor."""

    def __init__(self, database: Database, processor: PaymentProcessor, plans: Plans) -> None:
        self._database, self._processor, self._plans = database, processor, plans

    async def step(self, now_ms: int) -> None:
        """A little of everything; while the processor is away, nothing."""
        try:
            await self._ask_for_payments(now_ms)
            await self._ask_for_refunds(now_ms)
            await self._tell_of_plans()
            await self._ask_for_plans(now_ms)
        except ProcessorAway as error:
            log("payment_not_asked", payment="", error=error.message)

    async def _ask_for_payments(self, now_ms: int) -> None:
        via = self._processor.name
        for payment in await payments.unheard(
            self._database, via, since_ms=now_ms - FORGOTTEN_MS, before_ms=now_ms - UNHEARD_MS
        ):
            claim = partial(payments.claim_check, payment=payment, now_ms=now_ms)
            if await self._database.write(claim):
                await self._apply(await self._known(payment, now_ms), now_ms)

    async def _known(self, payment: Payment, now_ms: int) -> Sequence[Event]:
        customer = await payments.customer(self._database, payment.via, payment.org_id)
        try:
            found = await self._processor.ask(payment, customer) if customer else []
        except ProcessorRefused as error:
            log("payment_refused", payment=payment.id, error=error.message)
            found = []
        pageless = payment.checkout is None and payment.kind != "auto-top-up"
        if not found and pageless and payment.created_at < now_ms - NO_PAGE_MS:
            return [Expired(payment=payment.id)]
        return found

    async def _ask_for_refunds(self, now_ms: int) -> None:
        for refund in await refunds.unanswered(
            self._database, self._processor.name, now_ms - REFUND_MS
        ):
            await answer(self._database, self._processor, refund, self._plans, now_ms)

    async def _tell_of_plans(self) -> None:
        for held in await plan_payments.untold(self._database, self._processor.name):
            try:
                await self._tell(held)
            except ProcessorRefused as error:
                log("payment_refused", payment=held.foreign_id, error=error.message)

    async def _tell(self, held: Renewed) -> None:
        sub = await subscriptions.find_by_id(self._database, held.subscription)
        assert sub is not None, "subscriptions are not deleted"
        coming = sub.next or sub.terms
        plan = self._plans.plans.get(coming.plan)
        following = f"{coming.plan} {coming.period}"
        if sub.cancel_at_end != held.told_cancel:
            await self._processor.cancel_plan(held.foreign_id, at_end=sub.cancel_at_end)
        if following != held.told_plan and plan is not None:
            order = PlanOrder(
                payment="",
                org_id=held.org_id,
                customer="",
                ticket=held.ticket,
                plan=plan.id,
                title=plan.title,
                period=coming.period,
                months=MONTHS[coming.period],
                price=coming.price,
            )
            await self._processor.change_plan(held.foreign_id, order, at_once=False)
        await self._database.write(
            lambda tx: plan_payments.tell(tx, held.ticket, following, sub.cancel_at_end)
        )

    async def _ask_for_plans(self, now_ms: int) -> None:
        via = self._processor.name
        for held in await plan_payments.unheard(self._database, via, now_ms - PLANS_MS):
            claim = partial(plan_payments.claim_check, held=held, now_ms=now_ms)
            if await self._database.write(claim):
                await self._apply(await self._processor.ask_plan(held.foreign_id), now_ms)

    async def _apply(self, events: Sequence[Event], now_ms: int) -> None:
        at = Receiver(via=self._processor.name, now_ms=now_ms, plans=self._plans)
        for event in events:
            await self._database.write(partial(payment_events.apply, at=at, event=event))


async def answer(
    database: Database, processor: Refunds, refund: Refund, plans: Plans, now_ms: int
) -> None:
    """Ask the processor for a refund that is booked, and keep its answer.

    Raises: ProcessorAway (it is asked again later), ProcessorRefused (it is undone).
    """
    payment = await payments.find(database, refund.payment_id)
    assert payment is not None, "a refund refers to its payment"
    at = Receiver(via=refund.via, now_ms=now_ms, plans=plans)
    try:
        event = await processor.refund(payment, refund.id, refund.cash)
    except ProcessorRefused:
        failed = Refund(
            id=refund.id,
            payment_id=payment.id,
            via=refund.via,
            cash=refund.cash,
            state="failed",
            created_at=now_ms,
        )
        await database.write(lambda tx: refunds.tell(tx, payment, failed, now_ms))
        raise
    await database.write(lambda tx: payment_events.apply(tx, at, event))
