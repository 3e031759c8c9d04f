"""The rules of top-ups, from the shipped file or the operator's own.

What it is not: what the rules mean (`domain.payments`). The rule that keeps it honest: a file that
is not understood in every part is refused at start, with its name.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from apertura.domain.money import parse_usd
from apertura.domain.payments import CENT, Discount, TopUpRules
from apertura.errors import BadRequest

SHIPPED = Path(__file__).parent.parent / "catalogue" / "_top_ups.toml"


class _DiscountRow(msgspec.Struct, forbid_unknown_fields=True):
    from_usd: str
    percent: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    minimum_usd: str
    maximum_usd: str
    discounts: list[_DiscountRow] = []


def read_rules(path: str = "") -> TopUpRules:
    """The rules in a file; an empty path is the shipped one.

    Raises: BadRequest: the file cannot be read or understood.
    """
    place = Path(path) if path else SHIPPED
    try:
        file = msgspec.convert(tomllib.loads(place.read_text()), _File)
        discounts = tuple(_discount(row) for row in file.discounts)
        rules = TopUpRules(
            minimum=parse_usd(file.minimum_usd),
            maximum=parse_usd(file.maximum_usd),
            discounts=tuple(sorted(discounts, key=lambda one: one.from_amount)),
        )
    except (OSError, ValueError) as error:
        raise BadRequest(f"{place}: {error}") from None
    if not CENT <= rules.minimum <= rules.maximum:
        raise BadRequest(f"{place}: the minimum is from a cent to the maximum")
    return rules


def _discount(row: _DiscountRow) -> Discount:
    try:
        per_mille = Decimal(row.percent) * 10
    except InvalidOperation:
        raise ValueError(f"percent: {row.percent!r} is no number") from None
    if per_mille != per_mille.to_integral_value() or not 0 <= per_mille < 1000:
        raise ValueError(f"percent: {row.percent} is not from 0 to 99.9, in tenths")
    return Discount(parse_usd(row.from_usd), int(per_mille))
