"""What the plain JSON endpoints share: the way in, and the way out.

The rule that keeps it honest: every endpoint under /v1 enters through `enter`, so that none is
without a key and limits.
"""

from __future__ import annotations

import msgspec

from apertura.api.calls import reply_head
from apertura.api.parts import Parts
from apertura.domain.identity import Caller
from apertura.errors import AperturaError
from apertura.relay.exchange import Exchange, Head
from apertura.relay.relay import JSON

_encode = msgspec.json.Encoder(decimal_format="number").encode


async def enter(parts: Parts, exchange: Exchange, *, any_key: bool = False) -> tuple[Caller, Head]:
    """The caller, counted against its limits, and the head of the reply. `any_key`: admin keys,
    which make no calls, are welcome too.
    """
    caller, address = await parts.callers.identify(exchange, managing=any_key)
    standing = parts.admission.admit(caller, address, "")
    return caller, reply_head(exchange, standing)


def failure(error: AperturaError, rendered: bytes) -> bytes:
    """An error in the envelope of the paths under /api, which holds the public API's as well."""
    return b'{"success":false,"message":%b,%b' % (_encode(error.message), rendered[1:])


def reply_json(
    exchange: Exchange, value: object, head: Head | None = None, *, status: int = 200
) -> None:
    """Answer with JSON; Decimals become numbers, exactly."""
    rest = reply_head(exchange, None) if head is None else head
    exchange.respond(status, JSON + rest, _encode(value))
