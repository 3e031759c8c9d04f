"""The pieces of an answer in OpenAI's chat format, as far as one who only listens must know them.

Small types for the fields that we act on, and careful readings for what does not fit them: half a
character, a count that is a float, content that is a list. What it is not: the full format; that is
for `openai_reply`, which translates.

The rule that keeps it honest: whatever the bytes, reading them ends in a chunk, in `Garbled`, or in
the error that they report; and what is mended is mended at its own place, the rest stays raw.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from apertura.errors import Garbled
from apertura.wire.openai_shapes import decode_members
from apertura.wire.openai_usage import Report, lenient_report
from apertura.wire.provider_errors import error_within, is_error

REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
"""What may stand in `finish_reason`; `function_call` only for callers who sent `functions`."""

NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_OTHER_REASONS = {
    "end_turn": "stop",
    "eos": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "safety": "content_filter",
    "recitation": "content_filter",
}


class FunctionDelta(Struct, gc=False):
    arguments: str | None = None
    name: str | None = None


class CallDelta(Struct, gc=False):
    function: FunctionDelta | None = None


class Delta(Struct, gc=False):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallDelta] | None = None
    function_call: FunctionDelta | None = None
    audio: Raw | UnsetType = UNSET
    images: list[Raw] | None = None


class Choice(Struct, gc=False):
    delta: Delta | None = None
    finish_reason: str | None = None
    index: int = 0
    message: Delta | None = None


class Chunk(Struct, gc=False):
    choices: list[Choice] | None = None
    usage: Report | None = None
    error: Raw | UnsetType = UNSET


class _PlainDelta(Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: None = None
    refusal: None = None
    function_call: None = None
    audio: None = None
    images: None = None


class _PlainChoice(Struct, gc=False):
    delta: _PlainDelta
    finish_reason: None = None
    index: int = 0
    message: None = None


class PlainChunk(Struct, gc=False):
    """What nearly every chunk is: a piece of one choice's words, and nothing that is acted on.
    Anything else does not decode, and is looked at more closely.
    """

    choices: tuple[_PlainChoice]
    usage: None = None
    error: Literal["never"] | UnsetType = UNSET


decode_plain = msgspec.json.Decoder(list[PlainChunk]).decode
"""Many chunks at once, as the list that their JSON makes when joined by commas."""
decode_chunk = msgspec.json.Decoder(Chunk).decode
_decode_any = msgspec.json.Decoder().decode
_decode_choices = msgspec.json.Decoder(list[dict[str, Raw]] | None).decode
_encode = msgspec.json.Encoder().encode
_LONE = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
"""Half of a surrogate pair: some providers cut a character in two, each in its own event."""
_FARTHEST = sys.float_info.max


def reason_of(reason: str) -> str:
    """A `finish_reason` that callers know, from whatever a provider says."""
    return reason if reason in REASONS else _OTHER_REASONS.get(reason.lower(), "stop")


def read(data: bytes) -> tuple[Chunk, bytes]:
    """An event's data or a reply, and its bytes, mended where they are not quite JSON.

    Raises: Garbled, or the error that it holds.
    """
    try:
        data.isascii() or data.decode()
        chunk = decode_chunk(data)
    except NOT_READ:
        chunk, data = _read_oddly(data)
    if chunk.error is not UNSET:
        error = any_json(chunk.error)[0]
        if is_error(error):
            raise error_within(error)
    return chunk, data


def any_json(data: bytes | Raw) -> tuple[Any, bytes]:
    """Any JSON, and its bytes with each half of a character replaced. Raises: Garbled."""
    data = bytes(data)
    try:
        return _decode_any(data), data
    except NOT_READ:
        data = _LONE.sub(rb"\1\\ufffd", data)
    try:
        return _decode_any(data), data
    except msgspec.ValidationError:
        return _with_far_numbers(data), data
    except NOT_READ:
        raise Garbled("The provider sent something that is not JSON.") from None


def _with_far_numbers(data: bytes) -> object:
    """JSON with a number that Python cannot hold: the nearest that it can. Raises: Garbled."""
    try:
        found = json.loads(data, parse_float=_near, parse_int=_near)
        return _decode_any(json.dumps(found, allow_nan=False))
    except (ValueError, *NOT_READ):
        raise Garbled("The provider sent something that is not JSON.") from None


def _near(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:  # no integer, or one of more digits than Python reads
        return max(-_FARTHEST, min(float(text), _FARTHEST))


def _read_oddly(data: bytes) -> tuple[Chunk, bytes]:
    """JSON whose fields have types that the format does not know: what can be understood of it."""
    found, data = any_json(data)
    choices = found.get("choices") or [] if isinstance(found, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise Garbled("The provider sent something that is not a part of an answer.")
    chunk = Chunk(
        choices=[_loose_choice(choice) for choice in choices] if "choices" in found else None,
        usage=lenient_report(found.get("usage")),
    )
    if "error" in found:
        chunk.error = _members(data)["error"]
    return chunk, data


def _loose_choice(choice: dict[str, Any]) -> Choice:
    index, reason = choice.get("index"), choice.get("finish_reason")
    return Choice(
        delta=_loose_delta(choice.get("delta")),
        finish_reason=reason if isinstance(reason, str) else None,
        index=index if isinstance(index, int) else 0,
        message=_loose_delta(choice.get("message")),
    )


def _loose_delta(delta: object) -> Delta | None:
    if not isinstance(delta, dict):
        return None
    calls = delta.get("tool_calls")
    return Delta(
        content=words(delta.get("content")),
        refusal=words(delta.get("refusal")),
        reasoning_content=words(delta.get("reasoning_content") or delta.get("reasoning")),
        tool_calls=[CallDelta() for _ in calls] if isinstance(calls, list) else None,
    )


def words(content: object, depth: int = 6) -> str:
    """The text of content that is a string, or a list of parts as some providers send."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(words(part, depth - 1) for part in content) if depth else ""
    if isinstance(content, dict) and depth:
        said = content.get("text") or content.get("thinking") or content.get("content")
        return words(said, depth - 1)
    return ""


def size_of(delta: Delta) -> int:
    """Characters of content, or at least 1 where there is content that has none."""
    size = len(delta.content or "") + len(delta.reasoning_content or delta.reasoning or "")
    if delta.refusal:
        size += len(delta.refusal)
    for call in delta.tool_calls or ():
        size += _size_of_call(call.function) or 1
    if delta.function_call is not None:
        size += _size_of_call(delta.function_call) or 1
    size += len(delta.images or ())
    if delta.audio is not UNSET and bytes(delta.audio) != b"null":
        size += 1
    return size


def _size_of_call(function: FunctionDelta | None) -> int:
    return len(function.name or "") + len(function.arguments or "") if function else 0


def mended(data: bytes, *, keep_usage: bool) -> bytes:
    """The same without what the caller must not see, and with finish reasons that they know."""
    try:
        members: dict[str, Any] = {**_members(data)}
        choices = _decode_choices(members.get("choices", b"null")) or []
    except NOT_READ:
        raise Garbled("The provider sent something that is not JSON.") from None
    members.pop("error", None)
    if not keep_usage:
        members.pop("usage", None)
    for choice in choices:
        reason = any_json(choice.get("finish_reason", b"null"))[0]
        if reason is not None:
            known = reason_of(reason) if isinstance(reason, str) and reason else None
            choice["finish_reason"] = Raw(_encode(known))
    members["choices"] = choices
    return _encode(members)


def _members(data: bytes) -> dict[str, Raw]:
    """Top-level members. Raises: Garbled."""
    try:
        return decode_members(data)
    except NOT_READ:
        raise Garbled("The provider sent something that is not JSON.") from None
