"""What is asked, as the relay sees it: a request in one dialect with the verbs that go with it.

A chat question knows the format of its caller; for each offer it either passes the request and its
answer through, where the provider speaks that format too, or has both translated, by way of the
canonical request and events. What it is not: the formats (`wire`). The rule that keeps it honest: a
question holds the parsed request, never the caller's bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from apertura.domain.catalog import Offer
from apertura.domain.usage import Usage
from apertura.errors import AperturaError, BadRequest, Garbled
from apertura.relay.question import Keep
from apertura.wire import costs, estimate, hosted_tools
from apertura.wire.chat import Chat, ChatRequest
from apertura.wire.costs import Bill, CostTap
from apertura.wire.dialect import CallFacts, Expressed, Inbound, ReplyFacts, Tap, Target
from apertura.wire.dialects import LEFT_OUT, OUTBOUND, PASSING
from apertura.wire.events import (
    CONTENT,
    Event,
    Failed,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    UsageReported,
)
from apertura.wire.output_limit import lowered
from apertura.wire.passing import TranslatingTap
from apertura.wire.responses_encoder import ResponsesEncoder
from apertura.wire.responses_errors import render_stream_error
from apertura.wire.responses_reading import ResponsesTap


class ChatQuestion:
    """A chat request, for providers of any format.

    `anew`: even a reply in the caller's own format must be read and written anew, because it can
    only read calls to tools that come in one piece, say. `beta` are header lines for providers of
    the caller's own format. `keep` is awaited before the last byte leaves.
    """

    stream_type = b"text/event-stream; charset=utf-8"

    __slots__ = (
        "_chat",
        "_costs",
        "_facts",
        "_tap",
        "anew",
        "beta",
        "call_id",
        "choices",
        "dropped",
        "extra",
        "include_cost",
        "keep",
        "max_output",
        "name",
        "needs",
        "request",
        "size",
        "speaks",
        "stream",
        "wish",
    )

    def __init__(self, name: str, speaks: Inbound, request: ChatRequest, call_id: str) -> None:
        self.name, self.speaks, self.request, self.call_id = name, speaks, request, call_id
        self.stream, self.needs, self.wish = request.stream, request.needs, request.wish
        self.max_output = request.max_output
        self.choices, self.size = request.choices, request.size
        self.anew = False
        self.beta = self.extra = b""
        self.keep: Keep | None = None
        self.include_cost = request.include_cost
        self.dropped: tuple[str, ...] = ()
        self._chat: Chat | None = None
        self._facts: CallFacts | None = None
        self._tap: Tap | None = None

    @property
    def facts(self) -> CallFacts:
        """What replies are written with: one id and one time per call, whatever the offer."""
        if self._facts is None:
            self._facts = CallFacts(
                id=self.call_id.removeprefix("req_"),
                created=int(time.time()),
                model=self.request.model,
                include_usage=self.request.include_usage or self.include_cost,
                request=self.request,
            )
        return self._facts

    def dialect(self, offer: Offer) -> str:
        """What is spoken to an offer: the caller's own format where it is known there."""
        return self.name if self.name in offer.dialects else offer.dialect

    def lower_output(self, tokens: int, name: str) -> bool:
        """Ask for no more output than this; by `name`, in the one format with two names for it."""
        members = lowered(self.name, self.request.members, tokens, name)
        self.request = msgspec.structs.replace(self.request, members=members, as_named=False)
        self.max_output = tokens
        self._chat = None
        return True

    def render(self, offer: Offer) -> bytes:
        """The body for an offer's provider."""
        self.dropped = ()
        self.extra = b""
        if self.name in offer.dialects:
            hosted_tools.refuse(self.request.members)
            self.extra = self.beta
            if self.name in LEFT_OUT:
                self.dropped = LEFT_OUT[self.name](self.request)
            return PASSING[self.name].render(
                self.request, model=offer.upstream_model, ask_usage=offer.provider.ask_usage
            )
        said = self._express(offer)
        self.dropped = said.dropped
        return said.body

    def unsaid(self, offer: Offer) -> tuple[str, ...]:
        """The caller's names of what an offer's provider could not be told, or refuses."""
        refused = tuple(name for name in offer.provider.unknown if name in self.request.members)
        try:
            self.render(offer)
        except BadRequest as error:  # what is kept here is put in later, and is no parameter
            kept = error.param is None or error.param.endswith(("response_id", ".id"))
            return refused if kept else (*refused, error.param or "")
        names, self.dropped, self.extra = self.dropped, (), b""
        return tuple(dict.fromkeys((*refused, *names)))

    def name_model(self, model: str) -> None:
        """Another model answers than the one that was asked for."""
        self._facts = msgspec.structs.replace(self.facts, model=model)

    def check(self, body: bytes, offer: Offer) -> ReplyFacts:
        """What a whole reply says, in the caller's format. Raises: AperturaError."""
        if self.name in offer.dialects and not self.anew:
            return PASSING[self.name].check_reply(body)
        events = OUTBOUND[self.dialect(offer)].parse_reply(body)
        return _facts(events, self.speaks.render_reply(events, self.facts))

    def listen(self, offer: Offer) -> Tap:
        """For a streamed reply."""
        if self.name in offer.dialects and not self.anew:
            include_usage = self.request.include_usage or self.include_cost
            self._tap = PASSING[self.name].listen(include_usage)
        else:
            decoder = OUTBOUND[self.dialect(offer)].decoder()
            self._tap = TranslatingTap(decoder, self.speaks.encoder(self.facts))
        if not self.include_cost:
            return self._tap
        self._costs: CostTap = CostTap(self.name, self._tap)
        return self._costs

    def bill(self, body: bytes, usage: Usage) -> Bill:
        """A whole reply, ready for its cost. Raises: Garbled."""
        return costs.in_reply(self.name, body, usage)

    def last(self, usage: Usage) -> Callable[[int], bytes]:
        """What is still due of a stream, once its cost is known. Raises: Garbled."""
        return self._costs.bill(usage).at

    def streamed(self, tap: Tap) -> bytes:
        """The whole reply of a stream that has ended; of formats that can be kept."""
        raise NotImplementedError(f"{self.name} is not kept")

    def estimate_input(self) -> int:
        """Input tokens, where the provider did not say."""
        return estimate.input_tokens(self.request.members, CONTENT_MEMBERS)

    def render_stream_error(self, error: AperturaError) -> bytes:
        """An error after the first content: the encoder knows how far the stream has come."""
        if isinstance(self._tap, TranslatingTap):
            return self._tap.encoder.feed([Failed(error=error)])
        return self.speaks.render_stream_error(error)

    def _express(self, offer: Offer) -> Expressed:
        if self._chat is None:
            self._chat = self.speaks.understand(self.request)
        target = Target(
            model=offer.upstream_model,
            max_output=offer.max_output,
            ask_usage=offer.provider.ask_usage,
            limit=offer.provider.limit,
            unknown=frozenset(offer.provider.unknown),
        )
        return OUTBOUND[offer.dialect].express(self._chat, target)


CONTENT_MEMBERS = (
    "messages",
    "tools",
    "system",
    "input",
    "instructions",
    "prompt",
    "contents",
    "systemInstruction",
    "system_instruction",
)
"""Members that hold content, in any format."""


def _facts(events: list[Event], body: bytes) -> ReplyFacts:
    """What a translated reply says about itself."""
    usage: Usage | None = None
    chars = 0
    content = False
    for event in events:
        match event:
            case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
                chars += len(text)
            case ToolCall(arguments=arguments):
                chars += len(arguments)
            case UsageReported(usage=reported):
                usage = reported
        content = content or isinstance(event, CONTENT)
    if not events:
        raise Garbled("The provider sent a reply without an answer.")
    return ReplyFacts(body=body, usage=usage, chars=chars, content=content)


class ResponsesQuestion(ChatQuestion):
    """A question of the one format whose replies can be kept, and whose events are numbered."""

    __slots__ = ()

    def streamed(self, tap: Tap) -> bytes:
        tap = self._tap or tap  # whatever is done to its bytes
        said = tap.encoder if isinstance(tap, TranslatingTap) else tap
        if not isinstance(said, ResponsesEncoder | ResponsesTap):
            raise TypeError(f"{type(said).__name__} holds no response")
        return said.response

    def render_stream_error(self, error: AperturaError) -> bytes:
        """By whoever has counted the events so far."""
        if isinstance(self._tap, ResponsesTap):
            return render_stream_error(error, self._tap.passed)
        return super().render_stream_error(error)
