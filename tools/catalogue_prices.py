"""The prices of an entry of the price data, exact to the digit, and what a second source has.

Amounts are `Decimal`s of dollars per token in the data and strings of dollars per million in what
is written. What it is not: which entries there are (`catalogue_sources`).

The rule that keeps it honest: an entry with a price that an offer cannot say is left out, with its
reason; none is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

TOLERANCE = Decimal("0.01")
"""Two sources agree when their amounts differ by one part in a hundred at most: they round."""

PRICES = {
    "input_usd_per_million": "input_cost_per_token",
    "output_usd_per_million": "output_cost_per_token",
    "cache_read_usd_per_million": "cache_read_input_token_cost",
    "cache_write_usd_per_million": "cache_creation_input_token_cost",
    "cache_write_1h_usd_per_million": "cache_creation_input_token_cost_above_1hr",
    "audio_input_usd_per_million": "input_cost_per_audio_token",
    "audio_output_usd_per_million": "output_cost_per_audio_token",
    "image_output_usd_per_million": "output_cost_per_image_token",
}
# Other kinds of service (`service_tier`, batches, tools that search), longer caches than ours ask
# for, and figures that only repeat another.
OTHER_SERVICE = re.compile(
    r".*_(priority|flex|batches|balanced|ultrafast|decisions)$|search_context_cost.*|.*_cache_hit$"
    r"|.*_above_12hr.*|google_maps.*|explicit_cache.*|.*_(image|video|audio)_token_cost$"
    r"|cache_(read|creation)_input_audio.*|file_search.*|code_interpreter.*"
)
# What a class costs where nothing says otherwise: the same as this one.
LIKE = {
    "input_cost_per_image_token": "input_cost_per_token",
    "input_cost_per_video_token": "input_cost_per_token",
    "output_cost_per_reasoning_token": "output_cost_per_token",
}
_DIGITS = Context(prec=12)
_ABOVE = re.compile(r"(.+?)_above_(\d+)k_tokens$")
THEIRS = {
    "input": "input_usd_per_million",
    "output": "output_usd_per_million",
    "cache read": "cache_read_usd_per_million",
    "cache write": "cache_write_usd_per_million",
    "audio input": "audio_input_usd_per_million",
    "audio output": "audio_output_usd_per_million",
}


class CannotSay(Exception):
    """An entry with a price that an offer has no field for; the message says which."""


def prices_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The amounts of an offer, and its tiers. Raises: CannotSay."""
    if "tiered_pricing" in entry:
        return _ranges(entry["tiered_pricing"])
    base: dict[str, Decimal] = {}
    tiers: dict[int, dict[str, Decimal]] = {}
    for field, value in entry.items():
        if "cost" not in field or not isinstance(value, Decimal) or OTHER_SERVICE.match(field):
            continue
        if found := _ABOVE.match(field):
            tiers.setdefault(int(found[2]) * 1000, {})[found[1]] = value
        else:
            base[field] = value
    row: dict[str, Any] = _amounts(base, entry["mode"])
    if tiers:
        row["tiers"] = [_tier(above, tiers[above]) for above in sorted(tiers)]
    return row


def _amounts(given: dict[str, Decimal], mode: str) -> dict[str, str]:
    given = dict(given)
    for field, like in LIKE.items():
        if given.pop(field, None) not in (None, given.get(like)):
            raise CannotSay(f"{field} of its own")
    calls = given.pop("input_cost_per_request", None) or given.pop("input_cost_per_query", None)
    if mode in ("embedding", "rerank"):
        given["output_cost_per_token"] = Decimal(0)  # there is no output
    row = {name: given.pop(field) for name, field in PRICES.items() if field in given}
    if left := [field for field, value in given.items() if value]:
        raise CannotSay(", ".join(sorted(left)))
    if "input_usd_per_million" not in row:
        raise CannotSay("no price of input")
    shown = {name: dollars(v) for name, v in row.items() if v or name[:6] in ("input_", "output")}
    return shown | ({"usd_per_call": dollars(calls, 1)} if calls else {})


def _tier(above: int, given: dict[str, Decimal]) -> dict[str, Any]:
    amounts = _amounts({"input_cost_per_token": Decimal(0), **given}, "chat")
    if "input_cost_per_token" not in given:
        del amounts["input_usd_per_million"]
    return {"above_input_tokens": above, **amounts}


def _ranges(ranges: list[dict[str, Any]]) -> dict[str, Any]:
    """Prices by ranges of input tokens: the first is the price, the others are its tiers."""
    row: dict[str, Any] = {}
    for part in ranges:
        given = {field: value for field, value in part.items() if field != "range"}
        begin = int(part["range"][0])
        if begin == 0:
            row = dict(_amounts(given, "chat"))
        else:
            row.setdefault("tiers", []).append(_tier(begin, given))
    if "input_usd_per_million" not in row:
        raise CannotSay("ranges that do not begin at 0")
    return row


def dollars(amount: Decimal, units: int = 1_000_000) -> str:
    """Per million tokens: at least two decimals, no zeros that say nothing after those. Digits
    past the twelfth are what a binary fraction left (0.13200000000000002), and no price.
    """
    whole, _, part = f"{_DIGITS.create_decimal(amount) * units:f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def second(providers: Iterable[Any], upstream: str) -> dict[str, Decimal] | None:
    """What genai-prices has for a model at a provider now: dollars per million; None if nothing."""
    for provider in providers:
        if found := provider.find_model(upstream) or provider.find_model(upstream.lower()):
            return _known(found)
    return None


def _known(found: Any) -> dict[str, Decimal]:
    price = found.get_prices(datetime.now(UTC))
    names = ("input", "output", "cache_read", "cache_write", "input_audio", "output_audio")
    known: dict[str, Decimal] = {}
    for ours, name in zip(THEIRS, names, strict=True):
        amount = getattr(price, f"{name}_mtok", None)
        base = getattr(amount, "base", amount)
        if base is not None:
            known[ours] = base
        for tier in getattr(amount, "tiers", ()):
            known[f"{ours} above {tier.start}"] = tier.price
    return known


def differences(row: dict[str, Any], theirs: dict[str, Decimal]) -> Iterator[tuple[str, str, str]]:
    """The classes in which two sources disagree beyond `TOLERANCE`: class, ours, theirs."""
    for label, field in THEIRS.items():
        if label == "output" and row.get("kind") in ("embeddings", "rerank"):
            continue  # there is none
        yield from _differs(label, row.get(field), theirs.get(label))
        for tier in row.get("tiers", ()):
            at = f"{label} above {tier['above_input_tokens']}"
            yield from _differs(at, tier.get(field), theirs.get(at))


def corrected(row: dict[str, Any], theirs: dict[str, Decimal]) -> dict[str, Any]:
    """The offer with the second source's amounts where it has any. Tiers are not corrected."""
    known = {field: theirs[label] for label, field in THEIRS.items() if label in theirs}
    return row | {field: dollars(amount, 1) for field, amount in known.items() if field in row}


def _differs(
    label: str, ours: str | None, theirs: Decimal | None
) -> Iterator[tuple[str, str, str]]:
    if ours is None or theirs is None:
        return  # one of them does not price it apart
    amount = Decimal(ours)
    if abs(amount - theirs) > TOLERANCE * max(amount, theirs):
        yield label, ours, f"{theirs:f}"
