"""One life of a subscriber in which everything happens of which `test_subscriber` tries the orders:
so that none of its rules is one that never comes to anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.customer import Customer
from tests.simulation.expected import HOUR
from tests.simulation.test_subscriber import WANTED

DAY = 24 * HOUR


@pytest.fixture
def world() -> Iterator[Customer]:
    made = Customer()
    yield made
    made.close()


def settle(world: Customer, cost: int) -> None:
    for one in list(world.running):
        world.settle(one, cost)
    world.check()


def call(world: Customer, model: str = "small", *, key: str = "", fresh: bool = True) -> None:
    sub = world.sub
    assert sub is not None
    world.call(0, key or sub.key, model, 100, fresh=fresh)
    world.check()


def use_up(world: Customer) -> None:
    """Until the allowance is at its end."""
    for _ in range(5):
        call(world)
        settle(world, 5)


def by_hand(world: Customer) -> None:
    """A subscription from its start to the end of its first cycle."""
    world.start("lite", "monthly")
    call(world)
    world.pay_by_hand(100, None, 20)
    world.set_fallback(0, on=True)
    use_up(world)
    call(world, "large")
    call(world, "free")
    settle(world, 1)
    world.set_fallback(500, on=True)
    call(world)
    world.book(0, forget=False)
    world.replay(0)
    world.change_plan("pro", "monthly", 50)
    world.change_plan("pro", "yearly", 0)
    world.change_plan("lite", "monthly", 0)
    world.pay_by_hand(100, None, 1)
    world.change_plan("pro", "monthly", 50)
    world.pay_by_hand(0, -1, 1)
    world.cancel()
    world.resume()
    world.check()
    call(world)
    world.pass_to_the_end(2 * HOUR, whole=False)
    world.jobs()
    settle(world, 300)
    world.rest()
    world.jobs()


def late(world: Customer) -> None:
    """It goes on, is not paid in time, and recovers; and it ends."""
    world.payment_fails()
    world.pass_to_the_end(DAY, whole=True)
    world.change_plan("lite", "monthly", 0)
    world.pass_time(70 * DAY)  # for longer than a cycle, which nobody paid for
    world.jobs()
    call(world)
    world.pay_by_hand(100, None, 1)
    world.check()
    call(world)
    world.repeat_payment(0, 20)
    world.end()
    world.pay_by_hand(100, None, 1)
    world.start("lite", "monthly")
    world.end()
    world.check()


def by_processor(world: Customer) -> None:
    """The next one, and a page that is paid although there is one."""
    world.plan_paid(0, "lite", "monthly", None, change=False)
    world.plan_paid(0, "lite", "monthly", 1, change=False)
    world.plan_paid(0, "pro", "monthly", None, change=True)
    world.plan_paid(1, "lite", "monthly", None, change=False)
    world.reprice(changed=True)
    world.plan_fails(0, ends=False)
    call(world)
    world.fall_silent(0)
    settle(world, 10)
    world.rest()
    call(world)
    old = world.running[-1]
    world.fall_silent(0)
    refused = world.seen["refused: not covered"]
    while world.seen["refused: not covered"] == refused:
        call(world)
        if world.running[-1] is not old:
            world.settle(world.running[-1], 5)
    world.book_all()
    settle(world, 5)
    world.rest()
    world.check()
    world.plan_fails(0, ends=True)
    world.check()


def with_gifts(world: Customer) -> None:
    """One that ends while a call of it runs."""
    world.give(100, 1)
    call(world, key="k0")
    world.pass_time(2 * DAY)
    world.jobs()
    settle(world, 100)
    world.rest()
    world.give(500, 1)
    world.rest()
    world.pass_time(2 * DAY)
    world.jobs()
    world.check()
    for after in range(2):
        call(world, key="k0")
        if after:
            settle(world, 20)
        world.kill(0)
        world.check()


def of_cash(world: Customer) -> None:
    """Paid late, twice and repeatedly; gone back before, after, and for nothing."""
    world.open(100, 5)
    world.fails(0, expires=True)
    world.goes_back(0, 0, "made", disputed=False)
    world.is_paid(0, other=False, times=20)
    world.is_paid(0, other=True, times=1)
    world.repeat(len(world.told) - 1, renamed=False)
    world.repeat(len(world.told) - 1, renamed=True)
    world.check()
    world.goes_back(0, 1, "pending", disputed=True)
    world.goes_back(0, 1, "failed", disputed=True)
    world.ask_back(0, 1, "made")
    world.open(50, 0)
    world.fails(1, expires=False)
    world.check()
    call(world, key="k0")
    world.refund(world.fund(world.wallet).available)
    world.goes_back(0, 2, "made", disputed=True)
    settle(world, 150)
    world.book_all()
    world.check()


def test_everything_happens_in_one_life(world: Customer) -> None:
    world.top_up(20_000)
    by_hand(world)
    late(world)
    by_processor(world)
    with_gifts(world)
    of_cash(world)

    assert {what for what, times in world.seen.items() if times} >= WANTED
