"""The pieces of an answer in the Messages format, as types, and what of them can be understood.

Each event of a stream, and a whole reply, is decoded once into the fields that we act on; what does
not fit is read again with care. What it is not: what the pieces add up to (`anthropic_blocks`).

The rule that keeps it honest: whatever the bytes, reading them ends in a piece, in `Garbled`, or in
the error that they report.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from apertura.errors import Garbled
from apertura.wire import faults
from apertura.wire.anthropic_usage import Report, lenient_report
from apertura.wire.openai_chunks import any_json
from apertura.wire.provider_errors import error_within, is_error


class Delta(Struct, gc=False):
    """`delta` of a block or of the message."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Block(Struct, gc=False):
    """A content block, begun or whole."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw(b"")
    citations: list[dict[str, Any]] | None = None


class Message(Struct, gc=False):
    """A whole reply, or the beginning of a stream."""

    type: str = ""
    id: str | None = None
    model: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Report | None = None
    error: Raw = Raw(b"")


class StreamEvent(Struct, gc=False):
    """One event of a stream."""

    type: str = ""
    index: int = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: Message | None = None
    usage: Report | None = None
    error: Raw = Raw(b"")


_decode_event = msgspec.json.Decoder(StreamEvent).decode
_decode_message = msgspec.json.Decoder(Message).decode


def read_event(data: bytes) -> StreamEvent:
    """One event's data. Raises: Garbled, or the error that it reports."""
    try:
        data.isascii() or data.decode()
        event = _decode_event(data)
    except faults.NOT_READ:
        return _loose_event(_object(data))
    _check_error(event.error)
    return event


def read_message(body: bytes) -> Message:
    """A whole reply. Raises: Garbled, or the error that it holds."""
    try:
        body.isascii() or body.decode()
        message = _decode_message(body)
    except faults.NOT_READ:
        return _loose_message(_object(body))
    _check_error(message.error)
    return message


def _check_error(found: Raw) -> None:
    if bytes(found) not in (b"", b"null"):
        error = any_json(found)[0]
        if is_error(error):
            raise error_within(error)


def _object(data: bytes) -> dict[str, Any]:
    found = any_json(data)[0]
    if not isinstance(found, dict):
        raise Garbled("The provider sent something that is not a part of an answer.")
    if is_error(found.get("error")):
        raise error_within(found["error"])
    return found


def _loose_event(found: dict[str, Any]) -> StreamEvent:
    index, delta, block = (found.get(name) for name in ("index", "delta", "content_block"))
    message = found.get("message")
    return StreamEvent(
        type=_text(found.get("type")) or "",
        index=index if isinstance(index, int) else 0,
        delta=_loose_delta(delta) if isinstance(delta, dict) else None,
        content_block=_loose_block(block) if isinstance(block, dict) else None,
        message=_loose_message(message) if isinstance(message, dict) else None,
        usage=lenient_report(found.get("usage")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _loose_delta(found: dict[str, Any]) -> Delta:
    citation = found.get("citation")
    return Delta(
        **{name: _text(found.get(name)) for name in Delta.__struct_fields__ if name != "citation"},
        citation=citation if isinstance(citation, dict) else None,
    )


def _loose_block(found: dict[str, Any]) -> Block:
    cited, given = found.get("citations"), found.get("input")
    texts = [name for name in Block.__struct_fields__ if name not in ("type", "input", "citations")]
    return Block(
        type=_text(found.get("type")) or "",
        input=Raw(msgspec.json.encode(given)) if isinstance(given, dict) else Raw(b""),
        citations=[one for one in cited if isinstance(one, dict)]
        if isinstance(cited, list)
        else None,
        **{name: _text(found.get(name)) for name in texts},
    )


def _loose_message(found: dict[str, Any]) -> Message:
    content = found.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    blocks = content if isinstance(content, list) else []
    return Message(
        id=_text(found.get("id")),
        model=_text(found.get("model")),
        content=[_loose_block(block) for block in blocks if isinstance(block, dict)]
        if isinstance(content, list)
        else None,
        stop_reason=_text(found.get("stop_reason")),
        stop_sequence=_text(found.get("stop_sequence")),
        usage=lenient_report(found.get("usage")),
    )
