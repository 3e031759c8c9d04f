"""What the tests of the Messages format share: its transcripts, events of a stream, requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from apertura.wire.anthropic_messages import decoder, understand
from apertura.wire.anthropic_messages import parse as parse_body
from apertura.wire.chat import Chat
from apertura.wire.dialect import CallFacts
from apertura.wire.events import Event, Failed
from apertura.wire.sse import Reader
from tests.wire.said import HI

TRANSCRIPTS = Path(__file__).parent / "transcripts" / "anthropic_messages"
STREAMS = sorted(path.stem for path in TRANSCRIPTS.glob("*.sse"))
CALL = CallFacts(id="0199", created=7, model="asked-for", include_usage=True)

FRAMINGS = {
    "canonical": lambda data: data,
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "cr": lambda data: data.replace(b"\n", b"\r"),
    "no space": lambda data: data.replace(b"data: ", b"data:").replace(b"event: ", b"event:"),
    "comments": lambda data: b": hi\n\n" + data.replace(b"\n\n", b"\n: ping\n\n: pong\n\n"),
    "without names": lambda data: b"".join(
        line + b"\n" for line in data.splitlines() if not line.startswith(b"event: ")
    ),
    "many lines": lambda data: data.replace(b'data: {"type"', b'data: {\ndata: "type"'),
}
"""The same events, framed in the other ways that the standard allows."""


def transcript(name: str) -> bytes:
    """A stream or a whole reply."""
    return (TRANSCRIPTS / name).read_bytes()


def decoded(*reads: bytes) -> list[Event]:
    """All events of a stream."""
    reader = decoder()
    return [event for data in reads for event in reader.feed(data)] + reader.close()


def comparable(events: list[Event]) -> list[object]:
    """Events as values; errors by class, because no two exceptions are equal."""
    return [type(e.error) if isinstance(e, Failed) else e for e in events]


def event(kind: str, **members: Any) -> bytes:
    """One event of a stream."""
    said = json.dumps({"type": kind, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {said}\n\n".encode()


def started(**usage: int) -> bytes:
    """The event that begins a message."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": []}
    return event("message_start", message={**message, "usage": usage})


def begun(index: int, **block: Any) -> bytes:
    return event("content_block_start", index=index, content_block=block)


def delta(index: int, **said: Any) -> bytes:
    return event("content_block_delta", index=index, delta=said)


def text(index: int, said: str) -> bytes:
    return delta(index, type="text_delta", text=said)


def stopped(index: int) -> bytes:
    return event("content_block_stop", index=index)


def ended(reason: str | None = "end_turn", **usage: int) -> bytes:
    """The events that end a message."""
    said = {"stop_reason": reason, "stop_sequence": None}
    return event("message_delta", delta=said, usage=usage) + event("message_stop")


def documents(data: bytes) -> list[dict[str, Any]]:
    """The data of each event; the names are checked to be the types."""
    found = Reader().feed(data)
    read = [json.loads(one.data) for one in found]
    assert [one.name for one in found] == [document["type"].encode() for document in read]
    return read


def body(**members: Any) -> bytes:
    """The smallest request, and these members; None leaves one out."""
    whole = {"model": "m", "max_tokens": 100, "messages": [HI], **members}
    return json.dumps({k: v for k, v in whole.items() if v is not None}).encode()


def understood(**members: Any) -> Chat:
    """What such a request asks."""
    return understand(parse_body(body(**members)))


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}
