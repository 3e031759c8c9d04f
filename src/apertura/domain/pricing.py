"""What usage costs under a price.

A `Price` is nano-dollars per million units for each class of usage. A class without a price of its
own costs what its parent costs (a cached token, what an input token does). A price may have tiers:
a call with more input tokens than a tier's bound is priced by that tier as a whole. What it is not:
which price applies (that is the offer's) or who pays (`funds`).

The rule that keeps it honest: a cost depends on usage and price alone, never on the dialect, the
route or whether the reply was streamed.
"""

from __future__ import annotations

import msgspec

from apertura.domain.money import MILLION, Nano, cost_of
from apertura.domain.usage import Usage


class Price(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Nano-dollars per million tokens, by class; `per_call` in nano-dollars."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_output: int | None = None
    per_call: int = 0
    tiers: tuple[Tier, ...] = ()
    """Prices of calls with much input, by their bounds upwards."""


class Tier(msgspec.Struct, frozen=True, gc=False):
    """The price of a whole call with more than `above` input tokens, inclusive total."""

    above: int
    price: Price


FREE = Price(input=0, output=0)


def price_of(price: Price, input_tokens: int) -> Price:
    """What a call with so many input tokens is priced by: the highest tier that it is above."""
    for tier in reversed(price.tiers):
        if input_tokens > tier.above:
            return tier.price
    return price


def cost(usage: Usage, price: Price) -> Nano:
    """The cost of one call, rounded once, up. Every token at its total's price, and then for each
    part that has a price of its own the difference to it.
    """
    if price.tiers:
        price = price_of(price, usage.input)
    total = usage.input * price.input + usage.output * price.output + price.per_call * MILLION
    if usage.cache_read and price.cache_read is not None:
        total += usage.cache_read * (price.cache_read - price.input)
    if usage.cache_write and price.cache_write is not None:
        total += usage.cache_write * (price.cache_write - price.input)
    if usage.cache_write_1h:
        write = price.cache_write_1h if price.cache_write_1h is not None else price.cache_write
        total += usage.cache_write_1h * (0 if write is None else write - price.input)
    if usage.audio_input and price.audio_input is not None:
        total += usage.audio_input * (price.audio_input - price.input)
    if usage.audio_output and price.audio_output is not None:
        total += usage.audio_output * (price.audio_output - price.output)
    if usage.image_output and price.image_output is not None:
        total += usage.image_output * (price.image_output - price.output)
    return cost_of(total)


def is_free(price: Price) -> bool:
    """Whether no call, however large, costs anything."""
    own = (price.input, price.output, price.per_call, *_parts(price))
    return not any(own) and all(is_free(tier.price) for tier in price.tiers)


def _parts(price: Price) -> tuple[int | None, ...]:
    inputs = (price.cache_read, price.cache_write, price.cache_write_1h, price.audio_input)
    return (*inputs, price.audio_output, price.image_output)
