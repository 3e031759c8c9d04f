"""Prices as they stand in a file: strings of dollars, read into a `Price`.

`Tariff` holds the amounts that an offer may state, `TierRow` those that hold above so many input
tokens. A class that a tier does not state keeps the price that it has below. What it is not: what
usage costs (`pricing`) or who offers what (`catalog`).

The rule that keeps it honest: an amount is an exact decimal within reason, or it is refused with
the field at fault.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apertura.domain.money import NANO_PER_USD, parse_usd
from apertura.domain.pricing import FREE, Price, Tier

PRICE_MAX = 2_000 * NANO_PER_USD
"""The highest price that is believed, per million tokens or per call: several times any known one,
and low enough that the cost of the largest usage (`domain.usage`) fits 64 bits."""

MARKUP_MAX = 1_000
"""The most that is believed, in percent."""


class Tariff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts as strings of dollars per million tokens."""

    input_usd_per_million: str | None = None
    output_usd_per_million: str | None = None
    cache_read_usd_per_million: str | None = None
    cache_write_usd_per_million: str | None = None
    cache_write_1h_usd_per_million: str | None = None
    audio_input_usd_per_million: str | None = None
    audio_output_usd_per_million: str | None = None
    image_output_usd_per_million: str | None = None
    usd_per_call: str | None = None


class TierRow(Tariff, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call costs that has more input tokens than this, all of it."""

    above_input_tokens: int


FIELDS = {
    "input": "input_usd_per_million",
    "output": "output_usd_per_million",
    "cache_read": "cache_read_usd_per_million",
    "cache_write": "cache_write_usd_per_million",
    "cache_write_1h": "cache_write_1h_usd_per_million",
    "audio_input": "audio_input_usd_per_million",
    "audio_output": "audio_output_usd_per_million",
    "image_output": "image_output_usd_per_million",
    "per_call": "usd_per_call",
}


def read_price(row: Tariff, tiers: Sequence[TierRow], *, needs_output: bool) -> Price | None:
    """The price of an offer; None if it states none. Raises: ValueError, naming the field."""
    stated = _stated(row)
    if "input" not in stated:
        if stated or tiers:
            raise ValueError("input_usd_per_million is missing")
        return None
    if needs_output and "output" not in stated:
        raise ValueError("output_usd_per_million is missing")
    base = msgspec.structs.replace(FREE, **stated)
    return msgspec.structs.replace(base, tiers=tuple(_tiers(base, tiers)))


def raised(price: Price, percent: int) -> Price:
    """Each amount with so much on top, up to whole nano-dollars. Raises: ValueError."""
    if not 0 <= percent <= MARKUP_MAX:
        raise ValueError(f"markup_percent: {percent} is not between 0 and {MARKUP_MAX}")
    amounts = {
        name: -(-amount * (100 + percent) // 100)
        for name in FIELDS
        if (amount := getattr(price, name)) is not None
    }
    if max(amounts.values()) > PRICE_MAX:
        raise ValueError(f"markup_percent: {percent} makes a price of more than is believed")
    tiers = tuple(Tier(tier.above, raised(tier.price, percent)) for tier in price.tiers)
    return Price(**amounts, tiers=tiers)


def price_id(provider: str, row: Tariff, tiers: Sequence[TierRow], checked: str) -> str:
    """Names the price that a usage row was charged under: its figures and the date checked."""
    figures = [_figures(row), *(f"{t.above_input_tokens}:{_figures(t)}" for t in tiers)]
    return f"{provider}:{'>'.join(figures)}@{checked or 'local'}"


def _figures(row: Tariff) -> str:
    return f"{row.input_usd_per_million or '0'}/{row.output_usd_per_million or '0'}"


def _tiers(base: Price, rows: Sequence[TierRow]) -> list[Tier]:
    tiers: list[Tier] = []
    price = base
    for row in rows:
        above = row.above_input_tokens
        if above <= (tiers[-1].above if tiers else 0):
            raise ValueError("tiers: above_input_tokens must rise from tier to tier, from above 0")
        stated = _stated(row)
        if not stated:
            raise ValueError(f"tiers: the tier above {above} states no price")
        price = msgspec.structs.replace(price, **stated)
        tiers.append(Tier(above, price))
    return tiers


def _stated(row: Tariff) -> dict[str, int]:
    """The amounts that a row states, in nano-dollars."""
    texts = ((name, field, getattr(row, field)) for name, field in FIELDS.items())
    return {name: _amount(field, text) for name, field, text in texts if text is not None}


def _amount(field: str, text: str) -> int:
    try:
        amount = parse_usd(text)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None
    if amount < 0:
        raise ValueError(f"{field}: a price must not be negative")
    if amount > PRICE_MAX:
        raise ValueError(f"{field}: {text} is more than {PRICE_MAX // NANO_PER_USD} dollars")
    return amount
