"""Any order of events keeps the money of a subscriber, with gifts and payments: a search."""

from __future__ import annotations

import os
from collections import Counter
from typing import ClassVar

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

from tests.simulation.customer import Customer
from tests.simulation.expected import HOUR

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
WORKERS = st.integers(0, 1)
HOLDS = st.integers(1, 120)
SEVERAL = st.lists(HOLDS, min_size=1, max_size=4)
PLANS = st.sampled_from(["lite", "pro"])
PERIODS = st.sampled_from(["monthly", "monthly", "quarterly", "yearly"])
UNTIL = st.sampled_from([None, None, None, -1, 0, 1, 2, 5])
STATES = st.sampled_from(["pending", "made", "made", "failed"])
CENTS = st.integers(1, 120)
ANY = st.integers(0, 50)
MODELS = st.sampled_from(["small", "small", "small", "large", "free"])
STEPS = st.sampled_from([1, HOUR, 26 * HOUR, 24 * 8 * HOUR, 24 * 31 * HOUR])


class Subscribed(RuleBasedStateMachine):
    """Rules are what may happen; after each, everything that must be true is looked at."""

    engine = "sqlite"
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world = Customer(self.engine)

    @initialize(
        amount=st.sampled_from([0, 300, 5_000, 20_000]),
        plan=PLANS,
        period=PERIODS,
        fallback=st.sampled_from([None, 0, 100, 1_000]),
        by=st.sampled_from(["hand", "processor", "nobody"]),
    )
    def begin(self, amount: int, plan: str, period: str, fallback: int | None, by: str) -> None:
        if amount:
            self.world.top_up(amount)
        if by == "hand":
            self.world.start(plan, period)
            self.world.pay_by_hand(100, None, 2)
        elif by == "processor":
            self.world.plan_paid(0, plan, period, None, change=False)
        self.world.set_fallback(fallback, on=fallback != 0)

    def _key(self, earlier: bool) -> str:
        sold = self.world.sold
        return sold[0 if earlier else -1].key if sold else "k0"

    @rule(worker=WORKERS, model=MODELS, amounts=SEVERAL, fresh=st.booleans(), earlier=st.booleans())
    def call(
        self, worker: int, model: str, amounts: list[int], *, fresh: bool, earlier: bool
    ) -> None:
        for amount in amounts:
            self.world.call(worker, self._key(earlier), model, amount, fresh=fresh)

    @rule(worker=WORKERS, key=st.sampled_from(["k0", "k1"]), amounts=SEVERAL, fresh=st.booleans())
    def call_without_plan(self, worker: int, key: str, amounts: list[int], *, fresh: bool) -> None:
        for amount in amounts:
            self.world.call(worker, key, "small", amount, fresh=fresh)

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
        if amount > 0 and one.credits is None:
            self.world.extend(one, amount)
        else:
            self.world.release(one)

    @precondition(lambda self: any(place.rows for place in self.world.places))
    @rule(worker=WORKERS, how=st.sampled_from(["keep", "forget", "both"]))
    def book(self, worker: int, how: str) -> None:
        if how == "both":
            self.world.book_all()
        else:
            self.world.book(worker, forget=how == "forget")

    @rule(
        worker=WORKERS,
        what=st.sampled_from(["sweep", "recall", "replay", "give up", "rest"]),
        amount=HOLDS,
    )
    def keep_house(self, worker: int, what: str, amount: int) -> None:
        if what == "rest":
            self.world.rest()
        elif what == "give up":
            self.world.give_up(worker, amount, amount % 7)
        else:
            getattr(self.world, what)(worker)

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

    @rule(amount=st.integers(1, 400), days=st.integers(0, 30))
    def give(self, amount: int, days: int) -> None:
        self.world.give(amount, days)

    @rule(ms=STEPS, jobs=st.booleans())
    def pass_time(self, ms: int, *, jobs: bool) -> None:
        self.world.pass_time(ms)
        if jobs:
            self.world.jobs()

    @rule(changed=st.booleans())
    def jobs(self, *, changed: bool) -> None:
        self.world.reprice(changed=changed)
        self.world.jobs()

    # The subscription.

    @rule(plan=PLANS, period=PERIODS, by=st.sampled_from(["hand", "hand", "processor", "nobody"]))
    def start(self, plan: str, period: str, by: str) -> None:
        if by == "processor":
            self.world.plan_paid(len(self.world.tickets), plan, period, None, change=False)
        else:
            self.world.start(plan, period)
            if by == "hand":
                self.world.pay_by_hand(100, None, 1)

    @precondition(lambda self: self.world.alive)
    @rule(
        late=st.sampled_from([-HOUR, 0, HOUR, 26 * HOUR, 24 * 7 * HOUR + 1]),
        whole=st.booleans(),
        before=st.sampled_from(["call", "call", "nothing", "change"]),
        then=st.sampled_from(["jobs", "pay", "change", "nothing"]),
        plan=PLANS,
    )
    def come_to_an_end(self, late: int, before: str, then: str, plan: str, *, whole: bool) -> None:
        """Of a cycle, or of what is paid; calls of it may still run."""
        deeds = {
            "call": lambda: self.world.call(0, self._key(earlier=False), "small", 50),
            "change": lambda: self.world.change_plan(plan, "monthly", 10),
            "jobs": self.world.jobs,
            "pay": lambda: self.world.pay_by_hand(100, None, 1),
            "nothing": lambda: None,
        }
        deeds[before]()
        self.world.pass_to_the_end(late, whole=whole)
        deeds[then]()
        deeds["call"]()

    @rule(amount=st.integers(0, 500), until=UNTIL, times=st.sampled_from([1, 1, 2, 20]))
    def pay_by_hand(self, amount: int, until: int | None, times: int) -> None:
        self.world.pay_by_hand(amount, until, times)

    @rule(plan=PLANS, period=PERIODS, amount=st.integers(0, 90))
    def change_plan(self, plan: str, period: str, amount: int) -> None:
        self.world.change_plan(plan, period, amount)

    @rule(
        what=st.sampled_from(
            ["cancel", "cancel", "resume", "resume", "end", "end quietly", "fails", "again"]
        ),
        number=ANY,
    )
    def decide(self, what: str, number: int) -> None:
        deeds = {
            "cancel": self.world.cancel,
            "resume": self.world.resume,
            "end": self.world.end,
            "fails": self.world.payment_fails,
        }
        if what == "again":
            self.world.repeat_payment(number, 1 + number % 3)
        elif what == "end quietly":
            self.world.end(forget=False)
        else:
            deeds[what]()

    @rule(cap=st.none() | st.integers(0, 600), on=st.booleans())
    def set_fallback(self, cap: int | None, *, on: bool) -> None:
        self.world.set_fallback(cap, on=on)

    # The processor.

    @rule(cents=CENTS, discount=st.integers(0, 9))
    def open(self, cents: int, discount: int) -> None:
        self.world.open(cents, discount)

    @rule(number=ANY, other=st.booleans(), times=st.sampled_from([1, 1, 2, 20]))
    def is_paid(self, number: int, times: int, *, other: bool) -> None:
        self.world.is_paid(number, other=other, times=times)

    @rule(number=ANY, cents=CENTS, state=STATES, how=st.sampled_from(["told", "disputed", "asked"]))
    def goes_back(self, number: int, cents: int, state: str, how: str) -> None:
        if how == "asked":
            self.world.ask_back(number, cents, state)
        else:
            self.world.goes_back(number, cents, state, disputed=how == "disputed")

    @rule(number=st.integers(0, 3), plan=PLANS, period=PERIODS, until=UNTIL, change=st.booleans())
    def plan_paid(
        self, number: int, plan: str, period: str, until: int | None, *, change: bool
    ) -> None:
        self.world.plan_paid(number, plan, period, until, change=change)

    @rule(number=ANY, what=st.sampled_from(["page", "card", "plan", "ends", "again", "renamed"]))
    def is_told(self, number: int, what: str) -> None:
        if what in ("page", "card"):
            self.world.fails(number, expires=what == "page")
        elif what in ("plan", "ends"):
            self.world.plan_fails(number % 4, ends=what == "ends")
        else:
            self.world.repeat(number, renamed=what == "renamed")

    @invariant()
    def is_sound(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.close()
        type(self).seen += self.world.seen


WANTED = {
    "a cycle ends",
    "a cycle ends while calls of it run",
    "a gift ends",
    "a gift ends while it is held",
    "a page expired",
    "a payment declined",
    "a payment failed",
    "a payment told many times",
    "a period of no cycles",
    "an event told many times",
    "an old event again",
    "an old payment told again",
    "an old payment under a new id",
    "another period",
    "begun again",
    "begun with a processor",
    "cancelled",
    "changed while it is not paid",
    "changed with a processor",
    "credits lost",
    "downgraded",
    "ended",
    "ended with a processor",
    "fallback off",
    "fallback on",
    "gone back",
    "gone back and spent already",
    "journal replayed",
    "killed with a journal",
    "killed with calls",
    "not changed: the next is paid for",
    "not paid: it had ended",
    "paid",
    "paid by allowance",
    "paid by free",
    "paid by promo",
    "paid by wallet",
    "paid by wallet, after another",
    "paid for no subscription",
    "paid twice",
    "paid with a processor",
    "plans changed",
    "recovered",
    "refund asked",
    "refused: not covered",
    "refused: not in the plan",
    "refused: not paid for",
    "resumed",
    "settled above its hold",
    "silence",
    "undone",
    "upgraded",
    "what waited",
    "written off",
}


def search(examples: int, steps: int, engine: str = "sqlite") -> set[str]:
    """Look for an order that breaks it; returns what happened on the way."""

    class Tried(Subscribed):
        pass

    Tried.engine, Tried.seen = engine, Counter()
    with_steps = settings(max_examples=examples, stateful_step_count=steps)
    run_state_machine_as_test(Tried, settings=with_steps)
    return {what for what, times in Tried.seen.items() if times}


def test_any_order_of_events_keeps_the_money_of_a_subscriber() -> None:
    """A few hundred steps, the same each time."""
    assert search(12, 30)


@pytest.mark.slow
def test_many_orders_of_events_keep_the_money_of_a_subscriber() -> None:
    """Two thousand steps; with `make soak` twelve thousand, in which everything has happened."""
    seen = search(200 if SOAK else 40, 60 if SOAK else 50)
    assert len(seen & WANTED) == len(WANTED) if SOAK else len(seen & WANTED) * 10 > 8 * len(WANTED)


@pytest.mark.slow
def test_postgres_keeps_the_money_of_a_subscriber_as_well() -> None:
    """The same on the other database, for a while."""
    assert search(60 if SOAK else 3, 40, "postgres")
