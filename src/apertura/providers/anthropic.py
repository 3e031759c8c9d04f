"""Whoever speaks the Messages format: Anthropic's own API, and hosts that offer the same path.

What it is not: the format (`wire.anthropic_messages`). The rule that keeps it honest: the version
header is ours to say, since our reading of the format depends on it.
"""

from __future__ import annotations

from apertura.providers.base import Ask, Header, HttpProvider

VERSION = "2023-06-01"


class Anthropic(HttpProvider):
    """A host of the Messages format, at a base URL with or without its version."""

    def path(self, ask: Ask) -> str:
        """One path for all models."""
        return "/messages" if _has_path(self.base_url) else "/v1/messages"

    def credentials(self, ask: Ask) -> list[Header]:
        """The key, and the version of the format that we speak."""
        return [*super().credentials(ask), ("anthropic-version", VERSION)]


def _has_path(url: str) -> bool:
    return "/" in url.partition("://")[2]
