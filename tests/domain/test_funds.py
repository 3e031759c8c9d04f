"""Behaviour of funds as values: what is charged, how they are named, what they refuse."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain import funds
from apertura.domain.funds import (
    ALWAYS_MS,
    PAYERS,
    UNBOUNDED,
    Fund,
    Short,
    allowance_of,
    budget_of,
    charged,
    fallback_of,
    kind_of,
    owner_of,
    promo_of,
    quota_of,
    refusal,
    span_of,
    spend,
    wallet_of,
    worst,
)
from apertura.errors import PaymentRequired, RateLimited

amounts = st.integers(0, 2**62)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


# What is charged.


@given(amounts, st.lists(st.tuples(amounts, amounts, amounts), min_size=1, max_size=4))
def test_a_charge_leaves_nothing_below_zero(cost: int, stands: list[tuple[int, int, int]]) -> None:
    """Whatever a call cost: each fund that pays keeps what is lent to others."""
    parts = [(Fund(held + more, held), min(covered, held)) for held, more, covered in stands]

    paid = charged(cost, parts)

    assert 0 <= paid <= cost
    for fund, covered in parts:
        after = spend(fund, covered, paid)
        assert after.posted >= after.held >= 0
    if paid < cost:  # then one of them is exhausted
        assert any(
            (after := spend(fund, covered, paid)).posted == after.held for fund, covered in parts
        )


def test_a_lowered_cap_has_nothing_available() -> None:
    """What is lent already stays lent; no more is."""
    assert Fund(3, 10).available == 0
    assert Fund(10, 3).available == 7
    assert Fund(10) == Fund(10, 0)


# Names, kinds and months.


def test_funds_are_named_by_what_they_are() -> None:
    """Kind and owner can be read from a fund's name."""
    now = at("2026-03-20T12:00")
    named = {
        wallet_of("o1"): ("wallet", "o1"),
        quota_of("k1"): ("key-quota", "k1"),
        budget_of("key", "k1", 15, now): ("key-budget", "k1"),
        budget_of("org", "o1", 15, now): ("org-budget", "o1"),
        allowance_of("o1", "s.1"): ("allowance", "o1"),
        fallback_of("o1", "s.1"): ("fallback", "o1"),
        promo_of("o1", "p1"): ("promo", "o1"),
    }
    assert list(named) == [
        *("org:o1:wallet", "key:k1:quota", "key:k1:budget:2026-03-15"),
        *("org:o1:budget:2026-03-15", "org:o1:plan:s.1", "org:o1:fallback:s.1", "org:o1:promo:p1"),
    ]

    assert {name: (kind_of(name), owner_of(name)) for name in named} == named


@pytest.mark.parametrize("name", ["", "org:o1", "key:k1:wallet", "processor:stripe"])
def test_other_names_are_refused(name: str) -> None:
    """An account that is no fund is a ValueError."""
    with pytest.raises(ValueError) as refused:
        kind_of(name)
    assert str(refused.value) == f"there is no fund {name!r}"


@pytest.mark.parametrize(
    ("now", "day", "first", "end"),
    [
        ("2026-03-15T00:00", 15, "2026-03-15", "2026-04-15"),
        ("2026-03-14T23:59:59", 15, "2026-02-15", "2026-03-15"),
        ("2026-01-01T00:00", 28, "2025-12-28", "2026-01-28"),
        ("2026-12-31T23:59:59", 1, "2026-12-01", "2027-01-01"),
        ("2024-02-29T12:00", 28, "2024-02-28", "2024-03-28"),
        ("2300-03-14T23:59:59", 15, "2300-02-15", "2300-03-15"),
    ],
)
def test_a_budget_begins_anew_on_its_day(now: str, day: int, first: str, end: str) -> None:
    """At midnight UTC, also across the year's end and in a leap year."""
    name = budget_of("org", "o", day, at(now))

    assert name == f"org:o:budget:{first}"
    assert span_of(name) == (at(first + "T00:00"), at(end + "T00:00"))


@given(st.integers(1, 28), st.integers(0, 4 * 10**12))
def test_each_moment_lies_in_its_month(day: int, now: int) -> None:
    """The months of a budget follow each other without a gap."""
    since, until = span_of(name := budget_of("key", "k", day, now))

    assert since <= now < until
    assert budget_of("key", "k", day, until - 1) == name
    assert span_of(budget_of("key", "k", day, until))[0] == until


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_no_time_zone_of_the_machine_matters(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month begins at midnight UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        funds._month_of.cache_clear()
        found = [
            budget_of("org", "o", 9, at(f"2031-07-{text}")) for text in ("08T23:59", "09T00:00")
        ]
    time.tzset()

    assert found == ["org:o:budget:2031-06-09", "org:o:budget:2031-07-09"]


@pytest.mark.parametrize("day", [0, 29, -1])
def test_a_day_that_not_each_month_has_is_refused(day: int) -> None:
    """A budget begins anew on a day from 1 to 28."""
    with pytest.raises(ValueError) as refused:
        budget_of("org", "o", day, 0)
    assert str(refused.value) == f"a budget begins anew on a day from 1 to 28, not on {day}"


def test_what_is_no_budget_counts_always() -> None:
    """Wallets and quotas have no months."""
    assert span_of(wallet_of("o")) == span_of(quota_of("k")) == (0, ALWAYS_MS)
    assert ALWAYS_MS == UNBOUNDED == 2**63 - 1


# Refusals.


EMPTY = {
    "org:o:wallet": "The organization's balance does not cover this call. Top it up.",
    "org:o:promo:p": (
        "What the organization was given does not cover this call. Top up its balance."
    ),
    "org:o:plan:c1": "The plan's quota of this cycle is used up.",
    "key:k:quota": "This API key's quota does not cover this call.",
    "key:k:budget:2026-01-01": "This API key's budget of this month is used up.",
    "org:o:budget:2026-01-01": "The organization's budget of this month is used up.",
    "org:o:fallback:c1": "The limit on paying beside the plan is used up.",
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_fund_is_402(name: str) -> None:
    """Waiting does not help, and SDKs do not retry it; the message says which one it is."""
    error = refusal(Short(name, True, 0))

    assert isinstance(error, PaymentRequired)
    assert error.message == EMPTY[name]
    bought = name in ("org:o:wallet", "org:o:promo:p")
    assert error.code == ("insufficient_balance" if bought else "quota_exceeded")


def test_a_fund_in_use_is_429() -> None:
    """Waiting helps: SDKs retry after as long as the header says."""
    error = refusal(Short("org:o:wallet", False, 0))

    assert isinstance(error, RateLimited)
    assert error.headers == {"Retry-After": "1"}
    assert error.message == "What is left is tied up in running calls. Try again shortly."


def test_the_contract_says_which_refusal_comes_first() -> None:
    """A spent quota before an empty balance, and both before what only needs waiting."""
    wallet, quota = Short("org:o:wallet", True, 5), Short("key:k:quota", True, 3)
    waiting = Short("key:k:budget:2026-01-01", False, 1)

    assert worst([wallet, waiting, quota]) == Short("key:k:quota", True, 1)
    assert worst([waiting, wallet]) == Short("org:o:wallet", True, 1)
    assert worst([waiting]) == waiting


@pytest.mark.parametrize("payer", ["org:o:wallet", "org:o:promo:p", "org:o:plan:s.0"])
@pytest.mark.parametrize("cap", [name for name in EMPTY if kind_of(name) not in PAYERS])
def test_a_spent_cap_is_named_before_a_spent_payer(payer: str, cap: str) -> None:
    """Whichever is asked first."""
    shorts = [Short(payer, True, 0), Short(cap, True, 0)]

    assert worst(shorts).fund == worst(shorts[::-1]).fund == cap
    assert worst([Short(payer, True, 0), Short(cap, False, 0)]).fund == payer
