"""What a cycle includes is what was paid for it, whatever becomes of the subscription later."""

from __future__ import annotations

from functools import partial

import pytest

from apertura.domain.ledger import wallet
from apertura.domain.money import NANO_PER_USD, Nano
from apertura.domain.payments import PlanPaid, Received
from apertura.domain.plans import Subscription
from apertura.store import ledger, payment_events, subscriptions
from apertura.store.database import Database
from apertura.store.identity import create_organization
from apertura.store.payment_events import Receiver
from tests.plans import ANCHOR, GRACE, LITE, MAX, PRO, start
from tests.store.subscribing import (
    PLANS_HERE,
    assert_sound,
    change,
    find,
    holds,
    lend,
    new,
    pay,
    what_became,
)


@pytest.fixture
async def org(db: Database) -> str:
    return (await create_organization(db, "acme", random=b"o" * 13, now_ms=1)).id


async def bring_up(db: Database, sub: Subscription, now: int) -> None:
    await db.write(partial(subscriptions.bring_up, sub_id=sub.id, now_ms=now, grace_ms=GRACE))


async def tell(db: Database, org: str, invoice: str, plan: str, now: int) -> None:
    """A month of a plan was paid for at the processor."""
    event = PlanPaid(
        subject=invoice,
        cash=Nano(12 * NANO_PER_USD),
        org_id=org,
        ticket="ticket",
        foreign_id="fs_1",
        plan=plan,
        period="monthly",
        paid_until_ms=0,
    )
    at = Receiver(via="stripe", now_ms=now, plans=PLANS_HERE)
    told = Received(id=f"evt_{invoice}", kind="test", event=event)
    await db.write(partial(payment_events.receive, at=at, received=told))


async def test_a_plan_chosen_in_the_grace_adds_nothing_to_the_cycle_before(
    db: Database, org: str
) -> None:
    """Nothing was called in the cycle that was paid for, so it is granted after the change."""
    sub = await new(db, org)
    await pay(db, sub)

    await change(db, sub, MAX, start(1) + 1)
    await lend(db, sub, 0)

    assert await holds(db, sub, 0) == LITE.allowance
    await assert_sound(db)


async def test_a_plan_that_has_followed_takes_nothing_from_the_cycle_before(
    db: Database, org: str
) -> None:
    """In the grace, where the last cycle goes on to pay."""
    sub = await new(db, org, PRO)
    await pay(db, sub)
    await change(db, sub, LITE, ANCHOR + 1)
    await bring_up(db, sub, start(1) + 1)

    await lend(db, sub, 0)

    assert await holds(db, sub, 0) == PRO.allowance


async def test_a_cancellation_keeps_what_follows_and_is_paid_for(db: Database, org: str) -> None:
    """Neither is a year of a small plan one of a large one, nor the other way round."""
    sub = await new(db, org, MAX)
    await pay(db, sub)
    await change(db, sub, LITE, ANCHOR + 1, period="yearly")
    await pay(db, sub, reference="year")

    await db.write(partial(subscriptions.cancel_at_end, sub_id=sub.id, now_ms=ANCHOR + 2))
    await lend(db, sub, 3)

    assert await holds(db, sub, 3) == LITE.allowance


async def test_a_second_page_that_is_paid_in_the_grace_suspends_nothing(
    db: Database, org: str
) -> None:
    """The cash goes to the wallet; the subscription goes on as it was."""
    sub = await new(db, org)
    await pay(db, sub)
    now = start(1) + 1
    await tell(db, org, "in_1", "lite", now)

    assert (await find(db, org)).status == "active"
    assert "suspended" not in await what_became(db, sub)
    assert await db.read("SELECT COUNT(*) FROM mails WHERE template = 'plan_suspended'") == [(0,)]


async def test_cash_for_a_plan_that_cannot_be_chosen_goes_to_the_wallet(
    db: Database, org: str
) -> None:
    """What follows is paid for already: the message is not refused again and again."""
    await tell(db, org, "in_1", "max", ANCHOR)
    sub = await find(db, org)
    await change(db, sub, LITE, ANCHOR + 1)
    await pay(db, sub, reference="early")

    await tell(db, org, "in_2", "pro", ANCHOR + 2)

    assert await ledger.balance(db, wallet(org)) == 12 * NANO_PER_USD
    assert (await find(db, org)).next_plan == "lite"
    await assert_sound(db)
