"""Subscriptions that a payment processor renews: from its events to the subscription.

A subscription begins when its first period is paid; until then there is only a ticket, our name of
it that travels with the processor's. What it is not: what becomes of a subscription
(`subscriptions`), or the payment's own row (`payment_events`).

The rule that keeps it honest: cash that comes in for a subscription that cannot be paid (it ended,
or there is another one) is told so, never dropped.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from apertura.domain import plans
from apertura.domain.money import format_usd
from apertura.domain.payments import PlanEnded, PlanPaid, PlanPaymentFailed
from apertura.domain.plans import CREDIT, MONTHS, Period, Plan, Subscription, is_upgrade
from apertura.store import outbox, subscriptions
from apertura.store import subscription_rows as rows
from apertura.store.database import Conflict, Database, Row, Tx
from apertura.store.plans import Plans

Done = Literal["booked", "waits", "homeless"]


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription, and who renews it."""

    ticket: str
    subscription: str
    org_id: str
    via: str
    foreign_id: str
    ended: bool
    told_plan: str
    told_cancel: bool
    """What the processor was told last of what follows."""
    checked_at: int


_COLUMNS = Renewed.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM foreign_subscriptions"


def _renewed(row: Row) -> Renewed:
    found = Renewed(**dict(zip(_COLUMNS, row, strict=True)))
    return msgspec.structs.replace(
        found, ended=bool(found.ended), told_cancel=bool(found.told_cancel)
    )


async def paid(tx: Tx, via: str, event: PlanPaid, known: Plans, now_ms: int) -> Done:
    """A period was paid, or an upgrade. `homeless`: the cash belongs to no subscription."""
    plan, period = known.plans.get(event.plan), _period(event.period)
    held = await _of_ticket(tx, event.ticket)
    if plan is None or period is None or (held is None and event.change):
        return "waits"
    if held is None:
        held = await _begin(tx, via, event, plan, period, now_ms)
    if held is None or held.ended:
        return "homeless"
    sub = plans.current(await rows.lock(tx, held.subscription), now_ms)
    differs = event.change or _coming(sub) != (plan.id, period)
    if sub.ended_ms is not None or (sub.next_is_paid and differs):
        return "homeless"
    if event.change and not event.cash and not is_upgrade(sub, plan):
        return "booked"  # what follows at the end was told there; it costs nothing now
    if event.change:
        await tell(tx, held.ticket, f"{plan.id} {sub.period}", sub.cancel_at_end)
        made = subscriptions.Payment(reference=event.subject, via=via, amount=event.cash)
        await subscriptions.change_plan(tx, sub.id, plan, now_ms, payment=made)
        return "booked"
    if _coming(sub) != (plan.id, period) and event.cash:
        await subscriptions.change_plan(tx, sub.id, plan, now_ms, period=period)
    await subscriptions.pay_period(
        tx,
        sub.id,
        reference=event.subject,
        via=via,
        amount=event.cash,
        paid_until_ms=event.paid_until_ms or None,
        now_ms=now_ms,
    )
    return "booked"


def _period(text: str) -> Period | None:
    return next((period for period in MONTHS if period == text), None)


def _coming(sub: Subscription) -> tuple[str, Period]:
    terms = sub.next or sub.terms
    return terms.plan, terms.period


async def _begin(
    tx: Tx, via: str, event: PlanPaid, plan: Plan, period: Period, now_ms: int
) -> Renewed | None:
    # The ticket is random; what is made of it is as well, and is the same when this runs again.
    random = hashlib.shake_256(event.ticket.encode()).digest(subscriptions.START_BYTES)
    try:
        sub = await subscriptions.start(
            tx, event.org_id, plan, period=period, random=random, now_ms=now_ms
        )
    except Conflict:  # it has a subscription: both pages were paid
        return None
    held = Renewed(
        ticket=event.ticket,
        subscription=sub.id,
        org_id=event.org_id,
        via=via,
        foreign_id=event.foreign_id,
        ended=False,
        told_plan=f"{plan.id} {period}",
        told_cancel=False,
        checked_at=now_ms,
    )
    await tx.insert_many("foreign_subscriptions", _COLUMNS, [_values(held)])
    await outbox.put(
        tx,
        key=f"plan:{sub.id}:started",
        org_id=event.org_id,
        template="plan_started",
        facts={
            "plan": plan.title,
            "period": period,
            "amount_usd": format_usd(event.cash),
            "allowance": str(plan.allowance // CREDIT),
        },
        now_ms=now_ms,
    )
    return held


def _values(held: Renewed) -> list[object]:
    return [int(v) if isinstance(v, bool) else v for v in msgspec.structs.astuple(held)]


async def failed(tx: Tx, event: PlanPaymentFailed, now_ms: int) -> bool:
    """A period could not be paid. Before the first one there is nothing to tell."""
    held = await _of_ticket(tx, event.ticket)
    if held is None or held.ended:
        return True
    if await subscriptions.payment_failed(tx, held.subscription, now_ms):
        await outbox.put(
            tx,
            key=f"plan:{held.subscription}:failed:{event.subject}",
            org_id=held.org_id,
            template="payment_failed",
            facts={
                "amount_usd": format_usd(event.cash),
                "kind": "plan",
                "reason": event.reason,
            },
            now_ms=now_ms,
        )
    return True


async def ended(tx: Tx, event: PlanEnded, now_ms: int) -> bool:
    """The processor renews it no more, and what was paid is over."""
    held = await _of_ticket(tx, event.ticket)
    if held is None or held.ended:
        return True
    sub = await subscriptions.end(tx, held.subscription, now_ms)
    await tx.execute("UPDATE foreign_subscriptions SET ended = 1 WHERE ticket = ?", (event.ticket,))
    await outbox.put(
        tx,
        key=f"plan:{held.subscription}:ended",
        org_id=held.org_id,
        template="plan_ended",
        facts={"plan": sub.plan},
        now_ms=now_ms,
    )
    return True


async def _of_ticket(tx: Tx, ticket: str) -> Renewed | None:
    found = await tx.execute(f"{_SELECT} WHERE ticket = ?", (ticket,))
    return _renewed(found[0]) if found else None


async def tell(tx: Tx, ticket: str, plan: str, cancel: bool) -> None:
    """The processor knows now what follows: `plan` is a plan and its period."""
    await tx.execute(
        "UPDATE foreign_subscriptions SET told_plan = ?, told_cancel = ? WHERE ticket = ?",
        (plan, int(cancel), ticket),
    )


async def untold(db: Database, via: str, most: int = 20) -> list[Renewed]:
    """Those of which the processor knows another plan, or another end, than we do."""
    names = ", ".join(f"foreign_subscriptions.{name}" for name in _COLUMNS)
    found = await db.read(
        f"SELECT {names} FROM foreign_subscriptions "
        "JOIN subscriptions ON subscriptions.id = subscription "
        "WHERE ended = 0 AND via = ? AND status <> 'expired' AND (cancel_at_end <> told_cancel "
        "OR COALESCE(next_plan, plan) || ' ' || COALESCE(next_period, period) <> told_plan) "
        "ORDER BY ticket LIMIT ?",
        (via, most),
    )
    return [_renewed(row) for row in found]


async def of_subscription(db: Database, org_id: str, subscription: str) -> Renewed | None:
    """Who renews an organization's subscription; None if nobody does."""
    found = await db.read(
        f"{_SELECT} WHERE subscription = ? AND org_id = ?", (subscription, org_id)
    )
    return _renewed(found[0]) if found else None


async def unheard(db: Database, via: str, before_ms: int, most: int = 20) -> list[Renewed]:
    """Those of which the processor was not asked since then."""
    found = await db.read(
        f"{_SELECT} WHERE ended = 0 AND via = ? AND checked_at < ? "
        "ORDER BY checked_at, ticket LIMIT ?",
        (via, before_ms, most),
    )
    return [_renewed(row) for row in found]


async def claim_check(tx: Tx, held: Renewed, now_ms: int) -> bool:
    """One worker asks the processor: False if another does."""
    rows = await tx.execute(
        "UPDATE foreign_subscriptions SET checked_at = ? WHERE ticket = ? AND checked_at = ? "
        "RETURNING ticket",
        (now_ms, held.ticket, held.checked_at),
    )
    return bool(rows)
