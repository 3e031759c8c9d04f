"""One use of the gateway, from admission to settlement.

`Call` is the one mutable value of the data plane: what is known of the call so far. The relay and
the reply write to it; settlement reads it once, at the end. What it is not: the request or the
reply; no content is ever in it.

The rule that keeps it honest: `settled` is set once, by settlement alone.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from typing import Literal

from apertura.domain.catalog import Offer
from apertura.domain.funds import Hold
from apertura.domain.identity import Caller
from apertura.domain.usage import NOTHING, Usage
from apertura.errors import AperturaError, BudgetSpent
from apertura.providers.base import Operation

Outcome = Literal["answered", "cut", "failed"]
Payer = Literal["", "wallet", "promo", "allowance"]

_getrandbits = random.Random(random.SystemRandom().getrandbits(256)).getrandbits  # noqa: S311  # ids are no secrets


def new_call_id() -> str:
    """`req_` and 32 hex digits: 48 bits of time in ms, so that rows are added in order, and 80 of
    randomness, so that ids neither collide nor tell how many calls there are.
    """
    number = time.time_ns() // 1_000_000 << 80 | _getrandbits(80)
    return "req_" + number.to_bytes(16, "big").hex()


class Call:
    """What is known of a call. Times are the loop's seconds, but `started_ms` since 1970."""

    attempts = 0
    offer: Offer | None = None
    first_at: float | None = None
    content = False
    """Something was answered that counts: a whole reply, or a first piece of one."""
    usage: Usage = NOTHING
    outcome: Outcome = "failed"
    status = 500
    error_code = ""
    settled = False
    hold: Hold | None = None
    """What may be spent on it; settlement ends it."""
    funds: tuple[str, ...] = ()
    """Over which the hold is."""
    payer: Payer = ""
    credits: int | None = None
    """What it takes of an allowance, in thousandths; None where money pays."""
    rates: Mapping[str, int] | None = None
    """What a call to each model on the route takes of an allowance, where that may differ."""
    patience_ends = math.inf
    """By then the model that is asked must have begun to answer, or another is asked."""
    sent = False
    """The current attempt has reached its provider: what fails from here on is no fault of ours."""
    output_held = -1
    """Output tokens that the hold covers, where the caller stated no limit; else -1."""

    def __init__(  # noqa: PLR0913, PLR0917  # one place makes it, and for every call
        self,
        call_id: str,
        caller: Caller,
        operation: Operation,
        model: str,
        streamed: bool,
        started: float,
        budget: float,
    ) -> None:
        self.id = call_id
        self.caller = caller
        self.operation = operation
        self.model = model
        self.streamed = streamed
        self.started = started
        self.started_ms = time.time_ns() // 1_000_000
        self.deadline = started + budget
        """By then the caller must have an answer, or the first content of one."""

    def begin(self, offer: Offer) -> None:
        """The next attempt."""
        self.offer = offer
        self.model = offer.model
        self.attempts += 1
        self.sent = False
        if self.rates is not None:
            self.credits = self.rates[offer.model]

    def answered(self, usage: Usage) -> None:
        """The reply is whole."""
        self.content = True
        self.outcome, self.status, self.usage = "answered", 200, usage

    def cut(self, usage: Usage) -> None:
        """The caller hung up. 499 is what proxies have come to call that."""
        self.outcome, self.status, self.usage = "cut", 499, usage
        self.error_code = "caller_hung_up"

    def failed(self, error: AperturaError) -> None:
        """No answer, or not all of one, through no fault of the caller's connection."""
        self.outcome, self.status, self.error_code = "failed", error.status, error.code

    def budget_spent(self) -> AperturaError:
        """The error of a call whose whole time is up."""
        budget_ms = round((self.deadline - self.started) * 1000)
        return BudgetSpent(
            f"No answer within {budget_ms} ms, in {self.attempts} attempt(s). "
            "A longer X-Timeout header (in ms, at most 300000) allows more.",
            headers={
                "X-Timeout-Attempts": str(self.attempts),
                "X-Timeout-Elapsed-Ms": str(budget_ms),
            },
        )
