"""What a provider is to the relay: how to ask it, and how to read its refusal.

A provider is three things at once, kept apart here: a format (a dialect of `wire`), a place (origin
and path), and a way to authenticate. What it is not: I/O; `build` returns bytes to send.

The rule that keeps it honest: what differs by provider is a field or a method of one, never a test
of its name elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from apertura.errors import AperturaError

Operation = Literal["chat", "embeddings"]


class Provider(Protocol):
    """One provider with its credential."""

    base_url: str

    def build(self, operation: Operation, body: bytes) -> list[bytes]:
        """The HTTP request to send: head and body."""
        ...

    def read_error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> AperturaError:
        """What a reply other than 200 means for us: retryable or not, with a redacted message."""
        ...


def authorization(scheme: str, key: str) -> list[tuple[str, str]]:
    """The usual ways to authenticate: `bearer`, `x-api-key`, `api-key`; none without a key."""
    if not key or scheme == "none":
        return []
    if scheme == "bearer":
        return [("authorization", f"Bearer {key}")]
    if scheme in ("x-api-key", "api-key"):
        return [(scheme, key)]
    raise ValueError(f"{scheme!r} is no way to authenticate")


def request_head(url: str, headers: list[tuple[str, str]]) -> bytes:
    """A POST's head up to and including the name of Content-Length, made once per provider."""
    _, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    lines = [f"POST /{path} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not all(line.isprintable() for line in lines):
        raise ValueError("a header holds a control character or a line break")
    return "\r\n".join([*lines, "content-length: "]).encode()
