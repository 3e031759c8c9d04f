"""How full a prepaid balance is, in four words.

What it is not: what is done about it (`alerts`, top-ups). The rule that keeps it honest: the bounds
are the contract's, in nano-dollars, and the lower bound belongs to the fuller band but for the
fullest, which is above its own.
"""

from __future__ import annotations

from typing import Literal

from apertura.domain.money import NANO_PER_USD

Band = Literal["normal", "low", "warning", "critical"]


def band_of(balance: int) -> Band:
    """Above 20 dollars `normal`, from 10 `low`, from 5 `warning`, below that `critical`."""
    if balance > 20 * NANO_PER_USD:
        return "normal"
    if balance >= 10 * NANO_PER_USD:
        return "low"
    return "warning" if balance >= 5 * NANO_PER_USD else "critical"
