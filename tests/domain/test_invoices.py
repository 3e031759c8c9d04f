"""Rules of invoices: the tax inside an amount, and what details may hold."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.invoices import (
    CENT,
    LONGEST,
    RATE_MAX,
    Details,
    checked,
    format_rate,
    number_in,
    parse_rate,
    series_of,
    tax_inside,
)
from apertura.domain.money import Nano
from apertura.errors import BadRequest

amounts = st.integers(0, 2**62)
rates = st.integers(0, RATE_MAX)


@given(amounts, rates)
def test_a_tax_is_the_nearest_cent(amount: int, rate: int) -> None:
    """Of amount × rate ÷ (100 % + rate), a half up; and never more than the amount's next cent."""
    tax = tax_inside(Nano(amount), rate)

    exact = Fraction(amount * rate, RATE_MAX + rate)
    assert tax % CENT == 0
    assert -Fraction(CENT, 2) < tax - exact <= Fraction(CENT, 2)
    assert 0 <= tax <= amount + CENT


@pytest.mark.parametrize(
    ("amount", "rate", "tax"),
    [(11900, 19_000, 1900), (10000, 0, 0), (10825, 8_250, 825), (1, 19_000, 0)],
)
def test_known_taxes(amount: int, rate: int, tax: int) -> None:
    """In cents."""
    assert tax_inside(Nano(amount * CENT), rate) == tax * CENT


@given(rates)
def test_a_rate_is_read_as_it_is_shown(rate: int) -> None:
    """In percent."""
    assert parse_rate(format_rate(rate)) == rate


@pytest.mark.parametrize("text", ["", "19%", "-1", "1.2345", "101", "1e1", "٥", ".5", "1."])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """Naming it."""
    with pytest.raises(ValueError, match=r"percent|hundred"):
        parse_rate(text)


def test_numbers_have_a_series_for_each_year() -> None:
    """Of UTC; credit notes have their own."""
    new_year = 1_798_761_600_000

    assert series_of("top-up", new_year - 1) == "INV-2026"
    assert series_of("plan", new_year) == "INV-2027"
    assert series_of("refund", new_year) == "CN-2027"
    assert number_in("INV-2026", 42) == "INV-2026-000042"
    assert number_in("INV-2026", 1_000_000) == "INV-2026-1000000"


def test_details_are_tidied() -> None:
    """Space around is gone, lines end one way, countries are capitals; twice is as once."""
    given = Details(company=" A ", tax_id=" 1 ", address=" x \r\n\r\n y\n", country="de ")

    tidy = checked(given)

    assert tidy == Details(company="A", tax_id="1", address="x\ny", country="DE")
    assert checked(tidy) == tidy
    assert checked(Details()) == Details()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "a" * (most + 1)) for name, most in LONGEST.items()),
        ("company", "a\x00b"),
        ("company", "a\nb"),
        ("company", "a\u202eb"),
        ("tax_id", "\ud800"),
        ("address", "a\tb"),
        ("address", "\n".join("abcdefg")),
        ("country", "D"),
        ("country", "D1"),
        ("country", "ÄÖ"),
    ],
)
def test_what_no_envelope_can_hold_is_refused(name: str, value: str) -> None:
    """Naming the field."""
    with pytest.raises(BadRequest) as refusal:
        checked(Details(**{name: value}))

    assert (refusal.value.code, refusal.value.param) == ("invalid_parameter", name)
