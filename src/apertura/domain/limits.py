"""Rate limits: the window arithmetic and the headers that it implies.

A `Window` admits at most `limit.count` calls in any span of `limit.seconds`, wherever that span
begins: it keeps the times of the calls that it admitted, oldest first, and forgets those that have
left the span. (A counter per fixed minute admits twice the limit across its edge; a token bucket
admits a burst and its refill.) What it is not: where windows are kept (`store.counters`).

The rule that keeps it honest: `take_all` takes from every window or from none, and a refused call
takes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from apertura.errors import RateLimited


class Limit(msgspec.Struct, frozen=True):
    """At most `count` in any `seconds`, as in "1500/180"."""

    count: int
    seconds: int


def parse_limit(text: str) -> Limit | None:
    """Read "1500/180" or "off". Raises: ValueError."""
    if text.strip().lower() == "off":
        return None
    count, slash, seconds = text.partition("/")
    if not slash or not count.strip().isdigit() or not seconds.strip().isdigit():
        raise ValueError(f"{text!r} is no limit: write COUNT/SECONDS such as 1500/180, or off")
    limit = Limit(int(count), int(seconds))
    if limit.count < 1 or limit.seconds < 1:
        raise ValueError(f"{text!r} is no limit: both numbers must be at least 1")
    return limit


class Window:
    """The calls admitted under one limit, for one address, key, or key and model."""

    __slots__ = ("limit", "scope", "times")

    def __init__(self, limit: Limit, scope: str) -> None:
        self.limit = limit
        self.scope = scope
        """What the limit is of, for the message: "this address", say."""
        self.times: deque[float] = deque()

    def left(self, now: float) -> int:
        """How many calls the window would still admit at `now` (seconds, never going back)."""
        times = self.times
        edge = now - self.limit.seconds
        while times and times[0] <= edge:
            times.popleft()
        return self.limit.count - len(times)

    def frees_at(self, now: float) -> float:
        """When the next call leaves the window."""
        return self.times[0] + self.limit.seconds if self.times else now


class Standing(msgspec.Struct, frozen=True, gc=False):
    """Whether the windows took the call, and what its reply's headers say of the tightest one.

    `frees_in` is the seconds until that window lets the next call in.
    """

    admitted: bool
    limit: Limit
    scope: str
    remaining: int
    frees_in: float


def take_all(windows: Sequence[Window], now: float) -> Standing | None:
    """Take one call from each window, all or nothing. The standing is that of the window with the
    least left, or on refusal of the one that stays full longest; None where nothing is limited.
    """
    tightest, least = None, 0
    for window in windows:  # what `left` does, spelled out: this runs for every call
        times, limit = window.times, window.limit
        edge = now - limit.seconds
        while times and times[0] <= edge:
            times.popleft()
        left = limit.count - len(times)
        if tightest is None or left < least:
            tightest, least = window, left
    if tightest is None:
        return None
    if least <= 0:
        full = [window for window in windows if window.left(now) <= 0]
        worst = max(full, key=lambda window: window.frees_at(now))
        return Standing(False, worst.limit, worst.scope, 0, worst.frees_at(now) - now)
    for window in windows:
        window.times.append(now)
    frees_in = tightest.times[0] + tightest.limit.seconds - now
    return Standing(True, tightest.limit, tightest.scope, least - 1, frees_in)


def header_lines(standing: Standing, unix_now: float) -> bytes:
    """The contract's three headers, as they travel; the reset in whole Unix seconds, past it."""
    return b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\nx-ratelimit-reset: %d\r\n" % (
        standing.limit.count,
        standing.remaining,
        _ceil(unix_now + standing.frees_in),
    )


def refusal(standing: Standing, unix_now: float) -> RateLimited:
    """The error of a call that was not admitted."""
    limit, wait = standing.limit, max(1, _ceil(standing.frees_in))
    return RateLimited(
        f"Too many requests: {standing.scope} may make {limit.count} in {limit.seconds} seconds. "
        f"Try again in {wait} seconds.",
        headers={
            "Retry-After": str(wait),
            "X-RateLimit-Limit": str(limit.count),
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(_ceil(unix_now + standing.frees_in)),
        },
    )


def _ceil(value: float) -> int:
    return -int(-value // 1)
