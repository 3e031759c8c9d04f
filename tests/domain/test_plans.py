"""Behaviour of subscriptions as values: what is paid, what is granted, what follows."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.cycles import cycle
from apertura.domain.money import parse_usd
from apertura.domain.plans import (
    Period,
    Plan,
    Subscription,
    Terms,
    begin,
    change,
    check_status,
    current,
    paid_cycles,
    pay,
    paying_cycle,
    renewed,
    status_at,
)
from apertura.errors import BadRequest, PaymentRequired
from tests.plans import ANCHOR, GRACE, LITE, MAX, PRO, bought, start

# Prices.


@pytest.mark.parametrize(
    ("period", "price"), [("monthly", "12"), ("quarterly", "32.40"), ("yearly", "115.20")]
)
def test_longer_periods_cost_less(period: Period, price: str) -> None:
    """By the plan's discounts."""
    assert LITE.price(period) == parse_usd(price)
    assert LITE.terms(period) == Terms(
        plan="lite", period=period, price=parse_usd(price), allowance=600_000
    )


def test_a_price_is_of_whole_cents() -> None:
    """Rounded down."""
    odd = msgspec.structs.replace(LITE, monthly=parse_usd("9.99"), quarterly_discount=7)

    assert odd.price("quarterly") == parse_usd("27.87")  # 27.8721


def test_a_plan_has_what_it_says_and_no_more() -> None:
    """Without discounts a longer period costs its months; without models it has none."""
    bare = Plan(id="p", title="P", monthly=parse_usd("7"), allowance=1, per_model=2)
    periods: tuple[Period, ...] = ("monthly", "quarterly", "yearly")

    assert [bare.price(one) for one in periods] == [parse_usd(one) for one in ("7", "21", "84")]
    assert bare.on_sale is True
    assert (dict(bare.multipliers), dict(bare.tiers)) == ({}, {})


def test_a_subscription_begins_as_this() -> None:
    """Nothing follows, nothing has failed, the wallet does not pay beside it."""
    new = Subscription(
        id="s", org_id="o", key_id="k", terms=PRO.terms("yearly"), anchor_ms=5, paid_until_ms=6
    )

    assert (new.status, new.cancel_at_end, new.next, new.next_at_ms) == ("active", False, None, 0)
    assert (new.fallback, new.fallback_cap, new.failed_ms, new.ended_ms) == (
        False,
        None,
        None,
        None,
    )
    assert begin(PRO, "yearly", sub_id="s", org_id="o", key_id="k", now_ms=5) == (
        msgspec.structs.replace(new, paid_until_ms=5, status="suspended")
    )


# What it is at a moment.


@pytest.mark.parametrize(
    ("after", "cancelled", "status"),
    [
        (-1, False, "active"),
        (-1, True, "cancelled"),
        (0, False, "active"),
        (0, True, "expired"),
        (GRACE - 1, False, "active"),
        (GRACE, False, "suspended"),
        (GRACE, True, "expired"),
    ],
)
def test_a_late_payment_is_waited_for(after: int, cancelled: bool, status: str) -> None:
    """From the end of what is paid for the days of grace; not where it was cancelled."""
    sub = bought(cancel_at_end=cancelled)

    assert status_at(sub, start(1) + after, GRACE) == status


def test_what_was_never_paid_has_no_grace() -> None:
    """And what has ended has ended, whatever is paid."""
    assert status_at(bought(paid=0), ANCHOR, GRACE) == "suspended"
    assert status_at(bought(paid=0), ANCHOR + 1, GRACE) == "suspended"
    assert status_at(bought(paid=9, ended_ms=ANCHOR + 5), ANCHOR + 6, GRACE) == "expired"


def test_a_new_subscription_cannot_be_used() -> None:
    """Until it is paid."""
    new = begin(PRO, "yearly", sub_id="sub_1", org_id="o", key_id="k", now_ms=ANCHOR)

    assert (new.plan, new.period, new.status) == ("pro", "yearly", "suspended")
    assert (new.anchor_ms, new.paid_until_ms, new.next_plan) == (ANCHOR, ANCHOR, None)
    assert (new.id, new.org_id, new.key_id) == ("sub_1", "o", "k")
    assert paid_cycles(new) == 0
    with pytest.raises(PaymentRequired):
        check_status(new, ANCHOR, GRACE)


REFUSALS = {
    "payment_failed": "The subscription of this API key is not paid for. It goes on once it is.",
    "subscription_expired": (
        "The subscription of this API key has ended. Start a new one, or use another key."
    ),
}


@pytest.mark.parametrize(
    ("sub", "at", "code"),
    [
        (bought(), start(1) + GRACE, "payment_failed"),
        (bought(cancel_at_end=True), start(1), "subscription_expired"),
        (bought(ended_ms=ANCHOR), ANCHOR, "subscription_expired"),
    ],
)
def test_a_refusal_says_why(sub: Subscription, at: int, code: str) -> None:
    """With the code of the contract, and what can be done."""
    with pytest.raises(PaymentRequired) as raised:
        check_status(sub, at, GRACE)

    assert (raised.value.code, raised.value.message) == (code, REFUSALS[code])


def test_in_the_grace_the_last_paid_cycle_goes_on_paying() -> None:
    """Before that each cycle does in its time."""
    sub = bought(paid=3)

    assert paying_cycle(sub, ANCHOR).number == 0
    assert paying_cycle(sub, start(1) - 1).number == 0
    assert paying_cycle(sub, start(2)) == cycle(ANCHOR, 2)
    assert paying_cycle(sub, start(3) + GRACE).number == 2
    assert paying_cycle(bought(paid=0), ANCHOR).number == 0


# Paying.


@pytest.mark.parametrize(("period", "count"), [("monthly", 1), ("quarterly", 3), ("yearly", 12)])
def test_a_payment_is_for_a_period(period: Period, count: int) -> None:
    """It follows what is paid, early as on time."""
    for now in (ANCHOR, start(1)):
        after, first, cycles = pay(bought(period=period, paid=1), now)
        assert (first, cycles) == (1, count)
        assert after.paid_until_ms == start(1 + count)


def test_a_payment_in_the_grace_follows_what_was_paid() -> None:
    """The cycle that had begun unpaid is paid from its beginning; the failure is forgotten."""
    after, first, count = pay(bought(failed_ms=start(1)), start(1) + GRACE)

    assert (first, count) == (1, 1)
    assert (after.paid_until_ms, after.failed_ms) == (start(2), None)


def test_time_without_service_is_not_charged() -> None:
    """After months of suspension a payment is for the cycle in which it is made."""
    after, first, count = pay(bought(), start(5) + 1)

    assert (first, count) == (5, 1)
    assert after.paid_until_ms == start(6)


@pytest.mark.parametrize(
    ("until", "count"),
    [
        (start(4), 3),
        (start(4) + 3_600_000, 3),
        (start(9), 3),
        (start(2) - 1, 1),
        (start(1), 0),
        (start(0), 0),
    ],
)
def test_a_processor_may_say_until_when(until: int, count: int) -> None:
    """It is understood to the nearest cycle, and never means more than the period has."""
    sub = bought(period="quarterly", failed_ms=7)

    after, first, cycles = pay(sub, ANCHOR, until)

    assert (first, cycles) == (1, count)
    assert after.paid_until_ms == start(1 + count)
    assert after.failed_ms == (None if count else 7)


@given(order=st.permutations(range(1, 7)))
def test_payments_out_of_order_pay_no_more_than_there_are(order: list[int]) -> None:
    """Each says until when; whatever comes first, they never pay beyond the last."""
    sub = bought(paid=1)
    paid: list[int] = []
    for number in order:
        sub, first, count = pay(sub, start(number), start(number + 1))
        paid += range(first, first + count)

    assert sub.paid_until_ms == start(7)
    assert len(paid) == len(set(paid)) <= 6


# Changing.


def test_an_upgrade_holds_at_once() -> None:
    """In the period that is paid; what follows is the same."""
    after, upgraded = change(bought(period="yearly", paid=12), PRO, start(3))

    assert upgraded
    assert (after.terms, after.next) == (PRO.terms("yearly"), None)


def test_a_downgrade_holds_from_the_end_of_what_is_paid() -> None:
    """Until then nothing changes."""
    sub = bought(PRO, "quarterly", paid=3)

    after, upgraded = change(sub, LITE, start(1))

    assert not upgraded
    assert (after.terms, after.next_plan) == (sub.terms, "lite")
    assert (after.next, after.next_at_ms) == (LITE.terms("quarterly"), start(3))
    assert current(after, start(3) - 1) is after
    begun = current(after, start(3))
    assert (begun.terms, begun.next, begun.next_at_ms) == (LITE.terms("quarterly"), None, 0)


def test_another_plan_of_the_same_price_is_no_upgrade() -> None:
    """It waits for the end of what is paid; nothing is owed for it."""
    other = msgspec.structs.replace(PRO, id="other")

    after, upgraded = change(bought(PRO), other, ANCHOR)

    assert (upgraded, after.plan, after.next_plan) == (False, "pro", "other")


def test_another_period_holds_from_the_end_of_what_is_paid() -> None:
    """Also with an upgrade, whose plan holds at once."""
    after, upgraded = change(bought(), LITE, ANCHOR, "yearly")
    assert (upgraded, after.terms) == (False, LITE.terms("monthly"))
    assert (after.next, after.next_at_ms) == (LITE.terms("yearly"), start(1))

    after, upgraded = change(bought(), MAX, ANCHOR, "yearly")
    assert (upgraded, after.terms) == (True, MAX.terms("monthly"))
    assert (after.next, after.next_at_ms) == (MAX.terms("yearly"), start(1))


def test_the_plan_that_one_has_takes_back_what_was_to_follow() -> None:
    """So does an upgrade."""
    falling, _ = change(bought(PRO), LITE, ANCHOR)

    assert change(falling, PRO, ANCHOR) == (bought(PRO), False)
    risen, upgraded = change(falling, MAX, ANCHOR)
    assert (upgraded, risen) == (True, bought(MAX))


def test_where_nothing_is_paid_any_change_holds_now() -> None:
    """No part of a cycle comes with it: the next payment is for the new plan."""
    for plan in (MAX, LITE):
        after, upgraded = change(bought(PRO), plan, start(1), "yearly")
        assert (upgraded, after.terms) == (False, plan.terms("yearly"))
        assert (after.next, after.next_at_ms) == (None, 0)
    falling, _ = change(bought(PRO), LITE, ANCHOR)
    still = msgspec.structs.replace(falling, next_at_ms=start(2))
    after, _ = change(still, MAX, start(1))
    assert (after.terms, after.next, after.next_at_ms) == (MAX.terms("monthly"), None, 0)


def test_what_follows_and_is_paid_cannot_be_changed() -> None:
    """Or a year of the dear plan would be had for the price of the cheap one."""
    falling, _ = change(bought(MAX), LITE, ANCHOR)
    paid, first, count = pay(falling, ANCHOR)
    assert (first, count, paid.paid_until_ms) == (1, 1, start(2))

    for plan in (MAX, PRO, LITE):
        with pytest.raises(BadRequest) as raised:
            change(paid, plan, ANCHOR)
        assert raised.value.message == (
            "What follows is paid for already. The plan can be changed again once it has begun."
        )
        assert (raised.value.code, raised.value.param) == ("invalid_parameter", "plan")
    after, upgraded = change(paid, PRO, start(1))
    assert (upgraded, after.terms) == (True, PRO.terms("monthly"))


def test_a_payment_is_for_the_period_that_follows() -> None:
    """Where another one does, early or late."""
    yearly, _ = change(bought(), LITE, ANCHOR, "yearly")

    for now in (ANCHOR, start(1), start(1) + GRACE):
        after, first, count = pay(yearly, now)
        assert (first, count, after.paid_until_ms) == (1, 12, start(13))


def test_a_changed_price_holds_from_the_end_of_what_is_paid() -> None:
    """For those who keep the plan, and those who will have it."""
    dearer = msgspec.structs.replace(LITE, monthly=parse_usd("14"), allowance=700_000)
    sub = bought()

    after = renewed(sub, dearer)

    assert (after.terms, after.next) == (sub.terms, dearer.terms("monthly"))
    assert after.next_at_ms == start(1)
    assert renewed(after, dearer) == after
    assert renewed(after, LITE) == sub
    assert renewed(sub, LITE) is sub
    assert renewed(sub, PRO) is sub
    falling, _ = change(bought(PRO), LITE, ANCHOR)
    assert renewed(falling, dearer).next == dearer.terms("monthly")
    paid, _, _ = pay(falling, ANCHOR)
    assert renewed(paid, dearer) is paid
