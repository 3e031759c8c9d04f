"""The demo processor's objects as Stripe has them: each field that its schema requires, and those
that the gateway reads.

Source: Stripe's OpenAPI description, 2026-05-27; tests hold every object that leaves here against
it. What it is not: what becomes of an object. The rule that keeps it honest: no field has a name
that Stripe does not have.
"""

from __future__ import annotations

from typing import Any

from apertura.payments.demo.world import TOKEN, Problem, Thing, World

_NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def _thing(world: World, kind: str, prefix: str, **fields: Any) -> Thing:
    return {
        "id": world.new_id(prefix),
        "object": kind,
        "created": world.now,
        "livemode": False,
        **fields,
    }


def _meta(form: Thing) -> dict[str, str]:
    return dict(form.get("metadata") or {})


def customer(world: World, form: Thing) -> Thing:
    """A Customer."""
    return _thing(
        world,
        "customer",
        "cus",
        name=form.get("name"),
        email=form.get("email"),
        description=None,
        default_source=None,
        shipping=None,
        metadata=_meta(form),
        invoice_settings={
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
    )


def card(world: World, token: str, customer_id: str | None) -> Thing:
    """A PaymentMethod of a card, by the name of a test card."""
    if token not in TOKEN:
        raise Problem(404, f"No such PaymentMethod: '{token}'", code="resource_missing")
    brand, last4 = TOKEN[token]
    details = {
        "brand": brand,
        "checks": None,
        "country": "US",
        "display_brand": brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": None,
        "funding": "credit",
        "generated_from": None,
        "last4": last4,
        "networks": None,
        "three_d_secure_usage": None,
        "wallet": None,
    }
    return _thing(
        world,
        "payment_method",
        "pm",
        type="card",
        customer=customer_id,
        billing_details=_billing(),
        card=details,
        metadata={},
    )


def _billing() -> Thing:
    return {"address": _NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None}


def intent(world: World, form: Thing) -> Thing:
    """A PaymentIntent that waits for a card."""
    amount = int(form["amount"])
    if amount < 50:
        raise Problem(400, "Amount must be at least $0.50 usd", code="amount_too_small")
    made = _thing(
        world,
        "payment_intent",
        "pi",
        amount=amount,
        amount_received=0,
        amount_capturable=0,
        currency=str(form.get("currency", "usd")),
        customer=form.get("customer"),
        payment_method=form.get("payment_method"),
        payment_method_types=["card"],
        setup_future_usage=form.get("setup_future_usage"),
        capture_method="automatic_async",
        confirmation_method="automatic",
        description=None,
        last_payment_error=None,
        latest_charge=None,
        metadata=_meta(form),
        status="requires_payment_method",
    )
    made["client_secret"] = f"{made['id']}_secret"
    return made


def charge(world: World, intent: Thing, method: Thing) -> Thing:
    """A Charge of a PaymentIntent that was paid."""
    return _thing(
        world,
        "charge",
        "ch",
        amount=intent["amount"],
        amount_captured=intent["amount"],
        amount_refunded=0,
        balance_transaction=None,
        billing_details=_billing(),
        captured=True,
        currency=intent["currency"],
        customer=intent["customer"],
        disputed=False,
        failure_code=None,
        failure_message=None,
        metadata=dict(intent["metadata"]),
        paid=True,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=None,
        receipt_url=None,
        refunded=False,
        status="succeeded",
    )


def refund(world: World, charge: Thing, form: Thing, amount: int) -> Thing:
    """A Refund of a part of a Charge."""
    made = _thing(
        world,
        "refund",
        "re",
        amount=amount,
        balance_transaction=None,
        charge=charge["id"],
        currency=charge["currency"],
        metadata=_meta(form),
        payment_intent=charge["payment_intent"],
        reason=form.get("reason"),
        receipt_number=None,
        source_transfer_reversal=None,
        status=world.refund_status,
        transfer_reversal=None,
    )
    made.pop("livemode")
    return made


def dispute(world: World, charge: Thing, amount: int) -> Thing:
    """A Dispute of a Charge."""
    evidence = dict.fromkeys(_EVIDENCE)
    evidence["enhanced_evidence"] = {}
    return _thing(
        world,
        "dispute",
        "dp",
        amount=amount,
        balance_transactions=[],
        charge=charge["id"],
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        evidence=evidence,
        evidence_details={
            "due_by": None,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        is_charge_refundable=False,
        metadata={},
        payment_intent=charge["payment_intent"],
        reason="fraudulent",
        status="needs_response",
    )


_EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)


def setup_intent(world: World, customer_id: object, method: Thing) -> Thing:
    """A SetupIntent that has saved a card."""
    return _thing(
        world,
        "setup_intent",
        "seti",
        application=None,
        cancellation_reason=None,
        client_secret=None,
        customer=customer_id,
        description=None,
        excluded_payment_method_types=None,
        last_setup_error=None,
        latest_attempt=None,
        mandate=None,
        metadata={},
        next_action=None,
        on_behalf_of=None,
        payment_method=method["id"],
        payment_method_configuration_details=None,
        payment_method_options=None,
        payment_method_types=["card"],
        single_use_mandate=None,
        status="succeeded",
        usage="off_session",
    )


def product(world: World, name: str) -> Thing:
    """A Product."""
    return _thing(
        world,
        "product",
        "prod",
        active=True,
        default_price=None,
        description=None,
        images=[],
        marketing_features=[],
        metadata={},
        name=name,
        package_dimensions=None,
        shippable=None,
        tax_code=None,
        updated=world.now,
        url=None,
    )


def price(world: World, product_id: str, form: Thing) -> Thing:
    """A Price, once or recurring."""
    recurring = form.get("recurring")
    if recurring is not None:
        recurring = {
            "interval": recurring["interval"],
            "interval_count": int(recurring.get("interval_count", 1)),
            "meter": None,
            "usage_type": "licensed",
        }
    return _thing(
        world,
        "price",
        "price",
        active=True,
        billing_scheme="per_unit",
        currency=str(form["currency"]),
        lookup_key=form.get("lookup_key"),
        metadata={},
        nickname=None,
        product=product_id,
        recurring=recurring,
        tax_behavior="unspecified",
        tiers_mode=None,
        transform_quantity=None,
        type="recurring" if recurring else "one_time",
        unit_amount=int(form["unit_amount"]),
        unit_amount_decimal=str(form["unit_amount"]),
    )


def portal(world: World, form: Thing) -> Thing:
    """A Session of the customer portal."""
    made = _thing(
        world,
        "billing_portal.session",
        "bps",
        configuration="bpc_demo",
        customer=form["customer"],
        customer_account=None,
        flow=None,
        locale=None,
        on_behalf_of=None,
        return_url=form.get("return_url"),
    )
    made["url"] = f"{world.url}/portal/{made['id']}"
    return made


def page(world: World, form: Thing, amount: int | None) -> Thing:
    """A Checkout Session."""
    made = _thing(
        world,
        "checkout.session",
        "cs_test",
        adaptive_pricing=None,
        after_expiration=None,
        allow_promotion_codes=None,
        amount_subtotal=amount,
        amount_total=amount,
        automatic_tax={"enabled": False, "liability": None, "provider": None, "status": None},
        billing_address_collection=None,
        cancel_url=form.get("cancel_url"),
        client_reference_id=None,
        consent=None,
        consent_collection=None,
        currency="usd",
        currency_conversion=None,
        custom_fields=[],
        custom_text=dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        customer=form.get("customer"),
        customer_creation=None,
        customer_details=None,
        customer_email=None,
        discounts=None,
        expires_at=world.now + 86_400,
        invoice=None,
        invoice_creation=None,
        locale=None,
        metadata=_meta(form),
        mode=form["mode"],
        payment_intent=None,
        payment_link=None,
        payment_method_collection="if_required",
        payment_method_configuration_details=None,
        payment_method_options={},
        payment_method_types=["card"],
        payment_status="no_payment_required" if form["mode"] == "setup" else "unpaid",
        phone_number_collection={"enabled": False},
        recovered_from=None,
        setup_intent=None,
        shipping_address_collection=None,
        shipping_cost=None,
        shipping_options=[],
        status="open",
        submit_type=None,
        subscription=None,
        success_url=form.get("success_url"),
        total_details=None,
        ui_mode="hosted_page",
    )
    made["url"] = f"{world.url}/pay/{made['id']}"
    return made
