"""What is asked, as far as the relay must know it, in whatever dialect.

What it is not: an implementation; those are in `questions` and beside it. The rule that keeps it
honest: the relay asks nothing of a question that does not stand here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from apertura.domain.catalog import Offer
from apertura.domain.money import NANO_PER_USD
from apertura.domain.usage import Usage
from apertura.errors import AperturaError, BadRequest
from apertura.relay.exchange import Head
from apertura.wire.costs import Bill, dollars
from apertura.wire.dialect import ReplyFacts, Tap

Keep = Callable[[bytes], Awaitable[None]]
"""Keeps a whole reply that its caller asked to be kept."""
DROPPED_MOST = 50
"""Names that are listed in one reply."""
WISH = b"x-include-cost"
_NAME = re.compile(r"[\w.\[\]-]{1,100}", re.ASCII)


class Question(Protocol):
    """What is asked, in whatever dialect: the relay's view of a request."""

    stream: bool
    max_output: int | None
    """The most output tokens that the caller allows, for each of `choices`."""
    choices: int
    dropped: tuple[str, ...]
    """The caller's names of what `render` could not say to the provider."""
    extra: bytes
    """Header lines for the provider, known once `render` was called."""
    stream_type: bytes
    """The content type of a streamed reply."""
    keep: Keep | None
    """Awaited before the last byte of a reply leaves."""
    include_cost: bool
    """The caller wants the cost within the reply: then `bill` comes before settlement."""

    needs: frozenset[str]
    """Capabilities that an offer must have."""

    def dialect(self, offer: Offer) -> str:
        """What is spoken to an offer's provider."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the caller's body."""
        ...

    def lower_output(self, tokens: int, name: str) -> bool:
        """Ask for no more output than this (for a format that has several names for the limit, by
        this one); False where the format cannot say it.
        """
        ...

    def render(self, offer: Offer) -> bytes:
        """The body for an offer's provider."""
        ...

    def check(self, body: bytes, offer: Offer) -> ReplyFacts:
        """What a whole reply says. Raises: AperturaError."""
        ...

    def listen(self, offer: Offer) -> Tap:
        """For a streamed reply."""
        ...

    def bill(self, body: bytes, usage: Usage) -> Bill:
        """A whole reply that `check` gave, ready for its cost. `usage` is what is charged for.

        Raises: Garbled.
        """
        ...

    def last(self, usage: Usage) -> Callable[[int], bytes]:
        """What is still due of a stream that was listened to and has ended, once its cost is known.
        Raises: Garbled.
        """
        ...

    def streamed(self, tap: Tap) -> bytes:
        """The whole reply of a stream that has ended, for `keep`."""
        ...

    def estimate_input(self) -> int:
        """Input tokens, where the provider did not say."""
        ...

    def unsaid(self, offer: Offer) -> tuple[str, ...]:
        """The caller's names of what an offer's provider could not be told, or refuses."""
        ...

    def name_model(self, model: str) -> None:
        """Another model answers than the one that was asked for: replies that are written here
        name it.
        """
        ...

    def render_stream_error(self, error: AperturaError) -> bytes:
        """An error after the first content, in the caller's dialect."""
        ...


def dropped_line(names: tuple[str, ...]) -> Head:
    """The header that lists what a provider could not be told. What a caller wrote gets into it
    only as far as it can stand in a header.
    """
    listed = ", ".join(name for name in names[:DROPPED_MOST] if _NAME.fullmatch(name))
    return b"x-dropped-params: %b\r\n" % listed.encode()


def note_wish(question: Question, headers: Mapping[bytes, bytes]) -> None:
    """Where the caller's headers ask for the cost within the reply, by `X-Include-Cost`.

    Raises: BadRequest.
    """
    if WISH not in headers:
        return
    wish = headers[WISH].strip().lower()
    if wish not in (b"true", b"false"):
        raise BadRequest(
            "X-Include-Cost must be true or false.",
            code="invalid_parameter",
            param="X-Include-Cost",
        )
    question.include_cost = question.include_cost or wish == b"true"


def cost_lines(cost: int, credits_taken: int | None) -> Head:
    """The headers that say what a call cost, in nano-dollars; and where a plan's allowance paid,
    in thousandths of its credits.
    """
    if credits_taken is None and 0 < cost < NANO_PER_USD:
        # What `dollars` says, spelled out: most calls cost so much, and each pays for this line.
        return (b"x-cost-usd: 0.%09d" % cost).rstrip(b"0") + b"\r\n"
    line = b"x-cost-usd: %b\r\n" % dollars(cost)
    if credits_taken is None:
        return line
    return b"%bx-credits: %b\r\n" % (line, dollars(credits_taken * 1_000_000))
