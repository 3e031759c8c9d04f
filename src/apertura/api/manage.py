"""The way into the endpoints that manage an organization, and their envelope.

They are for admin keys (`sk-admin_…`), which make no calls; keys that make calls manage nothing,
but for the endpoints under /v1 that clients know and that `reply.enter` lets them into. What it is
not: an endpoint.

The rule that keeps it honest: every management endpoint enters here, and what it reads or changes
it finds by the organization of the caller that it gets here; what belongs to another organization
is answered as what does not exist.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from apertura.api.calls import reply_head
from apertura.api.parts import Parts
from apertura.api.reply import reply_json
from apertura.domain import keys
from apertura.domain.identity import Caller
from apertura.errors import BadRequest, Forbidden, NotFound, TooLarge
from apertura.relay.exchange import Exchange, Head
from apertura.store.counters import QUERIES

T = TypeVar("T")

AREAS = {
    "keys": "keys",
    "log": "usage",
    "log.csv": "usage",
    "usage": "usage",
}
"""The area (`domain.keys.AREAS`) of a path by what stands after /api/; of all others, billing."""
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")


async def enter(
    parts: Parts, exchange: Exchange, *, write: bool = False, query: bool = False
) -> tuple[Caller, Head]:
    """The admin key's caller, counted against its limits, and the head of the reply. `write`: the
    endpoint changes something; `query`: it asks for rows or sums of usage, of which there may be
    fewer in a minute.

    Raises: AuthenticationFailed, Forbidden (no admin key, or one restricted to other things),
        RateLimited, Unavailable.
    """
    caller, address = await parts.callers.identify(exchange, managing=True)
    standing = parts.admission.admit(caller, address, QUERIES if query else "")
    head = reply_head(exchange, standing)
    if caller.kind != "admin":
        raise Forbidden(
            "This API key makes calls and manages nothing. Use an admin key (sk-admin_…) of the "
            "organization here; `apertura keys create --admin` makes one."
        )
    keys.check_scope(caller.policy, _area_of(exchange.path), write=write)
    return caller, head


def _area_of(path: str) -> str:
    return AREAS.get(path.removeprefix("/api/").partition("/")[0], "billing")


def reply_data(
    exchange: Exchange, data: object, head: Head | None = None, *, status: int = 200
) -> None:
    """Answer in the envelope of the paths under /api."""
    reply_json(exchange, {"success": True, "data": data}, head, status=status)


def read_body(parts: Parts, exchange: Exchange, shape: type[T]) -> T:
    """The body as a struct; it is to forbid unknown fields, so that none is taken silently.

    Raises: BadRequest, which names the field; TooLarge.
    """
    if exchange.oversized:
        raise TooLarge(
            f"The request's body is larger than {parts.settings.max_body_mb} MiB, "
            "the most that this installation accepts."
        )
    try:
        return msgspec.json.decode(exchange.body, type=shape)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest("The body must be a JSON object.") from None


def _refusal(said: str) -> BadRequest:
    """What a body of the wrong shape is refused with, from the decoder's own words."""
    place = _PLACE.search(said)
    inside = place.group(1) if place else ""
    if unknown := _UNKNOWN.search(said):
        name = _joined(inside, unknown.group(1))
        message = f"{name!r} is not a field that can be set here."
        return BadRequest(message, code="invalid_parameter", param=name)
    if missing := _MISSING.search(said):
        name = _joined(inside, missing.group(1))
        return BadRequest(f"{name!r} is required.", code="missing_parameter", param=name)
    if not inside:
        return BadRequest("The body must be a JSON object.")
    message = f"{inside!r} does not fit: {_PLACE.sub('', said)}."
    return BadRequest(message, code="invalid_parameter", param=inside)


def _joined(inside: str, name: str) -> str:
    return f"{inside}.{name}" if inside else name


def query_of(exchange: Exchange, known: Sequence[str]) -> dict[str, str]:
    """The parameters of the query. Raises: BadRequest, for one that is not known here or stands
    there twice: what is not understood must not look as if it had been heeded.
    """
    pairs = parse_qsl(exchange.query.decode("latin-1"), keep_blank_values=True)
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known or name in found:
            why = "stands there twice" if name in found else f"is not one of {', '.join(known)}"
            raise BadRequest(f"The parameter {name!r} {why}.", code="invalid_parameter", param=name)
        found[name] = value
    return found


def read_value(
    query: dict[str, str], name: str, default: T, read: Callable[[str], T], wants: str
) -> T:
    """One parameter; `read` raises ValueError. Raises: BadRequest, which says what it `wants`."""
    if name not in query:
        return default
    try:
        return read(query[name])
    except (ValueError, OverflowError):
        raise BadRequest(f"{name} must be {wants}.", code="invalid_parameter", param=name) from None


def whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number within bounds; both belong to them."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise ValueError(text)
        if not least <= (number := int(text)) <= most:
            raise ValueError(text)
        return number

    return read


def last_part(exchange: Exchange, after: str, before: str = "") -> str:
    """The id in a path: what stands after one text and before another at the end."""
    return exchange.path.partition(after)[2].removesuffix(before)


def not_found(what: str, name: str) -> NotFound:
    """There is none such, or not in this organization: nobody learns which."""
    return NotFound(f"There is no {what} {name!r} in this organization.", code="not_found")


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def moment(ms: int) -> str:
    """Milliseconds since 1970 as `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat().replace("+00:00", "Z")
