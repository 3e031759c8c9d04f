"""What the tests of the Responses format share: transcripts, events, items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from apertura.wire.events import Answer, Event, fold
from apertura.wire.openai_responses import decoder

FOLDER = Path(__file__).parent / "transcripts" / "openai_responses"
STREAMS = sorted(path.name for path in FOLDER.glob("*.sse"))
PAIRS = sorted(path.stem for path in FOLDER.glob("published-*.sse"))


def transcript(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def decoded(*reads: bytes) -> list[Event]:
    reader = decoder()
    return [event for data in reads for event in reader.feed(data)] + reader.close()


def stream(*events: dict[str, Any], done: bool = False) -> bytes:
    """Events without names, as some send them."""
    frames = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    return b"".join(frames) + (b"data: [DONE]\n\n" if done else b"")


def completed(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": "completed", "output": list(output), **more}
    return {"type": "response.completed", "response": response}


def answered(*events: dict[str, Any]) -> Answer:
    return fold(decoded(stream(*events)))


def message(text: str, **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part], **more}


def call(name: str = "f", arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    own = {"type": "function_call", "id": "fc_1", "call_id": "call_1"}
    return {**own, "name": name, "arguments": arguments, **more}


def body(**members: Any) -> bytes:
    """The smallest request, and these members."""
    return json.dumps({"model": "m", "input": "hi", **members}).encode()


PARAMETERS: dict[str, Any] = {
    "instructions": "Be brief.",
    "max_output_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_logprobs": 2,
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "max_tool_calls": 3,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_object"}, "verbosity": "low"},
    "store": False,
    "truncation": "auto",
    "metadata": {"a": "b"},
    "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
    "user": "u-1",
    "prompt_cache_key": "k-1",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s-1",
    "service_tier": "default",
    "stream": True,
    "stream_options": {"include_obfuscation": True},
    "background": False,
    "conversation": None,
    "prompt": None,
    "context_management": [{"type": "compaction", "compact_threshold": 1000}],
}
"""The documented parameters beside `model` and `input`, each with a value."""
