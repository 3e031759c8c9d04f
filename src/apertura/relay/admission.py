"""May this call start: limits first, then funds.

Limits are taken here, all or nothing; the call's hold comes after (`purse`). A refused call takes
nothing, reaches no provider and costs nothing.

What it is not: the arithmetic of limits. The rule that keeps it honest: no call reaches a provider
without having passed through `admit`.
"""

from __future__ import annotations

import asyncio
import time
from typing import NoReturn

from apertura.domain import limits
from apertura.domain.identity import Caller
from apertura.domain.limits import Standing
from apertura.errors import Unavailable
from apertura.relay.settlement import Settlement
from apertura.store.counters import MemoryCounters


class Admission:
    """The gate in front of the relay."""

    def __init__(self, counters: MemoryCounters, settlement: Settlement) -> None:
        self._counters = counters
        self._settlement = settlement
        self._clock = asyncio.get_running_loop().time
        self.refused = 0

    def admit(self, caller: Caller, address: str, model: str) -> Standing | None:
        """Take the call from every limit that it falls under.

        Raises: RateLimited; Unavailable, while the books cannot take any more calls.
        """
        if self._settlement.full:
            raise Unavailable(
                "Calls cannot be recorded right now. Try again shortly.",
                headers={"Retry-After": "5"},
            )
        now = self._clock()
        per_minute = 0 if caller.plan is None else caller.plan.per_model
        windows = self._counters.windows(address, caller.key_id, model, now, per_minute)
        standing = limits.take_all(windows, now)
        return standing if standing is None or standing.admitted else self._refuse(standing)

    def count_stranger(self, address: str) -> None:
        """A request without a good key counts against its address. Raises: RateLimited."""
        now = self._clock()
        standing = limits.take_all(self._counters.windows(address, "", "", now), now)
        if standing is not None and not standing.admitted:
            self._refuse(standing)

    def _refuse(self, standing: Standing) -> NoReturn:
        self.refused += 1
        raise limits.refusal(standing, time.time())
