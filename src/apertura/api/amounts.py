"""Amounts as JSON shows them: dollars, quota units, credits; and how they are read.

What it is not: arithmetic of money (`domain.money`). The rule that keeps it honest: dollars are
exact decimals in both directions; only the coarser quota units are rounded, what is left down and
what is used up, so that nobody is shown more than there is.
"""

from __future__ import annotations

from decimal import Decimal

from apertura.domain.money import NANO_PER_QUOTA_UNIT, Nano, parse_usd, usd
from apertura.errors import BadRequest

USD_MOST = 1_000_000_000
"""A bound for what is set by hand; it keeps sums within 64 bits."""


def dollars(nano: int) -> Decimal:
    """Nano-dollars as a number of dollars."""
    return usd(Nano(nano))


def dollars_or_none(nano: int | None) -> Decimal | None:
    """So; None stays."""
    return None if nano is None else dollars(nano)


def credits_of(thousandths: int) -> Decimal:
    """Thousandths of a plan's credit as a number of credits."""
    return Decimal(thousandths) / 1000


def units_left(nano: int) -> int:
    """Whole quota units (500,000 to the dollar) in what is left."""
    return nano // NANO_PER_QUOTA_UNIT


def units_used(nano: int) -> int:
    """Quota units in what is used, a part as a whole one."""
    return -(-nano // NANO_PER_QUOTA_UNIT)


def read_usd(amount: Decimal, param: str) -> int:
    """Dollars as nano-dollars. Raises: BadRequest: less than nothing, too much, or too fine."""
    try:
        nano = parse_usd(str(amount))
    except ValueError as error:
        raise BadRequest(f"{param}: {error}.", code="invalid_parameter", param=param) from None
    if not 0 <= nano <= USD_MOST * 1_000_000_000:
        raise BadRequest(
            f"{param} must be from 0 to {USD_MOST} dollars.", code="invalid_parameter", param=param
        )
    return nano
