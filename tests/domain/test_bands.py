"""Behaviour of the bands of a balance."""

from __future__ import annotations

import pytest

from apertura.domain.bands import band_of
from apertura.domain.money import NANO_PER_USD


@pytest.mark.parametrize(
    ("usd", "band"),
    [(21, "normal"), (20, "low"), (10, "low"), (9, "warning"), (5, "warning"), (4, "critical")],
)
def test_a_band_is_the_contracts(usd: int, band: str) -> None:
    """Over 20 normal, 10 to 20 low, 5 to 10 warning, below critical."""
    assert band_of(usd * NANO_PER_USD) == band


def test_a_nano_dollar_decides() -> None:
    """On either side of each bound; less than nothing is critical."""
    bounds = [(20, "normal", "low"), (10, "low", "low"), (5, "warning", "warning")]
    for usd, above, at in bounds:
        assert band_of(usd * NANO_PER_USD + 1) == above
        assert band_of(usd * NANO_PER_USD) == at
        assert band_of(usd * NANO_PER_USD - 1) != above
    assert band_of(-1) == band_of(0) == "critical"
