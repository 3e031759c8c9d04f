"""Plans, and what becomes of an organization's subscription: /api/plans and /api/subscription.

    GET  /api/plans                      for everybody: what is on sale
    GET  /api/subscription               what the organization has, and its history
    POST /api/subscription/cancel        at the end of what is paid
    POST /api/subscription/resume        not, after all
    POST /api/subscription/change        another plan or period
    POST /api/subscription/fallback      whether the balance pays beside the allowance
    POST /api/subscription/key           a new key in place of the old one, shown once

What it is not: what a change means (`domain.plans`), or paying for a plan (`payments`). The rule
that keeps it honest: whose subscription it is comes from the key, never from the request.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec

from apertura.api import manage, summaries
from apertura.api.amounts import credits_of, dollars, read_usd
from apertura.api.caller import client_address
from apertura.api.manage import moment, read_body, reply_data
from apertura.api.parts import Parts
from apertura.domain import keys, plans, secrets
from apertura.domain.identity import Caller
from apertura.domain.money import Nano
from apertura.domain.plans import MONTHS, Period, Plan, Subscription
from apertura.errors import BadRequest, NotFound, PaymentRequired
from apertura.relay.exchange import Exchange
from apertura.store import subscriptions
from apertura.store.database import Conflict, Tx


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a deed that needs none."""


class ChangeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Of /change: without `period` it stays as it is."""

    plan: str
    period: Period | None = None


class FallbackBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Of /fallback: without a limit, as long as there is a balance; 0 is off."""

    enabled: bool
    limit_usd: Decimal | None = None


async def list_plans(parts: Parts, exchange: Exchange) -> None:
    """GET /api/plans: without a key."""
    proxies = keys.parse_networks(parts.settings.trusted_proxies)
    parts.admission.count_stranger(client_address(exchange, proxies))
    known = parts.plans.plans.values()
    reply_data(exchange, [_plan(plan) for plan in known if plan.on_sale])


def _plan(plan: Plan) -> dict[str, object]:
    return {
        "id": plan.id,
        "title": plan.title,
        "credits": credits_of(plan.allowance),
        "calls_per_minute_and_model": plan.per_model,
        "price_usd": {period: dollars(plan.price(period)) for period in MONTHS},
        "multipliers": {name: credits_of(cost) for name, cost in sorted(plan.multipliers.items())},
    }


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /api/subscription: null without one that has not ended."""
    caller, head = await manage.enter(parts, exchange)
    await parts.settlement.flush()
    plan = await summaries.plan_of(parts, caller.org_id, manage.now_ms())
    if plan is None:
        reply_data(exchange, None, head)
        return
    changes = await subscriptions.history(parts.database, plan.sub.id)
    history = [{"at": moment(one.at), "what": one.what, "detail": one.detail} for one in changes]
    reply_data(exchange, {**plan.as_json(), "history": history}, head)


async def cancel(parts: Parts, exchange: Exchange) -> None:
    """POST /api/subscription/cancel."""

    async def deed(tx: Tx, sub: Subscription) -> None:
        await subscriptions.cancel_at_end(tx, sub.id, manage.now_ms())

    await _change(parts, exchange, lambda _: deed)


async def resume(parts: Parts, exchange: Exchange) -> None:
    """POST /api/subscription/resume."""

    async def deed(tx: Tx, sub: Subscription) -> None:
        await subscriptions.resume(tx, sub.id, manage.now_ms())

    await _change(parts, exchange, lambda _: deed)


async def set_fallback(parts: Parts, exchange: Exchange) -> None:
    """POST /api/subscription/fallback."""

    def read(body: FallbackBody) -> Deed:
        cap = None if body.limit_usd is None else Nano(read_usd(body.limit_usd, "limit_usd"))

        async def deed(tx: Tx, sub: Subscription) -> None:
            await subscriptions.set_fallback(tx, sub.id, body.enabled, cap, manage.now_ms())

        return deed

    await _change(parts, exchange, read, FallbackBody)


async def change_plan(parts: Parts, exchange: Exchange) -> None:
    """POST /api/subscription/change: what costs less, or the same, at the end of what is paid."""

    def read(body: ChangeBody) -> Deed:
        plan = _find_plan(parts, body.plan)

        async def deed(tx: Tx, sub: Subscription) -> None:
            now_ms = manage.now_ms()
            if price := plans.upgrade_price(sub, plan, now_ms):
                raise PaymentRequired(
                    f"The plan {plan.id!r} costs {dollars(price)} USD more for what is paid "
                    "already. Pay with POST /api/billing/plans/upgrade, which changes it.",
                    code="payment_required",
                )
            await subscriptions.change_plan(tx, sub.id, plan, now_ms, period=body.period)

        return deed

    await _change(parts, exchange, read, ChangeBody)


async def renew_key(parts: Parts, exchange: Exchange) -> None:
    """POST /api/subscription/key: who has the old one is refused from now on."""
    caller, head = await manage.enter(parts, exchange, write=True)
    _read(parts, exchange, Nothing)
    sub = await _find(parts, caller)
    minted = keys.mint_again(sub.key_id, os.urandom(keys.RANDOM_BYTES), "subscription")
    pepper = secrets.derive(parts.settings.secret, secrets.KEY_DIGEST)
    digest = keys.Digester(pepper).digest(minted.key.encode()).hex()

    async def work(tx: Tx) -> None:
        await subscriptions.set_key(tx, sub.id, digest, minted.last4, manage.now_ms())

    await _write(parts, work)
    reply_data(exchange, {"id": minted.id, "key": minted.key}, head)


Deed = Callable[[Tx, Subscription], Awaitable[None]]


async def _change(
    parts: Parts, exchange: Exchange, read: Callable[..., Deed], shape: type = Nothing
) -> None:
    """Do something to the caller's subscription, and answer with it as it is afterwards."""
    caller, head = await manage.enter(parts, exchange, write=True)
    deed = read(_read(parts, exchange, shape))
    sub = await _find(parts, caller)
    await _write(parts, lambda tx: deed(tx, sub))
    await parts.settlement.flush()
    plan = await summaries.plan_of(parts, caller.org_id, manage.now_ms())
    reply_data(exchange, None if plan is None else plan.as_json(), head)


def _read(parts: Parts, exchange: Exchange, shape: type) -> object:
    """The body; where none is needed, an empty one is as good as `{}`."""
    if shape is Nothing and not exchange.body and not exchange.oversized:
        return Nothing()
    return read_body(parts, exchange, shape)


async def _find(parts: Parts, caller: Caller) -> Subscription:
    sub = await subscriptions.find(parts.database, caller.org_id)
    if sub is None or sub.ended_ms is not None:
        raise NotFound("The organization has no subscription.", code="subscription_not_found")
    return sub


def _find_plan(parts: Parts, name: str) -> Plan:
    plan = parts.plans.plans.get(name)
    if plan is None:
        raise BadRequest(
            f"There is no plan {name!r}. GET /api/plans lists those that there are.",
            code="invalid_parameter",
            param="plan",
        )
    return plan


async def _write(parts: Parts, work: Callable[[Tx], Awaitable[None]]) -> None:
    """Raises: BadRequest, where the subscription has ended meanwhile."""
    try:
        await parts.database.write(work)
        parts.callers.forget()
    except Conflict as conflict:
        raise BadRequest(f"This cannot be done: {conflict}.") from None
