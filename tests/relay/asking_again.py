"""Calls that are asked for again, in every format; and a provider that waits for a test's word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from apertura.app import Application
from tests.live import PATIENCE, Answer, Line, Live
from tests.wall import Wall
from tests.wall.speech import pieces
from tests.wall.talk import Call, Talk

HELLO = [{"role": "user", "content": "Hello"}]
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


class Gate(asyncio.Event):
    """A provider that says the first of an answer (of a stream), and the rest once it is set."""

    def __init__(self, wall: Wall, name: str = "held") -> None:
        super().__init__()
        wall.behaviours[name] = self._answer

    async def _answer(self, talk: Talk, call: Call) -> None:
        parts = pieces(call)
        await talk.begin(call, sum(map(len, parts)))
        first = 2 if call.stream else 0
        for part in parts[:first]:
            await talk.piece(part)
        await self.wait()
        for part in parts[first:]:
            await talk.piece(part)
        await talk.finish()


def _chat(model: str, stream: bool) -> tuple[str, Any]:
    return "/v1/chat/completions", {"model": model, "messages": HELLO, "stream": stream}


def _text(model: str, stream: bool) -> tuple[str, Any]:
    return "/v1/completions", {"model": model, "prompt": "Hello", "stream": stream}


def _message(model: str, stream: bool) -> tuple[str, Any]:
    body = {"model": model, "messages": HELLO, "max_tokens": 99, "stream": stream}
    return "/v1/messages", body


def _response(model: str, stream: bool) -> tuple[str, Any]:
    return "/v1/responses", {"model": model, "input": "Hello", "stream": stream}


def _gemini(model: str, stream: bool) -> tuple[str, Any]:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{verb}", GEMINI


def _embed(model: str, _: bool) -> tuple[str, Any]:
    return "/v1/embeddings", {"model": model, "input": "Hello"}


def _rank(model: str, _: bool) -> tuple[str, Any]:
    return "/v1/rerank", {"model": model, "query": "Hello", "documents": ["a", "b"]}


SHAPES: dict[str, Callable[[str, bool], tuple[str, Any]]] = {
    "chat": _chat,
    "completions": _text,
    "messages": _message,
    "responses": _response,
    "gemini": _gemini,
    "embeddings": _embed,
    "rerank": _rank,
}
STREAMED = ("chat", "completions", "messages", "responses", "gemini")


def asking(
    gateway: Live, model: str, *headers: str, shape: str = "chat", stream: bool = False
) -> bytes:
    """A call of one format on the wire."""
    path, body = SHAPES[shape](model, stream)
    return gateway.request(json.dumps(body).encode(), *headers, path=path)


def key(name: str) -> str:
    return f"Idempotency-Key: {name}"


async def sent(gateway: Live, request: bytes) -> Line:
    """A connection on which this was asked, and nothing was read yet."""
    line = await gateway.line()
    line.send(request)
    return line


async def until_going(application: Application, readers: int) -> None:
    """So many callers wait for replies of calls that may be asked for again."""
    async with asyncio.timeout(PATIENCE):
        while application.parts.replays.waiting() != readers:
            await asyncio.sleep(0.002)


async def opening(line: Line) -> Answer:
    """A stream's head, and its body up to the first word."""
    async with asyncio.timeout(PATIENCE):
        answer = await line.head()
        while b"w0 " not in answer.body:
            answer.body += await line.chunk()
    return answer


async def finish(line: Line, answer: Answer) -> Answer:
    """The rest of a stream."""
    async with asyncio.timeout(PATIENCE):
        while piece := await line.chunk():
            answer.body += piece
    answer.whole = True
    return answer


def same(first: Answer, again: Answer) -> None:
    """The second is the first one's reply, and says so."""
    assert (again.status, again.body) == (first.status, first.body)
    assert again.whole
    assert again.headers["x-request-id"] == first.headers["x-request-id"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
