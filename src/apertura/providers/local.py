"""The embedded model, as a provider: a real llama.cpp server with small weights, beside us.

Its process is `jobs.local_model`'s; here is what the catalogue says of it. It costs nothing, speaks
OpenAI's format, and is there so that a first run ends with a real answer and tests meet a real
model.

The rule that keeps it honest: it is reached as every provider is, through the same relay.
"""

from __future__ import annotations

from collections.abc import Sequence

from apertura.domain.catalog import OfferRow, ProviderRow

NAME = "local"
CONTEXT_LENGTH = 4_096
"""Tokens of one call: the server's 8,192 in two slots."""


def provider(base_url: str, api_key: str) -> ProviderRow:
    """The row of the running server. It closes kept-alive connections after streamed answers; the
    transport's silent retry is for that.
    """
    return ProviderRow(name=NAME, title="Local", base_url=base_url, api_key=api_key)


def offers(models: Sequence[str]) -> tuple[OfferRow, ...]:
    """Free offers for chat and for embeddings, for each model that the server has."""
    return tuple(_offer(name, kind) for name in models for kind in ("chat", "embeddings"))


def _offer(name: str, kind: str) -> OfferRow:
    return OfferRow(
        model=name,
        provider=NAME,
        kind=kind,
        context_length=CONTEXT_LENGTH,
        input_usd_per_million="0",
        output_usd_per_million="0",
        checked="local",
    )
