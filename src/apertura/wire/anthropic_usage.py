"""The usage report of the Messages format, read and written.

Here cached tokens stand beside `input_tokens`, not within them; `Usage` has them within. A stream
reports twice, as it begins and as it ends, and the counts of both are totals so far. What it is
not: trusting. A provider's numbers are outside input: `tidy` brings them into bounds.

The rule that keeps it honest: what is read here and written again is the same usage; a count that
is missing from the later report keeps its earlier value, and none ever sinks.
"""

from __future__ import annotations

from msgspec import Struct

from apertura.domain.usage import Usage, tidy


class CacheCreation(Struct, gc=False):
    """`cache_creation`: what was written, by how long it lives."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(Struct, gc=False):
    """`output_tokens_details`."""

    thinking_tokens: int | None = None


class Report(Struct, gc=False):
    """`usage`. Every field may be missing or null."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None


class Counts:
    """The reports of one answer, laid over each other."""

    __slots__ = ("_five_minutes", "_hour", "_input", "_output", "_read", "_thinking", "_written")

    def __init__(self) -> None:
        self._input = self._output = 0
        self._read = self._written = self._five_minutes = self._hour = self._thinking = 0

    def add(self, report: Report | None) -> None:
        """The next report, if there is one."""
        if report is None:
            return
        self._input = max(self._input, report.input_tokens or 0)
        self._output = max(self._output, report.output_tokens or 0)
        self._read = max(self._read, report.cache_read_input_tokens or 0)
        self._written = max(self._written, report.cache_creation_input_tokens or 0)
        if (lives := report.cache_creation) is not None:
            self._five_minutes = max(self._five_minutes, lives.ephemeral_5m_input_tokens or 0)
            self._hour = max(self._hour, lives.ephemeral_1h_input_tokens or 0)
        if (details := report.output_tokens_details) is not None:
            self._thinking = max(self._thinking, details.thinking_tokens or 0)

    def usage(self) -> Usage | None:
        """What was consumed; None if no report said anything: no call takes nothing at all."""
        written = max(self._written, self._five_minutes + self._hour)
        if not (self._input or self._output or self._read or written):
            return None
        return tidy(
            Usage(
                input=self._input + self._read + written,
                cache_read=self._read,
                cache_write=written - self._hour,
                cache_write_1h=self._hour,
                output=self._output,
                reasoning=self._thinking,
            )
        )


def report_of(usage: Usage) -> dict[str, object]:
    """`usage` as a caller reads it."""
    written = usage.cache_write + usage.cache_write_1h
    report: dict[str, object] = {
        "input_tokens": usage.input - usage.cache_read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if written:
        report["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        report["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return report


def lenient_report(found: object) -> Report | None:
    """A report whose fields have types that the format does not know: what of it is a count."""
    if not isinstance(found, dict):
        return None
    lives, details = found.get("cache_creation"), found.get("output_tokens_details")
    return Report(
        input_tokens=_whole(found.get("input_tokens")),
        output_tokens=_whole(found.get("output_tokens")),
        cache_read_input_tokens=_whole(found.get("cache_read_input_tokens")),
        cache_creation_input_tokens=_whole(found.get("cache_creation_input_tokens")),
        cache_creation=CacheCreation(
            _whole(lives.get("ephemeral_5m_input_tokens")),
            _whole(lives.get("ephemeral_1h_input_tokens")),
        )
        if isinstance(lives, dict)
        else None,
        output_tokens_details=OutputDetails(_whole(details.get("thinking_tokens")))
        if isinstance(details, dict)
        else None,
    )


def _whole(value: object) -> int | None:
    """A count, if it is one; some providers send 12.0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if -(2**63) < value < 2**63 else None
