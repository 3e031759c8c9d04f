"""Behaviour of metrics and log lines."""

from __future__ import annotations

import io
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apertura.telemetry import LINES_MOST, MILLISECONDS, Meters, cumulative, log
from tests.store.examples import usage_row


def samples(meters: Meters) -> dict[str, float]:
    """What Prometheus would read, summed over labels, by the sample's name."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(meters.render().decode()):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_calls_are_counted_by_their_labels() -> None:
    """One series for each model, provider, operation, outcome and status."""
    meters = Meters(version="1.2.3")
    for row in (
        usage_row("a", cost=7, input=100, output=20),
        usage_row("b", cost=5, input=1, output=2),
        usage_row("c", outcome="failed", status=502, cost=0, input=0, output=0, first_ms=None),
    ):
        meters.call(row, b"")

    page = meters.render().decode()
    labels = 'model="small",operation="chat",outcome="answered",provider="acme",status="200"'
    assert f"apertura_calls_total{{{labels}}} 2.0" in page
    assert f"apertura_input_tokens_total{{{labels}}} 101.0" in page
    assert f"apertura_output_tokens_total{{{labels}}} 22.0" in page
    assert f"apertura_cost_nano_usd_total{{{labels}}} 12.0" in page
    assert 'apertura_info{version="1.2.3"} 1.0' in page
    counted = samples(meters)
    assert counted["apertura_calls_total"] == 3
    assert counted["gen_ai_server_request_duration_seconds_count"] == 3
    assert counted["gen_ai_server_time_to_first_token_seconds_count"] == 2


def test_a_label_cannot_break_the_page() -> None:
    """Whatever a caller calls a model."""
    meters = Meters(version="1")
    meters.call(usage_row("a", model='odd "name"\n\\apertura_calls_total 9'), b"")

    assert samples(meters)["apertura_calls_total"] == 1


def test_a_duration_falls_into_one_bucket() -> None:
    """That whose edge it does not pass, edges included; the page counts up, in seconds."""
    meters = Meters(version="1")
    for number, total_ms in enumerate((0, 10, 11, 1000, 1_000_000)):
        meters.call(usage_row(str(number), total_ms=total_ms, first_ms=None), b"")

    name, buckets = "gen_ai_server_request_duration_seconds", {}
    for family in text_string_to_metric_families(meters.render().decode()):
        for sample in family.samples:
            if sample.name == f"{name}_bucket":
                buckets[sample.labels["le"]] = sample.value
    assert len(buckets) == len(MILLISECONDS) + 1
    assert [buckets[edge] for edge in ("0.01", "0.025", "1.0", "300.0", "+Inf")] == [2, 3, 4, 4, 5]
    assert samples(meters)[f"{name}_sum"] == 1001.021


def test_buckets_count_up() -> None:
    """Each holds all before it."""
    counts = list(range(len(MILLISECONDS) + 1))

    assert [count for _, count in cumulative(counts)] == [n * (n + 1) / 2 for n in counts]


def test_gauges_are_read_when_asked_for() -> None:
    """Not when they are made."""
    level = [1.0]
    meters = Meters(version="1")
    meters.gauge("apertura_level", "A level.", lambda: level[0])

    assert samples(meters)["apertura_level"] == 1
    level[0] = 5
    assert samples(meters)["apertura_level"] == 5


def test_lines_are_written_at_a_flush_and_once() -> None:
    """In order, each on a line of its own."""
    out = io.BytesIO()
    meters = Meters(version="1", lines=out)
    meters.call(usage_row("a"), b'{"a":1}')
    meters.call(usage_row("a"), b'{"b":2}')
    assert out.getvalue() == b""

    meters.flush()
    meters.flush()

    assert out.getvalue() == b'{"a":1}\n{"b":2}\n'


def test_without_a_log_no_line_is_kept() -> None:
    """Nothing piles up."""
    meters = Meters(version="1")
    meters.call(usage_row("a"), b"x")
    meters.flush()

    assert samples(meters)["apertura_log_lines_lost_total"] == 0


def test_lines_past_the_bound_are_counted_and_dropped() -> None:
    """A slow reader of our output cannot fill the memory."""
    out = io.BytesIO()
    meters = Meters(version="1", lines=out)
    for _ in range(LINES_MOST + 3):
        meters.call(usage_row("a"), b"x")
    meters.flush()

    assert out.getvalue().count(b"\n") == LINES_MOST
    assert samples(meters)["apertura_log_lines_lost_total"] == 3


@pytest.mark.parametrize("failure", [BrokenPipeError(), OSError(28, "No space left on device")])
def test_an_output_that_fails_costs_lines_and_nothing_else(failure: OSError) -> None:
    """Whoever flushes goes on: the books do not depend on the log."""

    class Broken(io.BytesIO):
        def write(self, _: object) -> int:
            raise failure

    meters = Meters(version="1", lines=Broken())
    meters.call(usage_row("a"), b"x")
    meters.flush()

    assert samples(meters)["apertura_log_lines_lost_total"] == 1


def test_an_output_that_is_closed_costs_lines_and_nothing_else() -> None:
    """As at the end of a process."""
    out = io.BytesIO()
    meters = Meters(version="1", lines=out)
    out.close()
    meters.call(usage_row("a"), b"x")
    meters.flush()

    assert samples(meters)["apertura_log_lines_lost_total"] == 1


def test_failed_batches_are_counted() -> None:
    """For an alarm."""
    meters = Meters(version="1")
    meters.write_failed()

    assert samples(meters)["apertura_book_write_failures_total"] == 1


def test_an_event_of_the_process_is_one_line(capsys) -> None:
    """JSON on the error output, whatever its fields hold."""
    log("stopping", signal="SIGTERM", odd={1, 2}.__class__, text="two\nlines")

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    line = json.loads(err)
    assert (line["event"], line["signal"], line["text"]) == ("stopping", "SIGTERM", "two\nlines")
