"""Behaviour of subscriptions as they are kept: paid once, granted once, changed as asked."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
import pytest

from apertura.domain.funds import Fund, allowance_of, fallback_of
from apertura.domain.ledger import PLANS, processor
from apertura.domain.money import Nano
from apertura.domain.plans import MS_PER_DAY, Subscription, upgrade_price
from apertura.errors import BadRequest, NotFound, PaymentRequired, Unavailable
from apertura.store import funds, keys, ledger, subscriptions
from apertura.store.database import Conflict, Database, open_database
from apertura.store.identity import create_organization
from apertura.store.plans import Plans
from apertura.store.subscriptions import Payment
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

RANDOM = bytes(53)
"""Of a second subscription."""


@pytest.fixture
async def org(db: Database) -> str:
    return (await create_organization(db, "acme", random=b"o" * 13, now_ms=1)).id


# Beginning.


async def test_a_new_subscription_waits_for_its_payment(db: Database, org: str) -> None:
    """It has a key of its own kind, which nobody knows; nothing of it can be used."""
    sub = await new(db, org, PRO, period="yearly")

    assert sub == await find(db, org)
    assert (sub.status, sub.plan, sub.period) == ("suspended", "pro", "yearly")
    record = await keys.find_by_id(db, sub.key_id)
    assert record is not None
    assert (record.kind, record.org_id, record.status) == ("subscription", org, "enabled")
    held = await subscriptions.pass_of(db, org, sub.key_id, PLANS_HERE)
    assert held is not None
    with pytest.raises(PaymentRequired):
        held.check(ANCHOR)
    assert await lend(db, sub, 0) == 0
    await assert_sound(db)


async def test_an_organization_has_one_subscription(db: Database, org: str) -> None:
    """Until it has ended; also where it ended by time and nobody has written it down."""
    sub = await new(db, org)
    await pay(db, sub)
    with pytest.raises(Conflict, match="change or end that"):
        await new(db, org, random=RANDOM)

    await db.write(partial(subscriptions.cancel_at_end, sub_id=sub.id, now_ms=ANCHOR))
    with pytest.raises(Conflict):
        await new(db, org, random=RANDOM, now_ms=start(1) - 1)
    other = await new(db, org, MAX, random=RANDOM, now_ms=start(1))

    assert (await find(db, org)).id == other.id
    assert [one.id for one in await subscriptions.listing(db)] == [other.id]
    assert {one.id for one in await subscriptions.listing(db, alive=False)} == {sub.id, other.id}
    old = await subscriptions.find_by_id(db, sub.id)
    assert old is not None
    assert (old.status, old.ended_ms) == ("expired", start(1))


async def test_what_cannot_be_bought_is_refused(db: Database, org: str) -> None:
    """A plan that is not on sale; for an organization that is none."""
    gone = msgspec.structs.replace(LITE, on_sale=False)
    with pytest.raises(BadRequest, match="not on sale"):
        await new(db, org, gone)
    with pytest.raises(Conflict):
        await new(db, "nobody")
    sub = await new(db, org)
    with pytest.raises(BadRequest, match="not on sale"):
        await change(db, sub, msgspec.structs.replace(PRO, on_sale=False), ANCHOR)
    assert await change(db, sub, gone, ANCHOR)  # who has it keeps it


# Paying, and being granted what was paid.


async def test_a_payment_counts_once(db: Database, org: str) -> None:
    """However often it is told: money, time and allowance come once."""
    sub = await new(db, org)
    before = await revision(db)

    told = [await pay(db, sub) for _ in range(5)]

    assert told == [True, False, False, False, False]
    assert (await find(db, org)).paid_until_ms == start(1)
    assert (await find(db, org)).status == "active"
    assert await ledger.balance(db, PLANS) == LITE.monthly
    assert await ledger.balance(db, processor("manual")) == LITE.monthly
    assert await revision(db) == before + 1
    assert await lend(db, sub, 0) >= 1_000
    assert await holds(db, sub, 0) == 600_000
    await assert_sound(db)


@pytest.mark.parametrize("times", [1, 2, 7, 20])
async def test_payments_that_arrive_at_once_count_once_each(
    db: Database, url: str, org: str, times: int
) -> None:
    """Two of them, each told many times, on two connections, in any order."""
    sub = await new(db, org)
    other = await open_database(url)
    told = [
        pay(one, sub, reference=name)
        for _ in range(times)
        for one in (db, other)
        for name in ("first", "second")
    ]

    done = await asyncio.gather(*told)

    await other.close()
    assert sum(done) == 2
    assert (await find(db, org)).paid_until_ms == start(2)
    assert await ledger.balance(db, PLANS) == 2 * LITE.monthly
    await assert_sound(db)


async def test_a_reference_is_of_one_payment(db: Database, org: str) -> None:
    """Another amount, way or subscription under it is refused, and so is none."""
    sub = await new(db, org)
    await pay(db, sub)

    for fields in ({"amount": 1}, {"via": "stripe"}):
        with pytest.raises(Conflict, match="of another payment"):
            await pay(db, sub, **fields)
    for fields in ({"reference": " "}, {"amount": -1, "reference": "x"}):
        with pytest.raises(BadRequest):
            await pay(db, sub, **fields)
    with pytest.raises(NotFound):
        await pay(db, sub, sub_id="sub_none", reference="y")
    await assert_sound(db)


async def test_a_gift_of_a_period_is_a_payment_of_nothing(db: Database, org: str) -> None:
    """Nothing is posted, and it counts once too."""
    sub = await new(db, org)

    assert [await pay(db, sub, amount=0) for _ in range(2)] == [True, False]

    assert (await find(db, org)).paid_until_ms == start(1)
    assert await ledger.balance(db, PLANS) == 0
    assert await lend(db, sub, 0) >= 1_000


async def test_each_paid_cycle_is_granted_once(db: Database, url: str, org: str) -> None:
    """When it is first asked, by however many at once; a cycle that is not paid never is."""
    sub = await new(db, org, period="quarterly")
    await pay(db, sub)
    other = await open_database(url)

    for number in range(4):
        fund = allowance_of(org, f"{sub.id}.{number}")
        granted = await asyncio.gather(
            *(
                one.write(partial(subscriptions.grant_cycle, fund=fund))
                for _ in range(5)
                for one in (db, other)
            )
        )
        assert sum(granted) == (number < 3)
        assert await holds(db, sub, number) == (600_000 if number < 3 else 0)
    await other.close()
    await assert_sound(db)


async def test_only_the_cycle_that_pays_is_granted_with_the_time(db: Database, org: str) -> None:
    """Not one to come, nor one that is over, nor another organization's."""
    sub = await new(db, org, period="quarterly")
    await pay(db, sub)
    grant = partial(subscriptions.grant_cycle, now_ms=start(1))

    for fund in (
        allowance_of(org, f"{sub.id}.0"),
        allowance_of(org, f"{sub.id}.2"),
        allowance_of("other", f"{sub.id}.1"),
    ):
        assert not await db.write(partial(grant, fund=fund))
    assert await db.write(partial(grant, fund=allowance_of(org, f"{sub.id}.1")))


async def test_cycles_of_a_suspension_are_neither_charged_nor_granted(
    db: Database, org: str
) -> None:
    """The payment after it is for the cycle in which it comes."""
    sub = await new(db, org)
    await pay(db, sub)

    await pay(db, sub, reference="late", now_ms=start(4) + 5)

    assert (await find(db, org)).paid_until_ms == start(5)
    assert [await lend(db, sub, number) > 0 for number in range(6)] == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]


# Changing.


async def test_an_upgrade_adds_to_the_cycle_that_runs(db: Database, org: str) -> None:
    """For the rest of it; the next has all of it. Its payment counts once, and so does it."""
    sub = await new(db, org, period="quarterly")
    await pay(db, sub)
    half = (start(0) + start(1)) // 2
    price = upgrade_price(sub_paid := await find(db, org), PRO, half)
    paid = Payment(reference="up", via="manual", amount=price)

    done = [await change(db, sub, PRO, half, payment=paid) for _ in range(3)]

    assert done == [True, False, False]
    assert await holds(db, sub, 0) == 750_000
    assert sub_paid.plan == "lite"
    assert (await find(db, org)).plan == "pro"
    assert await ledger.balance(db, PLANS) == sub.terms.price + price
    assert await lend(db, sub, 1) > 0
    assert await holds(db, sub, 1) == 900_000
    await assert_sound(db)


async def test_changes_to_and_fro_grant_no_more_than_the_best_plan(db: Database, org: str) -> None:
    """A downgrade waits, and taking it back is no upgrade."""
    sub = await new(db, org)
    await pay(db, sub)

    for plan_, day in ((PRO, 1), (LITE, 2), (PRO, 3), (LITE, 4), (MAX, 5), (PRO, 6), (MAX, 7)):
        await change(db, sub, plan_, ANCHOR + day * MS_PER_DAY)

    assert 900_000 < await holds(db, sub, 0) <= 5_000_000
    rows = await db.read("SELECT granted, upgrades FROM plan_cycles")
    assert rows == [(await holds(db, sub, 0), 2)]
    found = await find(db, org)
    assert (found.plan, found.next) == ("max", None)
    await assert_sound(db)


async def test_a_downgrade_begins_with_the_next_period(db: Database, org: str) -> None:
    """Its cycle is granted by the new terms, also before anybody wrote them down."""
    sub = await new(db, org, PRO)
    await pay(db, sub)
    await change(db, sub, LITE, ANCHOR + 1)
    assert (await find(db, org)).next_plan == "lite"
    await pay(db, sub, reference="second", amount=LITE.monthly, now_ms=start(1))

    assert await lend(db, sub, 1) > 0

    assert await holds(db, sub, 1) == 600_000
    assert await db.write(
        partial(subscriptions.bring_up, sub_id=sub.id, now_ms=start(1), grace_ms=GRACE)
    )
    found = await find(db, org)
    assert (found.terms, found.next) == (LITE.terms("monthly"), None)


async def test_a_pass_holds_for_the_time_to_come(db: Database, org: str) -> None:
    """With the plan that follows; none for a key of no subscription, or of another organization."""
    sub = await new(db, org, PRO)
    await pay(db, sub)
    await change(db, sub, LITE, ANCHOR)

    held = await subscriptions.pass_of(db, org, sub.key_id, PLANS_HERE)

    assert held is not None
    assert (held.plan, held.next_plan, held.grace_ms) == (PRO, LITE, GRACE)
    assert await subscriptions.pass_of(db, org, "no key", PLANS_HERE) is None
    assert await subscriptions.pass_of(db, "other", sub.key_id, PLANS_HERE) is None
    shipped = await subscriptions.pass_of(db, org, sub.key_id)
    assert shipped is not None
    assert shipped.plan.title == "Pro"


async def test_a_plan_that_is_not_set_up_is_no_fault_of_the_caller(db: Database, org: str) -> None:
    """503, and never as if there was no plan."""
    sub = await new(db, org)

    with pytest.raises(Unavailable, match="'lite'"):
        await subscriptions.pass_of(db, org, sub.key_id, Plans(plans={}))


async def test_a_cancelled_subscription_works_to_the_end(db: Database, org: str) -> None:
    """And can be taken back until then, but not after."""
    sub = await new(db, org)
    await pay(db, sub)
    cancel = partial(subscriptions.cancel_at_end, sub_id=sub.id)
    resume = partial(subscriptions.resume, sub_id=sub.id)

    for _ in range(2):
        assert (await db.write(partial(cancel, now_ms=ANCHOR))).status == "cancelled"
    for _ in range(2):
        assert (await db.write(partial(resume, now_ms=ANCHOR))).status == "active"
    await db.write(partial(cancel, now_ms=ANCHOR))

    with pytest.raises(Conflict, match="has ended"):
        await db.write(partial(resume, now_ms=start(1)))
    with pytest.raises(Conflict, match="has ended"):
        await pay(db, sub, reference="late", now_ms=start(1))
    assert not await pay(db, sub, now_ms=start(1))  # but what is known is known
    became = await what_became(db, sub)
    assert became == ["started", "paid", "cancelled", "resumed", "cancelled"]


async def test_a_subscription_can_be_ended_at_once(db: Database, org: str) -> None:
    """Whatever is paid; and one that is cancelled while it is not paid ends then."""
    sub = await new(db, org)
    await pay(db, sub)

    ended = [
        await db.write(partial(subscriptions.end, sub_id=sub.id, now_ms=ANCHOR + n)) for n in (1, 2)
    ]

    assert [(one.status, one.ended_ms) for one in ended] == [("expired", ANCHOR + 1)] * 2
    other = await new(db, org, random=RANDOM)
    gone = await db.write(partial(subscriptions.cancel_at_end, sub_id=other.id, now_ms=ANCHOR + 1))
    assert (gone.status, gone.ended_ms) == ("expired", ANCHOR + 1)


async def test_a_failed_payment_is_news_once(db: Database, org: str) -> None:
    """Until one succeeds."""
    sub = await new(db, org)
    await pay(db, sub)
    failed = partial(subscriptions.payment_failed, sub_id=sub.id, now_ms=start(1))

    assert [await db.write(failed) for _ in range(2)] == [True, False]
    await pay(db, sub, reference="second", now_ms=start(1) + 5)
    assert (await find(db, org)).failed_ms is None
    assert await db.write(failed)


async def test_a_key_is_replaced(db: Database, org: str) -> None:
    """Under the same id; one that was deleted is made again."""
    sub = await new(db, org)
    new_key = partial(subscriptions.set_key, sub_id=sub.id, last4="wxyz", now_ms=ANCHOR)
    await db.write(partial(new_key, digest="first"))
    before = await revision(db)

    await db.write(partial(new_key, digest="second"))

    assert await keys.find(db, "first") is None
    found = await keys.find(db, "second")
    assert found is not None
    assert (found.id, found.last4) == (sub.key_id, "wxyz")
    assert await revision(db) == before + 1
    await keys.delete(db, org, sub.key_id)
    await db.write(partial(new_key, digest="third"))
    assert (await keys.find(db, "third")) is not None


async def test_the_cap_on_fallback_holds_at_once(db: Database, org: str) -> None:
    """What was spent under it stays spent; of nothing is off."""
    sub = await new(db, org)
    await pay(db, sub)
    fund = fallback_of(org, f"{sub.id}.0")

    async def set_to(on: bool, cap: Nano | None) -> Subscription:
        work = partial(subscriptions.set_fallback, sub_id=sub.id, on=on, cap=cap, now_ms=ANCHOR)
        return await db.write(work)

    await set_to(True, Nano(50))
    await db.write(
        partial(funds.lend, worker="w", fund=fund, amounts=(30,), free=0, expires_at=ANCHOR)
    )
    assert await funds.find(db, fund) == Fund(50, 30)
    await db.write(lambda tx: tx.execute("UPDATE funds SET posted = 20 WHERE id = ?", (fund,)))
    assert (await subscriptions.use_of(db, sub, ANCHOR)).fallback_spent == 30

    assert (await set_to(True, Nano(60))).fallback_cap == 60
    assert await funds.find(db, fund) == Fund(30, 30)
    assert (await set_to(True, None)).fallback
    assert (await subscriptions.use_of(db, sub, ANCHOR)).fallback_spent == 30
    assert not (await set_to(True, Nano(0))).fallback
    assert not (await set_to(False, None)).fallback
    with pytest.raises(BadRequest):
        await set_to(True, Nano(-1))
