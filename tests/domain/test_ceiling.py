"""Behaviour of the height of a hold."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.ceiling import USEFUL_OUTPUT, ceiling, largest_output, output_limit
from apertura.domain.pricing import FREE, Price, Tier, cost
from apertura.domain.tariffs import PRICE_MAX
from apertura.domain.usage import TOKENS_MAX, Usage

rates = st.integers(0, PRICE_MAX)
own = st.none() | rates
base = st.builds(
    Price,
    input=rates,
    output=rates,
    cache_read=own,
    cache_write=own,
    cache_write_1h=own,
    audio_input=own,
    audio_output=own,
    image_output=own,
    per_call=rates,
)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    bounds = sorted(draw(st.sets(st.integers(1, 1000), max_size=3)))
    tiers = tuple(Tier(bound, draw(base)) for bound in bounds)
    plain = draw(base)
    return Price(**{**{f: getattr(plain, f) for f in plain.__struct_fields__}, "tiers": tiers})


@st.composite
def usages(draw: st.DrawFn, most_in: int, most_out: int) -> Usage:
    left = total_in = draw(st.integers(0, most_in))
    parts: dict[str, int] = {}
    for name in ("cache_read", "cache_write", "cache_write_1h", "audio_input"):
        parts[name] = draw(st.integers(0, left))
        left -= parts[name]
    left = total_out = draw(st.integers(0, most_out))
    for name in ("reasoning", "audio_output", "image_output"):
        parts[name] = draw(st.integers(0, left))
        left -= parts[name]
    return Usage(input=total_in, output=total_out, **parts)


@given(prices(), st.integers(0, 2000), st.integers(0, 2000), st.data())
def test_no_call_costs_more_than_its_ceiling(
    price: Price, most_in: int, most_out: int, data: st.DataObject
) -> None:
    """Whatever classes the tokens turn out to be of, in whatever tier."""
    used = data.draw(usages(most_in, most_out))

    assert cost(used, price) <= ceiling(price, most_in, most_out)


@given(prices(), st.integers(0, 2000), st.integers(0, 2**50), st.integers(0, 5000))
def test_a_lowered_limit_is_the_largest_that_is_covered(
    price: Price, input_tokens: int, covers: int, wanted: int
) -> None:
    """What it costs at most is covered; one token more would not be, or was not wanted."""
    most = largest_output(price, input_tokens, covers, wanted)

    if most is None:
        least = min(USEFUL_OUTPUT, wanted)
        assert ceiling(price, input_tokens, least) > covers
    else:
        assert type(most) is int
        assert min(USEFUL_OUTPUT, wanted) <= most <= wanted
        assert ceiling(price, input_tokens, most) <= covers
        assert most == wanted or ceiling(price, input_tokens, most + 1) > covers


@given(prices())
def test_the_largest_ceiling_fits_64_bits(price: Price) -> None:
    """No number in a request makes a hold that wraps."""
    assert 0 <= ceiling(price, TOKENS_MAX, TOKENS_MAX) < 2**63


def test_what_is_free_has_no_ceiling() -> None:
    """A free call holds nothing, and its output is not lowered."""
    assert ceiling(FREE, 1000, 1000) == 0
    assert largest_output(FREE, 1000, 0, 1000) == 1000


@pytest.mark.parametrize(
    ("stated", "model", "held"),
    [(100, 8000, 100), (None, 8000, 4000), (None, 2000, 2000), (None, None, 4000), (-5, None, 0)],
)
def test_the_limit_is_as_stated_or_the_smaller_bound(
    stated: int | None, model: int | None, held: int
) -> None:
    """Without a stated limit: the model's, or the setting's if that is smaller or the only one."""
    assert output_limit(stated, model, 4000) == held


def test_a_limit_is_lowered_to_a_useful_answer_at_least() -> None:
    """By example: each output token is 2 nano-dollars, and the call itself 10."""
    price = Price(input=10**6, output=2 * 10**6, per_call=10)

    assert [largest_output(price, 5, covers, 100) for covers in (14, 46, 47, 48, 49, 300)] == [
        *(None, None, 16, 16, 17, 100)
    ]
    assert [largest_output(price, 5, covers, 3) for covers in (20, 21)] == [None, 3]
    assert largest_output(price, 5, 15, 0) == 0
    assert ceiling(price, 5, 16) == 47


@pytest.mark.parametrize("name", ["output", "audio_output", "image_output"])
def test_each_token_out_may_be_of_the_dearest_class(name: str) -> None:
    """Whichever that is."""
    price = msgspec.structs.replace(Price(input=0, output=10**6), **{name: 3 * 10**6})

    assert ceiling(price, 7, 5) == 15


@pytest.mark.parametrize(
    "name", ["input", "cache_read", "cache_write", "cache_write_1h", "audio_input"]
)
def test_each_token_in_may_be_of_the_dearest_class(name: str) -> None:
    """Whichever that is."""
    price = msgspec.structs.replace(Price(input=10**6, output=0), **{name: 3 * 10**6})

    assert ceiling(price, 7, 5) == 21


def test_a_tier_counts_from_where_it_can_be_reached() -> None:
    """With just so much input as its bound, no call is in it."""
    price = Price(input=10**6, output=0, tiers=(Tier(100, Price(input=2 * 10**6, output=0)),))

    assert [ceiling(price, tokens, 0) for tokens in (100, 101)] == [100, 202]
