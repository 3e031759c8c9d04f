"""The pieces of an answer in Gemini's format, as types; and a careful reading of what does not fit.

What it is not: the meaning of the pieces (`gemini_reply`). The rule that keeps it honest: whatever
the bytes, reading them ends in a chunk, in `Garbled`, or in the error that they report.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from apertura.errors import Garbled
from apertura.wire.gemini_errors import error_within
from apertura.wire.gemini_usage import Modality, Report
from apertura.wire.openai_chunks import any_json
from apertura.wire.provider_errors import is_error


class Blob(Struct, gc=False, rename="camel"):
    mime_type: str | None = None
    data: str | None = None


class Call(Struct, gc=False):
    name: str | None = None
    id: str | None = None
    args: Raw | UnsetType = UNSET


class Code(Struct, gc=False):
    """Of `executableCode` and `codeExecutionResult`."""

    code: str | None = None
    output: str | None = None


class Part(Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: Call | None = None
    inline_data: Blob | None = None
    executable_code: Code | None = None
    code_execution_result: Code | None = None


class Content(Struct, gc=False):
    parts: list[Part] | None = None


class Web(Struct, gc=False):
    uri: str | None = None
    title: str | None = None


class Source(Struct, gc=False):
    """Of `groundingChunks`."""

    web: Web | None = None


class Segment(Struct, gc=False, rename="camel"):
    """A piece of the text, in bytes of UTF-8."""

    start_index: int | None = None
    end_index: int | None = None


class Support(Struct, gc=False, rename="camel"):
    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class Grounding(Struct, gc=False, rename="camel"):
    grounding_chunks: list[Source] | None = None
    grounding_supports: list[Support] | None = None


class Candidate(Struct, gc=False, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None
    grounding_metadata: Grounding | None = None


class Feedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class Chunk(Struct, gc=False, rename="camel"):
    candidates: list[Candidate] | None = None
    usage_metadata: Report | None = None
    prompt_feedback: Feedback | None = None
    response_id: str | None = None
    model_version: str | None = None
    create_time: str | None = None
    error: Raw | UnsetType = UNSET


_decode = msgspec.json.Decoder(Chunk).decode
_NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encode = msgspec.json.Encoder().encode
_COUNTS = {
    field.name: field.encode_name
    for field in msgspec.structs.fields(Report)
    if field.name.endswith("count")
}
_DETAILS = {
    field.name: field.encode_name
    for field in msgspec.structs.fields(Report)
    if field.name.endswith("details")
}
_NOT_A_PART = "The provider sent something that is not a part of an answer."


def read(data: bytes) -> Chunk:
    """An event's data, or a whole reply. Raises: Garbled, or the error that it holds."""
    try:
        data.isascii() or data.decode()
        chunk = _decode(data)
    except _NOT_READ:
        return _loosely(data)
    if chunk.error is not UNSET:
        _refuse_error(any_json(chunk.error)[0])
    if chunk.candidates is None and chunk.usage_metadata is None and chunk.prompt_feedback is None:
        raise Garbled(_NOT_A_PART)
    return chunk


def _refuse_error(error: object) -> None:
    if is_error(error):
        raise error_within(error)


def _loosely(data: bytes) -> Chunk:
    """What can be understood where fields have types that the format does not know."""
    found = any_json(data)[0]
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not isinstance(found, dict):
        raise Garbled(_NOT_A_PART)
    _refuse_error(found.get("error"))
    if not {"candidates", "usageMetadata", "promptFeedback"} & found.keys():
        raise Garbled(_NOT_A_PART)
    feedback = _dict(found.get("promptFeedback"))
    return Chunk(
        candidates=[_candidate(each) for each in _dicts(found.get("candidates"))],
        usage_metadata=_report(found.get("usageMetadata")),
        prompt_feedback=Feedback(block_reason=_text(feedback.get("blockReason"))),
        response_id=_text(found.get("responseId")),
        model_version=_text(found.get("modelVersion")),
        create_time=_text(found.get("createTime")),
    )


def _candidate(found: dict[str, Any]) -> Candidate:
    parts = _dict(found.get("content")).get("parts")
    return Candidate(
        content=Content(parts=[_part(each) for each in _dicts(parts)]),
        finish_reason=_text(found.get("finishReason")),
        index=_whole(found.get("index")),
    )


def _part(found: dict[str, Any]) -> Part:
    call, blob = found.get("functionCall"), found.get("inlineData")
    return Part(
        text=_text(found.get("text")),
        thought=found.get("thought") is True,
        thought_signature=_text(found.get("thoughtSignature")),
        function_call=_call(call) if isinstance(call, dict) else None,
        inline_data=_blob(blob) if isinstance(blob, dict) else None,
    )


def _call(found: dict[str, Any]) -> Call:
    args = found.get("args")
    try:
        said = Raw(_encode(args)) if isinstance(args, dict) else UNSET
    except RecursionError:
        raise Garbled("The provider sent arguments that are nested too deeply.") from None
    return Call(name=_text(found.get("name")), id=_text(found.get("id")), args=said)


def _blob(found: dict[str, Any]) -> Blob:
    return Blob(mime_type=_text(found.get("mimeType")), data=_text(found.get("data")))


def _report(found: object) -> Report | None:
    if not isinstance(found, dict):
        return None
    said: dict[str, Any] = {field: _whole(found.get(name)) for field, name in _COUNTS.items()}
    said |= {
        field: [
            Modality(modality=_text(each.get("modality")), token_count=_whole(each["tokenCount"]))
            for each in _dicts(found.get(name))
            if "tokenCount" in each
        ]
        for field, name in _DETAILS.items()
    }
    return Report(**said)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    """A count, if it is one; some send 12.0, and JSON of protocol buffers may say "12"."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if -(2**62) < value < 2**62 else None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
