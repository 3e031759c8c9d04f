"""Google's Gemini API, where the model and the verb stand in the URL.

Embeddings go to the place where Google speaks OpenAI's format, since that is what a call for
embeddings is kept in. What it is not: the format (`wire.gemini`).

The rule that keeps it honest: a model's name goes into the URL only as one that needs no quoting.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from apertura.domain.catalog import CatalogError
from apertura.providers.base import Ask, Header, HttpProvider, authorization

VERSION = "/v1beta"
_NAME = re.compile(r"[A-Za-z0-9][\w.@-]*(?:/[A-Za-z0-9][\w.@-]*)*", re.ASCII)


class Gemini(HttpProvider):
    """The native API, at a base URL with or without its version."""

    def path(self, ask: Ask) -> str:
        """By model and verb. Raises: CatalogError, for a name that is none."""
        version = "" if urlsplit(self.base_url).path else VERSION
        if ask.operation != "chat":
            return f"{version}/openai/{ask.operation}"
        if not _NAME.fullmatch(ask.model):
            raise CatalogError(f"upstream_model {ask.model!r} cannot stand in a URL")
        model = ask.model if "/" in ask.model else f"models/{ask.model}"
        verb = "streamGenerateContent?alt=sse" if ask.stream else "generateContent"
        return f"{version}/{model}:{verb}"

    def credentials(self, ask: Ask) -> list[Header]:
        """The key; as OpenAI's clients would send it, where it is their format."""
        if ask.operation != "chat" and self.row.auth == "x-goog-api-key":
            return authorization("bearer", self.row.api_key)
        return super().credentials(ask)
