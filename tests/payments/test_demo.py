"""The double is as Stripe: its objects fit Stripe's own description, and it does what they say."""

from __future__ import annotations

from typing import Any

import pytest

from apertura.payments.demo import billing, checkout, payments
from apertura.payments.demo.server import public
from apertura.payments.demo.world import Problem, World
from tests.payments.schema import problems


@pytest.fixture
def world() -> World:
    world = World(lambda: 1_790_000_000.5)
    world.url = "http://127.0.0.1:1"
    return world


def _checkout(world: World, mode: str = "payment", **more: Any) -> dict[str, Any]:

    customer = payments.shapes.customer(world, {"name": "Example Ltd"})
    world.keep(customer)
    price: dict[str, Any] = {"currency": "usd", "unit_amount": "1200"}
    if mode == "subscription":
        price["recurring"] = {"interval": "month", "interval_count": "1"}
    price["product_data"] = {"name": "Lite"}
    form = {
        "mode": mode,
        "customer": customer["id"],
        "line_items": [{"price_data": price, "quantity": "1"}],
        "success_url": "https://example.com/done",
        "cancel_url": "https://example.com/back",
        **more,
    }
    return checkout.create(world, form)


def test_objects_fit_stripes_description(world: World) -> None:
    """Everything that a busy life leaves behind, and every event on the way."""
    data = {"setup_future_usage": "off_session", "metadata": {"payment": "pay_1"}}
    page = _checkout(world, payment_intent_data=data)
    with pytest.raises(Problem):
        checkout.pay(world, page["id"], "pm_card_chargeDeclined")
    checkout.pay(world, page["id"], "pm_card_visa")
    refund = payments.create_refund(
        world, {"payment_intent": page["payment_intent"], "amount": "200"}
    )
    payments.settle_refund(world, refund["id"], "failed")
    payments.win(world, payments.dispute(world, page["payment_intent"])["id"])
    checkout.expire(world, {}, _checkout(world)["id"])
    checkout.pay(world, _checkout(world, "setup")["id"], "pm_card_mastercard")
    checkout.pay(world, _checkout(world, "subscription")["id"], "pm_card_visa")
    billing.pass_time(world, 40 * 86_400)
    world.keep(payments.shapes.portal(world, {"customer": page["customer"]}))
    payments.create_setup(world, {"customer": page["customer"], "payment_method": "pm_card_amex"})

    seen = {one["object"] for one in world.things.values()}
    assert {"invoice", "subscription", "refund", "dispute", "charge", "setup_intent"} <= seen
    for one in [*world.things.values(), *(event["data"]["object"] for event in world.events)]:
        assert problems(one["object"], public(one)) == []
    for event in world.events:
        assert problems("event", public(event)) == []


def test_the_oracle_finds_what_is_wrong() -> None:
    """A field that is missing, of another type, or invented."""
    assert problems("refund", {"object": "refund", "amount": "1", "made_up": 1}) != []


def test_a_page_is_paid_once(world: World) -> None:
    """After it was paid, or closed, it takes nothing."""
    page = _checkout(world)
    checkout.pay(world, page["id"], "pm_card_visa")

    with pytest.raises(Problem):
        checkout.pay(world, page["id"], "pm_card_visa")

    paid = [one for one in world.events if one["type"] == "payment_intent.succeeded"]
    assert len(paid) == 1


def test_time_renews_and_ends_a_subscription(world: World) -> None:
    """A period is paid once; without a good card it is tried again, and ends."""
    page = _checkout(world, "subscription")
    checkout.pay(world, page["id"], "pm_card_visa")
    world.events.clear()

    billing.pass_time(world, 32 * 86_400)
    assert [one["type"] for one in world.events].count("invoice.paid") == 1

    [card] = payments.cards_of(world, page["customer"])
    card["card"]["last4"] = "0341"
    billing.pass_time(world, 60 * 86_400)
    kinds = [one["type"] for one in world.events]
    assert kinds.count("invoice.payment_failed") == 4
    assert kinds[-1] == "customer.subscription.deleted"
