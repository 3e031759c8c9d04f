"""Any order of events keeps the invariants of the money: a search by Hypothesis."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.simulation.machine import World

WORKERS = st.integers(0, 1)
HOLDS = st.integers(1, 120)
SEVERAL = st.lists(HOLDS, min_size=1, max_size=4)


class Money(RuleBasedStateMachine):
    """Rules are what may happen; after each, everything that must be true is looked at. What
    happens often in life stands in rules of its own, the rest in rules for several things.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(amount=st.sampled_from([0, 100, 1_000, 20_000]))
    def begin(self, amount: int) -> None:
        if amount:
            self.world.top_up(amount)

    @rule(worker=WORKERS, key=st.sampled_from(["k0", "k1"]), amounts=SEVERAL)
    def hold(self, worker: int, key: str, amounts: list[int]) -> None:
        for amount in amounts:
            self.world.hold(worker, key, amount)

    @precondition(lambda self: self.world.running)
    @rule(cost=st.integers(0, 150), last=st.booleans())
    def settle(self, cost: int, *, last: bool) -> None:
        self.world.settle(self.world.running[-1 if last else 0], cost)

    @precondition(lambda self: self.world.running)
    @rule(cost=st.integers(0, 60))
    def settle_all(self, cost: int) -> None:
        for one in list(self.world.running):
            self.world.settle(one, cost)

    @precondition(lambda self: self.world.running)
    @rule(amount=st.integers(-20, 60), last=st.booleans())
    def extend_or_release(self, amount: int, *, last: bool) -> None:
        one = self.world.running[-1 if last else 0]
        if amount > 0:
            self.world.extend(one, amount)
        else:
            self.world.release(one)

    @precondition(lambda self: any(place.rows for place in self.world.places))
    @rule(worker=WORKERS, forget=st.booleans())
    def book(self, worker: int, *, forget: bool) -> None:
        self.world.book(worker, forget=forget)

    @rule(worker=WORKERS, amount=HOLDS, after=st.integers(0, 6))
    def give_up(self, worker: int, amount: int, after: int) -> None:
        self.world.give_up(worker, amount, after)

    @rule(worker=WORKERS, what=st.sampled_from(["sweep", "recall", "replay"]))
    def keep_house(self, worker: int, what: str) -> None:
        {"sweep": self.world.sweep, "recall": self.world.recall, "replay": self.world.replay}[what](
            worker
        )

    @rule(worker=WORKERS, killed=st.booleans())
    def upset(self, worker: int, *, killed: bool) -> None:
        if killed:
            self.world.kill(worker)
        else:
            self.world.fall_silent(worker)

    @rule(amount=st.integers(-200, 1_000).filter(bool))
    def pay(self, amount: int) -> None:
        if amount > 0:
            self.world.top_up(amount)
        else:
            self.world.refund(-amount)

    @rule(quota=st.none() | st.integers(0, 500), days=st.integers(-20, 20))
    def change(self, quota: int | None, days: int) -> None:
        if days > 0:
            self.world.pass_days(days)
        else:
            self.world.change_quota(quota)

    @invariant()
    def is_sound(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.close()


def test_any_order_of_events_keeps_the_money() -> None:
    """A few hundred steps, the same each time."""
    run_state_machine_as_test(Money, settings=settings(max_examples=12, stateful_step_count=30))


@pytest.mark.slow
def test_many_orders_of_events_keep_the_money() -> None:
    """Fifteen hundred steps; with `make soak` ten thousand."""
    examples = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 30
    run_state_machine_as_test(
        Money, settings=settings(max_examples=examples, stateful_step_count=50)
    )
