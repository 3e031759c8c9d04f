"""Every OpenAI-compatible host, from a row of data.

`hosts.toml` and the installation's own file hold the rows; a host that needs more than a row's
fields earns a file of its own. What it is not: the format (`wire.openai_chat`).

The rule that keeps it honest: a new host is a new row, with its source and the date it was checked.
"""

from __future__ import annotations

from collections.abc import Mapping

from apertura.domain.catalog import ProviderRow
from apertura.errors import AperturaError
from apertura.providers.base import Operation, authorization, request_head
from apertura.wire import openai_chat

PATHS: dict[Operation, str] = {"chat": "/chat/completions", "embeddings": "/embeddings"}


class Compatible:
    """An OpenAI-compatible host."""

    def __init__(self, row: ProviderRow) -> None:
        self.base_url = row.base_url.rstrip("/")
        headers = [
            *authorization(row.auth, row.api_key),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("accept-encoding", "identity"),
            ("user-agent", "apertura"),
        ]
        if not row.keepalive:
            headers.append(("connection", "close"))
        self._heads = {
            operation: request_head(self.base_url + path, headers)
            for operation, path in PATHS.items()
        }

    def build(self, operation: Operation, body: bytes) -> list[bytes]:
        """Head and body of one call."""
        return [self._heads[operation] + b"%d\r\n\r\n" % len(body), body]

    def read_error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> AperturaError:
        """As the format says; see `wire.openai_chat.read_error`."""
        texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        return openai_chat.read_error(status, body, texts)
