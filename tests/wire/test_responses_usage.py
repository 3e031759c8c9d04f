"""Behaviour of usage in the Responses format."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from apertura.domain.usage import Usage
from apertura.wire.responses_usage import report_of, usage_of
from tests.wire.answers import counts


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(input=5, output=2)),
        ({"prompt_tokens": 5, "completion_tokens": 2.0}, Usage(input=5, output=2)),
        ({"input_tokens": 5, "total_tokens": 9}, Usage(input=5, output=4)),
        (
            {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 9}},
            Usage(input=5, cache_read=5, output=2),
        ),
        ({"input_tokens": -5, "output_tokens": True}, Usage()),
        ({}, None),
        (None, None),
        ("much", None),
    ],
)
def test_usage_of_any_shape(report: Any, usage: Usage | None) -> None:
    """By either format's names, within bounds; nothing where nothing is said."""
    assert usage == usage_of(report)


@given(counts("cache_read", "cache_write", "audio_input", "reasoning", "image_output"))
def test_usage_written_and_read_again_is_equal(usage: Usage) -> None:
    """Every class has its place."""
    assert usage == usage_of(report_of(usage))
