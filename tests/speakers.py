"""Callers who speak the gateway's formats: what they send, and what they read of a reply.

    speaker = SPEAKERS["gemini"]
    answer = await speaker.ask(gateway, "ok", stream=True)
    assert speaker.text(answer) == "w0 w1 w2 "

What each reads is what its own clients read, and is checked on the way: that a stream's events are
framed and ordered as the format says. What it is not: the real clients (`tests/clients`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.live import Answer, Live

Said = dict[str, Any]
Triple = tuple[int, str, str]


@dataclass(frozen=True)
class Speaker:
    """A format as its callers see it. `kind` has an error's type or status by our status."""

    name: str
    path: Callable[[str, bool], str]
    body: Callable[[str, bool], Said]
    read: Callable[[Answer], Said]
    kinds: dict[int, str]

    def asking(
        self, gateway: Live, model: str, *headers: str, stream: bool = False, **more: Any
    ) -> bytes:
        """A request on the wire."""
        body = {**self.body(model, stream), **more}
        return gateway.request(body, *headers, path=self.path(model, stream))

    async def ask(
        self, gateway: Live, model: str, *headers: str, stream: bool = False, **more: Any
    ) -> Answer:
        """One call."""
        return await gateway.ask(self.asking(gateway, model, *headers, stream=stream, **more))

    def text(self, answer: Answer) -> str:
        """What the model said."""
        return str(self.read(answer)["text"])

    def calls(self, answer: Answer) -> list[tuple[str, Said]]:
        """The tools that the model called: names and arguments."""
        return list(self.read(answer)["calls"])

    def usage(self, answer: Answer) -> tuple[int, int] | None:
        """Input and output tokens, inclusive totals, as the reply has them."""
        found = self.read(answer).get("usage")
        return None if found is None else (found[0], found[1])

    def done(self, answer: Answer) -> bool:
        """Whether the reply is complete, as this format marks it."""
        return bool(self.read(answer)["done"])

    def expected(self, seen: Triple) -> Triple:
        """An error of the public API, in this format's words."""
        status, kind, code = seen
        return status, self.kinds.get(status, kind), code.upper() if self.name == "gemini" else code

    def error(self, answer: Answer) -> Triple:
        """Status, type and code of an error reply, whose envelope is checked along the way."""
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"].startswith("req_")
        kind, code = self._envelope(answer.json, answer)
        return answer.status, kind, code

    def error_inside(self, answer: Answer) -> tuple[str, str]:
        """Type (none in Responses) and code of the error that ends a stream."""
        last = answer.body[answer.body.rfind(b"data: ") + 6 :]
        said = json.loads(last) if streamed(answer) else items(answer)[-1]
        if self.name == "openai_responses":
            assert set(said) == {"type", "code", "message", "param", "sequence_number"}
            assert said["type"] == "error" and said["message"]
            return "", said["code"]
        return self._envelope(said, answer)

    def _envelope(self, said: Said, answer: Answer) -> tuple[str, str]:
        error = said["error"]
        assert error["message"]
        if self.name == "gemini":
            assert set(said) == {"error"} and set(error) == {"code", "message", "status", "details"}
            [info] = [each for each in error["details"] if each["@type"].endswith("ErrorInfo")]
            assert answer.status in (200, error["code"])
            return error["status"], info["reason"]
        if self.name == "anthropic_messages":
            assert said["type"] == "error"
            assert set(said) <= {"type", "error", "request_id"}
        else:
            assert set(said) == {"error"}
        assert {"message", "type", "code"} <= set(error) <= {"message", "type", "code", "param"}
        return error["type"], error["code"]


def items(answer: Answer) -> list[Said]:
    """The events of a stream, or the items of one that is an array."""
    if answer.headers["content-type"].startswith("application/json"):
        said = answer.json
        return said if isinstance(said, list) else [said]
    return answer.events


def streamed(answer: Answer) -> bool:
    return answer.headers["content-type"].startswith("text/event-stream")


def named(answer: Answer) -> list[tuple[str, Said]]:
    """The events of a stream with the names that stand before them, which must agree."""
    found = []
    for block in answer.body.split(b"\n\n")[:-1]:
        name, data = block.split(b"\n")
        said = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + said["type"].encode()
        found.append((said["type"], said))
    return found


# --- Messages ---


def message_body(model: str, stream: bool) -> Said:
    said = [{"role": "user", "content": "Hello"}]
    return {"model": model, "max_tokens": 4000, "messages": said, "stream": stream}


def read_message(answer: Answer) -> Said:
    if not streamed(answer):
        return _of_message(answer.json, done=answer.json["type"] == "message")
    heard = _Message()
    for kind, said in named(answer):
        assert not heard.done
        heard.take(kind, said)
    return _of_message(heard.whole(), done=heard.done)


class _Message:
    """A message, heard event by event."""

    def __init__(self) -> None:
        self.message: Said = {"content": [], "usage": {}}
        self.pieces: list[list[str]] = []
        self.opened = self.done = False

    def take(self, kind: str, said: Said) -> None:
        if kind.startswith("content_block_"):
            self._take_block(kind, said)
        elif kind == "message_start":
            self.message = said["message"]
            assert self.message["content"] == [] and self.message["stop_reason"] is None
        elif kind == "message_delta":
            assert not self.opened
            self.message |= said["delta"]
            self.message["usage"] = {**self.message.get("usage", {}), **said.get("usage", {})}
        else:
            assert kind in ("message_stop", "ping", "error")
            self.done = kind == "message_stop"

    def _take_block(self, kind: str, said: Said) -> None:
        blocks = self.message["content"]
        if kind == "content_block_start":
            assert not self.opened
            self.opened = True
            blocks.append(said["content_block"])
            self.pieces.append([])
        assert self.opened and said["index"] == len(blocks) - 1
        if kind == "content_block_delta":
            _, *values = said["delta"].values()
            self.pieces[-1] += [value for value in values if isinstance(value, str)]
        self.opened = kind != "content_block_stop"

    def whole(self) -> Said:
        for block, pieces in zip(self.message["content"], self.pieces, strict=True):
            if block["type"] == "text":
                block["text"] += "".join(pieces)
            elif block["type"] == "tool_use" and any(pieces) and (self.done or not self.opened):
                block["input"] = json.loads("".join(pieces))
        return self.message


def _of_message(message: Said, *, done: bool) -> Said:
    used = message.get("usage") or {}
    taken = sum(v for name, v in used.items() if name.endswith("input_tokens") and v)
    blocks = message["content"]
    return {
        "text": "".join(block["text"] for block in blocks if block["type"] == "text"),
        "calls": [(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"],
        "usage": (taken, used["output_tokens"]) if used else None,
        "finish": message.get("stop_reason"),
        "done": done,
    }


# --- Responses ---


def response_body(model: str, stream: bool) -> Said:
    return {"model": model, "input": "Hello", "stream": stream}


def read_response(answer: Answer) -> Said:
    if not streamed(answer):
        return _of_response(answer.json)
    events = named(answer)
    kinds = [kind for kind, _ in events]
    numbers = [said["sequence_number"] for _, said in events]
    whole = len(events) - (kinds[-1] == "error")  # whose number may leave out what was held back
    assert numbers == sorted(set(numbers)) and numbers[:whole] == list(range(whole))
    assert kinds[:2] == ["response.created", "response.in_progress"]
    heard = "".join(said["delta"] for kind, said in events if kind == "response.output_text.delta")
    last, said = events[-1]
    if last not in ("response.completed", "response.incomplete"):
        return {"text": heard, "calls": [], "done": False}
    found = _of_response(said["response"])
    assert found["text"] == heard
    added = [said["output_index"] for k, said in events if k == "response.output_item.added"]
    done = [said["output_index"] for k, said in events if k == "response.output_item.done"]
    assert added == list(range(len(added))) and sorted(done) == added
    return found


def _of_response(response: Said) -> Said:
    assert response["object"] == "response" and response["id"].startswith("resp_")
    parts = [p for i in response["output"] if i["type"] == "message" for p in i["content"]]
    calls = [i for i in response["output"] if i["type"] == "function_call"]
    used = response.get("usage")
    if used:
        assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"]
    return {
        "text": "".join(part["text"] for part in parts if part["type"] == "output_text"),
        "calls": [(call["name"], json.loads(call["arguments"])) for call in calls],
        "usage": (used["input_tokens"], used["output_tokens"]) if used else None,
        "finish": response["status"],
        "done": response["status"] in ("completed", "incomplete"),
    }


# --- Gemini ---


def gemini_path(model: str, stream: bool) -> str:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{verb}"


def gemini_body(model: str, stream: bool) -> Said:
    return {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


def read_generated(answer: Answer) -> Said:
    said: Said = {"calls": [], "done": False, "finish": None}
    texts: list[str] = []
    for event in items(answer):
        if "error" in event:
            break
        assert not said["done"]
        if used := event.get("usageMetadata"):
            said["usage"] = _gemini_usage(used)
        finish = event.get("promptFeedback", {}).get("blockReason")
        for candidate in event.get("candidates", ()):
            if not candidate.get("index"):
                finish = candidate.get("finishReason")
                for part in candidate.get("content", {}).get("parts", ()):
                    _take_part(part, texts, said["calls"])
        if finish:
            said |= {"done": True, "finish": finish}
    return {**said, "text": "".join(texts)}


def _gemini_usage(used: Said) -> tuple[int, int]:
    taken = used.get("promptTokenCount", 0) + used.get("toolUsePromptTokenCount", 0)
    return taken, used.get("candidatesTokenCount", 0) + used.get("thoughtsTokenCount", 0)


def _take_part(part: Said, texts: list[str], calls: list[tuple[str, Said]]) -> None:
    if not part.get("thought"):
        texts.append(part.get("text", ""))
    if called := part.get("functionCall"):
        calls.append((called["name"], called.get("args", {})))


# --- OpenAI's chat, and the older completions ---


def chat_body(model: str, stream: bool) -> Said:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    said = [{"role": "user", "content": "Hello"}]
    return {"model": model, "messages": said, "stream": stream, **options}


def text_body(model: str, stream: bool) -> Said:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    return {"model": model, "prompt": "Hello", "stream": stream, **options}


def read_chat(answer: Answer) -> Said:
    said: Said = {"finish": None, "done": answer.done or not streamed(answer)}
    texts: list[str] = []
    calls: dict[int, list[str]] = {}
    for event in items(answer):
        if "error" in event:
            break
        if used := event.get("usage"):
            assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"]
            said["usage"] = (used["prompt_tokens"], used["completion_tokens"])
        for choice in event["choices"]:
            if choice["index"]:
                continue
            part = choice.get("message") or choice.get("delta") or choice
            texts.append(part.get("content") or part.get("text") or "")
            _take_calls(part.get("tool_calls") or (), calls)
            said["finish"] = choice.get("finish_reason") or said["finish"]
    called = [(name, json.loads(arguments)) for _, (name, arguments) in sorted(calls.items())]
    return {**said, "text": "".join(texts), "calls": called}


def _take_calls(deltas: Sequence[Said], calls: dict[int, list[str]]) -> None:
    for place, call in enumerate(deltas):
        known = calls.setdefault(call.get("index", place), ["", ""])
        known[0] += call["function"].get("name") or ""
        known[1] += call["function"].get("arguments") or ""


_OPENAI: dict[int, str] = {}
_MESSAGES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
}
_GEMINI = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
}


def _fixed(path: str) -> Callable[[str, bool], str]:
    return lambda model, stream: path


SPEAKERS = {
    speaker.name: speaker
    for speaker in (
        Speaker(
            "anthropic_messages", _fixed("/v1/messages"), message_body, read_message, _MESSAGES
        ),
        Speaker("gemini", gemini_path, gemini_body, read_generated, _GEMINI),
        Speaker("openai_chat", _fixed("/v1/chat/completions"), chat_body, read_chat, _OPENAI),
        Speaker("openai_completions", _fixed("/v1/completions"), text_body, read_chat, _OPENAI),
        Speaker("openai_responses", _fixed("/v1/responses"), response_body, read_response, _OPENAI),
    )
}
