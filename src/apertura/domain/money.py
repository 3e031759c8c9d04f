"""Amounts of money, exactly: integers of nano-dollars.

What it is: the two units (`Nano`, and `Nano` per million units of usage), how they are read from
text, printed, and multiplied. What it is not: prices of a model (`pricing`) or the books
(`ledger`). The rule that keeps it honest: no float, ever, and exactly one rounding, `cost_of`.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import NewType

Nano = NewType("Nano", int)
"""Billionths of a US dollar, as a signed integer that fits 64 bits."""

NANO_PER_USD = 1_000_000_000
NANO_PER_QUOTA_UNIT = 2_000
"""The public "quota unit": 500,000 to the dollar. A view, never stored."""
MILLION = 1_000_000
NANO_MAX = 2**63 - 1
_EXACT = Context(prec=400, traps=[InvalidOperation, Inexact, Overflow])
"""For reading: whatever would be rounded is refused instead."""


def parse_usd(text: str) -> Nano:
    """Read a decimal amount of dollars such as "2.50".

    Raises:
        ValueError: it is no finite number, is finer than a nano-dollar, or does not fit 64 bits.
    """
    try:
        amount = _EXACT.multiply(Decimal(text), Decimal(NANO_PER_USD))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount of dollars") from None
    except Overflow:
        raise ValueError(f"{text!r} is too large") from None
    except Inexact:
        raise ValueError(f"{text!r} is finer than a billionth of a dollar") from None
    if not amount.is_finite():
        raise ValueError(f"{text!r} is not an amount of dollars")
    if not -NANO_MAX <= amount <= NANO_MAX:
        raise ValueError(f"{text!r} is too large")
    if amount != amount.to_integral_value():
        raise ValueError(f"{text!r} is finer than a billionth of a dollar")
    return Nano(int(amount))


def format_usd(amount: Nano, *, places: int = 2) -> str:
    """Dollars with at least `places` decimals and no zeros after those that say nothing."""
    sign, rest = ("-" if amount < 0 else ""), abs(amount)
    whole, part = divmod(rest, NANO_PER_USD)
    digits = f"{part:09d}".rstrip("0").ljust(places, "0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def usd(amount: Nano) -> Decimal:
    """For JSON replies that want a number of dollars."""
    return Decimal(amount) / NANO_PER_USD


def cost_of(units_times_price: int) -> Nano:
    """The one rounding: from Σ units × (nano-dollars per million units) to nano-dollars, up.

    Up, so that a call that used something never costs nothing; once per call, so that the sum
    over classes is rounded and not each class.
    """
    return Nano(-(-units_times_price // MILLION))
