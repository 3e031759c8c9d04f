"""Behaviour of what providers share: authentication, and a request's head."""

from __future__ import annotations

import pytest

from apertura.domain.catalog import AUTHS
from apertura.providers.base import authorization, request_head


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ("bearer", [("authorization", "Bearer secret")]),
        ("x-api-key", [("x-api-key", "secret")]),
        ("api-key", [("api-key", "secret")]),
        ("x-goog-api-key", [("x-goog-api-key", "secret")]),
        ("none", []),
    ],
)
def test_each_way_to_authenticate(scheme: str, headers: list[tuple[str, str]]) -> None:
    """One header, or none."""
    assert authorization(scheme, "secret") == headers
    assert authorization(scheme, "") == []


def test_the_catalogue_knows_the_same_ways() -> None:
    """What it accepts works here; anything else is refused."""
    for scheme in AUTHS:
        authorization(scheme, "secret")
    with pytest.raises(ValueError, match="no way to authenticate"):
        authorization("handshake", "secret")


@pytest.mark.parametrize(
    ("url", "first", "host"),
    [
        ("https://api.acme.example/v1/chat", "/v1/chat", "api.acme.example"),
        ("http://127.0.0.1:8080/v1/chat", "/v1/chat", "127.0.0.1:8080"),
        ("http://[::1]:8080/chat", "/chat", "[::1]:8080"),
    ],
)
def test_a_head_is_a_request(url: str, first: str, host: str) -> None:
    """Everything but the length."""
    head = request_head(url, [("accept", "x")])

    assert head == (f"POST {first} HTTP/1.1\r\nhost: {host}\r\naccept: x\r\n".encode())


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\tb"])
def test_a_value_cannot_add_a_header(value: str) -> None:
    """A key file of two lines is refused, not sent."""
    with pytest.raises(ValueError, match="control character or a line break"):
        request_head("http://x.example/v1", [("authorization", value)])
