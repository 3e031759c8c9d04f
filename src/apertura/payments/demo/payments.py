"""What becomes of cards, charges and refunds at the demo processor.

What it is not: subscriptions and invoices (`billing`), or pages (`checkout`). The rule that keeps
it honest: no more is refunded of a charge than was paid.
"""

from __future__ import annotations

from apertura.payments.demo import shapes
from apertura.payments.demo.world import (
    REFUSES,
    SAVED_BUT_EMPTY,
    TOKEN,
    WANTS_OWNER,
    Problem,
    Thing,
    World,
)


def save_card(world: World, token: str, customer_id: str | None) -> Thing:
    """A card of a customer, by its id or the name of a test card.

    Raises: Problem: it is not one that can be saved.
    """
    if token in TOKEN:
        method = world.keep(shapes.card(world, token, customer_id))
    else:
        method = world.get(token, "payment_method")
    last4 = method["card"]["last4"]
    if last4 in REFUSES and last4 not in (SAVED_BUT_EMPTY, WANTS_OWNER):
        raise _declined(last4)
    method["customer"] = customer_id
    world.tell("payment_method.attached", method)
    return method


def confirm(world: World, intent: Thing, method: Thing, *, owner_is_there: bool) -> None:
    """Charge a card. Raises: Problem, when it is declined."""
    last4 = method["card"]["last4"]
    refused = last4 in REFUSES and not (last4 == WANTS_OWNER and owner_is_there)
    if refused:
        problem = _declined(last4)
        intent["last_payment_error"] = {
            key: value for key, value in problem.error.items() if key != "payment_intent"
        }
        intent["payment_method"] = None
        world.tell("payment_intent.payment_failed", intent)
        problem.error["payment_intent"] = dict(intent)
        raise problem
    charge = world.keep(shapes.charge(world, intent, method))
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": charge["id"],
        "payment_method": method["id"],
        "last_payment_error": None,
    }
    world.tell("charge.succeeded", charge)
    world.tell("payment_intent.succeeded", intent)


def _declined(last4: str) -> Problem:
    code, decline = REFUSES[last4]
    return Problem(
        402, "Your card was declined.", type="card_error", code=code, decline_code=decline
    )


def create_intent(world: World, form: Thing) -> Thing:
    """POST /v1/payment_intents."""
    intent = world.keep(shapes.intent(world, form))
    if form.get("confirm") == "true":
        confirm_intent(world, form, intent["id"])
    return intent


def confirm_intent(world: World, form: Thing, name: str) -> Thing:
    """POST /v1/payment_intents/{id}/confirm."""
    intent = world.get(name, "payment_intent")
    if intent["status"] == "succeeded":
        raise Problem(400, "It succeeded already.", code="payment_intent_unexpected_state")
    token = str(form.get("payment_method") or intent["payment_method"])
    customer = intent["customer"]
    method = save_card(world, token, customer) if token in TOKEN else None
    method = method or world.get(token, "payment_method")
    if method["customer"] != customer:
        raise Problem(400, "The PaymentMethod does not belong to the Customer.")
    confirm(world, intent, method, owner_is_there=form.get("off_session") != "true")
    return intent


def create_refund(world: World, form: Thing) -> Thing:
    """POST /v1/refunds."""
    intent = world.get(form.get("payment_intent"), "payment_intent")
    charge = world.get(intent["latest_charge"], "charge")
    left = charge["amount"] - charge["amount_refunded"]
    amount = int(form.get("amount", left))
    if not 0 < amount <= left:
        raise Problem(
            400,
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            code="charge_already_refunded" if not left else "amount_too_large",
        )
    refund = world.keep(shapes.refund(world, charge, form, amount))
    if refund["status"] != "failed":
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.tell("refund.created", refund)
    world.tell("charge.refunded", charge)
    return refund


def settle_refund(world: World, name: str, status: str) -> Thing:
    """A refund that was pending succeeds; or one fails, even one that had succeeded."""
    refund = world.get(name, "refund")
    refund["status"] = status
    if status == "failed":
        charge = world.get(refund["charge"], "charge")
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
    world.tell("refund.failed" if status == "failed" else "refund.updated", refund)
    return refund


def dispute(world: World, intent_id: str) -> Thing:
    """The card's owner says that they did not pay; the bank takes the money."""
    intent = world.get(intent_id, "payment_intent")
    charge = world.get(intent["latest_charge"], "charge")
    charge["disputed"] = True
    made = world.keep(shapes.dispute(world, charge, charge["amount"]))
    world.tell("charge.dispute.created", made)
    world.tell("charge.dispute.funds_withdrawn", made)
    return made


def win(world: World, dispute_id: str) -> Thing:
    """The bank gives the money back to us."""
    won = world.get(dispute_id, "dispute")
    won["status"] = "won"
    world.tell("charge.dispute.closed", won)
    world.tell("charge.dispute.funds_reinstated", won)
    return won


def cards_of(world: World, customer_id: str) -> list[Thing]:
    """The saved cards of a customer, the newest first."""
    return [one for one in world.all("payment_method") if one["customer"] == customer_id]


def detach(world: World, form: Thing, name: str) -> Thing:
    """POST /v1/payment_methods/{id}/detach."""
    method = world.get(name, "payment_method")
    if method["customer"] is None:
        raise Problem(400, "The payment method is not attached to a customer.")
    customer = world.get(method["customer"], "customer")
    if customer["invoice_settings"]["default_payment_method"] == name:
        customer["invoice_settings"]["default_payment_method"] = None
    method["customer"] = None
    world.tell("payment_method.detached", method)
    return method


def attach(world: World, form: Thing, name: str) -> Thing:
    """POST /v1/payment_methods/{id}/attach."""
    customer = world.get(form.get("customer"), "customer")
    return save_card(world, name, customer["id"])


def create_setup(world: World, form: Thing) -> Thing:
    """POST /v1/setup_intents, confirmed at once."""
    customer = world.get(form.get("customer"), "customer")
    method = save_card(world, str(form.get("payment_method")), customer["id"])
    made = world.keep(shapes.setup_intent(world, customer["id"], method))
    world.tell("setup_intent.succeeded", made)
    return made


def default_card(world: World, customer_id: str) -> Thing:
    """The card for renewals. Raises: Problem: there is none."""
    customer = world.get(customer_id, "customer")
    chosen = customer["invoice_settings"]["default_payment_method"]
    if chosen:
        return world.get(chosen, "payment_method")
    cards = cards_of(world, customer_id)
    if not cards:
        raise Problem(402, "The customer has no card.", type="card_error", code="missing")
    return cards[0]
