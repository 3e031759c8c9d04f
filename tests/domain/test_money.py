"""Behaviour of amounts of money."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.money import (
    NANO_MAX,
    NANO_PER_QUOTA_UNIT,
    Nano,
    cost_of,
    format_usd,
    parse_usd,
    usd,
)

amounts = st.integers(-NANO_MAX, NANO_MAX).map(Nano)


@given(amounts, st.integers(0, 9))
def test_what_is_printed_reads_back(amount: Nano, places: int) -> None:
    """Any amount survives text, however many decimals are asked for."""
    assert parse_usd(format_usd(amount, places=places)) == amount


@given(amounts)
def test_an_amount_is_printed_without_needless_zeros(amount: Nano) -> None:
    """At least two decimals, and past those none that says nothing."""
    whole, _, decimals = format_usd(amount).partition(".")

    assert 2 <= len(decimals) <= 9
    assert len(decimals) == 2 or not decimals.endswith("0")
    assert whole.lstrip("-").isdigit()


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("2.50", 2_500_000_000),
        ("0", 0),
        ("-1", -1_000_000_000),
        ("0.000000001", 1),
        (".5", 500_000_000),
        ("1e-3", 1_000_000),
        ("1.000000000000000000000000000000000000000", 1_000_000_000),
        ("9223372036.854775807", NANO_MAX),
        ("-9223372036.854775807", -NANO_MAX),
    ],
)
def test_amounts_are_read_exactly(text: str, nano: int) -> None:
    """Decimal text becomes the integer of nano-dollars that it says."""
    assert parse_usd(text) == nano
    assert type(parse_usd(text)) is int


@pytest.mark.parametrize("text", ["", " ", "abc", "1,5", "$1", "0x10", "NaN", "sNaN", "Infinity"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """The message repeats what was written."""
    with pytest.raises(ValueError, match=f"^{re.escape(repr(text))} is not an amount of dollars$"):
        parse_usd(text)


@pytest.mark.parametrize(
    "text",
    [
        *("0.0000000001", "1e-10", "1.0000000000000000000000000000000000001"),
        *("1e-400", "1e-999999", f"1.{'0' * 500}1"),
    ],
)
def test_what_a_nano_dollar_cannot_hold_is_refused(text: str) -> None:
    """Nothing is rounded when read, however far behind the point it stands."""
    with pytest.raises(ValueError) as refused:
        parse_usd(text)

    assert str(refused.value) == f"{text!r} is finer than a billionth of a dollar"


@pytest.mark.parametrize(
    "text",
    ["9223372036.854775808", "-9223372036.854775808", "1e30", "1e400", "1e999999", "12" * 40],
)
def test_what_does_not_fit_64_bits_is_refused(text: str) -> None:
    """Not cut, not wrapped, and no other kind of exception."""
    with pytest.raises(ValueError, match=f"^{re.escape(repr(text))} is too large$"):
        parse_usd(text)


@given(st.integers(0, 2**100))
def test_a_cost_is_rounded_up_once(units_times_price: int) -> None:
    """The least whole number of nano-dollars that covers the sum; never less, never negative."""
    cost = cost_of(units_times_price)

    assert type(cost) is int
    assert 0 <= cost - Fraction(units_times_price, 1_000_000) < 1
    assert (cost == 0) == (units_times_price == 0)


@given(amounts)
def test_json_gets_the_exact_number(amount: Nano) -> None:
    """As a Decimal, with nothing lost at 64 bits."""
    assert usd(amount) * 1_000_000_000 == Decimal(amount)


@pytest.mark.parametrize(
    ("nano", "places", "text"),
    [
        (0, 2, "0.00"),
        (1_500_000_000, 2, "1.50"),
        (-1_500_000_000, 2, "-1.50"),
        (-1, 2, "-0.000000001"),
        (1_050_000_000, 0, "1.05"),
        (7_000_000_000, 0, "7"),
        (-7_000_000_000, 0, "-7"),
        (7_000_000_000, 9, "7.000000000"),
        (10_000_000_000, 2, "10.00"),
        (1, 2, "0.000000001"),
    ],
)
def test_amounts_are_printed_as_people_write_them(nano: int, places: int, text: str) -> None:
    """The sign before the number, as many decimals as asked for and no point without any."""
    assert format_usd(Nano(nano), places=places) == text


def test_a_quota_unit_is_a_500000th_of_a_dollar() -> None:
    """As every client of the public API reckons."""
    assert parse_usd("1") == 500_000 * NANO_PER_QUOTA_UNIT
