"""How an error is said to callers of the Messages format.

What it is not: the choice of words; an error brings its own message. The rule that keeps it honest:
the published envelope with one of its published types, so that SDKs raise what their users catch;
our stable code, the parameter and the call's id are additions that no SDK stumbles over.
"""

from __future__ import annotations

import msgspec

from apertura.errors import AperturaError
from apertura.wire import sse

_encode = msgspec.json.Encoder().encode

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""What a status is called; others of the caller's are invalid requests, others of ours failures."""


def render_error(error: AperturaError, *, call_id: str = "") -> bytes:
    """The body of an error reply."""
    other = "invalid_request_error" if error.status < 500 else "api_error"
    said = {
        "type": _TYPES.get(error.status, other),
        "message": error.message,
        "code": error.code,
    }
    if error.param is not None:
        said["param"] = error.param
    body: dict[str, object] = {"type": "error", "error": said}
    if call_id:
        body["request_id"] = call_id
    return _encode(body)


def render_stream_error(error: AperturaError) -> bytes:
    """An error inside a stream; no `message_stop` follows it."""
    return sse.frame(render_error(error), b"error")
