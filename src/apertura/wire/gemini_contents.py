"""A conversation of any format, as Gemini's `contents`.

Google wants the user first, the sides in turns, each answer of a tool with its tool's name, and the
signature of what its model said before on the very part that it came with. What it is not: the
parameters (`gemini_express`).

The rule that keeps it honest: only Google's own reasoning state is sent to Google; and nothing that
was said is left out but what another model thought.
"""

from __future__ import annotations

from typing import Any, Literal, assert_never

import msgspec

from apertura.wire import fates, faults
from apertura.wire.anthropic_turns import BROKEN
from apertura.wire.chat import (
    CallPart,
    Chat,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    ResultPart,
    TextPart,
    Turn,
)
from apertura.wire.gemini_state import SKIP
from apertura.wire.openai_shapes import Object
from apertura.wire.state import GEMINI

_NOTHING = " "
"""What the user says where they have said nothing: the format wants a turn of theirs first."""
_decode_object = msgspec.json.Decoder(Object).decode
_encode = msgspec.json.Encoder().encode


def contents(chat: Chat) -> list[dict[str, Any]]:
    """All turns. Raises: BadRequest, naming what cannot be said."""
    names = {
        part.id: part.name
        for turn in chat.turns
        for part in turn.parts
        if isinstance(part, CallPart)
    }
    place = fates.name_of(chat, "turns")
    said: list[dict[str, Any]] = []
    for turn in chat.turns:
        role: Literal["user", "model"] = "model" if turn.role == "assistant" else "user"
        parts = _Turn(names, place).parts(turn)
        if not parts:
            continue
        if said and said[-1]["role"] == role:
            said[-1]["parts"] += parts
        else:
            said.append({"role": role, "parts": parts})
    if not said or said[0]["role"] == "model":
        said.insert(0, {"role": "user", "parts": [{"text": _NOTHING}]})
    for content in said:
        if content["role"] == "model":
            _sign_first_call(content["parts"])
    return said


class _Turn:
    """The parts of one turn, each with the signature that stands before it."""

    def __init__(self, names: dict[str, str], place: str) -> None:
        self._names, self._place = names, place
        self._signature = ""
        self._said: list[dict[str, Any]] = []

    def parts(self, turn: Turn) -> list[dict[str, Any]]:
        for part in turn.parts:
            self._part(part)
        self._flush()
        return self._said

    def _part(self, part: Part) -> None:
        match part:
            case TextPart(text=text) | RefusalPart(text=text):
                if text:
                    self._say({"text": text})
            case MediaPart():
                self._say(self._media(part))
            case ReasoningPart(state=state, origin=origin):
                if state and origin == GEMINI:
                    self._flush()
                    self._signature = state
            case CallPart():
                self._say(self._call(part))
            case ResultPart():
                self._say(self._result(part))
            case _:
                assert_never(part)

    def _say(self, said: dict[str, Any]) -> None:
        if self._signature:
            said["thoughtSignature"] = self._signature
            self._signature = ""
        self._said.append(said)

    def _flush(self) -> None:
        """A signature that stands before nothing came on a part without words."""
        if self._signature:
            self._say({"text": ""})

    def _media(self, part: MediaPart) -> dict[str, Any]:
        if not part.data:
            sentence = (
                "has media by address, which this model does not fetch: send it as a data URI"
            )
            raise faults.invalid(self._place, sentence)
        if not part.mime:
            raise faults.invalid(self._place, "has media without a MIME type")
        return {"inlineData": {"mimeType": part.mime, "data": part.data}}

    def _call(self, part: CallPart) -> dict[str, Any]:
        text = part.arguments or "{}"
        arguments: object = _object(text)
        if arguments is None:  # the model failed, and its caller goes on
            arguments = {BROKEN: text}
        call: dict[str, Any] = {"name": part.name, "args": arguments}
        return {"functionCall": {**({"id": part.id} if part.id else {}), **call}}

    def _result(self, part: ResultPart) -> dict[str, Any]:
        name = part.name or self._names.get(part.call_id, "")
        if not name:
            raise faults.invalid(self._place, "has a tool's answer to a call that is not there")
        text = "".join(inner.text for inner in part.parts if isinstance(inner, TextPart))
        response: dict[str, Any] = {"id": part.call_id, "name": name}
        found = None if part.is_error else _object(text)
        response["response"] = found or {"error" if part.is_error else "output": text}
        media = [self._media(inner) for inner in part.parts if isinstance(inner, MediaPart)]
        if media:
            response["parts"] = media
        return {"functionResponse": response}


def _object(text: str) -> Object | None:
    """The members of a text that is a JSON object; as they came, but for spaces around them."""
    if text.lstrip()[:1] != "{":
        return None
    try:
        return _decode_object(text)
    except faults.NOT_READ:
        return None


def _sign_first_call(parts: list[dict[str, Any]]) -> None:
    """Of the calls that a model makes at once, the first has the signature."""
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", SKIP)
