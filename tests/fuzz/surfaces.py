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
from apertura.wire import (
    anthropic_messages,
    embeddings,
    estimate,
    eventstream,
    gemini,
    gemini_embeddings,
    rerank,
    responses_history,
    sse,
    tokens,
)
from apertura.wire.chat import ChatRequest
from apertura.wire.dialect import CallFacts, Encoder, Tap, Target
from apertura.wire.dialects import INBOUND, OUTBOUND, PASSING
from apertura.wire.events import Event, Failed, Finished, Started, Text
from apertura.wire.passing import TranslatingTap
from tests.fuzz import oracle
from tests.fuzz.seeds import PLAIN, SHAPES, STEER, framed

Surface = Callable[[bytes], None]

_CONTENT = ("messages", "tools", "system", "input", "instructions", "prompt", "contents")
_STATUSES = (400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529)
_TARGETS = (
    Target(model="m", max_output=8_192),
    Target(model="claude-sonnet-4-5", limit="max_completion_tokens", ask_usage=False),
)
_DONE: list[Event] = [
    Started(id="a", created=1, model="m"),
    Text(text="é"),
    Finished(reason="stop"),
]


def cut(data: bytes, steer: bytes) -> list[bytes]:
    """The reads in which a stream arrives."""
    if steer[:1] == b"\xff" and len(data) <= 4_096:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(each * len(data) // 256 for each in steer if each)
    return [data[first:last] for first, last in pairwise([0, *places, len(data)])]


def parsed(name: str, body: bytes, stream: bool = False) -> ChatRequest:
    """A caller's request. Raises: AperturaError."""
    if name == "gemini":
        return gemini.parse(body, model="m", stream=stream)
    return INBOUND[name].parse(body)


def facts(name: str, request: ChatRequest | None = None) -> CallFacts:
    """A call by a caller of this format."""
    return CallFacts(
        id="c1",
        created=7,
        model="m",
        include_usage=True,
        request=request or parsed(name, PLAIN[name]),
    )


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


# --- Requests


def ask(name: str, data: bytes) -> None:
    """A caller's request: read, passed on, and said to every provider."""
    steer, body = data[:STEER], data[STEER:]
    try:
        request = parsed(name, body, bool(steer[:1].strip(b"\0")))
    except AperturaError as error:
        oracle.legal_error(error)
        return
    assert tokens.count_request(request.members, "claude") >= 0
    assert estimate.input_tokens(request.members, _CONTENT) >= 0
    if name in PASSING:
        _passed(name, request, body)
    _answered(name, request, body)
    _expressed(name, request, body)


def _passed(name: str, request: ChatRequest, body: bytes) -> None:
    """The request to a provider of the same format, who gets what they can read."""
    try:
        sent = PASSING[name].render(request, model="other")
    except AperturaError as error:
        oracle.legal_error(error)
        return
    oracle.valid_json(sent)
    oracle.bounded(sent, body)
    parsed(name, sent)


def _answered(name: str, request: ChatRequest, body: bytes) -> None:
    """A reply that may repeat what was asked."""
    call = facts(name, request)
    encoder = INBOUND[name].encoder(call)
    out = encoder.feed(list(_DONE)) + encoder.close()
    oracle.valid_stream(out)
    reply = INBOUND[name].render_reply(list(_DONE), call)
    oracle.valid_json(reply)
    oracle.bounded(out + reply, body)
    if name == "openai_responses":
        _kept(request, reply)


def _kept(request: ChatRequest, reply: bytes) -> None:
    """What is stored of a response and its request, and joined to a later one."""
    try:
        responses_history.previous_id(request)
        responses_history.references(request)
        kept = responses_history.kept_items(request, reply)
        oracle.valid_json(responses_history.listed(kept.input, kept.id))
        responses_history.with_history(request, ())
    except AperturaError as error:
        oracle.legal_error(error)


def _expressed(name: str, request: ChatRequest, body: bytes) -> None:
    try:
        chat = INBOUND[name].understand(request)
    except AperturaError as error:
        oracle.legal_error(error)
        return
    for dialect in OUTBOUND.values():
        for target in _TARGETS:
            try:
                said = dialect.express(chat, target)
            except AperturaError as error:
                oracle.legal_error(error)
                continue
            oracle.valid_json(said.body)
            oracle.bounded(said.body, body)


def counted(data: bytes) -> None:
    """Requests to be counted only, and texts."""
    body = data[STEER:]
    tokens.count(body.decode(errors="replace"))
    for read in (anthropic_messages.parse_count, partial(gemini.parse_count, model="m")):
        try:
            request = read(body)
        except AperturaError as error:
            oracle.legal_error(error)
        else:
            assert tokens.count_request(request.members, "gemini") >= 0


# --- Vectors and ranks


def embed(data: bytes) -> None:
    """A request for embeddings, in both formats."""
    body = data[STEER:]
    try:
        request = embeddings.parse(body)
        oracle.valid_json(embeddings.render(request, model="m", takes_task=False))
        assert embeddings.input_tokens(request) >= 0
    except AperturaError as error:
        oracle.legal_error(error)
    for batch in (False, True):
        try:
            asked = gemini_embeddings.parse_gemini(body, batch)
        except AperturaError as error:
            oracle.legal_error(error)
        else:
            request = gemini_embeddings.request_of(asked, model="m")
            oracle.valid_json(embeddings.render(request, model="m"))
            assert embeddings.input_tokens(request) >= 0


def embedded(data: bytes) -> None:
    """A reply with vectors."""
    steer, body = data[:STEER], data[STEER:]
    kind = b',"encoding_format":"base64"' if steer[:1] > b"\x7f" else b',"dimensions":3'
    asked = b'{"model":"m","input":["a","b"]%b}' % (kind if steer[1:2] > b"\x7f" else b"")
    for request in (None, embeddings.parse(asked), embeddings.parse(b'{"model":"m","input":"a"}')):
        try:
            found = embeddings.check_reply(body, request)
        except AperturaError as error:
            oracle.legal_error(error)
            continue
        oracle.valid_json(found.body)
        oracle.bounded(found.body, body)
        oracle.legal_usage(found.usage)
        for batch in (False, True):
            try:
                oracle.valid_json(gemini_embeddings.render_gemini_reply(found.body, batch))
            except AperturaError as error:
                oracle.legal_error(error)


def rank(data: bytes) -> None:
    """A request to rank documents, in each provider's shape."""
    body = data[STEER:]
    try:
        request = rerank.parse(body)
    except AperturaError as error:
        oracle.legal_error(error)
        return
    for shape in SHAPES:
        oracle.valid_json(rerank.render(request, model="m", shape=shape))
    assert rerank.input_tokens(request) >= 0


def ranked(data: bytes) -> None:
    """A reply with scores."""
    body = data[STEER:]
    asked = b'{"model":"m","query":"q","documents":["a","b"],"return_documents":true}'
    try:
        found = rerank.check_reply(body, rerank.parse(asked))
    except AperturaError as error:
        oracle.legal_error(error)
        return
    oracle.valid_json(found.body)
    oracle.bounded(found.body, body)
    oracle.legal_usage(found.usage)
    assert found.search_units is None or 0 <= found.search_units < 2**63


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
