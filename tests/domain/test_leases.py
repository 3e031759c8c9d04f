"""Behaviour of leases and holds as values, and of how much is lent."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apertura.domain import funds
from apertura.domain.funds import Lease, extend, lease_size, release, settle, take

amounts = st.integers(0, 2**62)


def lease(free: int, fund: str = "org:o:wallet") -> Lease:
    made = Lease(fund)
    made.grow(free)
    return made


# Holds and leases.


@given(st.lists(amounts, min_size=1, max_size=4), amounts)
def test_a_hold_is_over_all_leases_or_none(free: list[int], amount: int) -> None:
    """Where one lease has not enough, none is touched."""
    leases = [lease(one) for one in free]

    hold = take(leases, amount)

    held = amount if min(free) >= amount else 0
    assert (hold is not None) == (min(free) >= amount)
    assert [(one.free, one.held) for one in leases] == [(one - held, held) for one in free]


@given(st.lists(amounts, min_size=1, max_size=4), amounts, amounts)
def test_settling_conserves_what_is_lent(free: list[int], amount: int, cost: int) -> None:
    """What a call does not use is free again; what it used is spent; no lease goes below zero."""
    assume(min(free) >= amount)
    leases = [lease(one) for one in free]
    hold = take(leases, amount)
    assert hold is not None

    covered = settle(hold, cost)

    assert covered == min(cost, *free)
    assert [(one.free, one.held, one.spent) for one in leases] == [
        (one - covered, 0, covered) for one in free
    ]
    assert [one.amount for one in leases] == free


def test_a_call_draws_on_what_is_free_before_it_is_short() -> None:
    """More than was held comes out of the leases as far as all of them have it."""
    wallet, quota = lease(100), lease(60)
    hold = take([wallet, quota], 50)
    assert hold is not None

    assert settle(hold, 80) == 60

    assert (wallet.free, wallet.spent) == (40, 60)
    assert (quota.free, quota.spent) == (0, 60)


def test_a_hold_ends_once() -> None:
    """A second end is a mistake of the program, and is not swallowed."""
    hold = take([lease(10)], 5)
    assert hold is not None
    release(hold)

    with pytest.raises(AssertionError, match=r"^a hold ends once$"):
        settle(hold, 1)
    with pytest.raises(AssertionError, match=r"^a hold that has ended is not extended$"):
        extend(hold, 1)


def test_a_cost_below_zero_is_a_mistake() -> None:
    """No arithmetic on a request can credit its caller."""
    hold = take([lease(10)], 5)
    assert hold is not None

    with pytest.raises(AssertionError, match=r"^a call never gives money$"):
        settle(hold, -1)


def test_a_hold_grows_in_all_leases_or_none() -> None:
    """What is not free in one of them is not taken from the other."""
    wallet, quota = lease(10), lease(7)
    hold = take([wallet, quota], 5)
    assert hold is not None

    assert not extend(hold, 3)
    assert (wallet.free, quota.free) == (5, 2)
    assert extend(hold, 2)
    assert (wallet.free, quota.free, hold.amount) == (3, 0, 7)
    assert settle(hold, 7) == 7
    assert (wallet.held, quota.held) == (0, 0)


def test_holds_of_a_lease_that_ended_cover_nothing() -> None:
    """The books lent their part to others meanwhile."""
    one = lease(10)
    hold = take([one], 5)
    assert hold is not None
    one.ended = True

    assert not extend(hold, 1)
    assert settle(hold, 5) == 0


def test_what_nobody_touched_is_surplus() -> None:
    """The least that was free since the last look goes back; the rest is in use."""
    one = lease(100)
    assert one.surplus() == 0
    hold = take([one], 30)
    assert hold is not None
    settle(hold, 10)
    assert one.surplus() == 70
    assert one.free == 20
    assert one.surplus() == 20
    assert (one.amount, one.spent) == (10, 10)
    one.booked(10)
    assert one.amount == 0


def test_what_a_growing_call_takes_is_no_surplus() -> None:
    """An extension is in use as the hold is, also while more is lent meanwhile."""
    one = lease(100)
    assert one.surplus() == 0
    hold = take([one], 30)
    assert hold is not None
    assert extend(hold, 50)
    release(hold)

    assert (one.free, one.held, one.spent) == (100, 0, 0)
    assert one.surplus() == 20


def test_a_call_that_costs_more_than_it_held_leaves_less_surplus() -> None:
    """What it drew from the free part was not untouched."""
    one = lease(100)
    one.surplus()
    hold = take([one], 30)
    assert hold is not None
    assert settle(hold, 90) == 90

    assert (one.surplus(), one.amount) == (10, 90)


def test_a_lease_can_be_emptied() -> None:
    """Everything that is free goes back, what is in calls stays; nothing is left to go back."""
    one = lease(100)
    one.surplus()
    hold = take([one], 30)
    assert hold is not None

    assert one.empty() == 70
    assert (one.free, one.held, one.surplus(), one.empty()) == (0, 30, 0, 0)
    release(hold)
    assert (one.free, one.amount) == (30, 30)


def test_a_call_that_concerns_no_fund_costs_none() -> None:
    """A free model's hold is over nothing, and grows and ends like any other."""
    hold = take([], 5)
    assert hold is not None
    assert extend(hold, 2)

    assert settle(hold, 9) == 7


def test_no_lease_gives_what_it_was_not_lent() -> None:
    """Amounts below nothing are mistakes of the program; so is booking more than was spent."""
    with pytest.raises(AssertionError):
        Lease("org:o:wallet").grow(-1)
    with pytest.raises(AssertionError):
        lease(5).booked(1)
    one = lease(5)
    hold = take([one], 5)
    assert hold is not None
    one.held = 4
    with pytest.raises(AssertionError, match=r"^no more ends than was held$"):
        release(hold)


def test_a_lease_is_on_one_fund_and_grows() -> None:
    """By as much as is lent, as often as it is; calls hold their parts of it side by side."""
    one = lease(5, "key:k:quota")
    one.grow(7)
    assert (one.fund, one.free) == ("key:k:quota", 12)

    assert take([one], 3) and take([one], 4)
    assert (one.free, one.held, one.amount) == (5, 7, 12)


def test_what_calls_spend_adds_up() -> None:
    """Until it is in the books."""
    one = lease(100)
    for cost in (10, 0, 20):
        hold = take([one], 30)
        assert hold is not None
        settle(hold, cost)

    assert (one.free, one.held, one.spent) == (70, 0, 30)
    one.booked(10)
    assert one.spent == 20


# How much is lent.


@pytest.mark.parametrize(
    ("available", "lent"), [(3_200, 100), (3_199, 90), (320, 10), (319, 10), (10, 10), (9, 0)]
)
def test_a_lease_is_a_small_part_of_what_there_is(available: int, lent: int) -> None:
    """One of 32, in whole calls of this size; and at least what is needed, if it is there."""
    assert lease_size([10], 0, available) == lent
    assert type(lease_size([10], 0, available)) is int


def test_nothing_is_lent_for_nothing() -> None:
    """Without a call that waits, or that can be covered, however much there is; and where a call
    takes all that there is to take, nothing beside it.
    """
    assert lease_size([], 0, 10_000) == 0
    assert lease_size([20_000], 0, 10_000) == 0
    assert lease_size([1], 0, 31) == 1


@given(st.lists(st.integers(1, 1000), max_size=8), st.integers(0, 5000), st.integers(0, 10**6))
def test_a_lease_is_covered_and_small(wanted: list[int], free: int, available: int) -> None:
    """Never more than is available; beyond what calls need, only a small part of it."""
    size = lease_size(wanted, free, available)

    assert 0 <= size <= available
    assert size <= max(sum(wanted), available // funds.SHARE)


@given(st.integers(1, 1000), st.integers(1, 50), st.integers(0, 200), st.integers(0, 999))
def test_calls_of_one_size_leave_no_crumbs(
    amount: int, waiting: int, calls: int, rest: int
) -> None:
    """With little left, exactly as many are covered as there is money for."""
    available = calls * amount + rest % amount

    size = lease_size([amount] * waiting, 0, available)

    assert size % amount == 0
    assert size >= min(waiting, calls) * amount


def test_a_small_call_behind_a_large_one_is_covered() -> None:
    """What does not fit does not stop what does."""
    assert lease_size([50, 10, 10, 10], 0, 25) == 20
    assert lease_size([50, 10], 5, 5) == 5
    assert lease_size([50], 10, 20) == 0
