"""Behaviour of plans in proportion: what upgrades add and cost, what is booked, what is shown."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.cycles import Cycle
from apertura.domain.ledger import Entry
from apertura.domain.money import Nano, parse_usd
from apertura.domain.plans import (
    CENT,
    MS_PER_DAY,
    Pass,
    Plan,
    allowance,
    change,
    counted,
    current,
    cycle_name,
    expiry,
    parse_cycle,
    pay,
    paying_cycle,
    payment,
    upgrade_allowance,
    upgrade_price,
)
from apertura.errors import PaymentRequired
from tests.plans import ANCHOR, GRACE, LITE, MAX, PRO, bought, start

# Proportions.


def test_an_upgrade_adds_the_difference_for_the_rest() -> None:
    """Rounded down."""
    here = Cycle(0, 0, 300)

    assert upgrade_allowance(600_000, 600_000, 900_000, here, 0) == 300_000
    assert upgrade_allowance(600_000, 600_000, 900_000, here, 150) == 150_000
    assert upgrade_allowance(600_000, 600_000, 900_000, here, 299) == 1_000
    assert upgrade_allowance(600_000, 600_000, 900_001, here, 298) == 2_000
    assert upgrade_allowance(600_000, 600_000, 900_000, here, 300) == 0
    assert upgrade_allowance(600_000, 900_000, 600_000, here, 0) == 0


def test_an_upgrade_adds_no_more_than_the_plan_has() -> None:
    """Of all that was granted in the cycle, by whatever ways."""
    here = Cycle(0, 0, 300)

    assert upgrade_allowance(899_999, 600_000, 900_000, here, 0) == 1
    assert upgrade_allowance(5_000_000, 600_000, 900_000, here, 0) == 0


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([LITE, PRO, MAX]), st.integers(0, 5 * MS_PER_DAY)), max_size=12
    )
)
def test_changes_to_and_fro_grant_no_more_than_the_best_plan_has(
    steps: list[tuple[Plan, int]],
) -> None:
    """In each cycle; and what upgrades cost is at least what their credits cost in the plan, by the
    share of the cycle.
    """
    now, sub = ANCHOR, bought(paid=1)
    granted, best = {0: sub.terms.allowance}, {0: sub.terms.allowance}
    for plan, later in steps:
        now += later
        while now >= sub.paid_until_ms:
            sub, number, _ = pay(sub, sub.paid_until_ms)
            sub = current(sub, start(number))
            granted[number] = best[number] = sub.terms.allowance
        sub = current(sub, now)
        here = paying_cycle(sub, now)
        after, upgraded = change(sub, plan, now)
        if upgraded:
            old, new = sub.terms.allowance, after.terms.allowance
            granted[here.number] += upgrade_allowance(granted[here.number], old, new, here, now)
            best[here.number] = max(best[here.number], new)
        sub = after

    assert all(granted[number] <= best[number] for number in granted)


def test_an_upgrade_costs_the_difference_for_what_is_paid_and_not_over() -> None:
    """In whole cents, down; a year has its discount."""
    full = parse_usd("13")

    assert upgrade_price(bought(), PRO, ANCHOR) == full
    assert type(upgrade_price(bought(), PRO, ANCHOR)) is int
    half = (start(0) + start(1)) // 2
    assert upgrade_price(bought(), PRO, half) == full // 2
    assert upgrade_price(bought(), PRO, half + 1) == full // 2 - CENT
    assert upgrade_price(bought(paid=3), PRO, half) == full * 5 // 2
    year = bought(period="yearly", paid=12)
    assert upgrade_price(year, PRO, ANCHOR) == parse_usd("240") - parse_usd("115.20")
    assert upgrade_price(year, PRO, start(9)) == parse_usd("31.20")


def test_an_upgrade_costs_nothing_where_nothing_is_paid_or_gained() -> None:
    """The next payment is of the new price."""
    assert upgrade_price(bought(), PRO, start(1)) == 0
    assert upgrade_price(bought(PRO), LITE, ANCHOR) == 0
    assert upgrade_price(bought(PRO), PRO, ANCHOR) == 0
    dearer = msgspec.structs.replace(PRO, monthly=parse_usd("30"))
    assert upgrade_price(bought(PRO), dearer, ANCHOR) == 0
    falling, _ = change(bought(PRO, paid=2), LITE, ANCHOR)
    paid, _, _ = pay(falling, ANCHOR)
    assert upgrade_price(paid, PRO, start(2)) == parse_usd("13")


@pytest.mark.parametrize(
    ("granted", "left", "shown"),
    [
        (600_000, 600_000, (600, 0, 600)),
        (600_000, 599_001, (600, 0, 600)),
        (600_000, 599_000, (600, 1, 599)),
        (600_999, 0, (600, 600, 0)),
        (0, 0, (0, 0, 0)),
    ],
)
def test_credits_are_shown_in_whole_numbers(
    granted: int, left: int, shown: tuple[int, int, int]
) -> None:
    """A credit counts as used when all of it is; what remains is the limit less that."""
    assert counted(granted, left) == shown


# Names and books.


def test_a_cycle_has_a_name() -> None:
    """Which is part of the name of its fund."""
    assert cycle_name("sub_1", 12) == "sub_1.12"
    assert parse_cycle("sub_1.12") == ("sub_1", 12)
    assert parse_cycle("org:o:plan:sub_1.12") == ("sub_1", 12)
    assert parse_cycle("sub.1.12") == ("sub.1", 12)


@pytest.mark.parametrize("name", ["", "sub_1", "sub_1.", ".1", "sub_1.x", "sub_1.-1", "sub_1.²"])
def test_what_names_no_cycle_is_refused(name: str) -> None:
    """Rather than understood somehow."""
    with pytest.raises(ValueError) as refused:
        parse_cycle(name)
    assert str(refused.value) == f"{name!r} names no cycle"


def test_an_allowance_stands_in_the_books_under_its_cycle() -> None:
    """What an upgrade adds has a number of its own; what is left ends."""
    account = "org:o:plan:sub_1.2"

    made = allowance("o", "sub_1.2", 600_000, at=5)
    assert (made.kind, made.reference, made.at) == ("allowance", "sub_1.2", 5)
    assert set(made.entries) == {
        Entry(account, Nano(-600_000)),
        Entry("contra:plan-credits", Nano(600_000)),
    }
    more = allowance("o", "sub_1.2", 5, upgrade=3, at=6)
    assert (more.kind, more.reference) == ("allowance", "sub_1.2:3")
    assert made.id != more.id
    over = expiry("o", "sub_1.2", 7, at=8)
    assert (over.kind, over.reference, over.at) == ("allowance-expiry", "sub_1.2", 8)
    assert len({made.id, more.id, over.id, allowance("o", "s.0", 5, at=5).id}) == 4
    assert set(over.entries) == {Entry(account, Nano(7)), Entry("contra:plan-credits", Nano(-7))}


def test_a_payment_is_revenue() -> None:
    """From whoever took it; of nothing, or without a name, it is none."""
    made = payment("manual", parse_usd("12"), "invoice 7", at=5)

    assert (made.kind, made.reference, made.at) == ("plan-payment", "invoice 7", 5)
    assert made.entries == (
        Entry("processor:manual", parse_usd("12")),
        Entry("revenue:plans", Nano(-parse_usd("12"))),
    )
    assert payment("manual", Nano(1), "r", at=5).entries[0].amount == 1
    assert made.id != payment("manual", Nano(1), "invoice 8", at=5).id
    for amount, reference in ((0, "r"), (-1, "r"), (1, " ")):
        with pytest.raises(ValueError) as refused:
            payment("manual", Nano(amount), reference, at=5)
        assert str(refused.value) == "a payment is of more than nothing, and has a reference"


# What a caller holds.

RATES = {"small": 1500, "gift": 0, "code:small": 250, "a:b:free": 7}


@pytest.mark.parametrize(
    ("name", "multiplier"),
    [
        ("small", 1500),
        ("apertis/small", 1500),
        ("small:web", 1500),
        ("small:free", 1500),
        ("code:small", 250),
        ("apertis/code:small:web", 250),
        ("gift", 0),
        ("code:gift", 0),
        ("a:b:free", 7),
        ("a:b", None),
        ("Small", None),
        ("code:code:small", 250),
        ("", None),
    ],
)
def test_variants_take_what_their_model_does(name: str, multiplier: int | None) -> None:
    """But where they have a multiplier of their own."""
    plan = msgspec.structs.replace(LITE, multipliers=RATES)

    assert plan.multiplier(name) == multiplier


def test_a_pass_answers_for_its_subscription() -> None:
    """With the time as it is."""
    plan = msgspec.structs.replace(PRO, multipliers=RATES, tiers={"small": "lite"})
    later = msgspec.structs.replace(LITE, multipliers={"small": 9}, tiers={})
    falling, _ = change(bought(plan), later, ANCHOR)
    held = Pass(subscription=falling, plan=plan, next_plan=later, grace_ms=GRACE)

    held.check(start(1) + GRACE - 1)
    with pytest.raises(PaymentRequired):
        held.check(start(1) + GRACE)
    assert (held.multiplier("small"), held.multiplier("small", start(1) - 1)) == (1500, 1500)
    assert (held.multiplier("small", start(1)), held.multiplier("gift", start(1))) == (9, None)
    assert (held.tier("small"), held.tier("small", start(1)), held.tier("x")) == (
        "lite",
        None,
        None,
    )
    assert (held.cycle(ANCHOR), held.cycle(start(1) + 1)) == ("sub_1.0", "sub_1.0")
    assert held.per_model == 20
    alone = Pass(subscription=bought(), plan=LITE)
    assert alone.grace_ms == GRACE == 604_800_000
    assert alone.plan_at(start(9)) == LITE


@pytest.mark.parametrize(
    ("on", "cap", "pays"),
    [(False, None, False), (True, None, True), (True, 5, True), (True, 0, False)],
)
def test_the_wallet_pays_beside_the_plan_where_its_owner_wants(
    on: bool, cap: int | None, pays: bool
) -> None:
    """A cap of nothing is off."""
    held = Pass(subscription=bought(fallback=on, fallback_cap=cap), plan=LITE)

    assert (held.fallback, held.fallback_cap) == (pays, cap)
