"""What is asked, as the relay sees it: a request in one dialect with the verbs that go with it.

What it is not: the formats (`wire`). The rule that keeps it honest: a question holds the parsed
request, never the caller's bytes.
"""

from __future__ import annotations

from apertura.domain.catalog import Offer
from apertura.errors import AperturaError
from apertura.wire import embeddings, estimate, openai_chat
from apertura.wire.chat import ChatRequest
from apertura.wire.dialect import ReplyFacts, Tap
from apertura.wire.embeddings import EmbeddingRequest


class ChatQuestion:
    """A chat request of a caller who speaks OpenAI's format, for a provider who does too."""

    __slots__ = ("max_output", "request", "stream")

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.stream = request.stream
        self.max_output = request.max_output

    def render(self, offer: Offer) -> bytes:
        ask_usage = offer.provider.ask_usage
        return openai_chat.render(self.request, model=offer.upstream_model, ask_usage=ask_usage)

    check = staticmethod(openai_chat.check_reply)

    def listen(self) -> Tap:
        return openai_chat.listen(self.request.include_usage)

    def estimate_input(self) -> int:
        return estimate.input_tokens(self.request.members, ("messages", "tools"))

    def render_stream_error(self, error: AperturaError) -> bytes:
        return openai_chat.render_stream_error(error)


class EmbeddingQuestion:
    """A request for embeddings."""

    __slots__ = ("request",)
    stream = False
    max_output: int | None = 0

    def __init__(self, request: EmbeddingRequest) -> None:
        self.request = request

    def render(self, offer: Offer) -> bytes:
        return embeddings.render(self.request, model=offer.upstream_model)

    def check(self, body: bytes) -> ReplyFacts:
        facts = embeddings.check_reply(body)
        return ReplyFacts(body=facts.body, usage=facts.usage, content=True)

    def listen(self) -> Tap:
        raise NotImplementedError("embeddings are not streamed")

    def estimate_input(self) -> int:
        return estimate.input_tokens(self.request.members, ("input",))

    def render_stream_error(self, error: AperturaError) -> bytes:
        return openai_chat.render_stream_error(error)
