"""Behaviour of alerts: levels, and what is news."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.alerts import (
    ALERT_KINDS,
    DEFAULTS,
    AlertKind,
    Level,
    Rule,
    Sighting,
    check_threshold,
    facts_of,
    is_news,
    look,
    marks,
    month_name,
    view,
)
from apertura.domain.bands import band_of
from apertura.domain.funds import UNBOUNDED
from apertura.domain.money import NANO_MAX, NANO_PER_USD

USD = NANO_PER_USD
CENT = USD // 100
PERCENT_KINDS: list[AlertKind] = ["quota", "budget", "cycle"]


def level(kind: AlertKind, left: int, whole: int = 0, rule: Rule | None = None) -> Level:
    return view(marks(kind, rule or DEFAULTS[kind], whole), left).level


@st.composite
def watched(draw: st.DrawFn) -> tuple[AlertKind, Rule, int]:
    """A kind of fund, its rule, and the whole of it."""
    kind = draw(st.sampled_from(ALERT_KINDS))
    most = 200 * USD if kind == "low_balance" else 99
    rule = Rule(on=draw(st.booleans()), threshold=draw(st.integers(1, most)))
    return kind, rule, draw(st.one_of(st.integers(0, 100), st.integers(0, 10_000 * USD)))


lefts = st.one_of(
    st.integers(-5, 5), st.integers(-USD, 300 * USD), st.integers(0, 20).map(USD.__mul__)
)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (20 * USD + 1, Level.NORMAL),
        (20 * USD, Level.LOW),
        (10 * USD, Level.LOW),
        (10 * USD - 1, Level.WARNING),
        (5 * USD, Level.WARNING),
        (5 * USD - 1, Level.CRITICAL),
        (CENT, Level.CRITICAL),
        (CENT - 1, Level.EXHAUSTED),
        (0, Level.EXHAUSTED),
    ],
)
def test_the_bands_of_a_balance(left: int, expected: Level) -> None:
    """As the contract has them; less than a cent is nothing."""
    assert level("low_balance", left) == expected


@given(lefts)
def test_a_balance_stands_at_the_band_that_is_shown(left: int) -> None:
    """The page and the mail say the same."""
    shown = ["normal", "low", "warning", "critical"].index(band_of(left))

    assert min(level("low_balance", left), Level.CRITICAL) == shown


@pytest.mark.parametrize(
    ("kind", "left", "expected"),
    [
        ("quota", 21, Level.NORMAL),
        ("quota", 20, Level.WARNING),
        ("quota", 11, Level.WARNING),
        ("quota", 10, Level.CRITICAL),
        ("quota", 0, Level.EXHAUSTED),
        ("cycle", 20, Level.WARNING),
        ("cycle", 10, Level.CRITICAL),
        ("cycle", 0, Level.EXHAUSTED),
        ("budget", 21, Level.NORMAL),
        ("budget", 20, Level.WARNING),
        ("budget", 1, Level.WARNING),
        ("budget", 0, Level.EXHAUSTED),
    ],
)
def test_the_levels_in_percent(kind: AlertKind, left: int, expected: Level) -> None:
    """Of what is left; a budget at 80 % used."""
    assert level(kind, left * USD, 100 * USD) == expected


@pytest.mark.parametrize("kind", PERCENT_KINDS)
def test_one_more_than_a_threshold_is_above_it(kind: AlertKind) -> None:
    """To the nano-dollar, also of a whole that cannot be divided by a hundred."""
    whole = 33 * USD + 7
    edge = whole * 20 // 100

    assert level(kind, edge, whole) == Level.WARNING
    assert level(kind, edge + 1, whole) == Level.NORMAL


def test_crumbs_are_nothing() -> None:
    """A call hardly ever costs less; of a small whole they are smaller."""
    assert level("quota", CENT - 1, 100 * USD) == Level.EXHAUSTED
    assert level("quota", CENT, 100 * USD) == Level.CRITICAL
    assert level("quota", USD // 1_000, USD) == Level.CRITICAL
    assert level("quota", USD // 1_000 - 1, USD) == Level.EXHAUSTED
    assert level("quota", 1, 10) == Level.CRITICAL
    assert level("cycle", 599, 600_000) == Level.EXHAUSTED
    assert level("cycle", 999, 5_000_000) == Level.EXHAUSTED


@pytest.mark.parametrize("kind", PERCENT_KINDS)
@pytest.mark.parametrize("whole", [0, UNBOUNDED])
def test_without_a_cap_there_is_nothing_to_tell(kind: AlertKind, whole: int) -> None:
    """A cap of nothing is a switch; one that was taken away is none."""
    assert level(kind, 0, whole) == Level.NORMAL


def test_a_threshold_of_one_s_own_stands_for_the_first() -> None:
    """What lies above it is left out, what lies below stays."""
    high, low = Rule(threshold=50 * USD), Rule(threshold=3 * USD)

    assert [level("low_balance", n * USD, rule=high) for n in (51, 50, 15, 9, 4)] == [0, 1, 1, 2, 3]
    assert [level("low_balance", n * USD, rule=low) for n in (15, 9, 4, 3, 0)] == [0, 0, 0, 3, 4]
    assert [level("quota", n, 100, Rule(threshold=5)) for n in (11, 6, 5, 0)] == [0, 0, 3, 4]
    assert [level("budget", n, 100, Rule(threshold=50)) for n in (51, 50, 1)] == [0, 2, 2]


def test_what_is_switched_off_is_always_normal() -> None:
    """Whatever is left."""
    for kind in ALERT_KINDS:
        assert level(kind, 0, 100 * USD, Rule(on=False, threshold=20)) == Level.NORMAL


@given(watched(), lefts, lefts)
def test_less_is_never_better(fund: tuple[AlertKind, Rule, int], one: int, other: int) -> None:
    """The level falls with what is left."""
    kind, rule, whole = fund

    assert level(kind, min(one, other), whole, rule) >= level(kind, max(one, other), whole, rule)


@given(watched(), lefts)
def test_between_its_bounds_a_level_stays(fund: tuple[AlertKind, Rule, int], left: int) -> None:
    """And one beyond either bound is another: nobody needs to look before, and must then."""
    kind, rule, whole = fund
    ordered = marks(kind, rule, whole)
    seen = view(ordered, left)

    assert seen.low <= left <= seen.high
    assert view(ordered, seen.low).level == view(ordered, seen.high).level == seen.level
    if seen.low > -NANO_MAX:
        assert view(ordered, seen.low - 1).level > seen.level
    if seen.high < NANO_MAX:
        assert view(ordered, seen.high + 1).level < seen.level


@given(watched(), st.lists(lefts, min_size=1, max_size=30))
def test_a_level_is_told_once_until_the_fund_has_stood_above_it(
    fund: tuple[AlertKind, Rule, int], course: list[int]
) -> None:
    """Between two tellings of a level lies a moment above it; after a telling of any level, nothing
    is told before the fund has moved past it; and whatever is worse than ever is told.
    """
    kind, rule, whole = fund
    levels = [level(kind, left, whole, rule) for left in course]
    told = [
        n for n, (before, now) in enumerate(pairwise([None, *levels])) if is_news(kind, before, now)
    ]

    for one, other in pairwise(told):
        if levels[other] <= levels[one]:
            assert min(levels[one:other]) < levels[other]
    for n in range(1, len(levels)):
        if levels[n] > max(levels[:n]):
            assert n in told
    assert all(levels[n] > Level.NORMAL for n in told)


@given(watched(), st.lists(lefts, min_size=1, max_size=20), st.integers(0, 19))
def test_looking_again_tells_nothing(
    fund: tuple[AlertKind, Rule, int], course: list[int], at: int
) -> None:
    """After a restart one looks at the same fund, from what is remembered of it."""
    kind, rule, whole = fund
    here = level(kind, course[at % len(course)], whole, rule)

    assert not is_news(kind, here, here)


def test_what_is_seen_first() -> None:
    """What has a whole was full before. A balance was not: only that it is used up is news."""
    assert is_news("quota", None, Level.WARNING)
    assert not is_news("quota", None, Level.NORMAL)
    assert not is_news("low_balance", None, Level.CRITICAL)
    assert is_news("low_balance", None, Level.EXHAUSTED)


@pytest.mark.parametrize(
    ("kind", "threshold", "good"),
    [
        ("low_balance", 1, True),
        ("low_balance", 0, False),
        ("low_balance", -USD, False),
        ("low_balance", NANO_MAX, False),
        *((kind, n, 1 <= n <= 99) for kind in PERCENT_KINDS for n in (-1, 0, 1, 99, 100)),
    ],
)
def test_thresholds_within_bounds(kind: AlertKind, threshold: int, good: bool) -> None:
    """A threshold of nothing would never be told of, and one of everything always."""
    if good:
        check_threshold(kind, threshold)
    else:
        with pytest.raises(ValueError):
            check_threshold(kind, threshold)


@pytest.mark.parametrize(
    ("since_ms", "name"),
    [
        (1_793_491_200_000, "November 2026"),
        (1_798_675_200_000, "the month from 31 December 2026"),
        (1_767_225_600_000, "January 2026"),
    ],
)
def test_months_have_names(since_ms: int, name: str) -> None:
    """By the day on which they begin."""
    assert month_name(since_ms) == name


def test_what_a_mail_says_of_a_budget() -> None:
    """Whole cents, rounded so that no more is promised than there is."""
    seen = Sighting(
        fund="key:k:budget:2026-11-01",
        kind="budget",
        org_id="o",
        organization="acme",
        name="ci",
        left=2 * USD - 1,
        whole=10 * USD,
        since_ms=1_793_491_200_000,
        until_ms=1_796_083_200_000,
        rule=DEFAULTS["budget"],
    )

    facts = facts_of(seen, look(seen).level)

    assert facts["percent"] == "80 %"
    assert (facts["left_usd"], facts["used_usd"], facts["whole_usd"]) == ("1.99", "8.00", "10.00")
    assert (facts["scope"], facts["month"]) == ('the key "ci"', "November 2026")
    assert facts["until"] == "2026-12-01"
