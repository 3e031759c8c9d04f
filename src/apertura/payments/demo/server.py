"""The demo processor, running: Stripe's endpoints over the demo's world, on the loopback address.

    async with Demo(webhook="http://127.0.0.1:8000/webhooks/stripe", secret="whsec_x") as demo:
        Stripe("sk_test_demo", "whsec_x", public_url=…, url=demo.url)

What it is not: the whole of Stripe. The rule that keeps it honest: a path, or a parameter of money,
that it does not know is refused and not overlooked.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from apertura.payments.demo import billing, checkout, memory, payments, shapes
from apertura.payments.demo.delivery import Deliveries
from apertura.payments.demo.http import Answer, Asked, listen
from apertura.payments.demo.world import Kept, Problem, Thing, World

Act = Callable[..., Thing]
SECRET = "whsec_demo"  # noqa: S105  # it signs what is only played


class Demo:
    """One processor. `hold` keeps its messages back, to be sent by hand (`deliveries`); with a
    `file`, the next one goes on from there.
    """

    def __init__(
        self, *, webhook: str = "", secret: str = SECRET, copies: int = 1, file: Path | None = None
    ) -> None:
        self.world = World()
        self.deliveries = Deliveries(webhook, secret, copies=copies)
        self.hold = not webhook
        self.asked: list[str] = []
        """What was asked for, in order."""
        self.fault: Callable[[Asked, Answer], Answer | None] = lambda _, answer: answer
        """For tests: another answer, or None for none, after the deed is done."""
        self._file = file
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.world.url

    async def __aenter__(self) -> Demo:
        if self._file is not None:
            memory.load(self.world, self._file)
        self._server = await listen(self._respond)
        port = self._server.sockets[0].getsockname()[1]
        self.world.url = f"http://127.0.0.1:{port}"
        self.world.on_event = self._on_event
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        await self.deliveries.close()

    def _on_event(self, event: Thing) -> None:
        if not self.hold:
            self.deliveries.send(event)

    async def _respond(self, asked: Asked) -> Answer:
        self.asked.append(f"{asked.method} {asked.path}")
        answer = self.fault(asked, self._answer(asked))
        if self._file is not None and asked.method != "GET":
            memory.save(self.world, self._file)
        if answer is None:
            raise ValueError("no answer")
        return answer

    def _answer(self, asked: Asked) -> Answer:
        try:
            for pattern, show in _PAGES:
                if found := re.fullmatch(pattern, asked.path):
                    return show(self.world, asked, *found.groups())
            if not asked.headers.get("authorization", "").startswith("Bearer sk_"):
                raise Problem(401, "You did not provide an API key.")
            return self._once(asked)
        except Problem as problem:
            return Answer(problem.status, _json({"error": problem.error}))
        except (KeyError, ValueError, TypeError) as error:
            fault = {"type": "invalid_request_error", "message": f"not understood: {error}"}
            return Answer(400, _json({"error": fault}))

    def _once(self, asked: Asked) -> Answer:
        """What is asked again under the same idempotency key is answered again, and not done."""
        key = asked.headers.get("idempotency-key", "") if asked.method == "POST" else ""
        kept = self.world.replies.get(key) if key else None
        if kept is not None:
            if kept.asked != asked.path.encode() + asked.raw:
                raise Problem(
                    400,
                    "Keys for idempotent requests can only be used with the same parameters.",
                    type="idempotency_error",
                )
            replayed = (("Idempotent-Replayed", "true"),)
            return Answer(kept.status, kept.body, headers=replayed)
        try:
            answer = Answer(200, _json(public(_act(self.world, asked))))
        except Problem as problem:
            answer = Answer(problem.status, _json({"error": public(problem.error)}))
        if key:
            mark = asked.path.encode() + asked.raw
            self.world.replies[key] = Kept(mark, answer.status, answer.body)
        return answer


def _act(world: World, asked: Asked) -> Thing:
    for method, pattern, act in _ROUTES:
        if method == asked.method and (found := re.fullmatch(pattern, asked.path)):
            return act(world, asked.form, *found.groups())
    raise Problem(404, f"Unrecognized request URL ({asked.method}: {asked.path}).")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def public(thing: Any) -> Any:
    """Without what we keep for ourselves."""
    if isinstance(thing, dict):
        return {name: public(part) for name, part in thing.items() if not name.startswith("_")}
    return [public(part) for part in thing] if isinstance(thing, list) else thing


def _listed(things: Iterable[Thing], form: Thing, url: str) -> Thing:
    found = list(things)
    most = int(form.get("limit", 10))
    if after := form.get("starting_after"):
        names = [one["id"] for one in found]
        found = found[names.index(after) + 1 :]
    return {"object": "list", "data": found[:most], "has_more": len(found) > most, "url": url}


def _create_customer(world: World, form: Thing) -> Thing:
    made = world.keep(shapes.customer(world, form))
    world.tell("customer.created", made)
    return made


def _update_customer(world: World, form: Thing, name: str) -> Thing:
    held = world.get(name, "customer")
    chosen = (form.get("invoice_settings") or {}).get("default_payment_method")
    if chosen:
        if world.get(chosen, "payment_method")["customer"] != name:
            raise Problem(400, "The payment method is not attached to this customer.")
        held["invoice_settings"]["default_payment_method"] = chosen
    held |= {field: form[field] for field in ("name", "email") if field in form}
    world.tell("customer.updated", held)
    return held


def _create_portal(world: World, form: Thing) -> Thing:
    world.get(form.get("customer"), "customer")
    return world.keep(shapes.portal(world, form))


def _create_product(world: World, form: Thing) -> Thing:
    return world.keep(shapes.product(world, str(form["name"])))


def _create_price(world: World, form: Thing) -> Thing:
    return billing.price_of(world, {"price_data": form})


def _list_cards(world: World, form: Thing, name: str) -> Thing:
    world.get(name, "customer")
    return _listed(payments.cards_of(world, name), form, "/v1/payment_methods")


def _list_intents(world: World, form: Thing) -> Thing:
    span = form.get("created") or {}
    least, most = int(span.get("gte", 0)), int(span.get("lte", 1 << 60))
    customer = form.get("customer")
    found = [
        one
        for one in world.all("payment_intent")
        if least <= one["created"] <= most and customer in (None, one["customer"])
    ]
    return _listed(found, form, "/v1/payment_intents")


def _list_refunds(world: World, form: Thing) -> Thing:
    found = [one for one in world.all("refund") if one["payment_intent"] == form["payment_intent"]]
    return _listed(found, form, "/v1/refunds")


def _list_of(kind: str, *fields: str) -> Act:
    """A list of objects whose fields are as asked."""

    def act(world: World, form: Thing) -> Thing:
        wanted = {field: form[field] for field in fields if field in form}
        found = [
            one
            for one in world.all(kind)
            if all(_field(one, field) == value for field, value in wanted.items())
        ]
        return _listed(found, form, f"/v1/{kind}s")

    return act


def _field(thing: Thing, field: str) -> object:
    if field == "subscription":
        return thing["parent"]["subscription_details"]["subscription"]
    return thing[field]


def _shown(kind: str) -> Act:
    return lambda world, _, name: copy.deepcopy(world.get(name, kind))


_ID = r"([A-Za-z0-9_]+)"
_PAGES = (
    (f"/pay/{_ID}", checkout.show),
    (f"/portal/{_ID}", checkout.show_portal),
)
_ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("POST", "/v1/customers", _create_customer),
    ("GET", f"/v1/customers/{_ID}", _shown("customer")),
    ("POST", f"/v1/customers/{_ID}", _update_customer),
    ("GET", f"/v1/customers/{_ID}/payment_methods", _list_cards),
    ("GET", f"/v1/payment_methods/{_ID}", _shown("payment_method")),
    ("POST", f"/v1/payment_methods/{_ID}/attach", payments.attach),
    ("POST", f"/v1/payment_methods/{_ID}/detach", payments.detach),
    ("POST", "/v1/setup_intents", payments.create_setup),
    ("POST", "/v1/payment_intents", payments.create_intent),
    ("GET", "/v1/payment_intents", _list_intents),
    ("GET", f"/v1/payment_intents/{_ID}", _shown("payment_intent")),
    ("POST", f"/v1/payment_intents/{_ID}/confirm", payments.confirm_intent),
    ("GET", f"/v1/charges/{_ID}", _shown("charge")),
    ("POST", "/v1/refunds", payments.create_refund),
    ("GET", "/v1/refunds", _list_refunds),
    ("GET", f"/v1/refunds/{_ID}", _shown("refund")),
    ("POST", "/v1/checkout/sessions", checkout.create),
    ("GET", f"/v1/checkout/sessions/{_ID}", _shown("checkout.session")),
    ("POST", f"/v1/checkout/sessions/{_ID}/expire", checkout.expire),
    ("POST", "/v1/billing_portal/sessions", _create_portal),
    ("POST", "/v1/products", _create_product),
    ("GET", f"/v1/products/{_ID}", _shown("product")),
    ("POST", "/v1/prices", _create_price),
    ("GET", "/v1/prices", _list_of("price", "lookup_key", "product")),
    ("GET", f"/v1/prices/{_ID}", _shown("price")),
    ("GET", f"/v1/subscriptions/{_ID}", _shown("subscription")),
    ("POST", f"/v1/subscriptions/{_ID}", billing.update),
    ("DELETE", f"/v1/subscriptions/{_ID}", billing.cancel),
    ("GET", "/v1/invoices", _list_of("invoice", "subscription", "status")),
    ("GET", f"/v1/invoices/{_ID}", _shown("invoice")),
    ("POST", f"/v1/invoices/{_ID}/finalize", billing.finalize_invoice),
    ("POST", f"/v1/invoices/{_ID}/pay", billing.pay_invoice),
    ("GET", "/v1/invoice_payments", _list_of("invoice_payment", "invoice", "status")),
)
