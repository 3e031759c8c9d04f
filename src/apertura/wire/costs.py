"""What a call cost, put into its reply where the caller asked for it: `usage.cost`, in dollars.

The cost is known once the call is settled, and that is before the last byte leaves. So everything
that can be made ready is made ready before (`Bill`: a reply, or the end of a stream, that lacks
nothing but the number), and of a stream the last event with usage waits for it (`CostTap`). What it
is not: a price; the number comes from settlement. Replies whose caller did not ask never get here.

The rule that keeps it honest: the number that is put in is the number of the usage row, exact to
the nano-dollar and with all its digits; a cost that the provider states is taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw, Struct, json

from apertura.domain.money import NANO_PER_USD
from apertura.domain.usage import Usage
from apertura.errors import Garbled
from apertura.wire import (
    anthropic_usage,
    gemini_usage,
    openai_usage,
    responses_usage,
    sse,
)
from apertura.wire.dialect import Tap
from apertura.wire.openai_chunks import NOT_READ, any_json
from apertura.wire.openai_shapes import decode_members
from apertura.wire.passing import TapOver

Members = dict[str, Raw]
_encode = json.Encoder().encode
_decode_choices = json.Decoder(list[Raw] | None).decode
_decode_type = json.Decoder(str).decode
_SPACES = bytes.maketrans(b"\r\n", b"  ")
"""Between the tokens of JSON, and nowhere else, may a line end; an event's data is one line."""
_THEIRS = ("cost", "cost_details")
"""What some providers say of their own price."""


def dollars(cost: int) -> bytes:
    """Nano-dollars, at least 0, as the shortest exact decimal number of dollars: `0.000123`, `0`.

    The same as `money.format_usd` without places, at a third of its time: each call pays for it.
    """
    if cost < NANO_PER_USD:
        return (b"0.%09d" % cost).rstrip(b"0") if cost else b"0"
    return (b"%d.%09d" % divmod(cost, NANO_PER_USD)).rstrip(b"0").rstrip(b".")


class Bill(Struct, frozen=True, gc=False):
    """A reply, or the end of a stream, around the place where the cost stands."""

    before: bytes
    after: bytes

    def at(self, cost: int) -> bytes:
        """With the cost put in, in nano-dollars."""
        return self.before + dollars(cost) + self.after

    def within(self, before: bytes, after: bytes) -> Bill:
        """The same with more around it."""
        return Bill(before + self.before, self.after + after)


Report = Callable[[Usage], dict[str, object]]


def _embedded(usage: Usage) -> dict[str, object]:
    return {"prompt_tokens": usage.input, "total_tokens": usage.input}


def _embedded_by_gemini(usage: Usage) -> dict[str, object]:
    return {"promptTokenCount": usage.input}


def _ranked(usage: Usage) -> dict[str, object]:
    return {"total_tokens": usage.input}


PLACES: Final[Mapping[str, tuple[str, Report]]] = {
    "anthropic_messages": ("usage", anthropic_usage.report_of),
    "embeddings": ("usage", _embedded),
    "gemini": ("usageMetadata", gemini_usage.report_of),
    "gemini_embeddings": ("usageMetadata", _embedded_by_gemini),
    "openai_chat": ("usage", openai_usage.report_of),
    "openai_completions": ("usage", openai_usage.report_of),
    "openai_responses": ("usage", responses_usage.report_of),
    "rerank": ("usage", _ranked),
}
"""Where a reply of each format has its report of usage, and how one is written."""


def in_reply(name: str, body: bytes, usage: Usage) -> Bill:
    """A whole reply in the format `name`, ready for its cost. `usage` is what the call is charged
    for: written down where the provider did not say. Raises: Garbled.
    """
    member, report = PLACES[name]
    return _opened(_members(body), (member,), report(usage), anew=usage.estimated)


def _opened(
    members: Members, path: tuple[str, ...], report: dict[str, object], *, anew: bool
) -> Bill:
    """An object with the one that `path` leads to moved to its end, and open there for the cost.
    `report` stands there instead, if `anew` or if there is nothing.
    """
    if not path:
        own: Mapping[str, object] = {k: v for k, v in members.items() if k not in _THEIRS}
        return Bill(_begun(report if anew or not own else own) + b'"cost":', b"}")
    inner = members.get(path[0], b"null")
    within = _members(bytes(inner)) if bytes(inner)[:1] == b"{" else {}
    rest = {name: value for name, value in members.items() if name != path[0]}
    bill = _opened(within, path[1:], report, anew=anew)
    return bill.within(b'%b"%b":' % (_begun(rest), path[0].encode()), b"}")


def _begun(members: Mapping[str, object]) -> bytes:
    """An object to which one member more is added."""
    return _encode(members)[:-1] + b"," if members else b"{"


def _members(data: bytes) -> Members:
    """The members of an object, as one line each. Raises: Garbled."""
    try:
        return decode_members(data)
    except NOT_READ:
        data = any_json(data)[1]
    try:
        return decode_members(data)
    except NOT_READ:
        raise Garbled("The provider sent something that is not an object.") from None


def _framed(bill: Bill, name: bytes | None = None) -> Bill:
    """As an event of a stream."""
    before, after = bill.before.translate(_SPACES), bill.after.translate(_SPACES)
    head = b"data: " if name is None else b"event: %b\ndata: " % name
    return Bill(head + before, after + b"\n\n")


def _frames(events: list[sse.SseEvent]) -> bytes:
    return b"".join(sse.frame(event.data, event.name) for event in events)


class _Chat:
    """Chat completions, and text completions: usage comes once, in a chunk without choices."""

    report = staticmethod(openai_usage.report_of)

    def __init__(self) -> None:
        self._last: Members = {}
        self._usage = Raw(b"null")

    def take(self, out: bytes) -> bytes:
        """What may leave now of these whole events."""
        if self._last and b'"usage"' not in out:
            return out
        return b"".join(map(self._take, sse.Reader().feed(out)))

    def _take(self, event: sse.SseEvent) -> bytes:
        framed = sse.frame(event.data, event.name)
        if event.data[:1] != b"{":
            return framed
        members = _members(event.data)
        usage = members.pop("usage", None)
        self._last = members
        if usage is None or bytes(usage)[:1] != b"{":
            return framed
        self._usage = usage
        return sse.frame(_encode(members)) if _has_choices(members) else b""

    def last(self, end: bytes, usage: Usage) -> Bill:
        """The end of the stream, which began before the end marker `end`."""
        left = self.take(end.removesuffix(_DONE))
        chunk = {**self._last, "choices": Raw(b"[]"), "usage": self._usage}
        bill = _opened(chunk, ("usage",), self.report(usage), anew=usage.estimated)
        return _framed(bill).within(left, _DONE)


_DONE = b"data: [DONE]\n\n"


def _has_choices(members: Members) -> bool:
    return bool(_decode_choices(members.get("choices", b"null")))


class _Messages:
    """The Messages format: the last `message_delta` says what was consumed."""

    report = staticmethod(anthropic_usage.report_of)

    def __init__(self) -> None:
        self._delta = _NO_DELTA
        self._held = b""

    def take(self, out: bytes) -> bytes:
        """What may leave now of these whole events."""
        if not self._held and b"message_delta" not in out:
            return out
        return b"".join(map(self._take, sse.Reader().feed(out)))

    def _take(self, event: sse.SseEvent) -> bytes:
        framed = sse.frame(event.data, event.name)
        kind = _kind(event)
        if kind == b"ping":
            return framed
        before, self._held = self._held, b""
        if kind != b"message_delta":
            return before + framed
        self._delta, self._held = event.data, framed
        return before

    def last(self, end: bytes, usage: Usage) -> Bill:
        """The end of the stream. What came after the last delta came too early: it is repeated."""
        events = sse.Reader().feed(end)
        stop = [event for event in events if _kind(event) == b"message_stop"]
        left = b"".join(self._take(event) for event in events if event not in stop)
        bill = _opened(_members(self._delta), ("usage",), self.report(usage), anew=usage.estimated)
        return _framed(bill, b"message_delta").within(left, _frames(stop))


_NO_DELTA = b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null}}'


def _kind(event: sse.SseEvent) -> bytes:
    """What an event is, by its member `type`, or else its name."""
    kind = _members(event.data).get("type", b"") if event.data[:1] == b"{" else b""
    return _decode_type(kind).encode() if bytes(kind)[:1] == b'"' else event.name or b""


class _Responses:
    """The Responses format: the event that ends a stream holds the whole response."""

    report = staticmethod(responses_usage.report_of)

    def take(self, out: bytes) -> bytes:
        """All of it: that event always waits for the end."""
        return out

    def last(self, end: bytes, usage: Usage) -> Bill:
        """The end of the stream. Raises: Garbled."""
        events = sse.Reader().feed(end)
        for number in reversed(range(len(events))):
            event = events[number]
            if _kind(event) in _COMPLETE:
                path, report = ("response", "usage"), self.report(usage)
                bill = _opened(_members(event.data), path, report, anew=usage.estimated)
                before, after = _frames(events[:number]), _frames(events[number + 1 :])
                return _framed(bill, event.name).within(before, after)
        raise Garbled("The provider's stream has an end without a response.")


_COMPLETE = (b"response.completed", b"response.incomplete", b"response.done")


class _Gemini:
    """Gemini's format: each chunk may report usage, the last one counts."""

    report = staticmethod(gemini_usage.report_of)

    def __init__(self) -> None:
        self._held: sse.SseEvent | None = None

    def take(self, out: bytes) -> bytes:
        """What may leave now: once an end was announced, all but the last event."""
        if self._held is None and b'"finishReason"' not in out:
            return out
        return b"".join(map(self._take, sse.Reader().feed(out)))

    def _take(self, event: sse.SseEvent) -> bytes:
        before = self._held
        if before is None and b'"finishReason"' not in event.data:
            return sse.frame(event.data, event.name)
        self._held = event
        return b"" if before is None else sse.frame(before.data, before.name)

    def last(self, end: bytes, usage: Usage) -> Bill:
        """The end of the stream."""
        events = sse.Reader().feed(end)
        events = [self._held, *events] if self._held is not None else events
        left = _frames(events[:-1])
        last = _members(events[-1].data) if events else {}
        bill = _opened(last, ("usageMetadata",), self.report(usage), anew=usage.estimated)
        return _framed(bill).within(left, b"")


_STREAMS: Mapping[str, type[_Chat | _Messages | _Responses | _Gemini]] = {
    "anthropic_messages": _Messages,
    "gemini": _Gemini,
    "openai_chat": _Chat,
    "openai_completions": _Chat,
    "openai_responses": _Responses,
}


class CostTap(TapOver):
    """Another tap's stream in the format `name`; its last event with usage waits for the cost.

    `close` gives nothing: what is still due then comes from `bill`.
    """

    def __init__(self, name: str, tap: Tap) -> None:
        super().__init__(tap)
        self._stream = _STREAMS[name]()
        self._end = b""

    def pass_on(self, out: bytes) -> bytes:
        """What may leave now."""
        return self._stream.take(out)

    def pass_last(self, end: bytes) -> bytes:
        """Nothing yet."""
        self._end = end
        return b""

    def bill(self, usage: Usage) -> Bill:
        """What is still due, ready for the cost. Raises: Garbled."""
        return self._stream.last(self._end, usage)
