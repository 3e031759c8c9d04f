"""Behaviour of prices: what usage costs."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.catalog import PRICE_MAX
from apertura.domain.pricing import FREE, Price, cost
from apertura.domain.usage import TOKENS_MAX, Usage
from tests.domain.test_usage import INPUT_PARTS, OUTPUT_PARTS, honest

per_million = st.integers(0, 10**12)
own = st.none() | per_million
prices = st.builds(
    Price,
    input=per_million,
    output=per_million,
    cache_read=own,
    cache_write=own,
    cache_write_1h=own,
    audio_input=own,
    audio_output=own,
    per_call=st.integers(0, 10**9),
)


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
    }


@given(honest(), prices)
def test_each_token_is_priced_once(usage: Usage, price: Price) -> None:
    """The cost is the sum over disjoint classes, each at its own price, rounded up once."""
    total = sum(Fraction(getattr(usage, n) * p, 10**6) for n, p in effective(price).items())

    assert cost(usage, price) == ceil(total + price.per_call)


@given(honest(), prices)
def test_a_cost_is_a_whole_number_and_never_negative(usage: Usage, price: Price) -> None:
    """An integer of nano-dollars; nothing but free or unused costs nothing."""
    assert type(cost(usage, price)) is int
    assert cost(usage, price) >= price.per_call
    assert cost(usage, FREE) == 0


@given(
    honest(),
    prices,
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


@given(honest(), prices, st.sampled_from(Price.__struct_fields__), st.integers(1, 10**9))
def test_a_higher_price_never_costs_less(usage: Usage, price: Price, name: str, more: int) -> None:
    """Of whatever class it is."""
    before = getattr(price, name)
    if before is None:
        before = effective(price)[name]
    higher = msgspec.structs.replace(price, **{name: before + more})

    assert cost(usage, higher) >= cost(usage, price)


@given(st.lists(honest(), min_size=2, max_size=5), prices, st.randoms())
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


@pytest.mark.parametrize("name", ["audio_output", "output"])
def test_the_largest_cost_fits_64_bits(name: str) -> None:
    """The most that a provider can make us believe, at the highest price that is accepted."""
    most = {"input": TOKENS_MAX, "output": TOKENS_MAX, name: TOKENS_MAX}
    price = Price(input=PRICE_MAX, output=PRICE_MAX, audio_output=PRICE_MAX, per_call=PRICE_MAX)

    assert cost(Usage(**most), price) < 2**63
