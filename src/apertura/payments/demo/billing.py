"""Subscriptions and their invoices at the demo processor, and the time that passes for them.

What it is not: charging (`payments`). The rule that keeps it honest: a period is paid by one
invoice; time is passed by `pass_time` alone.
"""

from __future__ import annotations

import calendar
from contextlib import suppress
from datetime import UTC, datetime

from apertura.payments.demo import billing_shapes, shapes
from apertura.payments.demo.payments import confirm, default_card
from apertura.payments.demo.world import Problem, Thing, World

DRAFT_SECONDS = 3_600
"""For how long a period's invoice is a draft, unless somebody finalizes it before."""
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
    sub = billing_shapes.subscription(world, customer_id, method, dict(_meta(form)))
    day = datetime.fromtimestamp(now, UTC).day
    sub["items"]["data"].append(
        billing_shapes.item(world, sub, price, (now, add_months(now, months, day)))
    )
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


def _bill(world: World, sub: Thing, reason: str, amount: int, method: Thing) -> Thing:
    """An invoice of a subscription, paid by a card. Raises: Problem, when it is declined."""
    invoice = world.keep(billing_shapes.invoice(world, sub, reason, amount))
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
        world.keep(billing_shapes.invoice_payment(world, invoice, intent))
    invoice |= {"status": "paid", "amount_paid": amount, "amount_remaining": 0}
    invoice["status_transitions"]["paid_at"] = world.now
    world.tell("invoice.paid", invoice)


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
    if "trial_end" in form:
        _begin_trial(world, sub, int(form["trial_end"]))
    if form.get("proration_behavior") != "always_invoice":
        return
    try:
        amount = max(0, more * rest // whole)
        method = world.get(sub["default_payment_method"], "payment_method")
        _bill(world, sub, "subscription_update", amount, method)
    except Problem:
        item["price"], sub["metadata"] = before
        raise


def _begin_trial(world: World, sub: Thing, until: int) -> None:
    """What was paid is a trial of the new price now, with an invoice of nothing."""
    [item] = sub["items"]["data"]
    item |= {"current_period_start": world.now, "current_period_end": until}
    sub |= {"status": "trialing", "trial_end": until, "billing_cycle_anchor": until}
    pay(world, world.keep(billing_shapes.invoice(world, sub, "subscription_update", 0)), {})


def cancel(world: World, form: Thing, name: str) -> Thing:
    """DELETE /v1/subscriptions/{id}: at once."""
    sub = world.get(name, "subscription")
    sub |= {"status": "canceled", "canceled_at": world.now, "ended_at": world.now}
    world.tell("customer.subscription.deleted", sub)
    return sub


def pass_time(world: World, seconds: int) -> None:
    """Later: subscriptions are renewed, tried again, or end, each at its time."""
    until = world.now + seconds
    while (at := next_due(world)) is not None and at <= until:
        world.skip(max(0, at - world.now))
        due = (one for one in world.all("subscription") if _due_at(one) == at)
        _step(world, next(due))
    world.skip(max(0, until - world.now))


def next_due(world: World) -> int | None:
    """When something happens by itself, in seconds since 1970."""
    return min(filter(None, map(_due_at, world.all("subscription"))), default=None)


def _due_at(sub: Thing) -> int | None:
    if sub["status"] == "canceled":
        return None
    [item] = sub["items"]["data"]
    return int(sub["_next"] if "_unpaid" in sub else item["current_period_end"])


def _step(world: World, sub: Thing) -> None:
    if "_unpaid" in sub:
        with suppress(Problem):  # which is told, and tried again
            _collect(world, sub, world.get(sub["_unpaid"], "invoice"))
    elif sub["cancel_at_period_end"]:
        cancel(world, {}, sub["id"])
    else:
        _renew(world, sub)


def _renew(world: World, sub: Thing) -> None:
    """The next period begins, with an invoice that is a draft for an hour."""
    [item] = sub["items"]["data"]
    recurring, start = item["price"]["recurring"], item["current_period_end"]
    months = recurring["interval_count"] * (12 if recurring["interval"] == "year" else 1)
    day = datetime.fromtimestamp(sub["billing_cycle_anchor"], UTC).day
    item |= {"current_period_start": start, "current_period_end": add_months(start, months, day)}
    invoice = world.keep(
        billing_shapes.invoice(world, sub, "subscription_cycle", item["price"]["unit_amount"])
    )
    invoice |= {"status": "draft", "auto_advance": True}
    sub |= {"status": "active", "trial_end": None, "_unpaid": invoice["id"], "_tries": 0}
    sub["_next"] = world.now + DRAFT_SECONDS
    world.tell("invoice.created", invoice)
    world.tell("customer.subscription.updated", sub)


def _collect(world: World, sub: Thing, invoice: Thing) -> None:
    """Charge the invoice of a period. Raises: Problem, when it is declined."""
    _finalize(world, invoice)
    try:
        try:
            method = default_card(world, sub["customer"])
        except Problem:
            world.tell("invoice.payment_failed", invoice)
            raise
        pay(world, invoice, method)
    except Problem:
        sub |= {"_tries": sub["_tries"] + 1, "status": "past_due"}
        sub["_next"] = world.now + RETRY_SECONDS
        if sub["_tries"] > RETRIES:
            cancel(world, {}, sub["id"])
        raise
    for name in ("_unpaid", "_next", "_tries"):
        sub.pop(name)
    sub["status"] = "active"
    world.tell("customer.subscription.updated", sub)


def _finalize(world: World, invoice: Thing) -> None:
    if invoice["status"] == "draft":
        invoice["status"] = "open"
        invoice["status_transitions"]["finalized_at"] = world.now
        world.tell("invoice.finalized", invoice)


def finalize_invoice(world: World, _: Thing, name: str) -> Thing:
    """POST /v1/invoices/{id}/finalize."""
    invoice = world.get(name, "invoice")
    if invoice["status"] != "draft":
        raise Problem(400, "This invoice is already finalized.")
    _finalize(world, invoice)
    return invoice


def pay_invoice(world: World, _: Thing, name: str) -> Thing:
    """POST /v1/invoices/{id}/pay."""
    invoice = world.get(name, "invoice")
    if invoice["status"] not in ("draft", "open"):
        raise Problem(400, f"Invoice is already {invoice['status']}.")
    sub = world.get(invoice["parent"]["subscription_details"]["subscription"], "subscription")
    _collect(world, sub, invoice)
    return invoice
