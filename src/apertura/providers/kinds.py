"""Which class asks which provider, by what its row says.

What it is not: a list of providers; those are rows. The rule that keeps it honest: a kind that the
catalogue knows has a class here (a test holds the two equal).
"""

from __future__ import annotations

from apertura.domain.catalog import ProviderRow
from apertura.providers.anthropic import Anthropic
from apertura.providers.azure import Azure
from apertura.providers.base import HttpProvider, Provider
from apertura.providers.bedrock import Bedrock
from apertura.providers.compatible import Compatible
from apertura.providers.gemini import Gemini

_BY_KIND: dict[str, type[HttpProvider]] = {
    "anthropic": Anthropic,
    "azure": Azure,
    "bedrock": Bedrock,
    "compatible": Compatible,
    "gemini": Gemini,
    "openai": Compatible,
}
_BY_DIALECT: dict[str, type[HttpProvider]] = {
    "anthropic_messages": Anthropic,
    "bedrock_converse": Bedrock,
    "gemini": Gemini,
}
"""What a row of the usual kind means where its format has a place of its own."""


def provider_of(row: ProviderRow) -> Provider:
    """The provider that a row describes. Raises: CatalogError."""
    kind = _BY_KIND[row.kind]
    if row.kind == "compatible":
        kind = _BY_DIALECT.get(row.dialect, kind)
    return kind(row)
