"""Behaviour of prices: what usage costs."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.catalog import PRICE_MAX
from apertura.domain.pricing import FREE, Price, Tier, cost, is_free, price_of
from apertura.domain.usage import TOKENS_MAX, Usage
from tests.domain.test_usage import INPUT_PARTS, OUTPUT_PARTS, honest

per_million = st.integers(0, 10**12)
own = st.none() | per_million
flat = st.builds(
    Price,
    input=per_million,
    output=per_million,
    cache_read=own,
    cache_write=own,
    cache_write_1h=own,
    audio_input=own,
    audio_output=own,
    image_output=own,
    per_call=st.integers(0, 10**9),
)
CLASSES = [name for name in Price.__struct_fields__ if name != "tiers"]


@st.composite
def prices(draw) -> Price:
    """With no, one or two tiers."""
    bounds = sorted(draw(st.sets(st.integers(1, 300), max_size=2)))
    tiers = tuple(Tier(above, draw(flat)) for above in bounds)
    return msgspec.structs.replace(draw(flat), tiers=tiers)


@st.composite
def rising(draw) -> Price:
    """With tiers none of whose classes is cheaper than below, as every provider has them."""
    price, tiers = draw(flat), []
    more = draw(st.integers(0, 10**9))
    for step, above in enumerate(sorted(draw(st.sets(st.integers(1, 300), max_size=2))), 1):
        dearer = {name: value + step * more for name, value in effective_own(price).items()}
        tiers.append(Tier(above, Price(**dearer)))
    return msgspec.structs.replace(price, tiers=tuple(tiers))


def effective(price: Price) -> dict[str, int]:
    """The price of each disjoint class, with the parent's where it has none of its own."""

    def own_or(name: str, parent: int) -> int:
        value = getattr(price, name)
        return parent if value is None else value

    write = own_or("cache_write", price.input)
    return {
        "plain_input": price.input,
        "cache_read": own_or("cache_read", price.input),
        "cache_write": write,
        "cache_write_1h": own_or("cache_write_1h", write),
        "audio_input": own_or("audio_input", price.input),
        "plain_output": price.output,
        "reasoning": price.output,
        "audio_output": own_or("audio_output", price.output),
        "image_output": own_or("image_output", price.output),
    }


def effective_own(price: Price) -> dict[str, int]:
    """The same under the names of a price's classes."""
    named = {name: value for name, value in effective(price).items() if name in CLASSES}
    return {**named, "input": price.input, "output": price.output, "per_call": price.per_call}


def in_force(usage: Usage, price: Price) -> Price:
    """The last tier that the call is above, or the price itself."""
    passed = [tier.price for tier in price.tiers if usage.input > tier.above]
    return passed[-1] if passed else price


@given(honest(), prices())
def test_each_token_is_priced_once(usage: Usage, price: Price) -> None:
    """The cost is the sum over disjoint classes, each at its own price, rounded up once."""
    chosen = in_force(usage, price)
    total = sum(Fraction(getattr(usage, n) * p, 10**6) for n, p in effective(chosen).items())

    assert cost(usage, price) == ceil(total + chosen.per_call)


@given(honest(), prices())
def test_a_cost_is_a_whole_number_and_never_negative(usage: Usage, price: Price) -> None:
    """An integer of nano-dollars; nothing but free or unused costs nothing."""
    assert type(cost(usage, price)) is int
    assert cost(usage, price) >= in_force(usage, price).per_call
    assert cost(usage, FREE) == 0


@given(
    honest(),
    rising(),
    st.sampled_from(["plain_input", "plain_output", *INPUT_PARTS, *OUTPUT_PARTS]),
    st.integers(1, 1000),
)
def test_more_tokens_never_cost_less(usage: Usage, price: Price, name: str, more: int) -> None:
    """Of whatever class they are."""
    total = "output" if name in (*OUTPUT_PARTS, "plain_output") else "input"
    grown = {total: getattr(usage, total) + more}
    if not name.startswith("plain"):
        grown[name] = getattr(usage, name) + more

    assert cost(msgspec.structs.replace(usage, **grown), price) >= cost(usage, price)


@given(honest(), flat, st.sampled_from(CLASSES), st.integers(1, 10**9))
def test_a_higher_price_never_costs_less(usage: Usage, price: Price, name: str, more: int) -> None:
    """Of whatever class it is."""
    before = getattr(price, name)
    if before is None:
        before = effective(price)[name]
    higher = msgspec.structs.replace(price, **{name: before + more})

    assert cost(usage, higher) >= cost(usage, price)


@given(st.lists(honest(), min_size=2, max_size=5), prices(), st.randoms())
def test_the_order_of_calls_does_not_matter(calls: list[Usage], price: Price, random) -> None:
    """A cost depends on its own call alone, so that sums are the same in any order."""
    before = [cost(call, price) for call in calls]
    shuffled = list(calls)
    random.shuffle(shuffled)

    assert sorted(cost(call, price) for call in shuffled) == sorted(before)


def test_a_price_is_taken_by_example() -> None:
    """1,000 input tokens of which 400 were cached, and 10 of output, at $2.50, $1.25 and $10."""
    usage = Usage(input=1000, cache_read=400, output=10)
    price = Price(input=2_500_000_000, cache_read=1_250_000_000, output=10_000_000_000)

    assert cost(usage, price) == 1_500_000 + 500_000 + 100_000


def test_above_a_bound_the_whole_call_has_other_prices() -> None:
    """By its inclusive input: at the bound the old price still holds, one token more and all of
    its tokens, output and cache included, are priced anew.
    """
    long = Price(input=5_000_000, cache_read=500_000, output=22_500_000)
    price = Price(
        input=2_500_000, cache_read=250_000, output=15_000_000, tiers=(Tier(200_000, long),)
    )
    at_the_bound = Usage(input=200_000, cache_read=100_000, output=1_000)
    above = Usage(input=200_001, cache_read=100_000, output=1_000)

    assert cost(at_the_bound, price) == 250_000 + 25_000 + 15_000
    assert cost(above, price) == 500_005 + 50_000 + 22_500
    assert cost(Usage(output=10**6), price) == 15_000_000


def test_the_highest_tier_that_is_passed_holds() -> None:
    """Of several."""
    price = Price(input=1, output=1, tiers=(Tier(10, Price(input=2, output=2)), Tier(20, FREE)))

    assert [price_of(price, n).input for n in (0, 10, 11, 20, 21)] == [1, 1, 2, 2, 0]


@given(prices(), honest())
def test_what_is_free_costs_nothing(price: Price, usage: Usage) -> None:
    """Whatever is used; and a price that is nothing in every class and tier is free."""
    if is_free(price):
        assert cost(usage, price) == 0
    assert is_free(Price(input=0, output=0, cache_read=0, tiers=(Tier(5, FREE),)))
    assert not is_free(Price(input=0, output=0, tiers=(Tier(5, Price(input=0, output=1)),)))
    assert not is_free(Price(input=0, output=0, image_output=1))


@pytest.mark.parametrize("name", ["audio_output", "output", "image_output"])
def test_the_largest_cost_fits_64_bits(name: str) -> None:
    """The most that a provider can make us believe, at the highest price that is accepted."""
    most = {"input": TOKENS_MAX, "output": TOKENS_MAX, name: TOKENS_MAX}
    price = Price(input=PRICE_MAX, output=PRICE_MAX, image_output=PRICE_MAX, per_call=PRICE_MAX)

    assert cost(Usage(**most), price) < 2**63
