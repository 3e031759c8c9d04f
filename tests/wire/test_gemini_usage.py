"""Behaviour of usage reports in Gemini's format."""

from __future__ import annotations

from typing import Any

import pytest

from apertura.domain.usage import Usage
from tests.wire.test_gemini_reply import answered, chunk


def counted(**report: Any) -> Usage | None:
    """The usage that a stream with this last report has."""
    return answered(chunk({"text": "a"}, reason="STOP", usageMetadata=report)).usage


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        ({"promptTokenCount": 9, "totalTokenCount": 9}, Usage(input=9)),
        (
            {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11},
            Usage(input=9, output=2),
        ),
        (
            {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 5},
            Usage(input=9, output=7, reasoning=5),
        ),
        (
            {"promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 1},
            Usage(input=9, cache_read=4, output=1),
        ),
        (
            {"promptTokenCount": 9, "toolUsePromptTokenCount": 30, "candidatesTokenCount": 1},
            Usage(input=39, output=1),
        ),
        (
            {"promptTokenCount": 3, "thoughtsTokenCount": 4, "totalTokenCount": 9},
            Usage(input=3, output=6, reasoning=4),
        ),
        (
            {
                "promptTokenCount": 20,
                "cachedContentTokenCount": 10,
                "candidatesTokenCount": 8,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 5},
                    {"modality": "AUDIO", "tokenCount": 15},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 6}],
            },
            Usage(input=20, cache_read=10, audio_input=5, output=8, image_output=6),
        ),
        (
            {"promptTokenCount": "9", "candidatesTokenCount": 2.0, "promptTokensDetails": None},
            Usage(input=9, output=2),
        ),
    ],
)
def test_usage(report: dict[str, Any], usage: Usage) -> None:
    """Thoughts stand beside the answer, cached tokens within the prompt."""
    assert usage == counted(**report)


def test_usage_that_says_nothing_is_none() -> None:
    assert counted(promptTokensDetails=[]) is None
