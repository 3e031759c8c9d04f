"""Cycles: the months of a subscription, counted from the moment at which it began.

Cycle n begins n months after the anchor, to the millisecond, in UTC; where a month has no such day,
on its last one. Each is counted from the anchor and not from the one before, so none drifts: from
31 January, 28 or 29 February, then 31 March. What it is not: what a cycle includes, or who pays
(`plans`).

The rule that keeps it honest: cycles share no moment and leave none out. Times are milliseconds
since 1970, the end of a span is not part of it.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date

import msgspec

_MS_PER_DAY = 86_400_000
_DAY_ZERO = date(1970, 1, 1).toordinal()


class Cycle(msgspec.Struct, frozen=True):
    """One of them; its first is number 0."""

    number: int
    start_ms: int
    end_ms: int

    def rest_ms(self, now_ms: int) -> int:
        """What is left of it: all before it, nothing after it."""
        return self.end_ms - min(max(now_ms, self.start_ms), self.end_ms)

    @property
    def length_ms(self) -> int:
        """From 28 to 31 days."""
        return self.end_ms - self.start_ms


def cycle_start(anchor_ms: int, number: int) -> int:
    """When a cycle begins: so many months after the anchor."""
    days, of_day = divmod(anchor_ms, _MS_PER_DAY)
    anchor = date.fromordinal(_DAY_ZERO + days)
    year, month = divmod(_months(anchor) + number, 12)
    day = min(anchor.day, monthrange(year, month + 1)[1])
    return (date(year, month + 1, day).toordinal() - _DAY_ZERO) * _MS_PER_DAY + of_day


def cycle_at(anchor_ms: int, now_ms: int) -> int:
    """The number of the cycle in which a moment lies; 0 also before the first."""
    today = date.fromordinal(_DAY_ZERO + now_ms // _MS_PER_DAY)
    anchor = date.fromordinal(_DAY_ZERO + anchor_ms // _MS_PER_DAY)
    number = _months(today) - _months(anchor)  # of the one that begins in this month
    if cycle_start(anchor_ms, number) > now_ms:
        number -= 1
    return max(0, number)


def cycle(anchor_ms: int, number: int) -> Cycle:
    """A cycle with its beginning and its end."""
    return Cycle(number, cycle_start(anchor_ms, number), cycle_start(anchor_ms, number + 1))


def nearest(anchor_ms: int, moment_ms: int) -> int:
    """The number of the cycle whose beginning is nearest to a moment: what somebody else, who
    counts by seconds or hours, means by it.
    """
    here = cycle(anchor_ms, cycle_at(anchor_ms, moment_ms))
    return here.number if moment_ms - here.start_ms < here.end_ms - moment_ms else here.number + 1


def _months(day: date) -> int:
    return day.year * 12 + day.month - 1
