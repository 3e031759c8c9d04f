"""The wall's other languages: Messages, Responses and Gemini, each as its own providers speak it.

An answer's pieces come in the order of OpenAI's: what opens it, a piece for each word, what ends
the text (with usage, where the format has it there), and last the success marker, of a format that
has one. So whatever changes or breaks off pieces does it in every language. `played` has the wall
say a transcript of `tests/wire/transcripts`. Options: as for OpenAI's, and `cached` (input tokens
that were read from a cache, of those of `input`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.wall.talk import Call, Talk

TRANSCRIPTS = Path(__file__).parents[1] / "wire" / "transcripts"
CREATED = 1_700_000_000
Said = dict[str, Any]


def counts(call: Call, output: int) -> tuple[int, int, int]:
    """Input tokens with those from a cache, those from a cache, output tokens."""
    return int(call.option("input", 9)), int(call.option("cached", 0)), output


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event(said: Said) -> bytes:
    """One event, with its name in front where the format has one."""
    name = f"event: {said['type']}\n".encode() if "type" in said else b""
    return name + b"data: " + dump(said) + b"\n\n"


def joined(*events: Said) -> bytes:
    return b"".join(map(event, events))


# --- Messages ---


def messages_usage(call: Call, output: int) -> Said:
    taken, cached, given = counts(call, output)
    return {
        "input_tokens": taken - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": given,
    }


def message(call: Call, words: list[str], *, usage: bool = True) -> Said:
    """A whole message; one without words is what a stream opens with."""
    text = [{"type": "text", "text": "".join(words)}] if words else []
    said = {
        "id": "msg_wall",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": text,
        "stop_reason": "end_turn" if words else None,
        "stop_sequence": None,
    }
    return {**said, "usage": messages_usage(call, len(words) or 1)} if usage else said


def message_events(call: Call, words: list[str], *, usage: bool = True) -> list[bytes]:
    text = {"type": "text", "text": ""}
    block = {"type": "content_block_start", "index": 0, "content_block": text}
    opening = {"type": "message_start", "message": message(call, [], usage=usage)}
    deltas = [{"type": "text_delta", "text": word} for word in words]
    end: Said = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    }
    if usage:
        end["usage"] = {"output_tokens": len(words)}
    return [
        joined(opening, block, {"type": "ping"}),
        *(event({"type": "content_block_delta", "index": 0, "delta": delta}) for delta in deltas),
        joined({"type": "content_block_stop", "index": 0}, end),
        event({"type": "message_stop"}),
    ]


# --- Responses ---


def response(call: Call, words: list[str], *, usage: bool = True) -> Said:
    """A whole response; one without words is what a stream opens with."""
    taken, cached, given = counts(call, len(words))
    said: Said = {
        "id": "resp_wall",
        "object": "response",
        "created_at": CREATED,
        "status": "completed" if words else "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": call.model,
        "output": [item("".join(words))] if words else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "store": bool(call.body.get("store")),
    }
    if usage and words:
        said["usage"] = {
            "input_tokens": taken,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": given,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": taken + given,
        }
    return said


def item(text: str, status: str = "completed") -> Said:
    content = [output_text(text)] if text else []
    said = {"id": "msg_wall", "type": "message", "status": status, "role": "assistant"}
    return {**said, "content": content}


def output_text(text: str) -> Said:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def response_events(call: Call, words: list[str], *, usage: bool = True) -> list[bytes]:
    text = "".join(words)
    place = {"item_id": "msg_wall", "output_index": 0, "content_index": 0}
    number = iter(range(10_000))

    def said(kind: str, **members: Any) -> Said:
        return {"type": f"response.{kind}", "sequence_number": next(number), **members}

    opening = joined(
        said("created", response=response(call, [])),
        said("in_progress", response=response(call, [])),
        said("output_item.added", output_index=0, item=item("", "in_progress")),
        said("content_part.added", **place, part=output_text("")),
    )
    deltas = [event(said("output_text.delta", **place, delta=word)) for word in words]
    ending = joined(
        said("output_text.done", **place, text=text),
        said("content_part.done", **place, part=output_text(text)),
        said("output_item.done", output_index=0, item=item(text)),
    )
    last = event(said("completed", response=response(call, words, usage=usage)))
    return [opening, *deltas, ending, last]


# --- Gemini ---


def generated(
    call: Call, text: str, output: int, *, finish: str = "STOP", usage: bool = True
) -> Said:
    """A whole answer, or one event of a stream."""
    taken, cached, given = counts(call, output)
    candidate: Said = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    said: Said = {"candidates": [candidate], "modelVersion": call.model, "responseId": "wall"}
    if usage:
        said["usageMetadata"] = {
            "promptTokenCount": taken,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": given,
            "totalTokenCount": taken + given,
        }
    return said


def generated_events(call: Call, words: list[str], *, usage: bool = True) -> list[bytes]:
    opening = {**generated(call, "", 0, finish="", usage=usage), "candidates": []}
    pieces = [
        generated(call, word, place + 1, finish="", usage=usage) for place, word in enumerate(words)
    ]
    last = generated(call, "", len(words), usage=usage)
    return [event(each) for each in (opening, *pieces, last)]


# --- all of them ---


def pieces(call: Call, words: list[str], *, usage: bool = True) -> list[bytes]:
    """The events of a good stream, or a whole answer; not in OpenAI's chat format."""
    match call.dialect:
        case "anthropic_messages":
            events, whole = message_events, message(call, words, usage=usage)
        case "openai_responses":
            events, whole = response_events, response(call, words, usage=usage)
        case _:
            events = generated_events
            whole = generated(call, "".join(words), len(words), usage=usage)
    return events(call, words, usage=usage) if call.stream else [dump(whole)]


KINDS = {
    400: ("invalid_request_error", "INVALID_ARGUMENT"),
    401: ("authentication_error", "UNAUTHENTICATED"),
    404: ("not_found_error", "NOT_FOUND"),
    429: ("rate_limit_error", "RESOURCE_EXHAUSTED"),
    503: ("overloaded_error", "UNAVAILABLE"),
    529: ("overloaded_error", "UNAVAILABLE"),
}


def error(dialect: str, text: str, status: int = 500) -> Said:
    """The body of an error, but of OpenAI's."""
    kind, name = KINDS.get(status, ("api_error", "INTERNAL"))
    if dialect == "anthropic_messages":
        return {"type": "error", "error": {"type": kind, "message": text}}
    return {"error": {"code": status, "message": text, "status": name}}


def error_event(dialect: str, text: str) -> bytes:
    """An error inside a stream."""
    if dialect == "openai_responses":
        said = {"type": "error", "code": "server_error", "message": text, "param": None}
        return event({**said, "sequence_number": 99})
    return event(error(dialect, text))


def played(name: str) -> Callable[[Talk, Call], Awaitable[None]]:
    """Says a transcript, by its name without the ending: event by event, or whole."""

    async def say(talk: Talk, call: Call) -> None:
        whole = (TRANSCRIPTS / f"{name}.json").read_bytes()
        events = (TRANSCRIPTS / f"{name}.sse").read_bytes().replace(b"\r\n", b"\n").split(b"\n\n")
        parts = [each.strip(b"\n") + b"\n\n" for each in events if each.strip()]
        parts = parts if call.stream else [whole]
        await talk.begin(call, sum(map(len, parts)))
        for part in parts:
            await talk.piece(part)
        await talk.finish()

    return say
