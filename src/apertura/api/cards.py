"""Saved cards, and charging one when the balance is low, for admin keys: /api/billing/….

    GET, POST /api/billing/methods              the saved cards; a page on which one is added
    POST      /api/billing/methods/{id}/default
    DELETE    /api/billing/methods/{id}
    GET, PUT  /api/billing/auto-top-up

What it is not: charging (`jobs.top_ups`). The rule that keeps it honest: a card is one of those
that the processor lists for the caller's organization, and another's is answered as none.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from apertura.api import manage
from apertura.api.amounts import dollars, read_usd
from apertura.api.manage import read_body, reply_data
from apertura.api.parts import Parts
from apertura.api.payments import customer_of, processor_of
from apertura.domain import payments as rules
from apertura.domain.identity import Caller
from apertura.domain.money import Nano
from apertura.domain.payments import AutoTopUp, Method
from apertura.errors import BadRequest
from apertura.relay.exchange import Exchange
from apertura.store import auto_top_ups, subscriptions
from apertura.store import payments as store


class AutoTopUpBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`method`: the id of a saved card; empty: the default one."""

    enabled: bool
    threshold_usd: Decimal
    amount_usd: Decimal
    method: str = ""


async def list_methods(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/methods."""
    caller, head = await manage.enter(parts, exchange)
    processor_of(parts)
    found = await _methods(parts, caller)
    reply_data(exchange, [msgspec.structs.asdict(one) for one in found], head)


async def _methods(parts: Parts, caller: Caller) -> list[Method]:
    processor = processor_of(parts)
    customer = await store.customer(parts.database, processor.name, caller.org_id)
    return await processor.methods(customer) if customer else []


async def add_method(parts: Parts, exchange: Exchange) -> None:
    """POST /api/billing/methods: the page on which a card is added."""
    caller, head = await manage.enter(parts, exchange, write=True)
    processor = processor_of(parts)
    page = await processor.card_page(await customer_of(parts, processor, caller))
    reply_data(exchange, {"url": page.url}, head, status=201)


async def set_default_method(parts: Parts, exchange: Exchange) -> None:
    """POST /api/billing/methods/{id}/default."""
    caller, head = await manage.enter(parts, exchange, write=True)
    method = manage.last_part(exchange, "/api/billing/methods/", "/default")
    await _owned(parts, caller, method)
    processor = processor_of(parts)
    customer = await customer_of(parts, processor, caller)
    await processor.set_default(customer, method)
    reply_data(exchange, {"id": method, "is_default": True}, head)


async def remove_method(parts: Parts, exchange: Exchange) -> None:
    """DELETE /api/billing/methods/{id}: refused while something needs it."""
    caller, head = await manage.enter(parts, exchange, write=True)
    method = manage.last_part(exchange, "/api/billing/methods/")
    found = await _owned(parts, caller, method)
    sub = await subscriptions.find(parts.database, caller.org_id)
    rules.check_removal(
        found,
        method,
        auto_top_up=await auto_top_ups.find(parts.database, caller.org_id),
        subscribed=sub is not None and sub.ended_ms is None and not sub.cancel_at_end,
    )
    await processor_of(parts).remove(method)
    reply_data(exchange, {"id": method, "removed": True}, head)


async def _owned(parts: Parts, caller: Caller, method: str) -> list[Method]:
    """The caller's cards, of which it is one; another's is answered as none."""
    found = await _methods(parts, caller)
    if method not in {one.id for one in found}:
        raise manage.not_found("payment method", method)
    return found


# Topping up by itself.


async def show_auto_top_up(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/auto-top-up: null if it was never set."""
    caller, head = await manage.enter(parts, exchange)
    wish = await auto_top_ups.find(parts.database, caller.org_id)
    reply_data(exchange, None if wish is None else _shown_wish(wish), head)


def _shown_wish(wish: AutoTopUp) -> dict[str, object]:
    return {
        "enabled": wish.enabled,
        "threshold_usd": dollars(wish.threshold),
        "amount_usd": dollars(wish.amount),
        "method": wish.method,
        "failures": wish.failures,
        "charging": wish.attempt is not None,
    }


async def set_auto_top_up(parts: Parts, exchange: Exchange) -> None:
    """PUT /api/billing/auto-top-up."""
    caller, head = await manage.enter(parts, exchange, write=True)
    body = read_body(parts, exchange, AutoTopUpBody)
    wish = AutoTopUp(
        org_id=caller.org_id,
        enabled=body.enabled,
        threshold=Nano(read_usd(body.threshold_usd, "threshold_usd")),
        amount=Nano(read_usd(body.amount_usd, "amount_usd")),
        method=body.method,
    )
    rules.check_auto_top_up(parts.top_ups, wish)
    if wish.enabled:
        await _check_card(parts, caller, wish.method)
    await parts.database.write(lambda tx: auto_top_ups.put(tx, wish))
    kept = await auto_top_ups.find(parts.database, caller.org_id)
    reply_data(exchange, _shown_wish(kept or wish), head)


async def _check_card(parts: Parts, caller: Caller, method: str) -> None:
    known = {one.id for one in await _methods(parts, caller)}
    if not known or method not in {"", *known}:
        raise BadRequest(
            "There is no such saved card. A top-up saves one; GET /api/billing/methods lists them.",
            code="invalid_parameter",
            param="method",
        )
