"""Everything that can go wrong for a caller, as one tree.

    AperturaError
    ├── BadRequest            400  invalid_request_error
    │   └── ContentPolicy          the provider refused what was asked: content_policy_error
    ├── AuthenticationFailed  401  authentication_error
    ├── PaymentRequired       402  billing_error
    ├── Forbidden             403  permission_error
    ├── NotFound              404  invalid_request_error
    ├── MethodNotAllowed      405  invalid_request_error
    ├── BudgetSpent           408  timeout
    ├── Repeated              409  invalid_request_error
    ├── TooLarge              413  invalid_request_error
    ├── RateLimited           429  rate_limit_error
    ├── Internal              500  server_error
    ├── UpstreamFailed        502  server_error
    │   ├── Unreachable            no connection to the provider
    │   ├── Cut                    the connection died in the middle of a reply
    │   ├── Garbled                the provider sent what its format does not allow
    │   └── Stalled                one of the four timers of an attempt ran out
    └── Unavailable           503  server_error
        └── Overloaded             the provider says that it has no room

A class has a status, a type and a default code; its docstring is its entry in the manual. An
instance has a message for the caller, a stable code and perhaps the parameter at fault. Errors do
not render themselves: each dialect has a `render_error`, and one handler picks by URL.

The rule that keeps it honest: a message never holds a key, a prompt or a provider's address.
"""

from __future__ import annotations

from typing import ClassVar


class AperturaError(Exception):
    """The root. `retryable` means: another offer, or the same one later, may well answer."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.headers = headers or {}


class BadRequest(AperturaError):
    """The request cannot be understood, or a value in it is not allowed; `param` names it."""

    status = 400
    type = "invalid_request_error"
    default_code = "invalid_request"


class ContentPolicy(BadRequest):
    """The provider refused the request because of its content policy."""

    type = "content_policy_error"
    default_code = "content_policy_violation"


class AuthenticationFailed(AperturaError):
    """No key, an unknown, deleted or disabled key, or one that has expired."""

    status = 401
    type = "authentication_error"
    default_code = "invalid_api_key"


class PaymentRequired(AperturaError):
    """A quota, a budget or the balance is used up."""

    status = 402
    type = "billing_error"
    default_code = "insufficient_balance"


class Forbidden(AperturaError):
    """The key is good, but may not do this: its address, its models, its organization."""

    status = 403
    type = "permission_error"
    default_code = "access_denied"


class NotFound(AperturaError):
    """No such model, endpoint or object, or none that this caller may see."""

    status = 404
    type = "invalid_request_error"
    default_code = "endpoint_not_found"


class MethodNotAllowed(AperturaError):
    """The path exists, but not with this HTTP method; the `Allow` header names those that do."""

    status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"


class BudgetSpent(AperturaError):
    """The call's whole time budget (`X-Timeout`) ran out before the first content."""

    status = 408
    type = "timeout"
    default_code = "request_timeout"


class Repeated(AperturaError):
    """The call was made before, under the same `Idempotency-Key`, and its reply is not at hand: it
    still runs elsewhere, or was not kept. Nothing is charged.
    """

    status = 409
    type = "invalid_request_error"
    default_code = "idempotency_in_progress"


class TooLarge(AperturaError):
    """The request's body is larger than this installation accepts."""

    status = 413
    type = "invalid_request_error"
    default_code = "request_too_large"


class RateLimited(AperturaError):
    """A limit per address, key or model was reached, here or at the provider.

    `Retry-After` says how many seconds to wait.
    """

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    retryable = True


class Internal(AperturaError):
    """A fault of ours. The request id finds it in the log."""


class UpstreamFailed(AperturaError):
    """The provider could not be reached, failed, or sent a bad reply. Nothing is charged."""

    status = 502
    default_code = "upstream_error"
    retryable = True


class Unreachable(UpstreamFailed):
    """No connection to the provider could be made: refused, no such host, TLS not verified."""


class Cut(UpstreamFailed):
    """The provider's connection ended before its reply did."""


class Garbled(UpstreamFailed):
    """The provider sent what its format does not allow, or an answer past our bounds."""


class Stalled(UpstreamFailed):
    """The provider took too long to connect, to begin, or between two pieces."""


class Unavailable(AperturaError):
    """This installation cannot serve right now (its database, say). `Retry-After` is set."""

    status = 503
    default_code = "service_unavailable"
    retryable = True


class Overloaded(Unavailable):
    """The provider of this model says that it has no room now."""

    default_code = "model_overloaded"
