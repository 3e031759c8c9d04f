"""Signed receipts of single calls: GET /v1/receipts/{id}, and the keys that verify them.

The keys stand where anybody may read them, so that a receipt can be checked by somebody who has no
key of ours, and offline by whoever has kept them. What it is not: signing (`documents.signing`).

The rule that keeps it honest: a receipt is made of the call's row in the books, after all that is
settled was written there.
"""

from __future__ import annotations

from typing import Any

from apertura.api.parts import Parts
from apertura.api.reply import enter, reply_json
from apertura.domain import receipts as form
from apertura.errors import NotFound
from apertura.relay.exchange import Exchange
from apertura.relay.relay import JSON
from apertura.settings import Settings
from apertura.store import receipts


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/receipts/{id}: the receipt of a call of the key's organization, signed."""
    from apertura.documents.signing import Signer, key_id  # its library takes 50 ms to import

    caller, head = await enter(parts, exchange, any_key=True)
    call_id = exchange.path.rpartition("/receipts/")[2]
    await parts.settlement.flush()
    row = await receipts.find(parts.database, call_id, caller.org_id)
    if row is None:
        raise NotFound(
            f"There is no call {call_id!r} of this organization. A call's id is the x-request-id "
            "of its reply.",
            code="receipt_not_found",
        )
    signer = Signer(parts.settings.secret)
    made = form.signed(form.receipt_of(row), key_id(signer.public), signer.sign)
    exchange.respond(200, JSON + head, made)


async def show_keys(parts: Parts, exchange: Exchange) -> None:
    """GET /.well-known/apertura-receipts.json: the public keys, the present one first."""
    reply_json(exchange, {"keys": public_keys(parts.settings)})


def public_keys(settings: Settings) -> list[dict[str, Any]]:
    """Those under which receipts of this installation may be signed."""
    from apertura.documents.signing import Signer, key_id

    present = Signer(settings.secret).public
    earlier = [bytes.fromhex(text) for text in settings.receipt_keys]
    keys = [(present, "present"), *((key, "earlier") for key in earlier if key != present)]
    return [
        {
            "id": key_id(public),
            "algorithm": form.ALGORITHM,
            "public_key": public.hex(),
            "status": status,
        }
        for public, status in keys
    ]
