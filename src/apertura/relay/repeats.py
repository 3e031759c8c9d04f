"""What is said to a call that repeats another one, where it does not get that one's reply.

What it is not: the finding of the other call (`idempotency`). The rule that keeps it honest: each
refusal says what became of the first call, as far as anybody knows, and what to do next.
"""

from __future__ import annotations

from apertura.domain.money import Nano, format_usd
from apertura.errors import AperturaError, BadRequest, Repeated
from apertura.store.idempotency import Earlier, Reply

WAIT_SECONDS = "1"
NANO_PER_THOUSANDTH = 1_000_000
"""Credits are printed as dollars are, and kept in thousandths."""


def reply_of(earlier: Earlier, body: str) -> Reply:
    """The stored reply of the call that has the key. Raises: BadRequest, Repeated."""
    if earlier.body != body:
        raise reused()
    if earlier.reply is not None:
        return earlier.reply
    raise in_progress(earlier.call_id) if earlier.outcome is None else gone(earlier)


def malformed() -> AperturaError:
    """The header is no key."""
    return BadRequest(
        "Idempotency-Key must be 1 to 255 printable ASCII characters.",
        code="invalid_parameter",
        param="Idempotency-Key",
    )


def reused() -> AperturaError:
    """The key is of another request."""
    return BadRequest(
        "This Idempotency-Key was used for another request. Use a new key for a new request.",
        code="idempotency_key_reused",
        param="Idempotency-Key",
    )


def in_progress(call_id: str) -> AperturaError:
    """It runs elsewhere, or nobody knows yet how it ended."""
    return Repeated(
        f"The first call with this Idempotency-Key ({call_id}) has not ended, or its worker has "
        "not said yet how. Ask again for its result; a new key makes a new call.",
        code="idempotency_in_progress",
        headers={"Retry-After": WAIT_SECONDS, "X-Original-Request-Id": call_id},
    )


def gone(earlier: Earlier) -> AperturaError:
    """It was answered, and its reply is not kept. SDKs need not try again."""
    cost = format_usd(Nano(earlier.cost))
    headers = {
        "X-Original-Request-Id": earlier.call_id,
        "X-Cost-USD": cost,
        "X-Should-Retry": "false",
    }
    spent = f"{cost} USD"
    if earlier.credits:
        headers["X-Credits"] = format_usd(Nano(earlier.credits * NANO_PER_THOUSANDTH))
        spent += f" and {headers['X-Credits']} credits"
    return Repeated(
        f"The first call with this Idempotency-Key ({earlier.call_id}) was answered and cost "
        f"{spent}, but its reply is no longer kept. Nothing was charged for asking "
        "again; a new key makes a new call, which is charged.",
        code="idempotency_result_gone",
        headers=headers,
    )
