"""Google's Gemini API, where the model and the verb stand in the URL.

Embeddings go to the place where Google speaks OpenAI's format, since that is what a call for
embeddings is kept in. What it is not: the format (`wire.gemini`).

The rule that keeps it honest: a model's name goes into the URL only as one that needs no quoting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from apertura.domain.catalog import CatalogError
from apertura.errors import AperturaError
from apertura.providers.base import Ask, Header, HttpProvider, authorization
from apertura.wire import gemini

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

    def read_error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> AperturaError:
        """As Google says it: a bad key of ours as status 400, the time to wait inside the body."""
        texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        return gemini.read_error(status, body, texts)
