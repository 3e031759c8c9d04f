"""Behaviour of prices as they stand in files: what is read, what is refused, what is put on top."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.pricing import FREE, Price, Tier, is_free
from apertura.domain.tariffs import (
    FIELDS,
    MARKUP_MAX,
    PRICE_MAX,
    Tariff,
    TierRow,
    price_id,
    raised,
    read_price,
)

amounts = st.integers(0, PRICE_MAX // 11)
own = st.none() | amounts
flat = st.builds(
    Price,
    input=amounts,
    output=amounts,
    cache_read=own,
    cache_write=own,
    cache_write_1h=own,
    audio_input=own,
    audio_output=own,
    image_output=own,
    per_call=amounts,
)


def tariff(**fields: str) -> Tariff:
    return Tariff(**{"input_usd_per_million": "2", "output_usd_per_million": "8", **fields})


def tier(above: int, **fields: Any) -> TierRow:
    return TierRow(above_input_tokens=above, **fields)


# Reading.


def test_each_class_is_read_from_its_field() -> None:
    """Dollars become nano-dollars; a class that is not stated has no price of its own."""
    stated = {field: f"{n}.5" for n, field in enumerate(FIELDS.values())}

    price = read_price(Tariff(**stated), (), needs_output=True)

    assert price is not None
    read = {name: getattr(price, name) for name in FIELDS}
    assert read == {name: n * 10**9 + 5 * 10**8 for n, name in enumerate(FIELDS)}
    assert read_price(tariff(), (), needs_output=True) == Price(input=2 * 10**9, output=8 * 10**9)


def test_what_states_nothing_has_no_price() -> None:
    """That is not free: free is written as 0."""
    assert read_price(Tariff(), (), needs_output=True) is None
    zero = Tariff(input_usd_per_million="0", output_usd_per_million="0")
    assert read_price(zero, (), needs_output=True) == FREE


@pytest.mark.parametrize(
    ("row", "tiers"),
    [
        (Tariff(output_usd_per_million="1"), ()),
        (Tariff(usd_per_call="1"), ()),
        (Tariff(), (tier(5, input_usd_per_million="1"),)),
    ],
)
def test_a_price_has_input(row: Tariff, tiers: tuple[TierRow, ...]) -> None:
    """Whatever else it has."""
    with pytest.raises(ValueError) as refused:
        read_price(row, tiers, needs_output=False)

    assert str(refused.value) == "input_usd_per_million is missing"


def test_a_price_has_output_where_there_is_any() -> None:
    """A model of vectors has none."""
    row = Tariff(input_usd_per_million="2")

    assert read_price(row, (), needs_output=False) == Price(input=2 * 10**9, output=0)
    with pytest.raises(ValueError) as refused:
        read_price(row, (), needs_output=True)
    assert str(refused.value) == "output_usd_per_million is missing"


def test_a_tier_keeps_what_it_does_not_state() -> None:
    """From the tier below it, and that from the price."""
    rows = (
        tier(100, input_usd_per_million="3"),
        tier(200, output_usd_per_million="9", usd_per_call="0.001"),
    )

    price = read_price(tariff(cache_read_usd_per_million="1"), rows, needs_output=True)

    base = Price(input=2 * 10**9, output=8 * 10**9, cache_read=10**9)
    first = msgspec.structs.replace(base, input=3 * 10**9)
    second = msgspec.structs.replace(first, output=9 * 10**9, per_call=10**6)
    tiers = (Tier(100, first), Tier(200, second))
    assert price == msgspec.structs.replace(base, tiers=tiers)


@pytest.mark.parametrize("bounds", [(0,), (-1,), (5, 5), (5, 4), (1, 3, 2)])
def test_bounds_of_tiers_rise_from_above_0(bounds: tuple[int, ...]) -> None:
    """Or a call would be in two, or all calls in one."""
    rows = [tier(above, input_usd_per_million="3") for above in bounds]

    with pytest.raises(ValueError) as refused:
        read_price(tariff(), rows, needs_output=True)

    assert str(refused.value) == (
        "tiers: above_input_tokens must rise from tier to tier, from above 0"
    )


def test_the_lowest_bound_is_one_token() -> None:
    """And a tier states something."""
    price = read_price(tariff(), [tier(1, input_usd_per_million="3")], needs_output=True)
    assert price is not None
    assert [one.above for one in price.tiers] == [1]
    with pytest.raises(ValueError) as refused:
        read_price(tariff(), [tier(7)], needs_output=True)
    assert str(refused.value) == "tiers: the tier above 7 states no price"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "'x' is not an amount of dollars"),
        ("-0.1", "a price must not be negative"),
        ("2000.000000001", "2000.000000001 is more than 2000 dollars"),
    ],
)
def test_an_amount_is_within_reason(text: str, said: str) -> None:
    """Or its field is named."""
    row = tariff(usd_per_call=text)

    with pytest.raises(ValueError) as refused:
        read_price(row, (), needs_output=True)

    assert str(refused.value) == f"usd_per_call: {said}"


def test_the_highest_price_is_believed() -> None:
    """Of what may be stated, and with a markup that reaches just that."""
    row = tariff(usd_per_call="2000")
    price = read_price(row, (), needs_output=True)

    assert price is not None
    assert price.per_call == PRICE_MAX == 2_000 * 10**9
    assert raised(price, 0) == price
    doubled = raised(Price(input=PRICE_MAX // 2, output=0), 100)
    assert doubled.input == PRICE_MAX


# A markup.


@given(flat, st.integers(0, MARKUP_MAX), st.lists(flat, max_size=2))
def test_a_markup_is_on_each_amount(price: Price, percent: int, above: list[Price]) -> None:
    """In every tier; up to whole nano-dollars; what has no price of its own gets none."""
    tiers = tuple(Tier(10 * n, one) for n, one in enumerate(above, 1))

    after = raised(msgspec.structs.replace(price, tiers=tiers), percent)

    assert [one.above for one in after.tiers] == [one.above for one in tiers]
    for old, new in zip([price, *above], [after, *(one.price for one in after.tiers)], strict=True):
        for name in FIELDS:
            before, now = getattr(old, name), getattr(new, name)
            if before is None:
                assert now is None
            else:
                assert type(now) is int
                assert 0 <= now * 100 - before * (100 + percent) < 100


def test_a_markup_by_example() -> None:
    """A fifth on top; what is free stays so."""
    price = Price(input=10, output=11, cache_read=0)

    assert raised(price, 20) == Price(input=12, output=14, cache_read=0)
    assert is_free(raised(FREE, MARKUP_MAX))


@pytest.mark.parametrize("percent", [-1, MARKUP_MAX + 1])
def test_a_markup_is_within_reason(percent: int) -> None:
    """It neither lowers a price nor is more than ten times it."""
    with pytest.raises(ValueError) as refused:
        raised(FREE, percent)

    assert str(refused.value) == f"markup_percent: {percent} is not between 0 and 1000"


def test_a_price_with_its_markup_is_within_reason_too() -> None:
    """One nano-dollar too much, wherever it stands."""
    for price in (
        Price(input=0, output=PRICE_MAX // 2 + 1),
        Price(input=0, output=0, tiers=(Tier(5, Price(input=PRICE_MAX // 2 + 1, output=0)),)),
    ):
        with pytest.raises(ValueError) as refused:
            raised(price, 100)
        said = "markup_percent: 100 makes a price of more than is believed"
        assert str(refused.value) == said


# Its name.


def test_a_price_is_named_by_its_figures() -> None:
    """And by when they were checked; where nobody says that, they are the operator's own."""
    rows = (tier(5, input_usd_per_million="3"), tier(9, output_usd_per_million="4.50"))

    assert price_id("acme", tariff(), (), "2026-01-31") == "acme:2/8@2026-01-31"
    assert price_id("acme", tariff(), rows, "") == "acme:2/8>5:3/0>9:0/4.50@local"
