"""Behaviour of the providers that are asked in a way of their own, and of the choice among them."""

from __future__ import annotations

import pytest

from apertura.domain.catalog import PROVIDER_KINDS, CatalogError, ProviderRow
from apertura.providers.anthropic import Anthropic
from apertura.providers.base import Ask
from apertura.providers.compatible import Compatible
from apertura.providers.gemini import Gemini
from apertura.providers.kinds import _BY_KIND, provider_of
from tests.providers.sent import sent

HOST = "https://api.acme.example"


def asked(row: ProviderRow, dialect: str, operation="chat", *, stream=False, model="m-1") -> str:
    """The request line."""
    ask = Ask(operation, dialect, model, stream, b"{}")
    return sent(provider_of(row), ask)[0].removesuffix(" HTTP/1.1")


def row(**fields: object) -> ProviderRow:
    return ProviderRow(**{"name": "acme", "base_url": HOST, "api_key": "secret", **fields})  # type: ignore[arg-type]


def test_each_kind_of_the_catalogue_has_a_class() -> None:
    """And no class is without a name."""
    assert set(_BY_KIND) == set(PROVIDER_KINDS)


def test_a_usual_row_is_asked_as_its_format_wants() -> None:
    """So that one line of TOML is enough for a host of any format."""
    assert type(provider_of(row())) is Compatible
    assert type(provider_of(row(dialect="anthropic_messages"))) is Anthropic
    assert type(provider_of(row(dialect="gemini"))) is Gemini


@pytest.mark.parametrize(
    ("base", "line"),
    [(HOST, "POST /v1/messages"), (HOST + "/anthropic/v1/", "POST /anthropic/v1/messages")],
)
def test_messages_have_one_path_and_name_their_version(base: str, line: str) -> None:
    """Below a base with or without it."""
    provider = provider_of(row(kind="anthropic", base_url=base, auth="x-api-key"))
    first, headers, _ = sent(provider, Ask("chat", "anthropic_messages", "m", True, b"{}"))

    assert first == f"{line} HTTP/1.1"
    assert headers["x-api-key"] == "secret"
    assert headers["anthropic-version"] == "2023-06-01"


def test_gemini_has_model_and_verb_in_its_url() -> None:
    """At a base URL with or without its version."""
    gemini = row(kind="gemini", auth="x-goog-api-key")

    assert asked(gemini, "gemini") == "POST /v1beta/models/m-1:generateContent"
    assert asked(gemini, "gemini", stream=True) == (
        "POST /v1beta/models/m-1:streamGenerateContent?alt=sse"
    )
    assert asked(row(kind="gemini", base_url=HOST + "/v1"), "gemini", model="tuned/t-1") == (
        "POST /v1/tuned/t-1:generateContent"
    )


def test_gemini_embeds_where_it_speaks_openais_format() -> None:
    """With the key as that format sends it."""
    gemini = provider_of(row(kind="gemini", auth="x-goog-api-key"))
    first, headers, _ = sent(gemini, Ask("embeddings", "openai_chat", "m", False, b"{}"))

    assert first == "POST /v1beta/openai/embeddings HTTP/1.1"
    assert headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("model", ["", "../m", "a b", "m?x=1", "m\r\nx: 1", "a//b", "m:verb"])
def test_a_models_name_cannot_reach_beyond_its_place(model: str) -> None:
    """Nothing that would need quoting goes into Gemini's or Azure's URL."""
    with pytest.raises(CatalogError):
        asked(row(kind="gemini"), "gemini", model=model)
    with pytest.raises(CatalogError):
        asked(row(kind="azure", api_version="2024-10-21"), "openai_chat", model=model)


def test_azure_without_a_version_is_as_openai() -> None:
    """Below `/openai/v1`, whether or not the base URL says so."""
    assert asked(row(kind="azure"), "openai_chat") == "POST /openai/v1/chat/completions"
    assert asked(row(kind="azure", base_url=HOST + "/openai/v1"), "openai_responses") == (
        "POST /openai/v1/responses"
    )


def test_azure_with_a_version_is_asked_at_deployments() -> None:
    """The older way."""
    azure = row(kind="azure", api_version="2024-10-21", auth="api-key")

    assert asked(azure, "openai_chat") == (
        "POST /openai/deployments/m-1/chat/completions?api-version=2024-10-21"
    )
    assert asked(azure, "openai_chat", "embeddings") == (
        "POST /openai/deployments/m-1/embeddings?api-version=2024-10-21"
    )
    assert asked(azure, "openai_responses") == "POST /openai/responses?api-version=2024-10-21"


def test_bedrock_has_model_and_verb_in_its_url() -> None:
    """A model may be an ARN; it stays one segment."""
    bedrock = row(kind="bedrock", dialect="bedrock_converse")
    provider = provider_of(bedrock)

    assert provider.stream_type == b"application/vnd.amazon.eventstream"
    assert asked(bedrock, "bedrock_converse", model="a.b-v1:0") == "POST /model/a.b-v1%3A0/converse"
    assert asked(bedrock, "bedrock_converse", stream=True, model="arn:x/y") == (
        "POST /model/arn%3Ax%2Fy/converse-stream"
    )


def test_a_refusal_is_read_as_its_provider_means_it() -> None:
    """Google answers a bad key with 400, Amazon a spent quota: neither is the caller's fault."""
    key = b'{"error":{"code":400,"message":"bad","details":[{"reason":"API_KEY_INVALID"}]}}'
    quota = {b"x-amzn-errortype": b"ServiceQuotaExceededException"}

    assert provider_of(row(kind="gemini")).read_error(400, {}, key).status == 502
    assert provider_of(row(kind="bedrock")).read_error(400, quota, b"{}").status == 429
