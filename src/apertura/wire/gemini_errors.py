"""How an error is said in Gemini's format, to callers and by Google.

What it is not: the meaning of most failures; `provider_errors` has that, and here is only what
Google says in ways of its own: the waiting time inside the body, a bad key as status 400.

The rule that keeps it honest: Google's envelope, `error` with code, message, status and details,
and the details are of the kinds that Google documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from apertura.errors import AperturaError, BadRequest, Overloaded, RateLimited, UpstreamFailed
from apertura.wire import provider_errors, sse
from apertura.wire.openai_chunks import any_json

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
}
_RPC = "type.googleapis.com/google.rpc."
_OUR_FAULT = frozenset({"FAILED_PRECONDITION", "PERMISSION_DENIED", "UNAUTHENTICATED"})
"""Statuses that speak of our key, our project or our place, whatever their code."""
_KEY_REASONS = ("API_KEY_", "CONSUMER_", "SERVICE_DISABLED", "BILLING_")
_TOO_LONG = re.compile(r"input token count.{0,60}exceeds the maximum", re.IGNORECASE | re.DOTALL)
_WAIT = re.compile(r"(\d{1,5})(?:\.\d{1,9})?s")
_encode = msgspec.json.Encoder().encode


def render_error(error: AperturaError, *, call_id: str = "") -> bytes:
    """The body of an error reply; the call's id has its place in a header, not here."""
    del call_id
    said = {
        "code": error.status,
        "message": error.message,
        "status": _STATUSES.get(error.status, "UNKNOWN"),
        "details": _details(error),
    }
    return _encode({"error": said})


def render_stream_error(error: AperturaError) -> bytes:
    """An error inside a stream, which ends with it."""
    return sse.frame(render_error(error))


def _details(error: AperturaError) -> list[dict[str, Any]]:
    info = {"reason": error.code.upper(), "domain": "apertura"}
    details: list[dict[str, Any]] = [{"@type": f"{_RPC}ErrorInfo", **info}]
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_RPC}BadRequest", "fieldViolations": [violation]})
    if (seconds := error.headers.get("Retry-After")) is not None:
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": f"{seconds}s"})
    return details


def read_error(status: int, body: bytes, headers: Mapping[str, str]) -> AperturaError:
    """A provider's reply that is not 200; header names in lower case."""
    try:
        found = any_json(body)[0]
    except AperturaError:
        return provider_errors.read_error(status, body, headers)
    if isinstance(found, list) and found:  # a stream that is no stream of events
        found = found[0]
        body = _encode(found)
    error = found.get("error") if isinstance(found, dict) else None
    plain = provider_errors.read_error(status, body, _with_wait(headers, error))
    return _closer(plain, error)


def error_within(error: object) -> AperturaError:
    """The `error` member of a stream's event, or of a reply whose status was 200."""
    plain = provider_errors.error_within(error)
    headers = _with_wait({}, error)
    if headers and isinstance(plain, RateLimited | Overloaded):
        plain = type(plain)(plain.message, headers=provider_errors.retry_after(headers))
    return _closer(plain, error)


def _closer(plain: AperturaError, error: object) -> AperturaError:
    """The error that is meant, where Google says it in its own way."""
    if not isinstance(plain, BadRequest) or not isinstance(error, dict):
        return plain
    reasons = [str(detail.get("reason", "")) for detail in _found_details(error)]
    status = error.get("status")
    if (isinstance(status, str) and status in _OUR_FAULT) or any(map(_is_of_key, reasons)):
        return UpstreamFailed("The provider of this model failed to answer.")
    if _TOO_LONG.search(str(error.get("message", ""))[:2_000]):
        return BadRequest(plain.message, code="context_length_exceeded", param=plain.param)
    return plain


def _is_of_key(reason: str) -> bool:
    return reason.startswith(_KEY_REASONS)


def _with_wait(headers: Mapping[str, str], error: object) -> Mapping[str, str]:
    """The headers, and in them the waiting time that the body asks for."""
    if "retry-after" in headers or not isinstance(error, dict):
        return headers
    for detail in _found_details(error):
        wait = _WAIT.fullmatch(str(detail.get("retryDelay", "")))
        if wait is not None:
            return {**headers, "retry-after": str(int(wait[1]) + 1)}
    return headers


def _found_details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    found = details if isinstance(details, list) else []
    return [detail for detail in found if isinstance(detail, dict)]
