"""Every surface of `apertura.wire` that takes bytes from outside, as a function of bytes.

A case is eight bytes that steer (where a stream is cut, what status a reply has) and then what
arrives. A surface returns nothing; whatever it raises is a finding. It feeds what comes out of one
part to the next one, as the relay does. The rule that keeps it honest: it catches AperturaError
alone, and everything in the tables of `wire.dialects` is reached without being named here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

from apertura.errors import AperturaError, Garbled
from apertura.wire import embeddings, eventstream, gemini, sse
from apertura.wire.dialect import Encoder, Tap
from apertura.wire.dialects import INBOUND, OUTBOUND, PASSING
from apertura.wire.events import Event, Failed
from apertura.wire.passing import TranslatingTap
from tests.fuzz import oracle
from tests.fuzz.asking import ask, counted, embed, embedded, facts, rank, ranked
from tests.fuzz.seeds import STEER, framed

Surface = Callable[[bytes], None]

_STATUSES = (400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529)


def cut(data: bytes, steer: bytes) -> list[bytes]:
    """The reads in which a stream arrives."""
    if steer[:1] == b"\xff" and len(data) <= 4_096:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(each * len(data) // 256 for each in steer if each)
    return [data[first:last] for first, last in pairwise([0, *places, len(data)])]


# --- Lines and frames


def read_lines(data: bytes) -> None:
    """Server-sent events: any cut gives the same, and what is written is read back."""
    steer, data = data[:STEER], data[STEER:]
    pieces = cut(data, steer)
    found = _lines(pieces)
    assert _lines([data]) == found == _lines([b"", *pieces, b""])
    for event in found[0]:
        name = event.name if event.name and b"\x00" not in event.name else None
        assert [sse.SseEvent(event.data, name)] == sse.Reader().feed(sse.frame(event.data, name))
    array = gemini.JsonArray()
    array.feed(data)


def _lines(pieces: list[bytes]) -> tuple[list[sse.SseEvent], bool]:
    reader, found = sse.Reader(), []
    try:
        for piece in pieces:
            found += reader.feed(piece)
    except Garbled:
        return found, True
    return found, False


def read_frames(data: bytes) -> None:
    """Amazon's frames, from bytes that may be no frames at all."""
    steer, data = data[:STEER], data[STEER:]
    assert _frames([data]) == _frames(cut(data, steer))


def _frames(pieces: list[bytes]) -> tuple[list[eventstream.Frame], bool]:
    reader, found = eventstream.Reader(), []
    try:
        for piece in pieces:
            for frame in reader.feed(piece):
                found.append(frame)  # noqa: PERF402
    except Garbled:
        return found, True
    return found, False


# --- Answers


def decode(name: str, data: bytes) -> None:
    """A provider's stream: legal events, the same however it is cut, and in every format."""
    steer, data = data[:STEER], carried(name, data[STEER:])
    pieces = cut(data, steer)
    events = decoded(name, [data])
    oracle.legal(events)
    assert oracle.same(events) == oracle.same(decoded(name, pieces))
    for caller in INBOUND:
        written(caller, name, events, data)


def carried(name: str, data: bytes) -> bytes:
    """Events as the provider's transport carries them: Bedrock's lie in frames."""
    return framed(data) if name == "bedrock_converse" else data


def decoded(name: str, pieces: list[bytes]) -> list[Event]:
    """What a provider's stream says."""
    decoder = OUTBOUND[name].decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    events += decoder.close()
    again = decoder.feed(b"data: {}\n\n") if events and isinstance(events[-1], Failed) else []
    assert not again, "events after a failure"
    return events


def written(caller: str, name: str, events: list[Event], source: bytes) -> None:
    """The same events in a caller's format: at once, streamed, and read back."""
    failed = isinstance(events[-1], Failed)
    encoder = INBOUND[caller].encoder(facts(caller))
    out = encoder.feed(events[:-1] if failed else events)
    out += b"" if failed else encoder.close()
    oracle.valid_stream(out)
    oracle.bounded(out, source)
    if failed:
        return
    whole = INBOUND[caller].render_reply(events, facts(caller))
    oracle.valid_json(whole)
    oracle.bounded(whole, source)
    if caller in OUTBOUND:
        assert oracle.alike(events, decoded(caller, [out])), f"{name} to {caller}"
        assert oracle.alike(events, at_once(caller, whole)), f"{name} to {caller}, whole"


def at_once(name: str, body: bytes) -> list[Event]:
    """What a provider's whole reply says."""
    try:
        return OUTBOUND[name].parse_reply(body)
    except AperturaError as error:
        oracle.legal_error(error)
        return [Failed(error=error)]


def translate(name: str, data: bytes) -> None:
    """A provider's stream through the taps of all callers, read by read."""
    steer, data = data[:STEER], carried(name, data[STEER:])
    pieces = cut(data, steer)
    for caller in INBOUND:
        first = tapped(_translating(name, caller), [data])
        assert first == tapped(_translating(name, caller), pieces), caller
        oracle.valid_stream(first[0])
        oracle.bounded(first[0], data)


def _translating(name: str, caller: str) -> TranslatingTap:
    encoder: Encoder = INBOUND[caller].encoder(facts(caller))
    return TranslatingTap(OUTBOUND[name].decoder(), encoder)


def listen(name: str, data: bytes) -> None:
    """A stream that passes: the same bytes and figures however it is cut."""
    steer, data = data[:STEER], data[STEER:]
    pieces = cut(data, steer)
    for include_usage in (False, True):
        first = tapped(PASSING[name].listen(include_usage), [data])
        assert first == tapped(PASSING[name].listen(include_usage), pieces)
        oracle.valid_stream(first[0])
        oracle.bounded(first[0], data)


def tapped(tap: Tap, pieces: list[bytes]) -> tuple[bytes, object, object]:
    """What a caller gets, what was heard, and how it failed."""
    out, failure = b"", None
    try:
        for piece in pieces:
            out += tap.feed(piece)
        out += tap.close()
    except AperturaError as error:
        oracle.legal_error(error)
        out += tap.salvage
        failure = oracle.shown(error)
    oracle.legal_usage(tap.usage)
    heard = (tap.content, tap.usage, tap.pieces, tap.chars, failure is None and tap.finished)
    return out, heard, failure


def whole(name: str, data: bytes) -> None:
    """A provider's whole reply: read, passed, and in every format."""
    body = data[STEER:]
    if name in PASSING:
        try:
            passed = PASSING[name].check_reply(body)
        except AperturaError as error:
            oracle.legal_error(error)
        else:
            oracle.valid_json(passed.body)
            oracle.bounded(passed.body, body)
            oracle.legal_usage(passed.usage)
    events = at_once(name, body)
    oracle.legal(events)
    if isinstance(events[-1], Failed):
        return
    for caller in INBOUND:
        written(caller, name, events, body)


def errors(data: bytes) -> None:
    """A provider's error, as each format reads and each caller's format says it."""
    steer, body = data[:STEER], data[STEER:]
    status = _STATUSES[steer[0] % len(_STATUSES)] if steer else 500
    headers = {"retry-after": body[:40].decode("latin-1"), "x-amzn-errortype": "E"}
    for name, dialect in OUTBOUND.items():
        error = dialect.read_error(status, body, headers)
        oracle.legal_error(error)
        for caller in INBOUND.values():
            oracle.valid_json(caller.render_error(error, call_id="c"))
            oracle.valid_stream(caller.render_stream_error(error))
        assert len(error.message) <= 600, name
    oracle.legal_error(embeddings.read_error(status, body, headers))


def _of(
    kind: str, run: Callable[[str, bytes], None], names: Mapping[str, object]
) -> dict[str, Surface]:
    return {f"{kind}-{name}": partial(run, name) for name in names}


SURFACES: Mapping[str, Surface] = {
    "lines": read_lines,
    "frames": read_frames,
    **_of("decode", decode, OUTBOUND),
    **_of("translate", translate, OUTBOUND),
    **_of("listen", listen, PASSING),
    **_of("whole", whole, OUTBOUND),
    **_of("ask", ask, INBOUND),
    "errors": errors,
    "count": counted,
    "embed": embed,
    "embedded": embedded,
    "rank": rank,
    "ranked": ranked,
}
"""By name."""
