"""What the tests of providers share: a request, taken apart."""

from __future__ import annotations

from apertura.providers.base import Ask, Provider


def sent(provider: Provider, ask: Ask) -> tuple[str, dict[str, str], bytes]:
    """The request line, headers and body of what a provider is asked."""
    head, _, body = b"".join(provider.build(ask)).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), body
