"""Behaviour of provider failures: which error of ours they are, and what of them is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import (
    AperturaError,
    BadRequest,
    ContentPolicy,
    Overloaded,
    RateLimited,
    Stalled,
    TooLarge,
    UpstreamFailed,
)
from apertura.wire.openai_chat import read_error, render_error, render_stream_error
from apertura.wire.provider_errors import MESSAGE_MAX, redact
from tests.wire.said import transcript


def said(**error: Any) -> bytes:
    return json.dumps({"error": {"message": "of the provider", **error}}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, BadRequest, False),
        (401, UpstreamFailed, True),
        (402, UpstreamFailed, True),
        (403, UpstreamFailed, True),
        (404, UpstreamFailed, True),
        (405, UpstreamFailed, True),
        (408, Stalled, True),
        (413, TooLarge, False),
        (418, UpstreamFailed, True),
        (422, BadRequest, False),
        (429, RateLimited, True),
        (500, UpstreamFailed, True),
        (502, UpstreamFailed, True),
        (503, Overloaded, True),
        (504, UpstreamFailed, True),
        (529, Overloaded, True),
        (301, UpstreamFailed, True),
    ],
)
def test_what_a_status_means(status: int, kind: type[AperturaError], retryable: bool) -> None:
    """What concerns our credential or their machines is never shown as the caller's fault."""
    error = read_error(status, said(), {})

    assert type(error) is kind
    assert error.retryable is retryable
    assert ("of the provider" in error.message) is (kind is BadRequest)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "context_length_exceeded"}, "context_length_exceeded"),
        ({"code": 400, "type": "exceed_context_size_error"}, "context_length_exceeded"),
        ({"message": "This model's maximum context length is 8 tokens"}, "context_length_exceeded"),
        ({"code": "content_filter"}, "content_policy_violation"),
        ({"innererror": {"code": "ResponsibleAIPolicyViolation"}}, "content_policy_violation"),
        ({"code": "invalid_image_url"}, "invalid_image"),
        ({"code": "unsupported_value", "param": "temperature"}, "invalid_parameter"),
        ({"code": "missing_required_parameter"}, "missing_parameter"),
        ({"code": "a code of theirs"}, "invalid_request"),
        ({"code": 400}, "invalid_request"),
        ({"code": None}, "invalid_request"),
        ({"code": ["x"]}, "invalid_request"),
    ],
)
def test_codes_are_those_of_the_manual(error: dict[str, Any], code: str) -> None:
    """Numbers and unknown codes become the general one."""
    found = read_error(400, said(**error), {})

    assert found.code == code
    assert isinstance(found, ContentPolicy) is (code == "content_policy_violation")


@pytest.mark.parametrize(
    ("param", "shown"),
    [("messages[0].content", "messages[0].content"), ("a b", None), (5, None), ("x" * 101, None)],
)
def test_a_param_is_shown_if_it_looks_like_one(param: object, shown: str | None) -> None:
    """Anything else may be a prompt."""
    assert read_error(400, said(param=param), {}).param == shown


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("llamacpp-error-context.json", 400, "context_length_exceeded"),
        ("llamacpp-error-bad-request.json", 400, "invalid_request"),
        ("llamacpp-error-no-key.json", 401, "upstream_error"),
    ],
)
def test_recorded_errors(name: str, status: int, code: str) -> None:
    """Their codes are integers."""
    assert read_error(status, transcript(name), {}).code == code


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"short"}', "short"),
        (b'{"message":"flat"}', "flat"),
        (b'{"object":"error","message":"flat","code":400}', "flat"),
        (b'{"detail":"of a framework"}', "of a framework"),
        (b'{"detail":[{"loc":["body"],"msg":"x"}]}', "The provider refused the request."),
        (b"<html>secret</html>", "The provider refused the request."),
        (b"", "The provider refused the request."),
        (b"[1]", "The provider refused the request."),
        (b"\xff", "The provider refused the request."),
        (b"[" * 99_999, "The provider refused the request."),
    ],
    ids=range(10),
)
def test_bodies_of_any_shape(body: bytes, message: str) -> None:
    """An error page is never shown, whatever it is."""
    assert read_error(400, body, {}).message == message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, "1"),
        ({"retry-after": "7"}, "7"),
        ({"retry-after": "0"}, "1"),
        ({"retry-after": "1.2"}, "2"),
        ({"retry-after": "99999"}, "3600"),
        ({"retry-after": "-5"}, "1"),
        ({"retry-after": "soon\r\nx: y"}, "1"),
        ({"retry-after": "9" * 500}, "1"),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "1"),
        ({"retry-after-ms": "2500"}, "3"),
        ({"retry-after": "4", "retry-after-ms": "9000"}, "4"),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 529])
def test_when_to_come_back(status: int, headers: dict[str, str], seconds: str) -> None:
    """Whole seconds from 1 to 3600; what is no number is not passed on."""
    assert read_error(status, said(), headers).headers == {"Retry-After": seconds}


def test_our_empty_account_is_not_the_callers_limit() -> None:
    """A provider that we did not pay answers 429 as well."""
    assert type(read_error(429, said(code="insufficient_quota"), {})) is UpstreamFailed


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF123456",
        "sk-ab****wxyz",
        "Bearer eyJhbGciOi",
        "AIzaSyA1234567890abcdef",
        "https://internal.example/v1/chat?key=1",
        "http://10.1.2.3:8080/x",
        "10.1.2.3:8080",
        "api.acme.example:443",
        "gpu-7.cluster.local",
        "localhost:11434",
        "[fe80::1:2:3]:80",
        "someone@acme.example",
        "org-abc123XYZ",
        "data:image/png;base64,AAAA",
        "A" * 80,
    ],
)
def test_secrets_are_taken_out_of_what_is_shown(secret: str) -> None:
    """Keys, addresses and long data, wherever they stand."""
    shown = read_error(400, said(message=f"before {secret} after, ({secret})."), {}).message

    assert secret not in shown
    assert shown.startswith("before [") and " after, (" in shown


def test_plain_words_stay() -> None:
    """Redaction leaves what helps the caller."""
    words = "Invalid 'messages[1].content': expected a string, got 5.0 at top_p (max. 1)."

    assert redact(words) == words


@given(st.text(max_size=50) | st.text("a.-@/:[]0", max_size=3_000))
def test_what_is_shown_is_one_bounded_line(message: str) -> None:
    """Without control characters."""
    shown = redact(message)

    assert len(shown) <= MESSAGE_MAX
    assert shown.isprintable()


def test_the_envelope() -> None:
    """Message, type and code; `param` only where a parameter is at fault."""
    plain = BadRequest("No.")
    named = BadRequest("No.", code="invalid_parameter", param="n")

    assert json.loads(render_error(plain, call_id="c")) == {
        "error": {"message": "No.", "type": "invalid_request_error", "code": "invalid_request"}
    }
    assert json.loads(render_error(named))["error"]["param"] == "n"
    assert render_stream_error(plain) == b"data: " + render_error(plain) + b"\n\n"
