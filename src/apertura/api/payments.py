"""Paying, for an organization's admin keys: /api/billing/….

    GET, POST /api/billing/top-ups              what a top-up costs; a page on which one is paid
    POST      /api/billing/plans                a page on which a subscription is begun
    POST      /api/billing/plans/upgrade        a dearer plan, charged to the saved card
    GET       /api/billing/payments             what was paid, and given back
    POST      /api/billing/portal               the processor's own page about it
    POST      /api/billing/codes/redeem

What it is not: the page on which a card is entered: that is the processor's, and no number of a
card comes here. The rule that keeps it honest: nothing here credits anything but a code; money is
in the books when the processor says that it came.
"""

from __future__ import annotations

import secrets as randomness
from decimal import Decimal

import msgspec

from apertura.api import manage
from apertura.api.amounts import dollars, read_usd
from apertura.api.manage import moment, now_ms, query_of, read_body, reply_data
from apertura.api.parts import Parts
from apertura.domain import payments as rules
from apertura.domain import plans, secrets
from apertura.domain.identity import Caller
from apertura.domain.money import Nano
from apertura.domain.payments import Payment
from apertura.domain.plans import MONTHS, Period, Plan
from apertura.errors import BadRequest, NotFound
from apertura.payments.base import (
    Page,
    PaymentProcessor,
    PlanOrder,
    ProcessorRefused,
    TopUpOrder,
)
from apertura.payments.manual import digest_of
from apertura.relay.exchange import Exchange
from apertura.store import codes, identity, plan_payments, refunds, subscriptions
from apertura.store import payments as store


class TopUpBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be credited."""

    amount_usd: Decimal


class PlanBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be subscribed to."""

    plan: str
    period: Period = "monthly"


class UpgradeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The plan wanted."""

    plan: str


class CodeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A code."""

    code: str


# Top-ups.


async def show_rules(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/top-ups: the bounds of a top-up, and its discounts."""
    _, head = await manage.enter(parts, exchange)
    known = parts.top_ups
    data = {
        "minimum_usd": dollars(known.minimum),
        "maximum_usd": dollars(known.maximum),
        "discounts": [
            {"from_usd": dollars(one.from_amount), "percent": Decimal(one.per_mille) / 10}
            for one in known.discounts
        ],
    }
    reply_data(exchange, data, head)


async def begin_top_up(parts: Parts, exchange: Exchange) -> None:
    """POST /api/billing/top-ups: the page on which it is paid."""
    caller, head = await manage.enter(parts, exchange, write=True)
    body = read_body(parts, exchange, TopUpBody)
    amount = Nano(read_usd(body.amount_usd, "amount_usd"))
    cash = rules.price_of(parts.top_ups, amount)
    processor = processor_of(parts)
    order = TopUpOrder(
        payment=_payment_id(),
        org_id=caller.org_id,
        customer=await customer_of(parts, processor, caller),
        amount=amount,
        cash=cash,
    )
    payment = _opened(order, processor.name)
    await parts.database.write(lambda tx: store.insert(tx, payment))
    page = await _page_of(parts, order)
    data = {"id": payment.id, "url": page.url, "price_usd": dollars(cash)}
    reply_data(exchange, data, head, status=201)


async def _page_of(parts: Parts, order: TopUpOrder | PlanOrder) -> Page:
    """The processor's page for a payment that is kept; none, and the payment is closed."""
    processor = processor_of(parts)
    try:
        if isinstance(order, TopUpOrder):
            page = await processor.top_up_page(order)
        else:
            page = await processor.plan_page(order)
    except ProcessorRefused as error:
        reason = error.message
        await parts.database.write(lambda tx: store.close(tx, order.payment, reason))
        raise
    await parts.database.write(lambda tx: store.set_checkout(tx, order.payment, page.id))
    return page


def _opened(order: TopUpOrder | PlanOrder, via: str) -> Payment:
    now = now_ms()
    return Payment(
        id=order.payment,
        org_id=order.org_id,
        kind="plan" if isinstance(order, PlanOrder) else order.kind,
        via=via,
        amount=order.price if isinstance(order, PlanOrder) else order.amount,
        cash=order.price if isinstance(order, PlanOrder) else order.cash,
        created_at=now,
        checked_at=now,
    )


def _payment_id() -> str:
    return f"pay_{randomness.token_hex(12)}"


def processor_of(parts: Parts) -> PaymentProcessor:
    """Who takes cards. Raises: NotFound: nobody does."""
    if parts.payments is None:
        raise NotFound(
            "Cards are not taken on this installation. Ask its operator how to pay.",
            code="payments_not_set_up",
        )
    return parts.payments


async def customer_of(parts: Parts, processor: PaymentProcessor, caller: Caller) -> str:
    """The processor's name of the organization, which is made known to it if it is not."""
    known = await store.customer(parts.database, processor.name, caller.org_id)
    if known is not None:
        return known
    org = await identity.find_organization(parts.database, caller.org_id)
    email = await store.owner_email(parts.database, caller.org_id)
    made = await processor.customer(caller.org_id, org.name if org else "", email)
    return await parts.database.write(
        lambda tx: store.keep_customer(tx, processor.name, caller.org_id, made)
    )


# Subscriptions.


async def begin_plan(parts: Parts, exchange: Exchange) -> None:
    """POST /api/billing/plans: the page on which a subscription is begun."""
    caller, head = await manage.enter(parts, exchange, write=True)
    body = read_body(parts, exchange, PlanBody)
    plan, processor = _plan(parts, body.plan), processor_of(parts)
    sub = await subscriptions.find(parts.database, caller.org_id)
    if sub is not None and plans.status_at(sub, now_ms(), parts.plans.grace_ms) != "expired":
        raise BadRequest("The organization has a subscription. Change that one, or end it first.")
    order = PlanOrder(
        payment=_payment_id(),
        org_id=caller.org_id,
        customer=await customer_of(parts, processor, caller),
        ticket=f"plan_{randomness.token_hex(16)}",
        plan=plan.id,
        title=plan.title,
        period=body.period,
        months=MONTHS[body.period],
        price=plan.price(body.period),
    )
    payment = _opened(order, processor.name)
    await parts.database.write(lambda tx: store.insert(tx, payment))
    page = await _page_of(parts, order)
    data = {"id": payment.id, "url": page.url, "price_usd": dollars(order.price)}
    reply_data(exchange, data, head, status=201)


async def upgrade_plan(parts: Parts, exchange: Exchange) -> None:
    """POST /api/billing/plans/upgrade: the difference is charged now; the plan follows when the
    processor says that it is paid.
    """
    caller, head = await manage.enter(parts, exchange, write=True)
    plan = _plan(parts, read_body(parts, exchange, UpgradeBody).plan)
    processor = processor_of(parts)
    sub = await subscriptions.find(parts.database, caller.org_id)
    held = None
    if sub is not None:
        held = await plan_payments.of_subscription(parts.database, caller.org_id, sub.id)
    if sub is None or held is None or held.ended:
        raise NotFound(
            "The organization has no subscription that is paid by card.",
            code="subscription_not_found",
        )
    if not plans.is_upgrade(sub, plan):
        raise BadRequest(
            f"The plan {plan.id!r} costs no more. POST /api/subscription/change chooses it for the "
            "end of what is paid.",
            code="invalid_parameter",
            param="plan",
        )
    order = PlanOrder(
        payment="",
        org_id=caller.org_id,
        customer="",
        ticket=held.ticket,
        plan=plan.id,
        title=plan.title,
        period=sub.period,
        months=MONTHS[sub.period],
        price=plan.price(sub.period),
    )
    await processor.change_plan(held.foreign_id, order, at_once=True)
    reply_data(exchange, {"plan": plan.id, "status": "charged"}, head, status=202)


def _plan(parts: Parts, name: str) -> Plan:
    plan = parts.plans.plans.get(name)
    if plan is None or not plan.on_sale:
        raise BadRequest(
            f"There is no plan {name!r} on sale. GET /api/plans lists those that are.",
            code="invalid_parameter",
            param="plan",
        )
    return plan


# What was paid.


async def list_payments(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/payments[?before=ID]: the newest first."""
    caller, head = await manage.enter(parts, exchange)
    before = query_of(exchange, ("before",)).get("before", "")
    found = await store.listing(parts.database, caller.org_id, before=before)
    data = [await _shown(parts, payment) for payment in found]
    reply_data(exchange, data, head)


async def _shown(parts: Parts, payment: Payment) -> dict[str, object]:
    back = await refunds.of_payment(parts.database, payment.id) if payment.paid_at else []
    return {
        "id": payment.id,
        "kind": payment.kind,
        "via": payment.via,
        "status": payment.status,
        "amount_usd": dollars(payment.amount),
        "paid_usd": dollars(payment.cash if payment.paid_at else 0),
        "price_usd": dollars(payment.cash),
        "refunded_usd": dollars(payment.refunded),
        "failure": payment.failure,
        "created_at": moment(payment.created_at),
        "paid_at": None if payment.paid_at is None else moment(payment.paid_at),
        "refunds": [
            {
                "id": one.id,
                "kind": one.kind,
                "amount_usd": dollars(one.cash),
                "status": one.state,
                "created_at": moment(one.created_at),
            }
            for one in back
        ],
    }


async def open_portal(parts: Parts, exchange: Exchange) -> None:
    """POST /api/billing/portal."""
    caller, head = await manage.enter(parts, exchange, write=True)
    processor = processor_of(parts)
    page = await processor.portal(await customer_of(parts, processor, caller))
    reply_data(exchange, {"url": page.url}, head, status=201)


# Codes.


async def redeem(parts: Parts, exchange: Exchange) -> None:
    """POST /api/billing/codes/redeem."""
    caller, head = await manage.enter(parts, exchange, write=True)
    body = read_body(parts, exchange, CodeBody)
    digest = digest_of(body.code, secrets.derive(parts.settings.secret, secrets.CODES))
    now = now_ms()
    payment = await parts.database.write(lambda tx: codes.redeem(tx, digest, caller.org_id, now))
    data = {"id": payment.id, "amount_usd": dollars(payment.amount)}
    reply_data(exchange, data, head, status=201)
