"""The turns of a conversation in Gemini's format, as turns of any format.

Calls to tools need no id there: an answer belongs to the first call of its name that has none yet.
Elsewhere both need one, so calls without an id get one here, made of their place. A signature
stands on the part that it belongs to; here it stands before that part, with the thoughts that led
to it. What it is not: how turns must follow each other; each format sees to its own rules.

The rule that keeps it honest: the same conversation gets the same ids in each of its requests.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from apertura.errors import BadRequest
from apertura.wire import faults, gemini_shapes
from apertura.wire.chat import (
    CallPart,
    MediaPart,
    Part,
    ReasoningPart,
    ResultPart,
    TextPart,
    Turn,
)
from apertura.wire.gemini_shapes import Blob, Content, FileData, FunctionCall, FunctionResponse
from apertura.wire.gemini_state import SKIP, unsign
from apertura.wire.state import GEMINI

Kind = Literal["image", "audio", "video", "document"]
_KINDS: dict[str, Kind] = {
    "image": "image",
    "audio": "audio",
    "video": "video",
}
_AT_GOOGLE = ("executable_code", "code_execution_result", "tool_call", "tool_response")
_encode = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(str).decode


class Turns:
    """A conversation, turn by turn."""

    def __init__(self) -> None:
        self.said: list[Turn] = []
        self._open: list[tuple[str, str]] = []
        """Id and name of calls that have no answer yet."""
        self._calls = 0

    def add(self, content: Content, place: str) -> None:
        """The next turn. Raises: BadRequest, naming the part."""
        role: Literal["user", "assistant"] = "assistant" if content.role == "model" else "user"
        parts: list[Part] = []
        thoughts: list[str] = []
        for index, part in enumerate(gemini_shapes.parts(content)):
            where = f"{place}.parts[{index}]"
            if part.thought:
                thoughts.append(part.text or "")
            signature = part.thought_signature
            if signature and signature != SKIP:
                origin, state = unsign(signature)
                text = "".join(thoughts)
                parts.append(ReasoningPart(text=text, state=state, origin=origin))
                thoughts.clear()
            if not part.thought:
                if thoughts:
                    parts.append(ReasoningPart(text="".join(thoughts), origin=GEMINI))
                    thoughts.clear()
                found = self._part(part, where)
                parts += [] if found is None else [found]
        if thoughts:
            parts.append(ReasoningPart(text="".join(thoughts), origin=GEMINI))
        if parts:
            self.said.append(Turn(role=role, parts=tuple(parts)))

    def _part(self, part: gemini_shapes.Part, place: str) -> Part | None:
        if part.function_call is not None:
            return self._call(part.function_call)
        if part.function_response is not None:
            return self._result(part.function_response, place)
        if part.inline_data is not None:
            return _inline(part.inline_data)
        if part.file_data is not None:
            return _file(part.file_data)
        if any(getattr(part, name) is not None for name in _AT_GOOGLE):
            sentence = "is of a tool that runs at Google, which this model's provider does not have"
            raise faults.invalid(place, sentence)
        return TextPart(text=part.text) if part.text else None

    def _call(self, call: FunctionCall) -> CallPart:
        call_id = call.id or f"call_{self._calls}"
        self._calls += 1
        self._open.append((call_id, call.name))
        arguments = "{}" if call.args is None else _encode(call.args).decode()
        return CallPart(id=call_id, name=call.name, arguments=arguments)

    def _result(self, result: FunctionResponse, place: str) -> ResultPart:
        call_id = result.id or self._first_open(result.name)
        if not call_id:
            raise _unasked(place)
        self._open = [known for known in self._open if known[0] != call_id]
        text, is_error = _answer(result)
        parts: list[TextPart | MediaPart] = [TextPart(text=text)] if text else []
        for inner in result.parts or ():
            if inner.inline_data is not None:
                parts.append(_inline(inner.inline_data))
            elif inner.file_data is not None:
                parts.append(_file(inner.file_data))
        return ResultPart(call_id=call_id, parts=tuple(parts), name=result.name, is_error=is_error)

    def _first_open(self, name: str) -> str:
        return next((call_id for call_id, known in self._open if known == name), "")


def _unasked(place: str) -> BadRequest:
    sentence = "answers a call that was not made before it"
    return faults.invalid(f"{place}.functionResponse", sentence)


def _answer(result: FunctionResponse) -> tuple[str, bool]:
    """What a tool said, and whether that is an error."""
    response = result.response
    if not response:
        return "", False
    if len(response) == 1:
        name, value = next(iter(response.items()))
        if name in ("output", "error"):
            data = bytes(value)
            text = faults.read(data, _decode_text) if data[:1] == b'"' else data.decode()
            return text, name == "error"
    return _encode(response).decode(), False


def media_kind(mime: str, unknown: Kind = "document") -> Kind:
    """What a MIME type is of."""
    return _KINDS.get(mime.partition("/")[0].lower(), "document") if mime else unknown


def _inline(blob: Blob) -> MediaPart:
    return MediaPart(kind=media_kind(blob.mime_type), data=blob.data, mime=blob.mime_type)


def _file(found: FileData) -> MediaPart:
    mime = found.mime_type or ""
    return MediaPart(kind=media_kind(mime, "image"), url=found.file_uri, mime=mime)
