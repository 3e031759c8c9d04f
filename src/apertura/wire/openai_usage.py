"""The usage report of OpenAI's format, read and written.

What it is not: trusting. A provider's numbers are outside input: `tidy` brings them into bounds.
The rule that keeps it honest: cached tokens are a part of the prompt here, reasoning is a part of
the completion, and both stay so in `Usage`; nothing is added up twice.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from apertura.domain.usage import Usage, tidy


class InputDetails(Struct, gc=False):
    """`prompt_tokens_details`."""

    cached_tokens: int | None = None
    audio_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    """Our own: how many of `cache_write_tokens` were written to be kept for an hour."""


class OutputDetails(Struct, gc=False):
    """`completion_tokens_details`."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class Report(Struct, gc=False):
    """`usage`. Every field may be missing or null; some providers send it empty."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None


def usage_of(report: Report | None) -> Usage | None:
    """What was consumed; None if the report says nothing."""
    if report is None or (report.prompt_tokens is None and report.completion_tokens is None):
        return None
    inputs = report.prompt_tokens_details or _NO_INPUTS
    outputs = report.completion_tokens_details or _NO_OUTPUTS
    hours = min(inputs.cache_write_1h_tokens or 0, inputs.cache_write_tokens or 0)
    usage = Usage(
        input=report.prompt_tokens or 0,
        cache_read=inputs.cached_tokens or report.prompt_cache_hit_tokens or 0,
        cache_write=(inputs.cache_write_tokens or 0) - hours,
        cache_write_1h=hours,
        audio_input=inputs.audio_tokens or 0,
        output=_output(report),
        reasoning=outputs.reasoning_tokens or 0,
        audio_output=outputs.audio_tokens or 0,
        image_output=outputs.image_tokens or 0,
    )
    return tidy(usage)


def _output(report: Report) -> int:
    if report.completion_tokens is not None:
        return report.completion_tokens
    return (report.total_tokens or 0) - (report.prompt_tokens or 0)


def report_of(usage: Usage) -> dict[str, object]:
    """`usage` as a caller reads it."""
    inputs = {"cached_tokens": usage.cache_read, "audio_tokens": usage.audio_input}
    outputs = {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output}
    if usage.cache_write or usage.cache_write_1h:
        inputs["cache_write_tokens"] = usage.cache_write + usage.cache_write_1h
    if usage.cache_write_1h:
        inputs["cache_write_1h_tokens"] = usage.cache_write_1h
    if usage.image_output:
        outputs["image_tokens"] = usage.image_output
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": inputs,
        "completion_tokens_details": outputs,
    }


def lenient_report(report: object) -> Report | None:
    """A report whose fields have types that the format does not know: what of it is a count."""
    if not isinstance(report, dict):
        return None
    clean: dict[str, object] = {name: _whole(value) for name, value in report.items()}
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        details = report.get(name)
        whole = {k: _whole(v) for k, v in details.items()} if isinstance(details, dict) else None
        clean[name] = whole
    return msgspec.convert(clean, Report)


def _whole(value: object) -> int | None:
    """A count, if it is one; some providers send 12.0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value)


_NO_INPUTS = InputDetails()
_NO_OUTPUTS = OutputDetails()
