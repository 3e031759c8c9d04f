"""The surfaces that read what callers ask, and what answers them beside chat: see `surfaces`."""

from __future__ import annotations

from functools import partial

from apertura.errors import AperturaError
from apertura.wire import (
    anthropic_messages,
    embeddings,
    estimate,
    gemini,
    gemini_embeddings,
    rerank,
    responses_history,
    tokens,
)
from apertura.wire.chat import ChatRequest
from apertura.wire.dialect import CallFacts, Target
from apertura.wire.dialects import INBOUND, OUTBOUND, PASSING
from apertura.wire.events import Event, Finished, Started, Text
from tests.fuzz import oracle
from tests.fuzz.seeds import PLAIN, SHAPES, STEER

_CONTENT = ("messages", "tools", "system", "input", "instructions", "prompt", "contents")
_TARGETS = (
    Target(model="m", max_output=8_192),
    Target(model="claude-sonnet-4-5", limit="max_completion_tokens", ask_usage=False),
)
_DONE: list[Event] = [
    Started(id="a", created=1, model="m"),
    Text(text="é"),
    Finished(reason="stop"),
]


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
    try:
        parsed(name, sent)
    except AperturaError as error:  # from here there is less room than there was above
        if "nested too deeply" not in error.message:
            raise AssertionError("what is passed on cannot be read") from error


def _answered(name: str, request: ChatRequest, body: bytes) -> None:
    """A reply that may repeat what was asked."""
    call = facts(name, request)
    try:
        encoder = INBOUND[name].encoder(call)
        out = encoder.feed(list(_DONE)) + encoder.close()
        reply = INBOUND[name].render_reply(list(_DONE), call)
    except AperturaError as error:  # what was just read may be too deep to be read from deeper down
        oracle.legal_error(error)
        return
    oracle.valid_stream(out)
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
