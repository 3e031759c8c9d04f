"""Behaviour of usage in the Messages format: cached tokens stand beside the input, not in it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from apertura.domain.usage import TOKENS_MAX, Usage
from apertura.wire.anthropic_usage import Counts, Report, lenient_report, report_of
from tests.wire.answers import counts


def read(*reports: dict[str, Any]) -> Usage | None:
    """What reports of one answer add up to, strictly and leniently read alike."""
    strict, loose = Counts(), Counts()
    for report in reports:
        loose.add(lenient_report(report))
        strict.add(msgspec.convert(report, Report))
    assert strict.usage() == loose.usage()
    return loose.usage()


BOTH = {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3}


@pytest.mark.parametrize(
    ("reports", "usage"),
    [
        ([], None),
        ([{}], None),
        ([{"input_tokens": None, "output_tokens": None}], None),
        ([{"input_tokens": 0, "output_tokens": 0}], None),
        ([{"input_tokens": 5}], Usage(input=5)),
        ([{"output_tokens": 5}], Usage(output=5)),
        (
            [{"input_tokens": 5, "cache_read_input_tokens": 10, "output_tokens": 1}],
            Usage(input=15, cache_read=10, output=1),
        ),
        (
            [{"input_tokens": 5, "cache_creation_input_tokens": 7}],
            Usage(input=12, cache_write=7),
        ),
        (
            [{"input_tokens": 5, "cache_creation_input_tokens": 7, "cache_creation": BOTH}],
            Usage(input=12, cache_write=4, cache_write_1h=3),
        ),
        (
            [{"input_tokens": 5, "cache_creation": BOTH}],
            Usage(input=12, cache_write=4, cache_write_1h=3),
        ),
        (
            [
                {"input_tokens": 5, "cache_creation": BOTH, "output_tokens": 1},
                {"cache_creation_input_tokens": 7, "output_tokens": 9},
            ],
            Usage(input=12, cache_write=4, cache_write_1h=3, output=9),
        ),
        (
            [{"input_tokens": 5, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 4}],
            Usage(input=5, output=4),
        ),
        (
            [{"input_tokens": 5}, {"input_tokens": 50, "output_tokens": 4}],
            Usage(input=50, output=4),
        ),
        (
            [{"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 6}}],
            Usage(output=9, reasoning=6),
        ),
    ],
)
def test_what_reports_add_up_to(reports: list[dict[str, Any]], usage: Usage | None) -> None:
    """Each class once, whatever a report leaves out; totals so far, not sums."""
    assert read(*reports) == usage


@given(counts("cache_read", "cache_write", "cache_write_1h", "reasoning"))
def test_what_is_read_and_written_again_is_equal(usage: Usage) -> None:
    """No class gets lost or counted twice."""
    assert read(report_of(usage)) == (usage if usage.input + usage.output else None)


@pytest.mark.parametrize("strange", [5, None, [], {"input_tokens": "x"}, {"input_tokens": True}])
def test_what_is_no_report_says_nothing(strange: object) -> None:
    """And is no reason to fall."""
    found = Counts()
    found.add(lenient_report(strange))

    assert found.usage() is None


def test_numbers_are_brought_into_bounds() -> None:
    """They are outside input."""
    found = read({"input_tokens": 2**62, "cache_read_input_tokens": -5, "output_tokens": -1})

    assert found == Usage(input=TOKENS_MAX)
