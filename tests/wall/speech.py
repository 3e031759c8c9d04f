"""What the wall says when it speaks well: OpenAI's chat, whole and streamed, embeddings and ranks.

A whole answer and a streamed one have the same text and usage. Options in the model's name:
`chunks` (pieces of text, 3), `input` (input tokens, 9), `cached` (of these, read from a cache). To
a request in another format it answers in that (`tongues`).
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any, Literal

from tests.wall import tongues
from tests.wall.talk import Call

UsagePlace = Literal["last", "absent", "choice", "cumulative"]
DONE = b"data: [DONE]\n\n"
CREATED = 1_700_000_000


def content(chunks: int = 3) -> list[str]:
    """The pieces of the answer's text: its first `chunks` words."""
    return [f"w{number} " for number in range(chunks)]


def usage(call: Call, output: int) -> dict[str, Any]:
    taken, cached, _ = tongues.counts(call, output)
    said = {"prompt_tokens": taken, "completion_tokens": output, "total_tokens": taken + output}
    return {**said, "prompt_tokens_details": {"cached_tokens": cached}} if cached else said


def error(message: str, kind: str = "server_error", code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def failure(call: Call, message: str) -> bytes:
    """An error in place of an answer, or of the rest of one, in the format of the request."""
    if call.dialect == "openai_chat":
        return sse(error(message)) if call.stream else dump(error(message))
    if call.stream:
        return tongues.error_event(call.dialect, message)
    return dump(tongues.error(call.dialect, message))


def refusal(call: Call, status: int, said: dict[str, Any]) -> bytes:
    """An error with a status: `said` in OpenAI's formats, the like in others."""
    if call.dialect.startswith("openai"):
        return dump(said)
    return dump(tongues.error(call.dialect, said["error"]["message"], status))


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def sse(value: object) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def chunk(call: Call, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """One `chat.completion.chunk` with one choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-wall",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": call.model,
        "choices": [choice],
    }


def chunks(call: Call, place: UsagePlace = "last") -> list[dict[str, Any]]:
    """A streamed answer's events. Usage comes `last` if asked for, as OpenAI does it; `choice` and
    `cumulative` send it unasked, on the last choice's event and on every one."""
    words = content(int(call.option("chunks", 3)))
    said = [chunk(call, {"role": "assistant", "content": ""})]
    said += [chunk(call, {"content": word}) for word in words]
    said.append(chunk(call, {}, "stop"))
    if place == "choice":
        said[-1]["usage"] = usage(call, len(words))
    elif place == "cumulative":
        for number, event in enumerate(said):
            event["usage"] = usage(call, min(number, len(words)))
    elif place == "last" and (call.body.get("stream_options") or {}).get("include_usage"):
        for event in said:
            event["usage"] = None
        said.append({**said[0], "choices": [], "usage": usage(call, len(words))})
    return said


def whole(call: Call) -> dict[str, Any]:
    """An answer at once: a chat completion, the embeddings of each input, or ranks."""
    if call.path.endswith("/embeddings"):
        return embeddings(call)
    if call.path.endswith("/rerank"):
        return ranks(call)
    words = content(int(call.option("chunks", 3)))
    message = {"role": "assistant", "content": "".join(words), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-wall",
        "object": "chat.completion",
        "created": CREATED,
        "model": call.model,
        "choices": [choice],
        "usage": usage(call, len(words)),
    }


def embeddings(call: Call) -> dict[str, Any]:
    asked = call.body.get("input", "")
    texts = asked if isinstance(asked, list) else [asked]
    rows = []
    for number, text in enumerate(texts):
        vector = [float(number), float(len(str(text))), 0.5, -0.25]
        packed = base64.b64encode(struct.pack("<4f", *vector)).decode()
        wants_text = call.body.get("encoding_format") == "base64"
        row = {
            "object": "embedding",
            "index": number,
            "embedding": packed if wants_text else vector,
        }
        rows.append(row)
    taken = usage(call, 0)
    del taken["completion_tokens"]
    return {"object": "list", "data": rows, "model": call.model, "usage": taken}


def ranks(call: Call) -> dict[str, Any]:
    """The longer a document, the better it fits; said in the order in which they came."""
    documents = [str(each) for each in call.body.get("documents", [])]
    rows = [{"index": n, "relevance_score": len(d) / 100} for n, d in enumerate(documents)]
    return {
        "results": rows,
        "model": call.model,
        "usage": {"total_tokens": usage(call, 0)["total_tokens"]},
    }


def pieces(call: Call, place: UsagePlace = "last") -> list[bytes]:
    """The body of a good answer as it is sent: its events, or thirds of a whole."""
    if call.dialect != "openai_chat":
        words = content(int(call.option("chunks", 3)))
        said = tongues.pieces(call, words, usage=place != "absent")
        if call.stream:
            return said
        [body] = said
    elif call.stream:
        return [*(sse(event) for event in chunks(call, place)), DONE]
    else:
        answer = whole(call)
        if place == "absent":
            del answer["usage"]
        body = dump(answer)
    third = len(body) // 3
    return [body[:third], body[third : 2 * third], body[2 * third :]]
