"""A subscriber's year at the processor, its clock in our hand: what is paid there is granted here.

Each message comes twice and in disorder; what is chosen here is told by the job, as in a server.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apertura.api.webhooks import collect
from apertura.domain.cycles import cycle_at
from apertura.domain.funds import allowance_of
from apertura.domain.ledger import PLANS
from apertura.domain.payments import CENT, PlanDue
from apertura.domain.plans import CREDIT, MONTHS, Period, Subscription, cycle_name
from apertura.jobs.payments import Reconciling
from apertura.jobs.plans import Renewals
from apertura.payments.base import Declined, PlanOrder
from apertura.payments.demo import billing, checkout
from apertura.payments.demo.delivery import body_of
from apertura.payments.demo.server import Demo
from apertura.payments.demo.world import Thing, World
from apertura.payments.stripe import Stripe
from apertura.payments.stripe_events import sign
from apertura.store import funds, ledger, payment_events, plan_payments, subscriptions
from apertura.store.audit import audit
from apertura.store.database import Database, open_database
from apertura.store.identity import create_organization
from apertura.store.migrate import migrate
from apertura.store.payment_events import Receiver
from apertura.store.plans import shipped_plans

SECRET = "whsec_of_these_tests"
DAY = 86_400
STEP = 4 * DAY
BEGIN = 1_790_000_000
"""2026-09-21."""
PLANS_HERE = shipped_plans()
LITE, PRO = PLANS_HERE.plans["lite"], PLANS_HERE.plans["pro"]


class Year:
    """An organization, its processor, and the time."""

    def __init__(self, db: Database, demo: Demo, stripe: Stripe, org: str) -> None:
        self.db, self.demo, self.stripe, self.org = db, demo, stripe, org
        self.reconciling = Reconciling(db, stripe, PLANS_HERE)
        self.renewals = Renewals(db, PLANS_HERE)
        self.random = random.Random(1)
        self.collects = True

    @property
    def world(self) -> World:
        return self.demo.world

    @property
    def now_ms(self) -> int:
        return self.world.now * 1_000

    async def subscribe(self, period: Period = "monthly") -> None:
        customer = await self.stripe.customer(self.org, "acme", "")
        page = await self.stripe.plan_page(self.order(LITE.id, period, customer))
        checkout.pay(self.world, page.id, "pm_card_visa")
        await self.hear()

    def order(self, plan: str, period: Period, customer: str = "") -> PlanOrder:
        sold = PLANS_HERE.plans[plan]
        return PlanOrder(
            payment="",
            org_id=self.org,
            customer=customer,
            ticket="plan_ticket",
            plan=plan,
            title=sold.title,
            period=period,
            months=MONTHS[period],
            price=sold.price(period),
        )

    async def hear(self) -> None:
        """Until nothing is told any more."""
        while events := [event for event in self.world.events for _ in range(2)]:
            self.world.events.clear()
            self.random.shuffle(events)
            for event in events:
                await self.deliver(event)

    async def deliver(self, event: Thing) -> None:
        body, now = body_of(event), int(time.time())
        received = self.stripe.read(body, sign(SECRET, body, now), now * 1_000)
        at = Receiver(via=self.stripe.name, now_ms=self.now_ms, plans=PLANS_HERE)
        await self.db.write(partial(payment_events.receive, at=at, received=received))
        if isinstance(received.event, PlanDue) and self.collects:
            await collect(self.stripe, received.event.subject)

    async def until(self, day: int) -> None:
        """Time passes; what the processor does is heard at its time, and calls are made."""
        end = BEGIN + day * DAY
        while self.world.now < end:
            due = billing.next_due(self.world)
            step = min(end, self.world.now + STEP, due if due is not None else end)
            billing.pass_time(self.world, max(0, step - self.world.now))
            await self.hear()
            await self.reconciling.step(self.now_ms)
            await self.renewals.step(self.now_ms)
            await self.call()

    async def call(self) -> None:
        sub = await subscriptions.find(self.db, self.org)
        if sub is None or sub.ended_ms is not None:
            return
        number = cycle_at(sub.anchor_ms, self.now_ms)
        fund = allowance_of(self.org, cycle_name(sub.id, number))
        lent = partial(
            funds.lend, worker="w/1", fund=fund, amounts=(CREDIT,), free=0, expires_at=self.now_ms
        )
        grant = await self.db.write(lent)
        await self.db.write(partial(funds.give_back, worker="w/1", amounts={fund: grant.amount}))

    async def sub(self) -> Subscription:
        found = await subscriptions.find(self.db, self.org)
        assert found is not None
        return found

    async def choose(self, work: Any, **given: Any) -> None:
        """Something is chosen here, and told to the processor by the job."""
        sub = await self.sub()
        await self.db.write(partial(work, sub_id=sub.id, now_ms=self.now_ms, **given))
        await self.reconciling.step(self.now_ms)
        await self.hear()
        assert await plan_payments.untold(self.db, "stripe") == []

    def there(self) -> Thing:
        """The processor's own subscription."""
        [found] = self.world.all("subscription")
        return found

    def invoices(self) -> list[Thing]:
        """What was paid at the processor, the oldest first."""
        paid = [one for one in self.world.all("invoice") if one["amount_paid"]]
        return paid[::-1]

    async def granted(self) -> list[int]:
        """By cycle, in credits."""
        rows = await self.db.read("SELECT granted FROM plan_cycles ORDER BY number")
        return [granted // CREDIT for (granted,) in rows]

    async def assert_booked(self) -> None:
        """Each paid invoice once, and nothing else; the books agree."""
        paid = self.invoices()
        rows = await self.db.read("SELECT reference, amount FROM plan_payments")
        assert sorted(rows) == sorted((one["id"], one["amount_paid"] * CENT) for one in paid)
        cash = sum(one["amount_paid"] for one in paid) * CENT
        assert await ledger.balance(self.db, PLANS) == cash
        assert await ledger.balance(self.db, "processor:stripe") == cash
        listed = await self.db.read("SELECT subject FROM payments WHERE kind = 'plan'")
        assert sorted(name for (name,) in listed) == sorted(one["id"] for one in paid)
        assert {check.name for check in await audit(self.db) if check.findings} == set()


@pytest.fixture
async def year(tmp_path: Path) -> AsyncIterator[Year]:
    db = await open_database(f"sqlite:{tmp_path}/apertura.db")
    await migrate(db)
    org = await create_organization(db, "acme", random=b"o" * 13, now_ms=1)
    async with Demo() as demo:
        demo.world.ahead = BEGIN - int(time.time())
        stripe = Stripe("sk_test_x", SECRET, public_url="https://a.example", url=demo.url)
        yield Year(db, demo, stripe, org.id)
        stripe.close()
    await db.close()


@pytest.mark.slow
@pytest.mark.parametrize("period", ["monthly", "quarterly", "yearly"])
async def test_each_period_is_paid_once_and_granted(year: Year, period: Period) -> None:
    """A year and a day: so many renewals, and the allowance of every cycle that is paid."""
    await year.subscribe(period)
    await year.until(366)

    paid = year.invoices()
    assert len(paid) == 12 // MONTHS[period] + 1
    assert [one["amount_paid"] * CENT for one in paid] == [LITE.price(period)] * len(paid)
    assert await year.granted() == [LITE.allowance // CREDIT] * 13
    await year.assert_booked()


@pytest.mark.slow
async def test_a_plan_goes_up_at_once_and_down_at_the_end(year: Year) -> None:
    """The processor charges the difference at once, and the lower price from the next period on."""
    await year.subscribe()
    await year.until(40)
    there = year.there()
    await year.stripe.change_plan(there["id"], year.order("pro", "monthly"), at_once=True)
    await year.hear()
    assert (await year.sub()).plan == "pro"

    await year.until(100)
    await year.choose(subscriptions.change_plan, plan=LITE)
    assert there["items"]["data"][0]["price"]["unit_amount"] * CENT == LITE.monthly
    assert (await year.sub()).plan == "pro"
    await year.until(140)
    assert (await year.sub()).plan == "lite"

    [first, upgraded, *others, last] = await year.granted()
    assert first == last == LITE.allowance // CREDIT < upgraded
    assert others == [PRO.allowance // CREDIT] * 2
    prices = [one["amount_paid"] * CENT for one in year.invoices()]
    assert prices[:2] == [LITE.monthly] * 2
    assert 0 < prices[2] < PRO.monthly - LITE.monthly
    assert prices[3:] == [PRO.monthly] * 2 + [LITE.monthly]
    await year.assert_booked()


@pytest.mark.slow
async def test_another_period_follows_and_an_end_is_taken_back(year: Year) -> None:
    """From months to quarters without a charge in between; then an end that stays one."""
    await year.subscribe()
    await year.until(10)
    await year.choose(subscriptions.change_plan, plan=LITE, period="quarterly")
    coming = (await year.sub()).next
    assert coming is not None
    assert coming.period == "quarterly"
    assert len(year.invoices()) == 1
    await year.until(40)
    assert (await year.sub()).period == "quarterly"

    await year.choose(subscriptions.cancel_at_end)
    assert year.there()["cancel_at_period_end"]
    await year.until(50)
    await year.choose(subscriptions.resume)
    assert not year.there()["cancel_at_period_end"]
    await year.until(130)
    await year.choose(subscriptions.cancel_at_end)
    await year.until(240)

    assert year.there()["status"] == "canceled"
    assert (await year.sub()).ended_ms is not None
    prices = [one["amount_paid"] * CENT for one in year.invoices()]
    assert prices == [LITE.monthly, LITE.price("quarterly"), LITE.price("quarterly")]
    assert await year.granted() == [LITE.allowance // CREDIT] * 7
    await year.assert_booked()


async def test_a_renewal_is_collected_when_its_invoice_is_made(year: Year) -> None:
    """The new cycle is granted in the second in which it begins; without us it takes an hour."""
    await year.subscribe()
    gaps = []
    for collects in (True, False):
        year.collects = collects
        begun = (await year.sub()).paid_until_ms
        await year.until((begun // 1_000 - BEGIN) // DAY + 1)
        [*_, last] = year.invoices()
        gaps.append(last["status_transitions"]["paid_at"] - last["created"])
    assert gaps[0] < 60
    assert 3_600 <= gaps[1] < 3_700
    asked = [one.rpartition("/")[2] for one in year.demo.asked if "/v1/invoices/in_" in one]
    assert asked.count("finalize") == 1
    assert asked.count("pay") == 1
    await year.assert_booked()


async def test_a_renewal_that_is_declined_at_once_is_tried_again(year: Year) -> None:
    """The processor's own tries go on, and the grace is used meanwhile."""
    await year.subscribe()
    [card] = list(year.world.all("payment_method"))
    good, card["card"]["last4"] = card["card"]["last4"], "0341"
    begun = ((await year.sub()).paid_until_ms // 1_000 - BEGIN) // DAY
    await year.until(begun + 2)
    assert (await year.sub()).failed_ms is not None
    assert len(year.invoices()) == 1
    open_one = next(iter(year.world.all("invoice")))
    with pytest.raises(Declined):
        await year.stripe.collect(open_one["id"])

    card["card"]["last4"] = good
    await year.until(begun + 5)

    assert len(year.invoices()) == 2
    assert (await year.sub()).failed_ms is None
    await year.assert_booked()
