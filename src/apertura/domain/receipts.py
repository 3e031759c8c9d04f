"""The receipt of one call: what it used and cost, in a form that can be signed.

A receipt is JSON of a fixed shape; what is signed are its canonical bytes: keys in the order of
their letters, no spaces, UTF-8, text and whole numbers only (as RFC 8785 has it for such values).
So anybody who has the JSON, however it is laid out, can make the signed bytes again.

    {"algorithm": "Ed25519", "key": "<id of the key>", "receipt": {...}, "signature": "<hex>"}

What it is not: signing (`documents.signing`). The rule that keeps it honest: what is verified are
the bytes made of all that the receipt says, fields of later versions too; nothing in it is shown
as genuine that is not under the signature.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

ALGORITHM = "Ed25519"
VERSION = 1
TOKENS = (
    *("input", "cache_read", "cache_write", "cache_write_1h", "audio_input"),
    *("output", "reasoning", "audio_output", "image_output"),
)
"""What a call's usage consists of: the names of its counts."""
LARGEST = 64 * 1024
"""Bytes of a receipt; no genuine one is near it."""
_INTEGER_MAX = 2**63 - 1


class NotGenuine(ValueError):
    """It is no receipt, or not one that this key signed; the message says which."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a call. Times in ms, `cost` in nano-dollars, `credits` in thousandths; 0 and
    1 where something is so or not; `usage` has a count for each of `TOKENS`.
    """

    call: str
    organization: str
    key: str
    model: str
    provider: str
    offer: str
    operation: str
    outcome: str
    status: int
    attempts: int
    streamed: int
    started_ms: int
    total_ms: int
    usage: Mapping[str, int]
    estimated: int
    price: str
    cost: int
    credits: int
    payer: str
    version: int = VERSION


Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]
"""Whether a signature (second) is under these bytes (first)."""


def receipt_of(row: Any) -> Receipt:
    """The receipt of a usage row (whatever has its fields)."""
    return Receipt(
        call=row.call_id,
        organization=row.org_id,
        key=row.key_id,
        model=row.model,
        provider=row.provider,
        offer=row.offer,
        operation=row.operation,
        outcome=row.outcome,
        status=row.status,
        attempts=row.attempts,
        streamed=int(row.streamed),
        started_ms=row.started_ms,
        total_ms=row.total_ms,
        usage={name: getattr(row, name) for name in TOKENS},
        estimated=int(row.estimated),
        price=row.price_id,
        cost=row.cost,
        credits=row.credits,
        payer=row.payer,
    )


def as_said(receipt: Receipt) -> dict[str, Any]:
    """What a receipt says, as JSON has it."""
    said: dict[str, Any] = msgspec.to_builtins(receipt)
    return said


def canonical(value: Mapping[str, Any]) -> bytes:
    """The bytes that are signed.

    Raises: NotGenuine: there is something in it that is neither text, whole number nor object.
    """
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise NotGenuine("it holds half of a character") from None


def signed(receipt: Receipt, key: str, sign: Sign) -> bytes:
    """The receipt with its signature, as one line of JSON. `key` is the id of the key."""
    said = as_said(receipt)
    signature = sign(canonical(said)).hex()
    whole = {"algorithm": ALGORITHM, "key": key, "receipt": said, "signature": signature}
    return canonical(whole)


def opened(data: bytes, keys: Mapping[str, Verify]) -> dict[str, Any]:
    """What a signed receipt says, once the signature of one of these keys (by id) is found to be
    genuine.

    Raises: NotGenuine.
    """
    whole = _parse(data)
    if set(whole) != {"algorithm", "key", "receipt", "signature"}:
        raise NotGenuine("it has not the four fields of a signed receipt")
    said, signature = whole["receipt"], whole["signature"]
    if whole["algorithm"] != ALGORITHM or not isinstance(said, dict):
        raise NotGenuine(f"it is no receipt signed with {ALGORITHM}")
    if not (isinstance(signature, str) and re.fullmatch("[0-9a-f]{128}", signature, re.ASCII)):
        raise NotGenuine("its signature is not 128 hex digits")
    verify = keys.get(whole["key"]) if isinstance(whole["key"], str) else None
    if verify is None:
        raise NotGenuine(f"it was signed with the key {whole['key']!r}, which is not known here")
    if not verify(canonical(said), bytes.fromhex(signature)):
        raise NotGenuine("the signature is not under what it says")
    return said


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > LARGEST:
        raise NotGenuine("it is too long for a receipt")
    try:
        whole = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise NotGenuine("it is not JSON, or names a field twice") from None
    if not isinstance(whole, dict):
        raise NotGenuine("it is no JSON object")
    return whole


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands there twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _check(value: object) -> None:
    if isinstance(value, Mapping):
        for inner in value.values():
            _check(inner)
    elif isinstance(value, bool) or not isinstance(value, str | int):
        raise NotGenuine("it holds what is neither text, whole number nor object")
    elif isinstance(value, int) and abs(value) > _INTEGER_MAX:
        raise NotGenuine("it holds a number that is too large")
