"""What is asked where the answer is numbers: embeddings and ranks.

What it is not: the formats (`wire.embeddings`, `wire.rerank`). The rule that keeps it honest: as
for chats, a question holds the parsed request, never the caller's bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from apertura.domain.catalog import Offer
from apertura.domain.preferences import Wish
from apertura.domain.usage import Usage
from apertura.errors import AperturaError
from apertura.relay.question import Keep
from apertura.wire import costs, embeddings, gemini_embeddings, openai_chat, rerank
from apertura.wire.costs import Bill
from apertura.wire.dialect import ReplyFacts, Tap
from apertura.wire.embeddings import EmbeddingRequest
from apertura.wire.rerank import RerankRequest


class _Numbers:
    """What both have in common: they come at once."""

    stream = False
    stream_type = b""
    max_output: int | None = 0
    choices = 1
    request: EmbeddingRequest | RerankRequest
    needs: frozenset[str] = frozenset()
    wish: Wish | None = None
    dropped: tuple[str, ...] = ()
    extra = b""
    keep: Keep | None = None
    include_cost = False
    name: str
    """What its replies are called in `costs.PLACES`."""

    @property
    def size(self) -> int:
        return self.request.size

    def lower_output(self, tokens: int, name: str) -> bool:
        return False

    def dialect(self, offer: Offer) -> str:
        return offer.dialect

    def unsaid(self, offer: Offer) -> tuple[str, ...]:
        return ()

    def name_model(self, model: str) -> None:
        raise NotImplementedError("no other model stands in for one whose numbers are compared")

    def listen(self, offer: Offer) -> Tap:
        raise NotImplementedError("this is not streamed")

    def bill(self, body: bytes, usage: Usage) -> Bill:
        return costs.in_reply(self.name, body, usage)

    def last(self, usage: Usage) -> Callable[[int], bytes]:
        raise NotImplementedError("this is not streamed")

    def streamed(self, tap: Tap) -> bytes:
        raise NotImplementedError("this is not streamed")

    def render_stream_error(self, error: AperturaError) -> bytes:
        return openai_chat.render_stream_error(error)


class EmbeddingQuestion(_Numbers):
    """A request for embeddings."""

    request: EmbeddingRequest
    name = "embeddings"

    def __init__(self, request: EmbeddingRequest) -> None:
        self.request = request
        self.include_cost = request.include_cost

    def render(self, offer: Offer) -> bytes:
        unknown = offer.provider.unknown
        if "task" in unknown and "task" in self.request.members:
            self.dropped = ("task",)
        return embeddings.render(
            self.request,
            model=offer.upstream_model,
            takes_format="encoding_format" not in unknown,
            takes_task="task" not in unknown,
        )

    def check(self, body: bytes, offer: Offer) -> ReplyFacts:
        facts = embeddings.check_reply(body, self.request)
        return ReplyFacts(body=facts.body, usage=facts.usage, content=True)

    def estimate_input(self) -> int:
        return embeddings.input_tokens(self.request)


class GeminiEmbeddingQuestion(EmbeddingQuestion):
    """The same, asked by Gemini's clients: one text, or a `batch` of them."""

    name = "gemini_embeddings"

    def __init__(self, body: bytes, model: str, *, batch: bool) -> None:
        asked = gemini_embeddings.parse_gemini(body, batch)
        super().__init__(gemini_embeddings.request_of(asked, model=model, size=len(body)))
        self._batch, self._unsaid = batch, asked.dropped

    def render(self, offer: Offer) -> bytes:
        said = super().render(offer)
        self.dropped = (*self._unsaid, *("taskType" for _ in self.dropped))
        return said

    def check(self, body: bytes, offer: Offer) -> ReplyFacts:
        facts = super().check(body, offer)
        shown = gemini_embeddings.render_gemini_reply(facts.body, self._batch)
        return ReplyFacts(body=shown, usage=facts.usage, content=True)


class RerankQuestion(_Numbers):
    """A request for documents in the order of their relevance."""

    request: RerankRequest
    name = "rerank"

    def __init__(self, request: RerankRequest) -> None:
        self.request = request

    def render(self, offer: Offer) -> bytes:
        shape = offer.provider.rerank
        return rerank.render(self.request, model=offer.upstream_model, shape=shape)

    def check(self, body: bytes, offer: Offer) -> ReplyFacts:
        facts = rerank.check_reply(body, self.request)
        return ReplyFacts(body=facts.body, usage=facts.usage, content=True)

    def estimate_input(self) -> int:
        return rerank.input_tokens(self.request)
