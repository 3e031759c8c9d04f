"""What became of each call of a server's life, as caller, provider and books tell it.

What must hold, whatever the moment of the kill:

- its caller has the whole answer: one row, charged in full;
- it was refused, or its provider failed: not charged;
- neither: it was the caller's last one, and there is either a row that charges what came, or it is
  *cut*, and named: the process died with it, and it costs nothing.

The rule that keeps it honest: nothing is asked of the product; callers, wall and books are three
witnesses that know nothing of each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.torture.load import INPUT, Attempt, Caller, cost_of
from tests.torture.place import PER_CALL
from tests.wall import Call

SETTLED_SECONDS = 2.0
"""A caller who hung up so long before the kill must be in the books by then."""
ESTIMATE_MOST = 200 * INPUT
"""What of an answer that was left is estimated: its input."""


class Row(NamedTuple):
    """Of `usage`."""

    call_id: str
    model: str
    outcome: str
    cost: int
    credits: int
    payer: str


@dataclass
class Tally:
    """What a run came to. `wrong` is what must be empty."""

    cycles: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    payers: Counter[str] = field(default_factory=Counter)
    """Calls that were paid for, by what paid."""
    cut: list[str] = field(default_factory=list)
    """Answered by the provider, died with the process: by name."""
    wrong: list[str] = field(default_factory=list)
    points: set[str] = field(default_factory=set)
    """The lines at which it died."""
    outages: Counter[str] = field(default_factory=Counter)
    recovered: int = 0
    """Calls that journals brought back."""


class Life:
    """One caller's calls of one life of a server, and what is known of them."""

    def __init__(
        self, caller: Caller, rows: Sequence[Row], asked: dict[str, Call], killed_at: float
    ) -> None:
        self._role, self._attempts, self._asked = caller.role, list(caller.attempts), asked
        self._killed_at = killed_at
        self._rows = {row.call_id: row for row in rows}
        ids = {attempt.id for attempt in self._attempts}
        self._unknown = [row for row in rows if row.call_id not in ids]
        self._wrong: list[str] = []

    def judge(self, tally: Tally, *, had_outage: bool) -> None:
        """Count what became of each call, and say what must not be."""
        for attempt in self._attempts:
            is_last = attempt is self._attempts[-1]
            row = self._rows.get(attempt.id) if attempt.id else None
            if row is None and is_last and self._unknown:
                row = self._unknown.pop()
            if row is not None and is_charged(row) and attempt.name not in self._asked:
                self._wrong.append(f"{attempt.name} is charged and reached no provider: {row}")
            fate = self._fate(attempt, row, is_last=is_last)
            tally.calls[fate] += 1
            if row is not None and is_charged(row):
                tally.payers[row.payer] += 1
            if fate == "cut":
                tally.cut.append(attempt.name)
            self._check_status(attempt, had_outage=had_outage)
        self._wrong += [f"charged, and nobody called: {row}" for row in self._unknown]
        tally.wrong += self._wrong

    def _fate(self, attempt: Attempt, row: Row | None, *, is_last: bool) -> str:
        call = self._asked.get(attempt.name)
        if attempt.whole:
            return self._answered(attempt, row, call)
        if attempt.status >= 400 or (row is not None and row.outcome == "failed"):
            if row is not None and is_charged(row):
                self._wrong.append(f"{attempt.name} failed and is charged: {row}")
            return "failed" if call else "refused"
        if row is None:
            return self._in_no_row(attempt, call, is_last=is_last)
        if row.outcome == "answered":  # the end of the answer never left
            if call is None or not self._is_in_full(row, call):
                self._wrong.append(f"{attempt.name} is not charged in full: {row}")
            return "booked, not delivered"
        if call is None or row.cost > cost_of(call) + ESTIMATE_MOST:
            self._wrong.append(f"{attempt.name} is charged for more than it asked: {row}")
        return "left by the caller"

    def _in_no_row(self, attempt: Attempt, call: Call | None, *, is_last: bool) -> str:
        """Only what ran when the process died, or had just been left, may be in no row."""
        if attempt.left and attempt.ended < self._killed_at - SETTLED_SECONDS:
            self._wrong.append(f"{attempt.name} was left long ago and is in no row")
        elif not attempt.left and not is_last:
            self._wrong.append(f"{attempt.name} is in no row, and its caller went on")
        if call is None:
            return "died before the provider"
        return "cut" if call.done_at else "died while the provider answered"

    def _answered(self, attempt: Attempt, row: Row | None, call: Call | None) -> str:
        if row is None or call is None:
            self._wrong.append(f"LOST: {attempt.name} was answered whole: {row} {attempt}")
        elif row.outcome != "answered" or not self._is_in_full(row, call):
            self._wrong.append(f"{attempt.name} is not charged in full: {row}, {cost_of(call)}")
        return "answered"

    def _is_in_full(self, row: Row, call: Call) -> bool:
        charged = (row.cost, row.credits)
        return charged == (cost_of(call), 0) or (self._role.by_plan and charged == (0, PER_CALL))

    def _check_status(self, attempt: Attempt, *, had_outage: bool) -> None:
        """Who has money and a good key never hears otherwise (503 while the database is away)."""
        status, role = attempt.status, self._role
        if status in (0, 200) or (role.fails and status >= 500):
            return
        if role.may_be_refused and status in (402, 429):
            return
        if had_outage and status == 503 and attempt.retry_after:
            return
        self._wrong.append(f"{attempt.name} was told {status} {attempt.code}")


def is_charged(row: Row) -> bool:
    """In money or in credits."""
    return bool(row.cost or row.credits)
