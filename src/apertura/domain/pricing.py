"""What usage costs under a price.

A `Price` is nano-dollars per million units for each class of usage. A class without a price of its
own costs what its parent costs (a cached token, what an input token does). What it is not: which
price applies (that is the offer's) or who pays (`funds`).

The rule that keeps it honest: a cost depends on usage and price alone, never on the dialect, the
route or whether the reply was streamed.
"""

from __future__ import annotations

import msgspec

from apertura.domain.money import Nano, cost_of
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
    per_call: int = 0


FREE = Price(input=0, output=0)


def cost(usage: Usage, price: Price) -> Nano:
    """The cost of one call, rounded once, up."""
    total = usage.plain_input * price.input + usage.output * price.output
    if usage.cache_read:
        total += usage.cache_read * _or(price.cache_read, price.input)
    if usage.cache_write:
        total += usage.cache_write * _or(price.cache_write, price.input)
    if usage.cache_write_1h:
        write = _or(price.cache_write, price.input)
        total += usage.cache_write_1h * _or(price.cache_write_1h, write)
    if usage.audio_input:
        total += usage.audio_input * _or(price.audio_input, price.input)
    if usage.audio_output and price.audio_output is not None:
        total += usage.audio_output * (price.audio_output - price.output)
    return cost_of(total + price.per_call * 1_000_000)


def _or(own: int | None, parent: int) -> int:
    return parent if own is None else own
