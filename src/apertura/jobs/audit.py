"""The audit of the books by itself, and what it found as gauges.

Every few minutes all that must always be true is asked of the database (`store.audit`): questions
beside the writes, one after the other, each answered from one moment. What is found stands in the
metrics as long as it is there, and is logged once, by rule and subject, when it first shows.

What it is not: a repair, or a reason to stop serving. An installation with much behind it is
audited less often, so that questions take a small part of the time at most.

The rule that keeps it honest: the gauges speak of the last audit that came to its end, and say how
long ago that was; one that failed leaves them as they are, and their age growing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from apertura.store.audit import Check, Finding, audit
from apertura.store.database import Database
from apertura.telemetry import log

REST = 50
"""An audit that took a second is followed by so many seconds without one: 2 % of the time."""
TOLD_MOST = 100
"""Findings that are logged of one audit; the gauge counts them all."""


class Auditor:
    """The last audit of this worker. `step` is the job's; the rest is read by gauges."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._ended = clock()
        self._rests_until = self._ended
        self._checks: Sequence[Check] = ()
        self._told: set[tuple[str, str]] = set()

    async def step(self, _now_ms: int) -> None:
        """Audit, unless the last one was too long to be followed yet. Raises: Unavailable."""
        begun = self._clock()
        if begun < self._rests_until:
            return
        try:
            self._checks = await audit(self._database)
            self._ended = self._clock()
        finally:
            self._rests_until = self._clock() + REST * (self._clock() - begun)
        self._tell([finding for check in self._checks for finding in check.findings])

    def findings(self) -> int:
        """How much was wrong."""
        return sum(len(check.findings) for check in self._checks)

    def checked(self) -> int:
        """How much was looked at, of all rules."""
        return sum(check.checked for check in self._checks)

    def age_seconds(self) -> float:
        """Since the last audit ended; before the first one, since this worker began."""
        return self._clock() - self._ended

    def _tell(self, findings: Sequence[Finding]) -> None:
        """Log what was not there the last time; what went away may be told again."""
        new = [one for one in findings if (one.rule, one.subject) not in self._told]
        for one in new[:TOLD_MOST]:
            log(
                "audit_found",
                rule=one.rule,
                subject=one.subject,
                expected=one.expected,
                found=one.found,
            )
        self._told = {(one.rule, one.subject) for one in findings}
