"""Every host that is asked at fixed paths, from a row of data.

`hosts.toml` and the installation's own file hold the rows: OpenAI itself, and the many hosts that
speak its formats. A host that needs more than a row's fields earns a file of its own. What it is
not: the format (`wire`).

The rule that keeps it honest: a new host is a new row, with its source and the date it was checked.
"""

from __future__ import annotations

from urllib.parse import quote

from apertura.providers.base import Ask, HttpProvider

PATHS = {"openai_chat": "/chat/completions", "openai_responses": "/responses"}
OTHERS = {"embeddings": "/embeddings", "rerank": "/rerank"}


class Compatible(HttpProvider):
    """An OpenAI-compatible host."""

    def path(self, ask: Ask) -> str:
        """By dialect for chats, by operation for the rest."""
        if ask.operation == "rerank" and self.row.rerank == "pairs":
            return f"/inference/{quote(ask.model)}"
        return PATHS[ask.dialect] if ask.operation == "chat" else OTHERS[ask.operation]
