"""Behaviour of subscriptions when several processes act on them at once."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from apertura.domain.funds import allowance_of
from apertura.domain.plans import Subscription
from apertura.jobs.plans import Renewals
from apertura.store import funds, subscriptions
from apertura.store.database import Conflict, Database, open_database
from apertura.store.identity import create_organization
from apertura.store.plan_cycles import EXPIRY_DELAY_MS
from tests.plans import ANCHOR, LITE, MAX, PRO, start
from tests.store.subscribing import (
    PLANS_HERE,
    assert_sound,
    change,
    find,
    holds,
    lend,
    new,
    pay,
)


@pytest.fixture
async def org(db: Database) -> str:
    return (await create_organization(db, "acme", random=b"o" * 13, now_ms=1)).id


async def test_of_many_who_start_one_subscription_starts(db: Database, url: str, org: str) -> None:
    """The others are told that there is one."""
    other = await open_database(url)

    done = await asyncio.gather(
        *(
            new(one, org, LITE, random=bytes([number] * subscriptions.START_BYTES))
            for number in range(4)
            for one in (db, other)
            if (number + (one is db)) % 2
        ),
        return_exceptions=True,
    )

    await other.close()
    made = [one for one in done if isinstance(one, Subscription)]
    assert len(made) == 1
    assert all(isinstance(one, Conflict) for one in done if one not in made)
    assert [one.id for one in await subscriptions.listing(db)] == [made[0].id]


async def test_upgrades_at_once_add_once(db: Database, url: str, org: str) -> None:
    """Of the same plan; together with the first call of the cycle."""
    sub = await new(db, org)
    await pay(db, sub)
    other = await open_database(url)
    fund = allowance_of(org, f"{sub.id}.0")

    await asyncio.gather(
        *(change(one, sub, MAX, ANCHOR) for _ in range(3) for one in (db, other)),
        *(one.write(partial(subscriptions.grant_cycle, fund=fund)) for one in (db, other)),
    )

    await other.close()
    assert await holds(db, sub, 0) == MAX.allowance
    assert (await find(db, org)).plan == "max"
    await assert_sound(db)


async def test_exactly_what_was_granted_can_be_lent(db: Database, url: str, org: str) -> None:
    """From a cycle that nobody has asked before, to many workers at once."""
    sub = await new(db, org, PRO)
    await pay(db, sub)
    other = await open_database(url)
    fund = allowance_of(org, f"{sub.id}.0")
    asked = [
        one.write(
            partial(funds.lend, worker=f"w/{n}", fund=fund, amounts=(50_000,), free=0, expires_at=9)
        )
        for n in range(20)
        for one in (db, other)
    ]

    granted = [grant.amount for grant in await asyncio.gather(*asked)]

    await other.close()
    assert sum(granted) == PRO.allowance
    assert sorted(granted) == [0] * (40 - 18) + [50_000] * 18
    await assert_sound(db)


async def test_a_payment_and_the_jobs_of_two_workers_agree(
    db: Database, url: str, org: str
) -> None:
    """At the end of a cycle, whoever comes first."""
    sub = await new(db, org)
    await pay(db, sub)
    await lend(db, sub, 0)
    other = await open_database(url)
    now = start(1) + EXPIRY_DELAY_MS

    await asyncio.gather(
        *(Renewals(one, PLANS_HERE).step(now) for one in (db, other)),
        pay(other, sub, reference="second", now_ms=now),
        lend(db, sub, 1),
        *(Renewals(one, PLANS_HERE).step(now) for one in (db, other)),
    )
    await Renewals(db, PLANS_HERE).step(now)

    await other.close()
    assert await holds(db, sub, 0) == 0
    assert await holds(db, sub, 1) in (0, LITE.allowance)
    assert (await find(db, org)).status == "active"
    await assert_sound(db)
