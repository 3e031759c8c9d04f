"""Behaviour of cycles at their end, and of what is shown of them."""

from __future__ import annotations

from functools import partial

import pytest

from apertura.domain.cycles import cycle
from apertura.domain.funds import Fund, allowance_of, fallback_of
from apertura.domain.money import Nano
from apertura.domain.plans import Subscription
from apertura.store import funds, subscriptions
from apertura.store.database import Database
from apertura.store.identity import create_organization
from apertura.store.plan_cycles import EXPIRY_DELAY_MS, end_cycle, over_cycles
from tests.plans import ANCHOR, GRACE, LITE, MAX, PRO, start
from tests.store.subscribing import assert_sound, change, find, holds, lend, new, pay, use

LATER = EXPIRY_DELAY_MS


@pytest.fixture
async def sub(db: Database) -> Subscription:
    """A subscription with a cycle paid and granted."""
    org = (await create_organization(db, "acme", random=b"o" * 13, now_ms=1)).id
    made = await new(db, org)
    await pay(db, made)
    await lend(db, made, 0)
    return await find(db, org)


async def end(db: Database, sub: Subscription, number: int, now: int) -> bool:
    over = await over_cycles(db, now, GRACE)
    done = await db.write(
        partial(end_cycle, sub_id=sub.id, number=number, now_ms=now, grace_ms=GRACE)
    )
    assert not done or (sub.id, number) in over
    return done


async def test_the_rest_of_a_cycle_ends_a_while_after_it(db: Database, sub: Subscription) -> None:
    """Once; its fund goes, and its account is empty."""
    await pay(db, sub, reference="second")
    fund = allowance_of(sub.org_id, f"{sub.id}.0")
    assert await over_cycles(db, start(1) + LATER - 1, GRACE) == []

    assert not await end(db, sub, 0, start(1) + LATER - 1)
    assert [await end(db, sub, 0, start(1) + LATER) for _ in range(2)] == [True, False]

    assert await funds.find(db, fund) is None
    assert await holds(db, sub, 0) == 0
    assert await over_cycles(db, start(1) + LATER, GRACE) == []
    assert await lend(db, sub, 0) == 0  # it is not granted again
    rows = await db.read("SELECT kind, reference FROM transactions ORDER BY kind")
    assert rows.count(("allowance-expiry", f"{sub.id}.0")) == 1
    await assert_sound(db)


async def test_what_is_held_of_a_cycle_is_waited_for(db: Database, sub: Subscription) -> None:
    """A call that runs long is paid from where it began."""
    await pay(db, sub, reference="second")
    fund = allowance_of(sub.org_id, f"{sub.id}.0")
    lent = partial(funds.lend, worker="w/1", fund=fund, amounts=(1_000,), free=0, expires_at=9)
    grant = await db.write(lent)

    assert not await end(db, sub, 0, start(1) + LATER)
    await db.write(partial(funds.give_back, worker="w/1", amounts={fund: grant.amount}))
    assert await end(db, sub, 0, start(1) + LATER)
    await assert_sound(db)


async def spend_beside(db: Database, sub: Subscription, number: int, amount: int) -> str:
    """The wallet has paid so much beside the plan; the fund that counts it."""
    fund = fallback_of(sub.org_id, f"{sub.id}.{number}")
    lent = partial(funds.lend, worker="w/1", fund=fund, amounts=(amount,), free=0, expires_at=9)
    grant = await db.write(lent)
    await db.write(partial(funds.give_back, worker="w/1", amounts={fund: grant.amount}))
    await db.write(partial(funds.move, rows=[(fund, -amount, 0)]))
    return fund


async def test_what_counts_fallback_goes_with_its_cycle(db: Database, sub: Subscription) -> None:
    """What it counted is still shown; the next cycle's stays."""
    await pay(db, sub, reference="second")
    await db.write(
        partial(subscriptions.set_fallback, sub_id=sub.id, on=True, cap=Nano(50), now_ms=ANCHOR)
    )
    sub = await find(db, sub.org_id)
    before, following = await spend_beside(db, sub, 0, 30), await spend_beside(db, sub, 1, 7)

    assert await end(db, sub, 0, start(1) + LATER)

    assert await funds.find(db, before) is None
    assert await funds.find(db, following) == Fund(43)
    shown = [await subscriptions.use_of(db, sub, at) for at in (ANCHOR, start(1) + LATER)]
    assert [one.fallback_spent for one in shown] == [30, 7]
    await assert_sound(db)


async def test_what_is_held_beside_a_plan_is_waited_for(db: Database, sub: Subscription) -> None:
    """The cycle ends once the calls that the wallet pays for have."""
    await pay(db, sub, reference="second")
    fund = fallback_of(sub.org_id, f"{sub.id}.0")
    lent = partial(funds.lend, worker="w/1", fund=fund, amounts=(1_000,), free=0, expires_at=9)
    grant = await db.write(lent)

    assert not await end(db, sub, 0, start(1) + LATER)
    assert await funds.find(db, fund) is not None
    await db.write(partial(funds.give_back, worker="w/1", amounts={fund: grant.amount}))
    assert await end(db, sub, 0, start(1) + LATER)
    assert await funds.find(db, fund) is None
    await assert_sound(db)


async def test_in_the_grace_a_cycle_goes_on(db: Database, sub: Subscription) -> None:
    """Its rest ends with it, or as soon as the next one is paid."""
    assert not await end(db, sub, 0, start(1) + GRACE + LATER - 1)

    assert await end(db, sub, 0, start(1) + GRACE + LATER)
    await assert_sound(db)


async def test_a_cycle_ends_with_its_subscription(db: Database, sub: Subscription) -> None:
    """A while after that, also where it is ended by hand."""
    await db.write(partial(subscriptions.end, sub_id=sub.id, now_ms=ANCHOR + 5))

    assert not await end(db, sub, 0, ANCHOR + 5 + LATER - 1)
    assert await end(db, sub, 0, ANCHOR + 5 + LATER)


async def test_a_cancelled_subscription_has_no_grace(db: Database, sub: Subscription) -> None:
    """Its last cycle ends with what is paid."""
    await db.write(partial(subscriptions.cancel_at_end, sub_id=sub.id, now_ms=ANCHOR))

    assert not await end(db, sub, 0, start(1) + LATER - 1)
    assert await end(db, sub, 0, start(1) + LATER)


async def test_a_cycle_that_was_used_up_ends_as_well(db: Database, sub: Subscription) -> None:
    """There is nothing to post."""
    await pay(db, sub, reference="second")
    fund = allowance_of(sub.org_id, f"{sub.id}.0")

    await use(db, sub, 600_000)

    assert await end(db, sub, 0, start(1) + LATER)
    assert await funds.find(db, fund) is None


async def test_what_is_left_is_shown(db: Database, sub: Subscription) -> None:
    """Before the first call of a cycle, after some, and after its end."""
    await pay(db, sub, reference="second")
    sub = await find(db, sub.org_id)
    await use(db, sub, 1_770)
    shown = await subscriptions.use_of(db, sub, ANCHOR)
    assert (shown.granted, shown.left) == (600_000, 598_230)
    assert (shown.limit, shown.used, shown.remaining) == (600, 1, 599)
    assert (shown.cycle, shown.fallback_spent) == (cycle(ANCHOR, 0), 0)
    following = await subscriptions.use_of(db, sub, start(1))
    assert (following.cycle.number, following.granted, following.left) == (1, 600_000, 600_000)

    await end(db, sub, 0, start(1) + LATER)
    ended = await subscriptions.use_of(db, sub, ANCHOR)
    assert (ended.granted, ended.left, ended.used) == (600_000, 598_230, 1)


async def test_what_is_not_paid_shows_nothing(db: Database) -> None:
    """No limit, and nothing used of it."""
    org = (await create_organization(db, "acme", random=b"o" * 13, now_ms=1)).id
    sub = await new(db, org, MAX)

    shown = await subscriptions.use_of(db, sub, ANCHOR)

    assert (shown.limit, shown.used, shown.remaining) == (0, 0, 0)


async def test_an_upgrade_shows_in_the_limit(db: Database, sub: Subscription) -> None:
    """In whole credits."""
    await change(db, sub, PRO, ANCHOR + 1)

    shown = await subscriptions.use_of(db, await find(db, sub.org_id), ANCHOR + 1)

    assert (shown.limit, shown.used, shown.remaining) == (899, 0, 899)
    assert LITE.allowance < shown.granted < PRO.allowance
