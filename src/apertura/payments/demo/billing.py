"""Subscriptions and their invoices at the demo processor, and the time that passes for them.

What it is not: charging (`payments`). The rule that keeps it honest: a period is paid by one
invoice; time is passed by `pass_time` alone.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

from apertura.payments.demo import shapes
from apertura.payments.demo.payments import confirm, default_card
from apertura.payments.demo.world import Problem, Thing, World

RETRY_SECONDS = 3 * 86_400
RETRIES = 3
"""After the first failure; then the subscription ends."""


def add_months(at: int, months: int, day: int) -> int:
    """Seconds since 1970, so many months later, on a day or the last one of the month."""
    moment = datetime.fromtimestamp(at, UTC)
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return int(moment.replace(year=year, month=month + 1, day=min(day, last)).timestamp())


def begin(world: World, form: Thing, customer_id: str, method: Thing) -> Thing:
    """A subscription whose first period is paid by a card. Raises: Problem, when it is declined."""
    [line] = form["line_items"]
    price = price_of(world, line)
    now = world.now
    recurring = price["recurring"]
    months = recurring["interval_count"] * (12 if recurring["interval"] == "year" else 1)
    sub = _subscription(world, customer_id, method, dict(_meta(form)))
    day = datetime.fromtimestamp(now, UTC).day
    sub["items"]["data"].append(_item(world, sub, price, (now, add_months(now, months, day))))
    _bill(world, sub, "subscription_create", price["unit_amount"], method)
    world.keep(sub)
    world.tell("customer.subscription.created", sub)
    return sub


def _meta(form: Thing) -> dict[str, str]:
    return (form.get("subscription_data") or {}).get("metadata") or {}


def price_of(world: World, line: Thing) -> Thing:
    """The price of a line: named, or made of its data."""
    if "price" in line:
        return world.get(line["price"], "price")
    data = line["price_data"]
    name = (
        data.get("product") or world.keep(shapes.product(world, data["product_data"]["name"]))["id"]
    )
    return world.keep(shapes.price(world, name, data))


def _subscription(world: World, customer_id: str, method: Thing, meta: dict[str, str]) -> Thing:
    return {
        "id": world.new_id("sub"),
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": world.now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"type": "classic", "flexible": None},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": None,
        "collection_method": "charge_automatically",
        "created": world.now,
        "currency": "usd",
        "customer": customer_id,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": method["id"],
        "default_source": None,
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {"object": "list", "data": [], "has_more": False, "url": "/v1/items"},
        "latest_invoice": None,
        "livemode": False,
        "metadata": meta,
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": None,
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": world.now,
        "status": "active",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": None,
        "trial_start": None,
    }


def _item(world: World, sub: Thing, price: Thing, span: tuple[int, int]) -> Thing:
    return {
        "id": world.new_id("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": world.now,
        "current_period_start": span[0],
        "current_period_end": span[1],
        "discounts": [],
        "metadata": {},
        "price": price,
        "quantity": 1,
        "subscription": sub["id"],
        "tax_rates": [],
    }


def _bill(world: World, sub: Thing, reason: str, amount: int, method: Thing) -> Thing:
    """An invoice of a subscription, paid by a card. Raises: Problem, when it is declined."""
    invoice = world.keep(_invoice(world, sub, reason, amount))
    pay(world, invoice, method)
    return invoice


def pay(world: World, invoice: Thing, method: Thing) -> None:
    """Charge a card for an invoice. Raises: Problem, when it is declined."""
    invoice["attempted"], amount = True, invoice["amount_due"]
    invoice["attempt_count"] += 1
    if amount:
        form = {"amount": amount, "customer": invoice["customer"]}
        intent = world.keep(shapes.intent(world, form))
        try:
            confirm(world, intent, method, owner_is_there=False)
        except Problem:
            world.tell("invoice.payment_failed", invoice)
            raise
        world.keep(_invoice_payment(world, invoice, intent))
    invoice |= {"status": "paid", "amount_paid": amount, "amount_remaining": 0}
    invoice["status_transitions"]["paid_at"] = world.now
    world.tell("invoice.paid", invoice)


def _invoice_payment(world: World, invoice: Thing, intent: Thing) -> Thing:
    return {
        "id": world.new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": intent["amount"],
        "amount_requested": intent["amount"],
        "created": world.now,
        "currency": "usd",
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": world.now},
    }


def _line(world: World, sub: Thing, invoice: str, amount: int) -> Thing:
    [item] = sub["items"]["data"]
    span = {"start": item["current_period_start"], "end": item["current_period_end"]}
    return {
        "id": world.new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": "usd",
        "description": None,
        "discount_amounts": None,
        "discountable": True,
        "discounts": [],
        "invoice": invoice,
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": span,
        "pretax_credit_amounts": None,
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": None,
        "subscription": sub["id"],
        "subtotal": amount,
        "taxes": None,
    }


def _invoice(world: World, sub: Thing, reason: str, amount: int) -> Thing:
    name = world.new_id("in")
    details = {
        "metadata": dict(sub["metadata"]),
        "subscription": sub["id"],
    }
    sums = dict.fromkeys(("amount_due", "amount_remaining", "subtotal", "total"), amount)
    none = dict.fromkeys(_ZERO, 0)
    return {
        "id": name,
        "object": "invoice",
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "automatic_tax": dict.fromkeys(("disabled_reason", "liability", "provider", "status"))
        | {"enabled": False},
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": world.now,
        "currency": "usd",
        "customer": sub["customer"],
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "lines": {
            "object": "list",
            "data": [_line(world, sub, name, amount)],
            "has_more": False,
            "url": "/v1/lines",
        },
        "livemode": False,
        "metadata": {},
        "parent": {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": details,
        },
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": world.now,
        "period_start": world.now,
        "status": "open",
        "status_transitions": dict.fromkeys(
            ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        ),
        **sums,
        **none,
    }


_ZERO = (
    "amount_overpaid",
    "amount_paid",
    "amount_paid_off_stripe",
    "amount_shipping",
    "post_payment_credit_notes_amount",
    "pre_payment_credit_notes_amount",
    "starting_balance",
)


# Changes.


def update(world: World, form: Thing, name: str) -> Thing:
    """POST /v1/subscriptions/{id}: other items, metadata, or its end."""
    sub = world.get(name, "subscription")
    if sub["status"] == "canceled":
        raise Problem(400, "A canceled subscription can only update its metadata.")
    if "items" in form:
        _change_price(world, sub, form)
    sub["metadata"] |= form.get("metadata") or {}
    if "cancel_at_period_end" in form:
        sub["cancel_at_period_end"] = form["cancel_at_period_end"] == "true"
    world.tell("customer.subscription.updated", sub)
    return sub


def _change_price(world: World, sub: Thing, form: Thing) -> None:
    [item], [wanted] = sub["items"]["data"], form["items"]
    price = price_of(world, wanted)
    if price["recurring"] != item["price"]["recurring"] and "trial_end" not in form:
        raise Problem(400, "This demo changes no billing interval before its end.")
    before = item["price"], dict(sub["metadata"])
    more = price["unit_amount"] - item["price"]["unit_amount"]
    whole = item["current_period_end"] - item["current_period_start"]
    rest = max(0, item["current_period_end"] - world.now)
    item["price"] = price
    sub["metadata"] |= form.get("metadata") or {}
    if form.get("proration_behavior") != "always_invoice":
        return
    try:
        amount = max(0, more * rest // whole)
        method = world.get(sub["default_payment_method"], "payment_method")
        _bill(world, sub, "subscription_update", amount, method)
    except Problem:
        item["price"], sub["metadata"] = before
        raise


def cancel(world: World, form: Thing, name: str) -> Thing:
    """DELETE /v1/subscriptions/{id}: at once."""
    sub = world.get(name, "subscription")
    sub |= {"status": "canceled", "canceled_at": world.now, "ended_at": world.now}
    world.tell("customer.subscription.deleted", sub)
    return sub


def pass_time(world: World, seconds: int) -> None:
    """Later: subscriptions are renewed, tried again, or end, each at its time."""
    until = world.now + seconds
    while True:
        subs = [one for one in world.all("subscription") if one["status"] != "canceled"]
        due = [(_due_at(one), one["id"]) for one in subs]
        if not due or min(due)[0] > until:
            break
        at, name = min(due)
        world.skip(max(0, at - world.now))
        _renew(world, world.get(name, "subscription"))
    world.skip(max(0, until - world.now))


def _due_at(sub: Thing) -> int:
    [item] = sub["items"]["data"]
    tries = int(sub.get("_tries", 0))
    return int(item["current_period_end"]) + tries * RETRY_SECONDS


def _renew(world: World, sub: Thing) -> None:
    [item] = sub["items"]["data"]
    if sub["cancel_at_period_end"] or sub.get("_tries", 0) > RETRIES:
        sub.pop("_tries", None)
        cancel(world, {}, sub["id"])
        return
    recurring, start = item["price"]["recurring"], item["current_period_end"]
    months = recurring["interval_count"] * (12 if recurring["interval"] == "year" else 1)
    day = datetime.fromtimestamp(sub["billing_cycle_anchor"], UTC).day
    before = item["current_period_start"]
    item |= {"current_period_start": start, "current_period_end": add_months(start, months, day)}
    try:
        method = default_card(world, sub["customer"])
        _bill(world, sub, "subscription_cycle", item["price"]["unit_amount"], method)
    except Problem:
        item |= {"current_period_start": before, "current_period_end": start}
        sub["_tries"], sub["status"] = sub.get("_tries", 0) + 1, "past_due"
        return
    sub.pop("_tries", None)
    sub["status"] = "active"
    world.tell("customer.subscription.updated", sub)
