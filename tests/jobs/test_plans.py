"""Behaviour of what becomes of subscriptions by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from apertura.domain.money import parse_usd
from apertura.domain.plans import Subscription
from apertura.jobs.plans import Renewals
from apertura.store import subscriptions
from apertura.store.database import Database, open_database
from apertura.store.identity import create_organization
from apertura.store.migrate import migrate
from apertura.store.plan_cycles import EXPIRY_DELAY_MS
from apertura.store.plans import Plans
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
    revision,
    what_became,
)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(f"sqlite:{tmp_path / 'apertura.db'}")
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
async def sub(db: Database) -> Subscription:
    """A subscription of which a month is paid."""
    org = (await create_organization(db, "acme", random=b"o" * 13, now_ms=1)).id
    made = await new(db, org, PRO)
    await pay(db, made)
    return await find(db, org)


async def step(db: Database, now_ms: int, known: Plans = PLANS_HERE) -> None:
    """Two workers do it at once; and once more, which changes nothing."""
    workers = [Renewals(db, known) for _ in range(2)]
    await asyncio.gather(*(worker.step(now_ms) for worker in workers))
    before = await revision(db)
    await workers[0].step(now_ms)
    assert await revision(db) == before
    await assert_sound(db)


async def mails(db: Database) -> list[str]:
    return [name for (name,) in await db.read("SELECT template FROM mails ORDER BY created_at")]


async def test_nothing_becomes_of_what_is_paid(db: Database, sub: Subscription) -> None:
    """To the last millisecond."""
    before = await revision(db)

    await step(db, start(1) - 1)

    assert await revision(db) == before
    assert await find(db, sub.org_id) == sub


async def test_after_the_grace_a_subscription_is_suspended(db: Database, sub: Subscription) -> None:
    """Once, and its organization is told; a payment brings it back."""
    await step(db, start(1) + GRACE - 1)
    assert (await find(db, sub.org_id)).status == "active"
    assert await mails(db) == []

    await step(db, start(1) + GRACE)
    assert (await find(db, sub.org_id)).status == "suspended"
    assert await mails(db) == ["plan_suspended"]

    await pay(db, sub, reference="late", now_ms=start(1) + GRACE + 1)
    assert (await find(db, sub.org_id)).status == "active"
    assert await what_became(db, sub) == ["started", "paid", "suspended", "paid"]


async def test_a_cancelled_subscription_ends(db: Database, sub: Subscription) -> None:
    """With what is paid; its organization is told."""
    await db.write(partial(subscriptions.cancel_at_end, sub_id=sub.id, now_ms=ANCHOR))
    await step(db, start(1) - 1)
    assert (await find(db, sub.org_id)).status == "cancelled"

    await step(db, start(1))

    ended = await find(db, sub.org_id)
    assert (ended.status, ended.ended_ms) == ("expired", start(1))
    assert await mails(db) == ["plan_ended"]


async def test_the_plan_that_follows_begins(db: Database, sub: Subscription) -> None:
    """At the end of what is paid, whether or not the next period is."""
    await change(db, sub, LITE, ANCHOR, period="quarterly")
    await step(db, start(1) - 1)
    assert (await find(db, sub.org_id)).plan == "pro"

    await step(db, start(1))

    begun = await find(db, sub.org_id)
    assert (begun.terms, begun.next, begun.status) == (LITE.terms("quarterly"), None, "active")
    assert (await what_became(db, sub))[-1] == "plan begun"


async def test_a_changed_price_is_taken_over(db: Database, sub: Subscription) -> None:
    """From the end of what is paid; for plans that nobody changed there is nothing to do."""
    dearer = msgspec.structs.replace(PRO, monthly=parse_usd("30"))
    known = msgspec.structs.replace(PLANS_HERE, plans={"lite": LITE, "pro": dearer, "max": MAX})

    await step(db, ANCHOR, known)

    found = await find(db, sub.org_id)
    assert (found.terms, found.next) == (PRO.terms("monthly"), dearer.terms("monthly"))
    assert found.next_at_ms == start(1)


async def test_the_rest_of_a_cycle_ends(db: Database, sub: Subscription) -> None:
    """A while after it; what is left of it is gone."""
    await lend(db, sub, 0)
    await pay(db, sub, reference="second")

    await step(db, start(1) + EXPIRY_DELAY_MS - 1)
    assert await holds(db, sub, 0) == 900_000
    await step(db, start(1) + EXPIRY_DELAY_MS)

    assert await holds(db, sub, 0) == 0
    assert await db.read("SELECT id FROM funds WHERE kind = 'allowance'") == []
