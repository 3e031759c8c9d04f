"""What Amazon Bedrock's failures mean: as a reply, and as an exception inside a stream.

What it is not: the meaning of most of them; `provider_errors` has that. The rule that keeps it
honest: a limit of our own account is never shown as a fault of the caller's request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from apertura.errors import AperturaError, BadRequest, RateLimited
from apertura.wire import provider_errors

_STATUSES = {
    "throttlingException": 429,
    "modelNotReadyException": 429,
    "serviceQuotaExceededException": 429,
    "serviceUnavailableException": 503,
    "validationException": 400,
    "modelTimeoutException": 408,
}
"""Of exceptions inside a stream; all others are the provider's own failure."""
_TOO_LONG = re.compile(r"input is too long|too many input tokens", re.IGNORECASE)


def read_error(status: int, body: bytes, headers: Mapping[str, str]) -> AperturaError:
    """A provider's reply that is not 200; header names in lower case."""
    if headers.get("x-amzn-errortype", "").startswith("ServiceQuotaExceeded"):
        status = 429  # a limit of our account, not a fault of the request
    error = provider_errors.read_error(status, body, headers)
    if isinstance(error, BadRequest) and _TOO_LONG.search(error.message):
        return BadRequest(error.message, code="context_length_exceeded")
    return error


def exception(name: str, payload: bytes) -> AperturaError:
    """An exception inside a stream."""
    known = name[:1].lower() + name[1:]
    error = read_error(_STATUSES.get(known, 500), payload, {})
    if isinstance(error, RateLimited) and known == "modelNotReadyException":
        return provider_errors.read_error(503, payload, {})
    return error
