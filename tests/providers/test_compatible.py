"""Behaviour of OpenAI-compatible hosts and of the local model, as providers."""

from __future__ import annotations

import pytest

from apertura.domain.catalog import ProviderRow, assemble
from apertura.domain.routing import route
from apertura.errors import Overloaded, RateLimited
from apertura.providers import local
from apertura.providers.base import Ask
from apertura.providers.compatible import Compatible
from tests.providers.sent import sent


def built(operation="chat", dialect="openai_chat", **fields) -> tuple[str, dict[str, str], bytes]:
    """The request line, headers and body of a call at such a provider."""
    row = ProviderRow(**{"name": "acme", "base_url": "http://x.example:81/v1", **fields})
    return sent(Compatible(row), Ask(operation, dialect, "m", False, b'{"a":1}'))


def test_a_request_is_whole() -> None:
    """Its length is the body's, its key the row's, and nothing is compressed."""
    first, headers, body = built(api_key="secret")

    assert first == "POST /v1/chat/completions HTTP/1.1"
    assert body == b'{"a":1}'
    assert headers == {
        "host": "x.example:81",
        "authorization": "Bearer secret",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "apertura",
        "content-length": "7",
    }


def test_embeddings_have_their_own_path() -> None:
    """Below the same base, with or without a slash at its end."""
    assert built("embeddings")[0] == "POST /v1/embeddings HTTP/1.1"
    assert built("embeddings", base_url="http://x.example/v1/")[0] == (
        "POST /v1/embeddings HTTP/1.1"
    )


def test_each_dialect_has_its_own_path() -> None:
    """Below the same base."""
    assert built(dialect="openai_responses")[0] == "POST /v1/responses HTTP/1.1"
    assert built("rerank")[0] == "POST /v1/rerank HTTP/1.1"


def test_a_request_may_have_headers_of_its_own() -> None:
    """Beside those that all of them share."""
    provider = Compatible(ProviderRow(name="acme", base_url="http://x.example/v1"))
    ask = Ask("chat", "openai_chat", "m", False, b"{}", b"x-one: 1\r\n")

    assert sent(provider, ask)[1]["x-one"] == "1"


def test_a_host_without_keepalive_is_told_to_close() -> None:
    """Where its row says so."""
    assert built(keepalive=False)[1]["connection"] == "close"
    assert "connection" not in built()[1]


def test_a_host_without_a_key_gets_none() -> None:
    """A local server, say."""
    assert "authorization" not in built()[1]


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, Overloaded)])
def test_refusals_are_read_as_the_format_says(status: int, kind: type) -> None:
    """And may be tried elsewhere."""
    provider = Compatible(ProviderRow(name="acme", base_url="http://x.example/v1"))

    error = provider.read_error(status, {}, b"{}")

    assert isinstance(error, kind)
    assert error.retryable


def test_the_local_model_is_a_provider_like_any_other() -> None:
    """Free, for chat and for embeddings, and routable."""
    catalog = assemble([local.provider("http://127.0.0.1:1/v1", "k")], local.offers(["tiny"]))

    for kind in ("chat", "embeddings"):
        (offer,) = route("tiny", kind, catalog).offers
        assert offer.price is not None
        assert (offer.price.input, offer.price.output) == (0, 0)
    assert catalog.models["tiny"].context_length == local.CONTEXT_LENGTH
