"""The usage report of OpenAI's Responses format, read and written.

What it is not: trusting; `tidy` brings a provider's numbers into bounds. The rule that keeps it
honest: cached tokens are a part of the input here and reasoning of the output, as in `Usage`.
"""

from __future__ import annotations

from apertura.domain.usage import Usage, tidy

_OUTPUTS = (("audio_output", "audio_tokens"), ("image_output", "image_tokens"))
"""Our classes and their names among the details, where a report has them."""


def usage_of(report: object) -> Usage | None:
    """What was consumed; None if the report says nothing. Takes the chat format's names too."""
    if not isinstance(report, dict):
        return None
    total = _count(report.get("total_tokens"))
    inputs = _first(report, "input_tokens", "prompt_tokens")
    outputs = _first(report, "output_tokens", "completion_tokens")
    if inputs is None and outputs is None:
        return None
    within = _details(report, "input_tokens_details", "prompt_tokens_details")
    without = _details(report, "output_tokens_details", "completion_tokens_details")
    if outputs is None:
        outputs = 0 if total is None else total - (inputs or 0)
    return tidy(
        Usage(
            input=inputs or 0,
            cache_read=_count(within.get("cached_tokens")) or 0,
            cache_write=_count(within.get("cache_write_tokens")) or 0,
            audio_input=_count(within.get("audio_tokens")) or 0,
            output=outputs,
            reasoning=_count(without.get("reasoning_tokens")) or 0,
            audio_output=_count(without.get("audio_tokens")) or 0,
            image_output=_count(without.get("image_tokens")) or 0,
        )
    )


def report_of(usage: Usage) -> dict[str, object]:
    """`usage` as a caller reads it."""
    written = usage.cache_write + usage.cache_write_1h
    inputs = {"cached_tokens": usage.cache_read, "cache_write_tokens": written}
    outputs = {"reasoning_tokens": usage.reasoning}
    inputs |= {"audio_tokens": usage.audio_input} if usage.audio_input else {}
    outputs |= {name: count for field, name in _OUTPUTS if (count := getattr(usage, field))}
    return {
        "input_tokens": usage.input,
        "input_tokens_details": inputs,
        "output_tokens": usage.output,
        "output_tokens_details": outputs,
        "total_tokens": usage.input + usage.output,
    }


def _first(report: dict[str, object], *names: str) -> int | None:
    return next((count for name in names if (count := _count(report.get(name))) is not None), None)


def _details(report: dict[str, object], *names: str) -> dict[str, object]:
    found = (report.get(name) for name in names)
    return next((details for details in found if isinstance(details, dict)), {})


def _count(value: object) -> int | None:
    """A count, if it is one; some providers send 12.0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if -(2**53) < value < 2**53 else None
