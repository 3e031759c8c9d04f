"""Payments without a processor: wire transfers, which somebody books and pays back by hand, and
codes.

A code is `AP-` and 24 letters and digits in groups of four, which leave out those that look alike.
What it is not: where codes are kept (`store.codes`). The rule that keeps it honest: a code is 120
random bits, so it is found by a digest and never guessed.
"""

from __future__ import annotations

import hashlib
import hmac

from apertura.domain.money import Nano
from apertura.domain.payments import Event, Payment, Refunded

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
PREFIX = "AP"
LENGTH, GROUP = 24, 4
RANDOM_BYTES = 15


class Manual:
    """Whoever runs the installation, as one who gives money back: that was done, or will be."""

    def __init__(self, name: str = "manual") -> None:
        self.name = name

    async def refund(self, payment: Payment, refund: str, cash: Nano) -> Event:
        """Say that it is done."""
        return Refunded(
            subject=payment.subject or "",
            payment=payment.id,
            foreign_id=refund,
            refund=refund,
            cash=cash,
            state="made",
        )


def mint_code(random: bytes) -> str:
    """A code from `RANDOM_BYTES` bytes of randomness."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a code needs {RANDOM_BYTES} bytes of randomness")
    number = int.from_bytes(random, "big")
    signs = "".join(ALPHABET[number >> 5 * place & 31] for place in range(LENGTH))
    groups = [signs[at : at + GROUP] for at in range(0, LENGTH, GROUP)]
    return "-".join([PREFIX, *groups])


def digest_of(code: str, pepper: bytes) -> str:
    """Under which a code is kept and found; however it was typed."""
    signs = "".join(sign for sign in code.upper() if sign.isalnum()).removeprefix(PREFIX)
    return hmac.new(pepper, b"code:" + signs.encode(), hashlib.sha256).hexdigest()
