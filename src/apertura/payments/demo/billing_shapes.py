"""The demo processor's subscriptions and invoices as Stripe has them, beside the other `shapes`.

What it is not: what becomes of them (`billing`). The rule that keeps it honest: no field has a name
that Stripe does not have.
"""

from __future__ import annotations

from apertura.payments.demo.world import Thing, World


def subscription(world: World, customer_id: str, method: Thing, meta: dict[str, str]) -> Thing:
    """A Subscription that has no item yet."""
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


def item(world: World, sub: Thing, price: Thing, span: tuple[int, int]) -> Thing:
    """A SubscriptionItem for a time, in seconds since 1970."""
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


def invoice_payment(world: World, invoice: Thing, intent: Thing) -> Thing:
    """An InvoicePayment."""
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


def line(world: World, sub: Thing, invoice: str, amount: int) -> Thing:
    """An InvoiceLineItem of the item's period."""
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


def invoice(world: World, sub: Thing, reason: str, amount: int) -> Thing:
    """An Invoice of a subscription, open."""
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
            "data": [line(world, sub, name, amount)],
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
