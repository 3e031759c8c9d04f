"""The most that a call may cost: the height of its hold.

Input as estimated from above, output as the caller limits it, each token at the dearest price that
it could have. What it is not: the cost (`pricing`), which is known at the end, or whether anybody
can pay it (`funds`).

The rule that keeps it honest: no usage within the two numbers costs more than `ceiling` says.
"""

from __future__ import annotations

from apertura.domain.money import MILLION, Nano, cost_of
from apertura.domain.pricing import Price

USEFUL_OUTPUT = 16
"""Fewer output tokens are not worth a call whose funds do not cover what it asked for."""


def output_limit(stated: int | None, model_limit: int | None, setting: int) -> int:
    """Output tokens to hold for: as stated; else the smaller of the model's limit and a setting."""
    if stated is not None:
        return max(0, stated)
    return setting if model_limit is None else min(model_limit, setting)


def ceiling(price: Price, input_tokens: int, output_tokens: int) -> Nano:
    """The most that a call costs with no more input and output than this."""
    return max(
        cost_of(input_tokens * most_in + output_tokens * most_out + per_call * MILLION)
        for most_in, most_out, per_call in _dearest(price, input_tokens)
    )


def largest_output(price: Price, input_tokens: int, covers: int, wanted: int) -> int | None:
    """The most output tokens, up to those wanted, that an amount covers; None where it does not
    even cover a useful answer.
    """
    most = wanted
    for most_in, most_out, per_call in _dearest(price, input_tokens):
        left = covers * MILLION - input_tokens * most_in - per_call * MILLION
        if left < 0:
            return None
        if most_out:
            most = min(most, left // most_out)
    return most if most >= min(USEFUL_OUTPUT, wanted) else None


def _dearest(price: Price, input_tokens: int) -> list[tuple[int, int, int]]:
    """The highest price of an input token, of an output token, and per call, in each tier that a
    call with up to so much input may fall in.
    """
    reached = [price, *(tier.price for tier in price.tiers if tier.above < input_tokens)]
    return [(_most_in(one), _most_out(one), one.per_call) for one in reached]


def _most_in(price: Price) -> int:
    parts = (price.cache_read, price.cache_write, price.cache_write_1h, price.audio_input)
    return max(price.input, *(part or 0 for part in parts))


def _most_out(price: Price) -> int:
    return max(price.output, price.audio_output or 0, price.image_output or 0)
