"""What a subscriber may expect, in plain Python: an oracle that shares no code with the product.

Months are counted by the calendar, what was bought is written down cycle by cycle when it is paid,
and what goes back of a payment is its share.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil

HOUR = 3_600_000
GRACE_MS = 7 * 24 * HOUR
MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
ORDER = ("asked", "pending", "made", "failed")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def months_later(anchor_ms: int, months: int) -> int:
    """The same day and time so many months later, or the last day of a shorter month."""
    anchor = _EPOCH + timedelta(milliseconds=anchor_ms)
    year, month = anchor.year + (anchor.month - 1 + months) // 12, (anchor.month - 1 + months) % 12
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return (anchor.replace(year=year, month=month + 1, day=day) - _EPOCH) // timedelta(
        milliseconds=1
    )


class Offer:
    """What a plan is on the day on which it is bought: its price for a month, and its allowance."""

    def __init__(self, plan: str, period: str, monthly: int, allowance: int) -> None:
        self.plan, self.period = plan, period
        self.price = monthly * MONTHS[period]
        self.monthly, self.allowance = monthly, allowance

    def is_like(self, other: Offer) -> bool:
        return (self.plan, self.period) == (other.plan, other.period)


class Sold:
    """One subscription: what was bought of it, cycle by cycle."""

    def __init__(self, sub_id: str, key: str, offer: Offer, now: int) -> None:
        self.id, self.key, self.anchor, self.offer = sub_id, key, now, offer
        self.coming: tuple[Offer, int] | None = None
        """What follows, and with which cycle."""
        self.until = 0
        """The first cycle that is not paid for."""
        self.allowed: dict[int, int] = {}
        """What a cycle includes that was paid for."""
        self.is_cancelled = False
        self.ended: int | None = None

    def starts(self, number: int) -> int:
        return months_later(self.anchor, number)

    def cycle(self, now: int) -> int:
        number = 0
        while self.starts(number + 1) <= now:
            number += 1
        return number

    def is_paid(self, now: int) -> bool:
        return now < self.starts(self.until)

    def is_over(self, now: int) -> bool:
        return self.ended is not None or (self.is_cancelled and not self.is_paid(now))

    def works(self, now: int) -> bool:
        """Whether its key may call."""
        if self.is_over(now):
            return False
        return self.is_paid(now) or (self.until > 0 and now < self.starts(self.until) + GRACE_MS)

    def pays(self, now: int) -> int:
        """The cycle whose allowance pays."""
        return max(0, min(self.cycle(now), self.until - 1))

    def cycle_is_over(self, number: int, now: int) -> bool:
        """Whether the rest of a cycle is to go: an hour after its end."""
        then = now - HOUR
        if self.ended is not None:
            return then >= self.ended
        return not self.works(then) or self.pays(then) > number

    # What becomes of it.

    def come(self, now: int) -> None:
        """What was to follow holds, if its time has come."""
        if self.coming is not None and now >= self.starts(self.coming[1]):
            self.offer, self.coming = self.coming[0], None

    def next_offer(self) -> Offer:
        return self.offer if self.coming is None else self.coming[0]

    def next_is_paid(self) -> bool:
        return self.coming is not None and self.coming[1] < self.until

    def pay(self, now: int, until: int | None = None) -> int:
        """A period was paid for, to the cycle `until` if somebody says so; returns how many."""
        self.come(now)
        offer = self.next_offer()
        first, count = max(self.until, self.cycle(now)), MONTHS[offer.period]
        if until is not None:
            count = max(0, min(count, until - first))
        for number in range(first, first + count):
            self.allowed[number] = offer.allowance
        if count:
            self.until = first + count
        return count

    def upgrades_to(self, offer: Offer) -> bool:
        return offer.plan != self.offer.plan and offer.price > self.offer.price

    def change(self, wanted: Offer, now: int) -> bool:
        """Another plan or period is wanted; returns whether it is an upgrade."""
        self.come(now)
        if not self.is_paid(now):
            self.offer, self.coming = wanted, None
            return False
        at_once = Offer(wanted.plan, self.offer.period, wanted.monthly, wanted.allowance)
        upgraded = self.upgrades_to(at_once)
        if upgraded:
            self._upgrade(at_once, now)
        self.coming = None if wanted.is_like(self.offer) else (wanted, self.until)
        return upgraded

    def _upgrade(self, offer: Offer, now: int) -> None:
        here = self.cycle(now)
        begins, ends = self.starts(here), self.starts(here + 1)
        rest = Fraction(ends - now, ends - begins)
        self.allowed[here] += max(0, int((offer.allowance - self.offer.allowance) * rest))
        for number in range(here + 1, self.until):
            self.allowed[number] = offer.allowance
        self.offer = offer

    def cancel(self, now: int) -> None:
        if self.is_cancelled:
            return
        self.come(now)
        self.is_cancelled = True
        if not self.next_is_paid():
            self.coming = None
        if not self.is_paid(now):
            self.ended = now

    def resume(self) -> None:
        self.is_cancelled = False

    def look(self, now: int) -> None:
        """The job comes by."""
        if self.ended is None:
            self.come(now)
            if self.is_over(now):
                self.ended = now


class Purchase:
    """One payment with a processor, and what went back of it."""

    def __init__(self, name: str, amount: int, cash: int, kind: str = "top-up") -> None:
        self.name, self.amount, self.cash, self.kind = name, amount, cash, kind
        self.subject = ""
        """Once it is paid."""
        self.back: dict[str, tuple[int, str]] = {}
        """Refunds and disputes: their cash and their state."""
        self.undone = 0
        self.withdrawn = 0
        """What went back in all: taken from where it was credited, and written off."""

    def active(self) -> int:
        return sum(cash for cash, state in self.back.values() if state != "failed")

    def share(self) -> int:
        """What has to be withdrawn, with the cash beyond this payment's own."""
        refunded = min(self.active(), self.cash)
        whole = ceil(Fraction(self.amount * refunded, self.cash))
        return whole + self.active() - refunded

    def told(self, name: str, cash: int, state: str) -> bool:
        """A processor tells; returns whether that changes what went back."""
        before = self.back.get(name)
        if before is not None and ORDER.index(state) <= ORDER.index(before[1]):
            return False
        self.back[name] = (before[0] if before else cash, state)
        if state != "failed":
            return before is None
        self.undone += before is not None
        return before is not None
