"""The words that several documents share: amounts, dates, and what kinds are called.

What it is not: the words of JSON, which are the kinds themselves. The rule that keeps it honest: a
kind without a word of its own is shown by its name, never left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from apertura.domain.invoices import Details, Issuer
from apertura.domain.ledger import Unit
from apertura.domain.money import Nano, format_usd

_KINDS = {
    "top-up": "Top-up",
    "plan": "Plan",
    "refund": "Refund",
    "reversal": "Reversal",
    "promo": "Promotion",
    "promo-end": "Promotion expired",
    "allowance": "Plan allowance",
    "allowance-expiry": "Allowance expired",
    "usage": "Usage",
}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def of_kind(kind: str) -> str:
    """What a movement or an invoice is called."""
    return _KINDS.get(kind) or kind.replace("-", " ").capitalize()


def in_dollars(amount: int) -> str:
    """`1,234.50`, with as many decimals as the amount has."""
    whole, _, part = format_usd(Nano(abs(amount))).partition(".")
    return f"{'−' if amount < 0 else ''}{int(whole):,}.{part}"


def in_credits(thousandths: int) -> str:
    """`1,234.5`: without decimals that say nothing."""
    whole, part = divmod(abs(thousandths), 1000)
    digits = f"{part:03d}".rstrip("0")
    return f"{'−' if thousandths < 0 else ''}{whole:,}{'.' if digits else ''}{digits}"


def in_unit(amount: int, unit: Unit) -> str:
    """An amount with the name of its unit."""
    return f"{in_credits(amount)} credits" if unit == "credits" else f"{in_dollars(amount)} USD"


def day(ms: int) -> str:
    """`2026-11-22`, of UTC."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d")


def minute(ms: int) -> str:
    """`2026-11-22 05:59 UTC`."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def of_month(month: str) -> str:
    """`November 2026`, of `2026-11`."""
    return f"{_MONTHS[int(month[5:]) - 1]} {month[:4]}"


def envelope(party: Details | Issuer) -> list[str]:
    """Name, address and tax id, as lines."""
    name = party.name if isinstance(party, Issuer) else party.company
    country = "" if isinstance(party, Issuer) else party.country
    tax_id = f"Tax ID {party.tax_id}" if party.tax_id else ""
    return list(_said([name, *party.address.split("\n"), country, tax_id]))


def _said(lines: Iterable[str]) -> Iterable[str]:
    return (line.strip() for line in lines if line.strip())
