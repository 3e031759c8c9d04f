"""What this process tells its operator: log lines and metrics, their names and their set-up.

One JSON line per call (the words of the glossary, as in the usage row) and one per event of the
process; metrics in Prometheus' format. Names of what concerns models follow OpenTelemetry's
`gen_ai` conventions where there is one. What it is not: the books; a metric may be lost in a crash.

The rule that keeps it honest: no prompt, reply or key is ever in a line or a label, and nothing on
the path of a call formats or writes one: calls are tallied in plain integers, and their lines
written in batches.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MILLISECONDS = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000)
"""Upper edges of the histograms' buckets."""
LINES_MOST = 10_000
"""Log lines that may wait for a slow reader of our output; past it they are counted, not kept."""


class CallRow(Protocol):
    """What is read of a usage row here."""

    @property
    def model(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def offer(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def first_ms(self) -> int | None: ...
    @property
    def total_ms(self) -> int: ...
    @property
    def input(self) -> int: ...
    @property
    def output(self) -> int: ...
    @property
    def cost(self) -> int: ...


class Tally:
    """The sums of one kind of call: a model at an offer with an outcome. `total` and `first` count
    calls by bucket of their milliseconds.
    """

    __slots__ = (
        "calls",
        "cost",
        "first",
        "first_ms",
        "input",
        "output",
        "provider",
        "total",
        "total_ms",
    )

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.calls = self.input = self.output = self.cost = self.total_ms = self.first_ms = 0
        self.total = [0] * (len(MILLISECONDS) + 1)
        self.first = [0] * (len(MILLISECONDS) + 1)


def cumulative(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Buckets as Prometheus wants them: upper edge in seconds, and the count up to there."""
    edges = [*(str(edge / 1000) for edge in MILLISECONDS), "+Inf"]
    return list(zip(edges, map(float, accumulate(counts)), strict=True))


class Meters:
    """Everything that is counted; a collector for Prometheus, and the writer of call lines."""

    def __init__(self, *, version: str, lines: BinaryIO | None = None) -> None:
        self._tallies: dict[tuple[str, str, str, str, int], Tally] = {}
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self._lines_to = lines
        self._lines: list[bytes] = []
        self._lines_lost = 0
        self._write_failures = 0
        self._version = version
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def call(self, row: CallRow, line: bytes) -> None:
        """A call has ended; `line` is its row as JSON, for the log."""
        key = (row.model, row.offer, row.operation, row.outcome, row.status)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally(row.provider)
        tally.calls += 1
        tally.input += row.input
        tally.output += row.output
        tally.cost += row.cost
        tally.total_ms += row.total_ms
        tally.total[bisect_left(MILLISECONDS, row.total_ms)] += 1
        if row.first_ms is not None:
            tally.first_ms += row.first_ms
            tally.first[bisect_left(MILLISECONDS, row.first_ms)] += 1
        if self._lines_to is not None:
            if len(self._lines) < LINES_MOST:
                self._lines.append(line)
            else:
                self._lines_lost += 1

    def write_failed(self) -> None:
        """A batch could not be written to the books; it will be tried again."""
        self._write_failures += 1

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Something that is read when asked for."""
        self._gauges.append((name, text, read))

    def flush(self) -> None:
        """Write the lines of the calls that have ended since the last time. May block: not for the
        event loop's own thread.
        """
        if self._lines and self._lines_to is not None:
            lines, self._lines = self._lines, []
            try:
                self._lines_to.write(b"\n".join([*lines, b""]))
                self._lines_to.flush()
            except (OSError, ValueError):  # a full disk, a closed pipe: the books go on without
                self._lines_lost += len(lines)

    def render(self) -> bytes:
        """The page for Prometheus."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: the labels are known when calls have been made."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks of a collector."""
        yield from self._calls()
        for name, text, read in self._gauges:
            yield GaugeMetricFamily(name, text, value=read())
        lost = CounterMetricFamily("apertura_log_lines_lost", "Call lines not written.")
        lost.add_metric([], self._lines_lost)
        yield lost
        failed = CounterMetricFamily("apertura_book_write_failures", "Batches to be tried again.")
        failed.add_metric([], self._write_failures)
        yield failed
        info = GaugeMetricFamily("apertura_info", "The running version.", labels=["version"])
        info.add_metric([self._version], 1)
        yield info

    def _calls(self) -> Iterator[Metric]:
        labels = ["model", "provider", "operation", "outcome", "status"]
        calls = CounterMetricFamily("apertura_calls", "Calls that have ended.", labels=labels)
        tokens_in = CounterMetricFamily("apertura_input_tokens", "Input tokens.", labels=labels)
        tokens_out = CounterMetricFamily("apertura_output_tokens", "Output tokens.", labels=labels)
        costs = CounterMetricFamily("apertura_cost_nano_usd", "Cost, in nano-USD.", labels=labels)
        total = HistogramMetricFamily(
            "gen_ai_server_request_duration_seconds", "Whole calls.", labels=labels
        )
        first = HistogramMetricFamily(
            "gen_ai_server_time_to_first_token_seconds", "To the first content.", labels=labels
        )
        for key, tally in self._tallies.items():
            values = [key[0], tally.provider, key[2], key[3], str(key[4])]
            calls.add_metric(values, tally.calls)
            tokens_in.add_metric(values, tally.input)
            tokens_out.add_metric(values, tally.output)
            costs.add_metric(values, tally.cost)
            total.add_metric(values, cumulative(tally.total), tally.total_ms / 1000)
            first.add_metric(values, cumulative(tally.first), tally.first_ms / 1000)
        return iter((calls, tokens_in, tokens_out, costs, total, first))


def where(error: BaseException) -> str:
    """File and line of the innermost frame of ours: enough to find a bug, and no content."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"


def log(event: str, **fields: object) -> None:
    """One JSON line about the process itself, on the error output."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(json.dumps({"time": stamp, "event": event, **fields}, default=str) + "\n")
    sys.stderr.flush()
