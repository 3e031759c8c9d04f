"""Payments end to end: a running application, and a processor that is as Stripe is."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from apertura.domain.money import Nano
from apertura.jobs.payments import UNHEARD_MS, Reconciling, answer
from apertura.jobs.top_ups import LEFT_ALONE_MS, TopUps
from apertura.payments.demo import billing, checkout, payments
from apertura.payments.demo.delivery import body_of
from apertura.payments.demo.http import Answer as Reply
from apertura.payments.demo.http import Asked
from apertura.payments.demo.server import Demo
from apertura.payments.demo.world import Problem
from apertura.payments.stripe_events import sign
from apertura.store import funds, ledger, refunds
from apertura.store import payments as store
from apertura.store.database import Database
from tests.api.client import Answer, Served, gateway
from tests.api.managing import DOLLAR, admin_key, exact, other_organization, send

SECRET = "whsec_of_these_tests"
SOON = 10_000


class Paying:
    """An application, its processor, and an admin of an organization without money."""

    def __init__(self, served: Served, demo: Demo, key: str) -> None:
        self.served, self.demo, self.key = served, demo, key
        assert served.app.parts.payments is not None
        tools = (served.database, served.app.parts.payments, served.app.parts.plans)
        self.top_ups, self.reconciling = TopUps(*tools), Reconciling(*tools)

    @property
    def database(self) -> Database:
        return self.served.database

    async def send(self, method: str, path: str, body: object = None) -> Answer:
        return await send(self.served, method, path, self.key, body)

    async def top_up(self, usd: str | int, card: str = "pm_card_visa") -> Any:
        """A top-up that is paid on its page; of what it tells, nothing is heard yet."""
        made = exact(await self.send("POST", "/api/billing/top-ups", {"amount_usd": usd}))
        checkout.pay(self.demo.world, made["url"].rpartition("/")[2], card)
        return made

    async def hear(self, copies: int = 1, seed: int | None = None) -> list[int]:
        """Deliver what the processor has to tell; with a seed, in disorder."""
        events = [event for event in self.demo.world.events for _ in range(copies)]
        if seed is not None:
            random.Random(seed).shuffle(events)
        answers = await asyncio.gather(*(self.deliver(event) for event in events))
        self.demo.world.events.clear()
        return [one.status for one in answers]

    async def deliver(self, event: dict[str, Any]) -> Answer:
        body = body_of(event)
        headers = {"stripe-signature": sign(SECRET, body, int(time.time()))}
        return await self.served.ask("POST", "/webhooks/stripe", body=body, headers=headers)

    async def balance(self) -> int:
        """In cents."""
        account = f"org:{self.served.org_id}:wallet"
        return int(await ledger.balance(self.database, account)) // (DOLLAR // 100)

    async def spend(self, left: int) -> None:
        """Let the wallet be so low, in cents."""
        nano = left * (DOLLAR // 100)
        fund = f"org:{self.served.org_id}:wallet"

        async def work(tx: Any) -> None:
            await tx.execute("UPDATE funds SET posted = ? WHERE id = ?", (nano, fund))

        await self.database.write(work)

    async def payments(self) -> list[Any]:
        listed: list[Any] = exact(await self.send("GET", "/api/billing/payments"))
        return listed


@pytest.fixture
async def paying(tmp_path: Path) -> AsyncIterator[Paying]:
    async with Demo() as demo:
        settings = {
            "stripe_key": "sk_test_x",
            "stripe_webhook_secret": SECRET,
            "stripe_url": demo.url,
            "public_url": "https://apertura.example",
        }
        async with gateway(tmp_path, **settings) as served:
            other = await other_organization(served)
            served.org_id = other.id
            yield Paying(served, demo, await admin_key(served, other.id))


def now() -> int:
    return time.time_ns() // 1_000_000


async def test_a_top_up_is_credited_when_the_processor_says_so(paying: Paying) -> None:
    """Not before; and once, however often it is said."""
    made = await paying.top_up("100")
    assert made["price_usd"] == 95
    assert await paying.balance() == 0

    assert set(await paying.hear(copies=3)) == {200}

    assert await paying.balance() == 10_000
    [one] = await paying.payments()
    assert (one["id"], one["status"], one["paid_usd"]) == (made["id"], "paid", 95)


async def test_the_page_leads_back(paying: Paying) -> None:
    """With Decline it stays; with Pay the visitor is sent back to us."""
    made = exact(await paying.send("POST", "/api/billing/top-ups", {"amount_usd": 20}))
    name = made["url"].rpartition("/")[2]

    def press(card: str) -> Reply:
        asked = Asked("POST", f"/pay/{name}", {}, {"card": card}, b"")
        return checkout.show(paying.demo.world, asked, name)

    assert b"declined" in press("pm_card_chargeDeclined").body
    await paying.hear()
    assert (await paying.payments())[0]["failure"] == "generic_decline"

    place = dict(press("pm_card_visa").headers)["Location"]
    assert place == f"https://apertura.example/billing?payment={made['id']}"
    await paying.hear()
    assert await paying.balance() == 2_000


@pytest.mark.parametrize("seed", range(4))
async def test_messages_in_disorder_end_in_the_same_books(paying: Paying, seed: int) -> None:
    """A top-up, a part refunded at the processor, disputed and won: told twice, shuffled."""
    await paying.top_up("100")
    world = paying.demo.world
    [intent] = list(world.all("payment_intent"))
    payments.create_refund(world, {"payment_intent": intent["id"], "amount": "1900"})
    payments.win(world, payments.dispute(world, intent["id"])["id"])

    assert set(await paying.hear(copies=2, seed=seed)) == {200}

    assert await paying.balance() == 8_000
    assert await ledger.balance(paying.database, "processor:stripe") == 76 * DOLLAR


async def test_three_cards_are_kept_and_one_is_removed(paying: Paying) -> None:
    """The first of the list is charged by itself, so it stays."""
    for card in ("pm_card_visa", "pm_card_mastercard", "pm_card_amex"):
        await paying.top_up(20, card)
    cards = exact(await paying.send("GET", "/api/billing/methods"))
    assert [one["brand"] for one in cards] == ["amex", "mastercard", "visa"]

    visa, amex = cards[2]["id"], cards[0]["id"]
    exact(await paying.send("POST", f"/api/billing/methods/{visa}/default"))
    wish = {"enabled": True, "threshold_usd": 10, "amount_usd": 50}
    exact(await paying.send("PUT", "/api/billing/auto-top-up", wish))
    refused = await paying.send("DELETE", f"/api/billing/methods/{visa}")
    assert (refused.status, refused.code) == (400, "payment_method_needed")
    exact(await paying.send("DELETE", f"/api/billing/methods/{amex}"))

    cards = exact(await paying.send("GET", "/api/billing/methods"))
    assert [(one["last4"], one["is_default"]) for one in cards] == [("4242", True), ("4444", False)]
    assert (await paying.send("DELETE", "/api/billing/methods/pm_other")).status == 404


async def test_a_low_balance_is_topped_up_once(paying: Paying) -> None:
    """By several workers at once, and told of twice."""
    await paying.top_up(20)
    await paying.hear()
    wish = {"enabled": True, "threshold_usd": 10, "amount_usd": 100}
    exact(await paying.send("PUT", "/api/billing/auto-top-up", wish))
    await paying.top_ups.step(now())
    assert await paying.balance() == 2_000

    await paying.spend(left=500)
    await asyncio.gather(*(paying.top_ups.step(now()) for _ in range(5)))
    await paying.hear(copies=2)

    assert await paying.balance() == 2_000 + 10_000
    assert paying.demo.asked.count("POST /v1/payment_intents") == 1
    assert (await paying.payments())[0]["price_usd"] == 100  # single purchases have a discount


async def test_a_charge_whose_answer_was_lost_is_booked_once(paying: Paying) -> None:
    """The processor did it and we never heard: whoever finds it left alone asks first."""
    await _ready_to_charge(paying)
    paying.demo.fault = lambda asked, reply: (
        None if asked.path == "/v1/payment_intents" and asked.method == "POST" else reply
    )
    await paying.top_ups.step(now())
    assert await paying.balance() == 2_000

    paying.demo.fault = lambda _, reply: reply
    await paying.top_ups.step(now() + LEFT_ALONE_MS + 1)
    await paying.hear()

    assert await paying.balance() == 2_000 + 5_000
    paid = [one for one in paying.demo.world.all("charge") if one["amount"] == 5_000]
    assert len(paid) == 1


async def _ready_to_charge(paying: Paying) -> None:
    await paying.top_up(20)
    await paying.hear()
    wish = {"enabled": True, "threshold_usd": 10, "amount_usd": 50}
    exact(await paying.send("PUT", "/api/billing/auto-top-up", wish))
    await paying.spend(left=100)


async def test_a_charge_that_was_never_made_is_made_by_another(paying: Paying) -> None:
    """The processor was away when it was claimed."""
    await _ready_to_charge(paying)
    paying.demo.fault = lambda asked, reply: (
        Reply(503, b"{}") if asked.path.endswith("/payment_methods") else reply
    )
    await paying.top_ups.step(now())
    paying.demo.fault = lambda _, reply: reply

    await paying.top_ups.step(now() + LEFT_ALONE_MS + 1)

    assert await paying.balance() == 2_000 + 5_000


async def test_declines_switch_it_off_with_a_mail(paying: Paying) -> None:
    """After three, each an hour apart."""
    await _ready_to_charge(paying)
    [card] = list(paying.demo.world.all("payment_method"))
    card["card"]["last4"] = "0341"
    for hour in range(5):
        await paying.top_ups.step(now() + hour * 3_600_001)
        await paying.hear(copies=2)

    shown = exact(await paying.send("GET", "/api/billing/auto-top-up"))
    assert (shown["enabled"], shown["failures"]) == (False, 3)
    declined = [one for one in await paying.payments() if one["status"] == "failed"]
    assert [one["failure"] for one in declined] == ["generic_decline"] * 3
    mails = await paying.database.read(
        "SELECT template FROM mails WHERE template <> 'payment_received' ORDER BY created_at"
    )
    assert mails == [("payment_failed",), ("payment_failed",), ("auto_top_up_failed",)]


async def test_lost_messages_are_asked_for(paying: Paying) -> None:
    """A paid page and a page that nobody wanted."""
    await paying.top_up("100")
    other = exact(await paying.send("POST", "/api/billing/top-ups", {"amount_usd": 20}))
    checkout.expire(paying.demo.world, {}, other["url"].rpartition("/")[2])
    paying.demo.world.events.clear()

    await paying.reconciling.step(now() + UNHEARD_MS + SOON)
    await paying.reconciling.step(now() + 2 * UNHEARD_MS + SOON)

    assert await paying.balance() == 10_000
    assert [one["status"] for one in await paying.payments()] == ["expired", "paid"]


async def test_a_refund_takes_its_share_and_is_made_once(paying: Paying) -> None:
    """Even if the processor's answer is lost; its own limit is not reached by ours."""
    made = await paying.top_up("100")
    await paying.hear()
    refund = await paying.database.write(
        lambda tx: refunds.ask(
            tx, made["id"], Nano(19 * DOLLAR), "", refund_id="rf_1", now_ms=now()
        )
    )
    assert await paying.balance() == 8_000
    processor, plans = paying.served.app.parts.payments, paying.served.app.parts.plans
    assert processor is not None
    for _ in range(2):
        await answer(paying.database, processor, refund, plans, now())
    await paying.hear(copies=2)

    assert await paying.balance() == 8_000
    [made_there] = list(paying.demo.world.all("refund"))
    assert (made_there["amount"], made_there["metadata"]["refund"]) == (1_900, "rf_1")
    [one] = await paying.payments()
    assert one["refunds"][0]["status"] == "made"


async def test_messages_of_others_are_refused(paying: Paying) -> None:
    """No signature, another's, an old one, another body."""
    await paying.top_up("100")
    event = paying.demo.world.events[-1]
    body, at = body_of(event), int(time.time())
    for header in (
        "",
        sign("whsec_other", body, at),
        sign(SECRET, body, at - 301),
        sign(SECRET, body + b" ", at),
    ):
        answer = await paying.served.ask(
            "POST", "/webhooks/stripe", body=body, headers={"stripe-signature": header}
        )
        assert (answer.status, answer.code) == (400, "bad_signature")
    assert await paying.balance() == 0


async def test_amounts_out_of_bounds_are_refused(paying: Paying) -> None:
    for amount in ("4.99", "25000.01", "5.001"):
        said = await paying.send("POST", "/api/billing/top-ups", {"amount_usd": amount})
        assert (said.status, said.json["error"]["param"]) == (400, "amount_usd")
    assert paying.demo.asked == []


# Subscriptions.


async def subscribed(paying: Paying, plan: str = "lite") -> Any:
    made = exact(await paying.send("POST", "/api/billing/plans", {"plan": plan}))
    checkout.pay(paying.demo.world, made["url"].rpartition("/")[2], "pm_card_visa")
    await paying.hear(copies=2, seed=1)
    return exact(await paying.send("GET", "/api/subscription"))


async def test_a_plan_begins_when_it_is_paid(paying: Paying) -> None:
    """Its first payment is in the list, and is revenue."""
    plan = await subscribed(paying)

    assert plan["status"] == "active"
    [one] = await paying.payments()
    assert (one["kind"], one["status"], one["paid_usd"]) == ("plan", "paid", 12)
    assert await ledger.balance(paying.database, "revenue:plans") == 12 * DOLLAR


async def test_an_upgrade_is_charged_and_follows(paying: Paying) -> None:
    await subscribed(paying)

    said = await paying.send("POST", "/api/billing/plans/upgrade", {"plan": "pro"})
    assert said.status == 202, said.json
    await paying.hear(copies=2, seed=2)

    plan = exact(await paying.send("GET", "/api/subscription"))
    assert "pro" in str(plan)
    assert [one["kind"] for one in await paying.payments()] == ["plan", "plan"]


async def test_an_upgrade_that_is_declined_changes_nothing(paying: Paying) -> None:
    await subscribed(paying)
    [card] = list(paying.demo.world.all("payment_method"))
    card["card"]["last4"] = "0341"

    said = await paying.send("POST", "/api/billing/plans/upgrade", {"plan": "pro"})
    await paying.hear()

    assert (said.status, said.code) == (402, "payment_declined")
    assert await ledger.balance(paying.database, "revenue:plans") == 12 * DOLLAR


async def test_the_processor_is_told_of_an_end(paying: Paying) -> None:
    """And taken back: what was chosen here holds there after a step."""
    await subscribed(paying)
    [sub] = list(paying.demo.world.all("subscription"))

    exact(await paying.send("POST", "/api/subscription/cancel"))
    await paying.reconciling.step(now())
    assert sub["cancel_at_period_end"]
    exact(await paying.send("POST", "/api/subscription/resume"))
    await paying.reconciling.step(now())
    assert not sub["cancel_at_period_end"]


async def test_a_period_is_paid_and_the_next_is_not(paying: Paying) -> None:
    """A renewal counts once; a decline is told; the end ends it."""
    await subscribed(paying)
    billing.pass_time(paying.demo.world, 32 * 86_400)
    await paying.hear(copies=3, seed=3)
    assert await ledger.balance(paying.database, "revenue:plans") == 24 * DOLLAR

    [card] = list(paying.demo.world.all("payment_method"))
    card["card"]["last4"] = "0341"
    billing.pass_time(paying.demo.world, 90 * 86_400)
    await paying.hear(copies=2)

    assert exact(await paying.send("GET", "/api/subscription")) is None
    with pytest.raises(Problem):
        payments.default_card(paying.demo.world, "cus_none")
    assert await funds.find(paying.database, "org:none:wallet") is None
    assert len(await store.listing(paying.database, paying.served.org_id)) == 2
