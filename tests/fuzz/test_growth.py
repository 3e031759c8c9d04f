"""Behaviour with much of the same: twice the input takes twice the steps, and memory is bounded.

Steps are lines of `apertura.wire` that ran, so that the result does not depend on the machine.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from apertura.errors import AperturaError
from apertura.wire import sse
from apertura.wire.dialects import INBOUND, OUTBOUND, PASSING
from apertura.wire.passing import TranslatingTap
from tests.fuzz.asking import facts
from tests.fuzz.seeds import STEER, framed, seeds, streams
from tests.fuzz.surfaces import SURFACES
from tests.source import PACKAGE

pytestmark = pytest.mark.slow

WIRE = str(PACKAGE / "wire")
FEW, MANY = 20, 60
"""How often something is said again. Three times as often may take 3.5 times the steps."""
KEPT = 512 * 1024
"""Bytes that a reader may keep of any stream, beside so many for each byte that came: a short event
is a larger object, and some formats say all of an answer again at its end."""
EACH = 8
SO_MANY = 400
STREAMS = [(name, place) for name in sorted(OUTBOUND) for place in range(len(streams(name)))][::2]


def steps(run: Callable[[bytes], None], data: bytes) -> int:
    """How many lines of `apertura.wire` this takes."""
    count = 0

    def line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(WIRE) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        run(data)
    finally:
        sys.settrace(before)
    return count


def linear(run: Callable[[bytes], None], few: bytes, many: bytes) -> bool:
    """Whether the steps grow no faster than the bytes."""
    return steps(run, many) <= 3.5 * steps(run, few) + 2_000


def again(data: bytes, place: int, times: int) -> bytes:
    """A stream one event of which comes so often."""
    events = data.split(b"\n\n")
    return b"\n\n".join([*events[:place], *[events[place]] * times, *events[place:]])


def events_of(name: str, place: int) -> range:
    return range(streams(name)[place].count(b"\n\n"))


@pytest.mark.parametrize(("name", "place"), STREAMS)
def test_a_stream_takes_steps_by_its_length(name: str, place: int) -> None:
    """Whichever event comes again and again, to whatever caller."""
    data = streams(name)[place]
    run = SURFACES[f"decode-{name}"]
    for event in sorted({0, *list(events_of(name, place))[1::6]}):
        few, many = (bytes(STEER) + again(data, event, times) for times in (FEW, MANY))
        assert linear(run, few, many), f"event {event}"


@pytest.mark.parametrize(
    "name", sorted(name for name in SURFACES if name.startswith(("ask", "whole")))
)
def test_a_body_takes_steps_by_its_length(name: str) -> None:
    """Whichever list has many items."""
    run = SURFACES[name]
    for seed in sorted(seeds(name), key=len)[-2:]:
        for at in [place for place in range(STEER, len(seed)) if seed[place : place + 2] == b"[{"][
            :6
        ]:
            item = first_item(seed, at + 1)
            few, many = (
                seed[: at + 1] + (item + b",") * times + seed[at + 1 :] for times in (FEW, MANY)
            )
            assert linear(run, few, many), seed[at : at + 40]


def first_item(data: bytes, start: int) -> bytes:
    """The object that begins here; braces in strings are not in the seeds."""
    depth = 0
    for at in range(start, len(data)):
        depth += (data[at : at + 1] == b"{") - (data[at : at + 1] == b"}")
        if depth == 0:
            return data[start : at + 1]
    return data[start:]


@pytest.mark.parametrize(("name", "place"), STREAMS)
def test_a_stream_that_goes_on_is_not_kept(name: str, place: int) -> None:
    """An event from its middle, many times over: what is kept is bounded by what came."""
    events = streams(name)[place].replace(b"\r\n", b"\n").split(b"\n\n")
    middle = events[len(events) // 2]
    first, said = b"\n\n".join(events[:2]) + b"\n\n", middle + b"\n\n"
    if name == "bedrock_converse":
        first, said = framed(first), framed(said)
    for reader in readers(name):
        reader(first)
        reader(said)
        tracemalloc.start()
        for _ in range(SO_MANY):
            reader(said)
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert kept <= KEPT + EACH * SO_MANY * len(said), reader


def readers(name: str) -> list[Callable[[bytes], object]]:
    """What reads a provider's stream."""
    found: list[Callable[[bytes], object]] = [OUTBOUND[name].decoder().feed]
    if name in PASSING:
        found.append(quiet(PASSING[name].listen(True).feed))
    for caller in INBOUND:
        tap = TranslatingTap(OUTBOUND[name].decoder(), INBOUND[caller].encoder(facts(caller)))
        found.append(quiet(tap.feed))
    return found


def quiet(feed: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """The same, until the stream fails."""

    def fed(data: bytes) -> None:
        with suppress(AperturaError):
            feed(data)

    return fed


@pytest.mark.parametrize("name", sorted(OUTBOUND))
def test_an_event_without_end_is_given_up(name: str) -> None:
    """Rather than kept until the memory is full."""
    decoder = OUTBOUND[name].decoder()
    piece = b"data: " + b"a" * (1024 * 1024)
    for _ in range(sse.EVENT_MAX // len(piece) + 2):
        events = decoder.feed(piece)
        if events:
            break
    assert decoder.ended
