"""What a provider's failure means to us and to the caller, read in one place.

Turns a status and an error body, or an error object inside a reply that began well, into one of our
errors. Formats differ in where the error lies, hardly in what it says, so all dialects read theirs
here. What it is not: a decision to try again; `retryable` is only what the class says.

The rule that keeps it honest: a provider's own words are passed on only where they speak of the
caller's request (400, 422), and then without keys, addresses or long data; a provider that refuses
our credential is its failure or ours, never shown as the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

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

MESSAGE_MAX = 500
"""Characters of a provider's message that a caller gets to see."""

_READ_MAX = 2_000

_CODES = {
    "context_length_exceeded": "context_length_exceeded",
    "exceed_context_size_error": "context_length_exceeded",
    "content_filter": "content_policy_violation",
    "content_policy_violation": "content_policy_violation",
    "content_policy_error": "content_policy_violation",
    "responsibleaipolicyviolation": "content_policy_violation",
    "safety": "content_policy_violation",
    "output_length_exceeded": "output_length_exceeded",
    "invalid_image": "invalid_image",
    "invalid_image_url": "invalid_image",
    "invalid_image_format": "invalid_image",
    "invalid_base64_image": "invalid_image",
    "image_too_large": "invalid_image",
    "image_parse_error": "invalid_image",
    "invalid_file_format": "invalid_file_format",
    "voice_not_supported": "voice_not_supported",
    "invalid_parameter": "invalid_parameter",
    "invalid_value": "invalid_parameter",
    "invalid_type": "invalid_parameter",
    "unknown_parameter": "invalid_parameter",
    "unsupported_parameter": "invalid_parameter",
    "unsupported_value": "invalid_parameter",
    "missing_parameter": "missing_parameter",
    "missing_required_parameter": "missing_parameter",
}
"""Codes and types that providers use, lower case, to the codes of our manual."""

_STATUSES = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "requests": 429,
    "tokens": 429,
    "too_many_requests": 429,
    "resource_exhausted": 429,
    "overloaded_error": 529,
    "overloaded": 529,
    "model_overloaded": 529,
    "engine_overloaded": 529,
    "service_unavailable": 503,
    "unavailable": 503,
    "request_too_large": 413,
    "timeout": 408,
    "timeout_error": 408,
    "request_timeout": 408,
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "invalid_argument": 400,
}
"""Types and codes of errors that come without an HTTP status, inside a reply, to one."""

_TOO_LONG = re.compile(
    r"context (?:length|window|size)|prompt is too long|too many tokens", re.IGNORECASE
)
_PARAM = re.compile(r"[A-Za-z_][\w.\[\]-]{0,99}")

_SECRETS = (
    (re.compile(r"\bbearer\s+\S+", re.IGNORECASE), "[key]"),
    (re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|api|key|org|proj)[-_][\w*.-]{4,}"), "[key]"),
    (re.compile(r"\b(?:AIza|AKIA|ya29)[\w*.-]{8,}"), "[key]"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*:(?://|[^\s,]*;base64,)\S+", re.IGNORECASE), "[address]"),
    (re.compile(r"[\w.+-]{1,64}@\S+"), "[address]"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "[address]"),
    (
        re.compile(r"\[?\b[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,}\]?(?::\d+)?", re.IGNORECASE),
        "[address]",
    ),
    (
        re.compile(
            r"\b(?:localhost|(?:[a-z0-9-]+\.)+(?:ai|app|azure|cloud|cn|co|com|dev|example|eu|internal"
            r"|io|lan|local|net|org|svc|tech|test|us))\b(?::\d+)?(?:/\S*)?",
            re.IGNORECASE,
        ),
        "[address]",
    ),
    (re.compile(r"[A-Za-z0-9+/=_-]{40,}"), "[data]"),
)


class Complaint(msgspec.Struct, frozen=True):
    """What an error object says, of whatever shape it is."""

    message: str = ""
    words: tuple[str, ...] = ()
    """Its type, code and status, as lower-case strings."""
    param: str | None = None
    status: int = 0


def read_error(status: int, body: bytes, headers: Mapping[str, str]) -> AperturaError:
    """A provider's reply that is not 200. Header names in lower case."""
    try:
        said = _complaint(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = Complaint()
    return _error(status, said, headers)


def error_within(error: object) -> AperturaError:
    """The `error` member of a stream's event or of a reply whose status was 200."""
    said = _complaint({"error": error})
    return _error(said.status, said, {})


def is_error(error: object) -> bool:
    """Whether an `error` member says anything; some providers add one that is empty throughout."""
    if isinstance(error, dict):
        return any(error.values())
    return bool(error)


def redact(message: str) -> str:
    """A provider's words without keys, addresses and long data, on one line, within bounds."""
    text = " ".join(message[:_READ_MAX].split())
    text = "".join(letter for letter in text if letter.isprintable())
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text if len(text) <= MESSAGE_MAX else text[: MESSAGE_MAX - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> dict[str, str]:
    """Our `Retry-After` header, in whole seconds from 1 to 3600, from what the provider said."""
    seconds = _number(headers.get("retry-after"))
    if seconds is None:
        milliseconds = _number(headers.get("retry-after-ms"))
        seconds = 1.0 if milliseconds is None else milliseconds / 1000
    return {"Retry-After": str(int(max(1.0, min(-(-seconds // 1), 3600.0))))}


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text.strip(), re.ASCII):
        return None
    return float(text)


def _error(status: int, said: Complaint, headers: Mapping[str, str]) -> AperturaError:
    """The error of ours that a status and a complaint amount to."""
    if status in (400, 422):
        return _bad_request(said)
    if status == 413:
        return TooLarge("The request is larger than the provider of this model accepts.")
    if status == 408:
        return Stalled("The provider took too long.")
    if status == 429 and "insufficient_quota" not in said.words:
        message = "The provider of this model limits requests; try again later."
        return RateLimited(message, headers=retry_after(headers))
    if status in (503, 529):
        message = "The provider of this model has no room now; try again later."
        return Overloaded(message, headers=retry_after(headers))
    return UpstreamFailed("The provider of this model failed to answer.")


def _bad_request(said: Complaint) -> BadRequest:
    code = next((_CODES[word] for word in said.words if word in _CODES), None)
    if code is None and _TOO_LONG.search(said.message[:_READ_MAX]):
        code = "context_length_exceeded"
    message = redact(said.message) or "The provider refused the request."
    if code == "content_policy_violation":
        return ContentPolicy(message, param=said.param)
    return BadRequest(message, code=code, param=said.param)


def _complaint(document: object) -> Complaint:
    """Reads an error document of any shape that is in use."""
    if not isinstance(document, dict):
        return Complaint()
    error = document.get("error", document)
    if isinstance(error, str):
        return Complaint(message=error)
    if not isinstance(error, dict):
        return Complaint()
    inner = error.get("innererror")
    said = [error.get(name) for name in ("code", "type", "status")]
    said.append(inner.get("code") if isinstance(inner, dict) else None)
    words = tuple(word.lower() for word in said if isinstance(word, str))
    param = error.get("param")
    known = isinstance(param, str) and _PARAM.fullmatch(param) is not None
    return Complaint(
        message=_message(error),
        words=words,
        param=param if known else None,
        status=_status(said, words),
    )


def _message(error: dict[str, object]) -> str:
    for name in ("message", "detail", "msg"):
        if isinstance(text := error.get(name), str):
            return text
    return ""


def _status(said: list[object], words: tuple[str, ...]) -> int:
    """The HTTP status that an error object implies; 502 where it implies none."""
    for number in said:
        if isinstance(number, str) and number.isdecimal() and len(number) == 3:
            number = int(number)
        if isinstance(number, int) and 400 <= number <= 599:
            return number
    if any(word in _CODES for word in words):
        return 400
    return next((_STATUSES[word] for word in words if word in _STATUSES), 502)
