"""What the tests of wire formats share: chunks, streams, transcripts, ways to cut bytes."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from apertura.wire.openai_listen import Tap, listen
from apertura.wire.sse import Reader

TRANSCRIPTS = Path(__file__).parent / "transcripts"
STREAMS = sorted(path.name for path in TRANSCRIPTS.glob("*.sse"))


def transcript(name: str) -> bytes:
    """The bytes of a transcript."""
    return (TRANSCRIPTS / name).read_bytes()


def chunk(
    delta: dict[str, Any] | None = None, *, reason: str | None = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    """One chunk of a chat stream."""
    choice = {"index": index, "delta": delta or {}, "finish_reason": reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_795_000_000,
        "model": "m-1",
        "choices": [choice],
        **more,
    }


def usage(prompt: int = 9, completion: int = 4, **more: Any) -> dict[str, Any]:
    """The usage chunk that ends a stream."""
    return {**chunk(), "choices": [], "usage": report(prompt, completion, **more)}


def report(prompt: int = 9, completion: int = 4, **more: Any) -> dict[str, Any]:
    total = prompt + completion
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        **more,
    }


def sse(*events: Any, done: bool = True) -> bytes:
    """A canonical stream of these events; strings and bytes are taken as they are."""
    return b"".join(f"data: {text(event)}\n\n".encode() for event in events) + (
        b"data: [DONE]\n\n" if done else b""
    )


def text(event: Any) -> str:
    return event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in several reads."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


CUTS = st.lists(st.integers(0, 100_000), max_size=12)
"""Where to cut, taken modulo the length."""

FRAMINGS = {
    "canonical": lambda data: data,
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "cr": lambda data: data.replace(b"\n", b"\r"),
    "no space": lambda data: data.replace(b"data: ", b"data:"),
    "comments": lambda data: b": hello\n\n" + data.replace(b"\n\n", b"\n: ping\n\n: pong\n\n"),
    "named": lambda data: data.replace(b"data: ", b"event: message\nid: 7\ndata: "),
    "many lines": lambda data: data.replace(b'data: {"id"', b'data: {\ndata: "id"').replace(
        b'data: {"choices"', b'data: {\ndata: "choices"'
    ),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
}
"""The same events, framed in the other ways that the standard allows."""


HI = {"role": "user", "content": "hi"}


def body(**members: Any) -> bytes:
    """The smallest request, and these members."""
    return json.dumps({"model": "m", "messages": [HI], **members}).encode()


def part(kind: str, value: Any) -> dict[str, Any]:
    """A message of one content part."""
    return {"role": "user", "content": [{"type": kind, kind: value}]}


def heard(*reads: bytes, include_usage: bool = True) -> tuple[bytes, Tap]:
    """All that the caller gets, end included, and the tap."""
    tap = listen(include_usage)
    out = b"".join([tap.feed(data) for data in reads])
    return out + tap.close(), tap


def documents(data: bytes) -> list[Any]:
    return [
        event.data if event.data == b"[DONE]" else json.loads(event.data)
        for event in Reader().feed(data)
    ]
