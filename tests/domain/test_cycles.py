"""Laws of cycles: they partition time, and never drift."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apertura.domain.cycles import Cycle, cycle, cycle_at, cycle_start, nearest
from tests.source import ROOT

MOMENTS = st.integers(0, 4_102_444_800_000)  # to 2100
NUMBERS = st.integers(0, 600)


def ms(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


@pytest.mark.parametrize(
    ("anchor", "starts"),
    [
        ("2026-01-31", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        ("2028-01-31", ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]),
        ("2026-12-29", ["2026-12-29", "2027-01-29", "2027-02-28", "2027-03-29"]),
        ("2027-11-30", ["2027-11-30", "2027-12-30", "2028-01-30", "2028-02-29", "2028-03-30"]),
        ("2028-02-29", ["2028-02-29", "2028-03-29", "2028-04-29"]),
        ("2026-03-29T01:30:00.001", ["2026-03-29T01:30:00.001", "2026-04-29T01:30:00.001"]),
        ("2026-12-31T23:59:59.999", ["2026-12-31T23:59:59.999", "2027-01-31T23:59:59.999"]),
    ],
)
def test_a_cycle_begins_so_many_months_after_the_anchor(anchor: str, starts: list[str]) -> None:
    """On the last day of a month that is too short, and on the anchor's own again after it."""
    assert [cycle_start(ms(anchor), n) for n in range(len(starts))] == [ms(s) for s in starts]


def test_a_leap_day_comes_back_every_year_as_what_there_is() -> None:
    """29 February, a year and four years on."""
    anchor = ms("2028-02-29T12:00")

    assert cycle_start(anchor, 12) == ms("2029-02-28T12:00")
    assert cycle_start(anchor, 48) == ms("2032-02-29T12:00")


@given(anchor=MOMENTS, number=NUMBERS)
@example(anchor=ms("2026-01-31T23:59:59.999"), number=1)
def test_cycles_partition_time(anchor: int, number: int) -> None:
    """Each begins where the one before ends; its first and its last millisecond are in it, the next
    is not; and none is shorter than a February or longer than a January.
    """
    here = cycle(anchor, number)

    assert here == Cycle(number, cycle_start(anchor, number), cycle_start(anchor, number + 1))
    assert cycle_at(anchor, here.start_ms) == number
    assert cycle_at(anchor, here.end_ms - 1) == number
    assert cycle_at(anchor, here.end_ms) == number + 1
    assert 28 * 86_400_000 <= here.length_ms <= 31 * 86_400_000


@given(anchor=MOMENTS, now=MOMENTS)
def test_every_moment_lies_in_the_cycle_that_is_said(anchor: int, now: int) -> None:
    """And a moment before the first counts to it."""
    here = cycle(anchor, cycle_at(anchor, now))

    if now < anchor:
        assert here.number == 0
    else:
        assert here.start_ms <= now < here.end_ms


@given(anchor=MOMENTS, number=NUMBERS)
def test_the_day_and_the_time_are_the_anchors(anchor: int, number: int) -> None:
    """To the millisecond; the day is the anchor's, or the last of its month."""
    began = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=anchor)
    begins = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=cycle_start(anchor, number))

    assert begins.timetz() == began.timetz()
    assert (begins.year * 12 + begins.month) - (began.year * 12 + began.month) == number
    last = begins + timedelta(days=1)
    assert begins.day == began.day or (begins.day < began.day and last.day == 1)


@pytest.mark.parametrize(
    ("now", "rest"), [(5, 100), (10, 100), (11, 99), (109, 1), (110, 0), (200, 0)]
)
def test_the_rest_of_a_cycle_is_within_it(now: int, rest: int) -> None:
    """All of it before it begins, nothing once it is over."""
    assert Cycle(3, 10, 110).rest_ms(now) == rest


def test_the_nearest_beginning_is_found() -> None:
    """From either side; in the middle it is the one to come."""
    anchor = ms("2026-04-10")
    here = cycle(anchor, 2)  # 30 days
    middle = (here.start_ms + here.end_ms) // 2

    assert nearest(anchor, here.start_ms - 1) == 2
    assert nearest(anchor, here.start_ms) == 2
    assert nearest(anchor, middle - 1) == 2
    assert nearest(anchor, middle) == 3
    assert nearest(anchor, anchor - 10**9) == 0


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Pacific/Apia", "UTC"])
def test_no_time_zone_of_the_machine_matters(zone: str) -> None:
    """Summer time begins and ends without a trace."""
    script = (
        "import time; time.tzset()\n"
        "from apertura.domain.cycles import cycle_at, cycle_start\n"
        f"print([cycle_start({ms('2026-01-31T02:30')}, n) for n in range(24)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == str([cycle_start(ms("2026-01-31T02:30"), n) for n in range(24)])
