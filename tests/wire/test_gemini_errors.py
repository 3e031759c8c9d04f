"""Behaviour of Google's refusals, read."""

from __future__ import annotations

from apertura.errors import BadRequest, Overloaded, RateLimited, UpstreamFailed
from apertura.wire.gemini import (
    read_error,
)
from tests.wire.test_gemini_reply import HERE


def test_a_bad_key_of_ours_is_not_the_callers_fault() -> None:
    """Google says 400 to it."""
    body = (HERE / "written-error-key.json").read_bytes()

    assert isinstance(read_error(400, body, {}), UpstreamFailed)
    place = b'{"error":{"code":400,"message":"User location","status":"FAILED_PRECONDITION"}}'
    assert isinstance(read_error(400, place, {}), UpstreamFailed)


def test_the_time_to_wait_stands_in_the_body() -> None:
    body = (HERE / "written-error-quota.json").read_bytes()
    limited = read_error(429, body, {})
    told = read_error(429, body, {"retry-after": "7"})

    assert isinstance(limited, RateLimited) and "35" == limited.headers["Retry-After"]
    assert "7" == told.headers["Retry-After"]


def test_other_errors_are_read_as_everywhere() -> None:
    long = (
        b"The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."
    )
    error = b'{"error":{"code":400,"message":"%b","status":"INVALID_ARGUMENT"}}' % long

    assert "context_length_exceeded" == read_error(400, error, {}).code
    assert "context_length_exceeded" == read_error(400, b"[" + error + b"]", {}).code
    assert isinstance(read_error(503, b"<html>", {}), Overloaded)
    assert isinstance(read_error(400, b"<html>", {}), BadRequest)
    assert isinstance(read_error(500, b'{"error":7}', {}), UpstreamFailed)


def test_a_status_of_another_type_says_nothing() -> None:
    """Whatever stands there."""
    for status in (b"{}", b"[]", b"5", b"null"):
        body = b'{"error":{"code":400,"message":"no","status":%b}}' % status
        assert isinstance(read_error(400, body, {}), BadRequest)
