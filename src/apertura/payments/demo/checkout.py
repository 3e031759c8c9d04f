"""The demo processor's pages: Checkout, with Pay and Decline, and the customer portal.

What it is not: what a payment does (`payments`, `billing`). The rule that keeps it honest: a page
is paid once, and not after its time.
"""

from __future__ import annotations

from html import escape
from typing import Any

from apertura.payments.demo import billing, shapes
from apertura.payments.demo.http import Answer, Asked
from apertura.payments.demo.payments import cards_of, confirm, save_card
from apertura.payments.demo.world import Problem, Thing, World

CARDS = {
    "pm_card_visa": "Pay with Visa 4242",
    "pm_card_mastercard": "Pay with Mastercard 4444",
    "pm_card_amex": "Pay with Amex 8431",
    "pm_card_chargeCustomerFail": "Pay with Visa 0341 (later charges are declined)",
    "pm_card_chargeDeclined": "Decline",
}
"""The buttons. 0341 cannot pay here either, but it can be saved."""


def create(world: World, form: Thing) -> Thing:
    """POST /v1/checkout/sessions."""
    mode = form.get("mode")
    if mode not in ("payment", "subscription", "setup"):
        raise Problem(400, "You must provide a mode.", param="mode")
    amount = None
    if mode != "setup":
        lines = form.get("line_items") or []
        if not lines:
            raise Problem(400, "Missing required param: line_items.", param="line_items")
        amount = sum(
            billing.price_of(world, line)["unit_amount"] * int(line.get("quantity", 1))
            for line in lines
        )
    page = world.keep(shapes.page(world, form, amount))
    page["_form"] = form
    return page


def expire(world: World, form: Thing, name: str) -> Thing:
    """POST /v1/checkout/sessions/{id}/expire."""
    page = world.get(name, "checkout.session")
    if page["status"] != "open":
        raise Problem(400, "Only Checkout Sessions with a status in [open] can be expired.")
    page |= {"status": "expired", "url": None}
    world.tell("checkout.session.expired", page)
    return page


def pay(world: World, name: str, token: str) -> str:
    """Somebody pays on a page; returns where they are sent. Raises: Problem, when declined."""
    page = world.get(name, "checkout.session")
    if page["status"] == "open" and page["expires_at"] <= world.now:
        expire(world, {}, name)
    if page["status"] != "open":
        raise Problem(400, "This page is closed.")
    form: dict[str, Any] = page["_form"]
    if page["mode"] == "payment":
        _pay_once(world, page, form, token)
    else:
        method = save_card(world, token, page["customer"])
        if page["mode"] == "subscription":
            sub = billing.begin(world, form, page["customer"], method)
            page |= {"subscription": sub["id"], "payment_status": "paid"}
            page["invoice"] = next(world.all("invoice").__iter__())["id"]
        else:
            made = world.keep(shapes.setup_intent(world, page["customer"], method))
            page["setup_intent"] = made["id"]
            world.tell("setup_intent.succeeded", made)
    page |= {"status": "complete", "url": None}
    world.tell("checkout.session.completed", page)
    return str(page["success_url"] or world.url)


def _pay_once(world: World, page: Thing, form: Thing, token: str) -> None:
    data = form.get("payment_intent_data") or {}
    if page["payment_intent"]:  # a second try
        intent = world.get(page["payment_intent"], "payment_intent")
    else:
        fields = {"amount": page["amount_total"], "customer": page["customer"], **data}
        intent = world.keep(shapes.intent(world, fields))
        page["payment_intent"] = intent["id"]
    method = world.keep(shapes.card(world, token, None))
    confirm(world, intent, method, owner_is_there=True)
    if data.get("setup_future_usage"):
        save_card(world, method["id"], page["customer"])
    page["payment_status"] = "paid"


# As HTML.


def show(world: World, asked: Asked, name: str) -> Answer:
    """GET /pay/{id}: the page; POST: one of its buttons."""
    page = world.get(name, "checkout.session")
    said = ""
    if asked.method == "POST":
        try:
            place = pay(world, name, str(asked.form.get("card")))
        except Problem as problem:
            said = f'<p role="alert">{escape(str(problem))}</p>'
        else:
            return Answer(303, b"", headers=(("Location", place),))
    amount = "Save a card" if page["amount_total"] is None else _usd(page["amount_total"])
    buttons = "".join(
        f'<p><button name="card" value="{token}">{escape(label)}</button></p>'
        for token, label in CARDS.items()
    )
    form = f'<form method="post">{buttons}</form>' if page["status"] == "open" else "<p>Closed.</p>"
    back = f'<p><a href="{escape(page["cancel_url"] or "/")}">Back</a></p>'
    return _html(f"<h1>{amount}</h1>{said}{form}{back}")


def show_portal(world: World, asked: Asked, name: str) -> Answer:
    """GET /portal/{id}: cards and charges of a customer."""
    portal = world.get(name, "billing_portal.session")
    cards = "".join(
        f"<li>{escape(one['card']['brand'])} {escape(one['card']['last4'])}</li>"
        for one in cards_of(world, portal["customer"])
    )
    charges = "".join(
        f"<li>{_usd(one['amount'])}, of which {_usd(one['amount_refunded'])} went back</li>"
        for one in world.all("charge")
        if one["customer"] == portal["customer"]
    )
    back = f'<p><a href="{escape(portal["return_url"] or "/")}">Back</a></p>'
    return _html(f"<h1>Cards</h1><ul>{cards}</ul><h1>Payments</h1><ul>{charges}</ul>{back}")


def _usd(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d} USD"


def _html(body: str) -> Answer:
    page = f"<!doctype html><title>Demo payment</title><p>No money moves here.</p>{body}"
    return Answer(200, page.encode(), "text/html; charset=utf-8")
