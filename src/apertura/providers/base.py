"""What a provider is to the relay: how to ask it, and how to read its refusal.

A provider is three things at once, kept apart here: a format (a dialect of `wire`), a place (origin
and path), and a way to authenticate. What it is not: I/O; `build` returns bytes to send.

The rule that keeps it honest: what differs by provider is a field or a method of one, never a test
of its name elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from apertura.domain.catalog import ProviderRow
from apertura.errors import AperturaError
from apertura.wire.provider_errors import read_error

Operation = Literal["chat", "embeddings", "rerank"]
Header = tuple[str, str]


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One request: what for, in which dialect, of which model (by the provider's name for it)."""

    operation: Operation
    dialect: str
    model: str
    stream: bool
    body: bytes
    extra: bytes = b""
    """Header lines of this one request, each ended by CR LF."""


class Provider(Protocol):
    """One provider with its credential."""

    base_url: str
    stream_type: bytes
    """The content type of its streams."""

    def build(self, ask: Ask) -> list[bytes]:
        """The HTTP request to send: head and body."""
        ...

    def read_error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> AperturaError:
        """What a reply other than 200 means for us: retryable or not, with a redacted message."""
        ...


class HttpProvider:
    """What the providers share: a head is made once for each URL that they are asked at.

    A provider of its own says which path an ask goes to and which headers go with it.
    """

    stream_type = b"text/event-stream"

    def __init__(self, row: ProviderRow) -> None:
        self.row = row
        self.base_url = row.base_url.rstrip("/")
        self._heads: dict[tuple[str, str, str, bool], bytes] = {}

    def path(self, ask: Ask) -> str:
        """Below the base URL. Raises: ValueError, for what is not asked of this provider."""
        raise NotImplementedError

    def credentials(self, ask: Ask) -> list[Header]:
        """The headers that authenticate."""
        return authorization(self.row.auth, self.row.api_key)

    def build(self, ask: Ask) -> list[bytes]:
        """Head and body of one call."""
        key = (ask.operation, ask.dialect, ask.model, ask.stream)
        head = self._heads.get(key)
        if head is None:
            head = self._heads[key] = self._head(ask)
        return [head + b"%bcontent-length: %d\r\n\r\n" % (ask.extra, len(ask.body)), ask.body]

    def read_error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> AperturaError:
        """As every format says; see `wire.provider_errors`."""
        texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        return read_error(status, body, texts)

    def _head(self, ask: Ask) -> bytes:
        headers = [*self.credentials(ask), *STANDARD]
        if not self.row.keepalive:
            headers.append(("connection", "close"))
        return request_head(self.base_url + self.path(ask), headers)


STANDARD: tuple[Header, ...] = (
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
    ("accept-encoding", "identity"),
    ("user-agent", "apertura"),
)
"""What every request says."""


def authorization(scheme: str, key: str) -> list[Header]:
    """The usual ways to authenticate: `bearer`, or a header of the scheme's name; none without a
    key.
    """
    if not key or scheme == "none":
        return []
    if scheme == "bearer":
        return [("authorization", f"Bearer {key}")]
    if scheme in ("x-api-key", "api-key", "x-goog-api-key"):
        return [(scheme, key)]
    raise ValueError(f"{scheme!r} is no way to authenticate here")


def request_head(url: str, headers: list[Header]) -> bytes:
    """A POST's head, each line of it ended, but for the lines that are each request's own."""
    _, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    lines = [f"POST /{path} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not all(line.isprintable() for line in lines):
        raise ValueError("a header holds a control character or a line break")
    return "\r\n".join([*lines, ""]).encode()
