"""Behaviour of rate limits under a simulated clock.

Times are eighths of a second: a binary fraction, so that sums and differences are exact.
"""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.limits import (
    Limit,
    Standing,
    Window,
    header_lines,
    parse_limit,
    refusal,
    take_all,
)

limits = st.builds(Limit, st.integers(1, 5), st.integers(1, 6))
steps = st.lists(
    st.tuples(st.integers(0, 24).map(lambda eighths: eighths / 8), st.integers(1, 7)), max_size=60
)
starts = st.sampled_from([0.0, 5.125, 1_000_000.0])


def simulate(three: list[Limit], script, start: float):
    """Play calls of (gap, bit set of windows); yields time, windows, standing and the past."""
    windows = [Window(limit, f"window {n}") for n, limit in enumerate(three)]
    past: list[list[float]] = [[] for _ in windows]
    now = start
    for gap, bits in script:
        now += gap
        chosen = [n for n in range(len(windows)) if bits >> n & 1]
        before = deepcopy(past)
        standing = take_all([windows[n] for n in chosen], now)
        assert standing is not None
        if standing.admitted:
            for n in chosen:
                past[n].append(now)
        yield now, [windows[n] for n in chosen], chosen, standing, before
    for n, window in enumerate(windows):
        check_any_span(past[n], window.limit)


def check_any_span(times: list[float], limit: Limit) -> None:
    """Wherever a span of the window's length begins, it holds at most the limit."""
    for first, beyond in zip(times, times[limit.count :], strict=False):
        assert beyond - first >= limit.seconds


@given(st.lists(limits, min_size=3, max_size=3), steps, starts)
def test_no_span_of_time_holds_more_than_the_limit(three, script, start) -> None:
    """And a call is admitted exactly when every window has room: all of them take it, or none."""
    for now, _, chosen, standing, past in simulate(three, script, start):
        room = all(
            sum(time > now - three[n].seconds for time in past[n]) < three[n].count for n in chosen
        )
        assert standing.admitted is room


@given(st.lists(limits, min_size=3, max_size=3), steps, starts)
def test_a_refused_call_takes_nothing(three, script, start) -> None:
    """However often one asks in vain, the next admission comes no later."""
    for now, windows, _, standing, _ in simulate(three, script, start):
        if not standing.admitted:
            left = [window.left(now) for window in windows]
            take_all(windows, now)
            assert [window.left(now) for window in windows] == left


@given(st.lists(limits, min_size=3, max_size=3), steps, starts)
def test_who_waits_as_told_is_admitted(three, script, start) -> None:
    """`Retry-After` is enough, and not a second longer than needed."""
    for now, windows, _, standing, _ in simulate(three, script, start):
        if standing.admitted:
            continue
        wait = int(refusal(standing, now).headers["Retry-After"])
        assert wait >= 1
        after = take_all(deepcopy(windows), now + wait)
        assert after is not None
        assert after.admitted
        if wait > 1:
            early = take_all(deepcopy(windows), now + wait - 1)
            assert early is not None
            assert not early.admitted


@given(st.lists(limits, min_size=3, max_size=3), steps, starts)
def test_headers_tell_of_the_tightest_window(three, script, start) -> None:
    """On success that with the least left, and when it lets the next call in."""
    for now, windows, _, standing, _ in simulate(three, script, start):
        left = [window.left(now) for window in windows]
        assert standing.remaining == min(left)
        told = next(window for window in windows if window.scope == standing.scope)
        assert told.left(now) == standing.remaining
        assert standing.limit == told.limit
        assert 0 < standing.frees_in <= told.limit.seconds
        assert deepcopy(told).left(now + standing.frees_in) > standing.remaining


def test_a_burst_across_a_minute_is_one_burst() -> None:
    """What a counter per fixed minute would admit twice."""
    window = Window(Limit(3, 60), "test")
    times = [59, 59.5, 59.75, 60, 61, 118.9]

    admitted = [time for time in times if take_all([window], time).admitted]

    assert admitted == [59, 59.5, 59.75]
    assert take_all([window], 119).admitted


def test_where_nothing_is_limited_there_is_no_standing() -> None:
    """And so no headers."""
    assert take_all([], 5) is None


def test_headers_are_those_of_the_contract() -> None:
    """Limit, remaining and the reset as Unix seconds, rounded up."""
    standing = Standing(True, Limit(1500, 180), "this address", 1499, 12.25)

    assert header_lines(standing, 1_767_225_600.5) == (
        b"x-ratelimit-limit: 1500\r\nx-ratelimit-remaining: 1499\r\n"
        b"x-ratelimit-reset: 1767225613\r\n"
    )


def test_a_refusal_says_whose_limit_and_for_how_long() -> None:
    """429 with Retry-After and the three headers."""
    standing = Standing(False, Limit(500, 60), "this API key with the model small", 0, 12.25)

    error = refusal(standing, 1_767_225_600.5)

    assert (error.status, error.code) == (429, "rate_limit_exceeded")
    assert "this API key with the model small may make 500 in 60 seconds" in error.message
    assert error.headers == {
        "Retry-After": "13",
        "X-RateLimit-Limit": "500",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1767225613",
    }


@pytest.mark.parametrize(
    ("text", "limit"),
    [("1500/180", Limit(1500, 180)), (" 1/1 ", Limit(1, 1)), ("off", None), (" OFF ", None)],
)
def test_a_limit_is_read(text: str, limit: Limit | None) -> None:
    """COUNT/SECONDS, or off."""
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["", "5", "5/", "/5", "0/5", "5/0", "-1/5", "a/b", "5/5/5", "1.5/2"]
)
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    """The message repeats it."""
    with pytest.raises(ValueError, match="is no limit"):
        parse_limit(text)
