"""The verbs that every format implements, and nothing else.

A dialect is a module with these functions and two small classes. With N formats in and M out there
are N + M pieces, because they meet in `chat` and `events` and never in pairs.

The laws, tested as properties for each dialect: any cut of the bytes yields the same events; a
folded stream equals its whole reply; what the encoder writes the decoder reads back; any bytes
yield events or a garbled-upstream error, in bounded memory; usage exactly once, last; one id and
one time per stream; a parameter is mapped, refused by name, or listed as dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from apertura.domain.usage import Usage
from apertura.errors import AperturaError
from apertura.wire.chat import Chat, ChatRequest
from apertura.wire.events import Event


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an encoder must know that is not in the events.

    Ids that a reply needs beside its own are derived from `id`, so that one call always writes the
    same bytes.
    """

    id: str
    created: int
    model: str
    include_usage: bool = False
    request: ChatRequest | None = None
    """For formats whose replies repeat what was asked."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Whom we speak to: what `express` must know of an offer."""

    model: str
    """What the provider calls the model."""
    max_output: int | None = None
    """The most tokens that the model can answer with, for formats that insist on a limit."""
    ask_usage: bool = True
    """Its streams report usage only when asked; else it refuses to be asked."""
    limit: str = "max_tokens"
    """What it calls the most tokens of an answer, in OpenAI's chat format: OpenAI's own models that
    reason know `max_completion_tokens` alone, many other hosts `max_tokens` alone.
    """
    unknown: frozenset[str] = frozenset()
    """Parameters of its format that it refuses to be sent, by the format's names."""


class Expressed(msgspec.Struct, frozen=True, kw_only=True):
    """A request in a provider's format, and the caller's names of what it cannot say."""

    body: bytes
    dropped: tuple[str, ...] = ()


class ReplyFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a whole reply that passes says about itself."""

    body: bytes
    """What the caller gets: the provider's body, as it came unless something had to be mended."""
    usage: Usage | None = None
    chars: int = 0
    """Characters of output, to estimate a reply without usage."""
    content: bool = False


class Tap(Protocol):
    """Listens to a stream that passes, where caller and provider speak the same dialect."""

    content: bool
    """The first piece of content was seen: the call is committed to its offer."""
    usage: Usage | None
    """The last report so far."""
    finished: bool
    """Every choice seen has said why it ended."""
    ended: bool
    """The provider said that its stream is complete."""
    pieces: int
    """Content deltas seen."""
    chars: int
    """Characters in them, to estimate a call that is cut."""
    salvage: bytes
    """After `feed` or `close` raised: what may still be sent of what came before."""

    def feed(self, data: bytes) -> bytes:
        """What the caller gets for these bytes: whole events, not the end marker.

        Raises: Garbled, or the error that the provider reports inside its stream.
        """
        ...

    def close(self) -> bytes:
        """The provider's bytes have ended: what is still due, with the end marker. Raises: Cut."""
        ...


class Decoder(Protocol):
    """Reads one reply from a provider, however its bytes are cut.

    It does not raise: an answer that is garbled, cut, or that the provider breaks off with an error
    ends in `Failed`, after all that was understood before.
    """

    @property
    def ended(self) -> bool:
        """The provider said that its stream is complete, or failed: no more is due from it."""
        ...

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        ...

    def close(self) -> list[Event]:
        """The bytes have ended: what is still due."""
        ...


class Encoder(Protocol):
    """Writes one stream to a caller."""

    def feed(self, events: list[Event]) -> bytes:
        """The bytes that say these events."""
        ...

    def close(self) -> bytes:
        """The bytes that end the stream with success."""
        ...


class Inbound(Protocol):
    """A format that callers speak. `body` is always a whole HTTP body."""

    def parse(self, body: bytes) -> ChatRequest:
        """A caller spoke. Raises: BadRequest, naming the parameter."""
        ...

    def understand(self, request: ChatRequest) -> Chat:
        """The whole of a request that `parse` has accepted, to be said in another format.

        Raises: BadRequest, for what no other format can say.
        """
        ...

    def render_reply(self, events: list[Event], call: CallFacts) -> bytes:
        """We answer, at once. Raises: the error of a `Failed` among the events."""
        ...

    def encoder(self, call: CallFacts) -> Encoder:
        """For one streamed reply to a caller."""
        ...

    def render_error(self, error: AperturaError, *, call_id: str = "") -> bytes:
        """The body of an error reply."""
        ...

    def render_stream_error(self, error: AperturaError) -> bytes:
        """An error after the first byte: it goes inside the stream and ends it."""
        ...


class Outbound(Protocol):
    """A format that providers speak."""

    def express(self, chat: Chat, target: Target) -> Expressed:
        """We speak to a provider. Raises: BadRequest, naming what must not be dropped, by the
        caller's name for it.
        """
        ...

    def parse_reply(self, body: bytes) -> list[Event]:
        """A provider answered, at once. Raises: Garbled, or the error that it holds."""
        ...

    def decoder(self) -> Decoder:
        """For one streamed reply of a provider."""
        ...

    def read_error(self, status: int, body: bytes, headers: Mapping[str, str]) -> AperturaError:
        """A provider's reply that is not 200; header names in lower case."""
        ...


class Passing(Protocol):
    """A format that both sides speak: what is asked and answered passes through."""

    def render(self, request: ChatRequest, *, model: str, ask_usage: bool = True) -> bytes:
        """The caller's request for a provider that calls the model `model`. `ask_usage`: its
        streams report usage only when asked.
        """
        ...

    def check_reply(self, body: bytes) -> ReplyFacts:
        """A whole reply that passes. Raises: Garbled, or the error that it holds."""
        ...

    def listen(self, include_usage: bool) -> Tap:
        """For one stream that passes; whether its caller asked for usage."""
        ...


class Dialect(Inbound, Outbound, Passing, Protocol):
    """A format that is spoken on both sides."""
