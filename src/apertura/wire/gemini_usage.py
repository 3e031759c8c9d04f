"""The usage report of Gemini's format, read and written.

What it is not: trusting. A provider's numbers are outside input: `tidy` brings them into bounds.
The rule that keeps it honest: cached tokens are a part of the prompt here; what tools put in stands
beside it, and so do thoughts beside the answer: those are added, each once.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from apertura.domain.usage import Usage, tidy


class Modality(Struct, gc=False, rename="camel"):
    """Tokens of one kind: TEXT, IMAGE, AUDIO, VIDEO, DOCUMENT."""

    modality: str | None = None
    token_count: int | None = None


class Report(Struct, gc=False, rename="camel"):
    """`usageMetadata`. Every field may be missing or null."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[Modality] | None = None
    cache_tokens_details: list[Modality] | None = None
    candidates_tokens_details: list[Modality] | None = None

    @property
    def says_something(self) -> bool:
        """Whether there is a total in it; reports that come early may have none."""
        asked, answered = self.prompt_token_count, self.candidates_token_count
        return asked is not None or answered is not None or self.total_token_count is not None


def usage_of(report: Report | None) -> Usage | None:
    """What was consumed; None if the report says nothing."""
    if report is None or not report.says_something:
        return None
    asked, answered = report.prompt_token_count, report.candidates_token_count
    total = report.total_token_count
    thoughts = report.thoughts_token_count or 0
    inputs = (asked or 0) + (report.tool_use_prompt_token_count or 0)
    outputs = (answered or 0) + thoughts
    if answered is None and total is not None:
        outputs = max(total - inputs, thoughts)
    cached_sound = _of("AUDIO", report.cache_tokens_details)
    return tidy(
        Usage(
            input=inputs,
            cache_read=report.cached_content_token_count or 0,
            audio_input=max(0, _of("AUDIO", report.prompt_tokens_details) - cached_sound),
            output=outputs,
            reasoning=thoughts,
            audio_output=_of("AUDIO", report.candidates_tokens_details),
            image_output=_of("IMAGE", report.candidates_tokens_details),
        )
    )


def _of(modality: str, details: Iterable[Modality] | None) -> int:
    return sum(found.token_count or 0 for found in details or () if found.modality == modality)


def report_of(usage: Usage) -> dict[str, object]:
    """`usageMetadata` as a caller reads it."""
    answered = usage.output - usage.reasoning
    report: dict[str, object] = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": answered,
        "totalTokenCount": usage.input + usage.output,
    }
    if usage.cache_read:
        report["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        report["thoughtsTokenCount"] = usage.reasoning
    text_in = usage.input - usage.audio_input
    report["promptTokensDetails"] = _details(TEXT=text_in, AUDIO=usage.audio_input)
    if usage.audio_output or usage.image_output:
        text_out = answered - usage.audio_output - usage.image_output
        report["candidatesTokensDetails"] = _details(
            TEXT=text_out, AUDIO=usage.audio_output, IMAGE=usage.image_output
        )
    return report


def _details(**counts: int) -> list[dict[str, object]]:
    return [{"modality": name, "tokenCount": count} for name, count in counts.items() if count > 0]
