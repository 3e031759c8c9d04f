"""Canonical turns as messages of the Messages format, by its rules of order.

The user speaks first, sides alternate, the answers of tools come first in their turn, and no block
is empty. Where a conversation is not like that, it is made so: neighbours of one side are joined;
an instruction in mid-conversation becomes text of the user's turn, in `<system>` tags; a
conversation that the user does not begin gets a "." before it. What it is not: the parameters.

The rule that keeps it honest: of reasoning only this format's own goes out, with its signature as
it came; everything else that a turn holds goes out, or the request is refused with its place.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Any

import msgspec
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire import faults
from apertura.wire.chat import (
    CacheLife,
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
from apertura.wire.fates import name_of
from apertura.wire.state import ANTHROPIC, ANTHROPIC_REDACTED

Json = dict[str, Any]

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
OPENING = "."
"""What the user is made to say first, where a conversation begins with the model."""
BROKEN = "INVALID_JSON"
"""The member under which arguments stand that are no JSON object."""
MARKS_MOST = 4

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*?;base64,", re.IGNORECASE)
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def messages_of(chat: Chat) -> tuple[list[Json], list[str]]:
    """The messages, and what of the turns could not be said."""
    writer = _Writer(chat)
    for turn in chat.turns:
        writer.add(turn)
    return writer.messages(), writer.lost


def text_block(text: str, cache: CacheLife = "") -> Json:
    """A `text` block."""
    return with_mark({"type": "text", "text": text}, cache)


def with_mark(block: Json, cache: CacheLife) -> Json:
    """The same, marked as the end of what the provider shall keep."""
    if not cache:
        return block
    life = {"ttl": "1h"} if cache == "1h" else {}
    return {**block, "cache_control": {"type": "ephemeral", **life}}


def thoughtless(messages: list[Json]) -> bool:
    """Whether tools are being called in a turn that does not begin with this format's thinking;
    a provider refuses to think further there.
    """
    first: Json | None = None
    for message in reversed(messages):
        kinds = [block["type"] for block in message["content"]]
        if message["role"] == "assistant":
            if "tool_use" not in kinds:
                break
            first = message
        elif "tool_result" not in kinds:
            break
    return first is not None and first["content"][0]["type"] not in _THOUGHTS


def without_last_thoughts(messages: list[Json]) -> None:
    """Takes the thinking out of an answer that a model shall go on with and may not think."""
    if messages[-1]["role"] == "assistant":
        kept = [block for block in messages[-1]["content"] if block["type"] not in _THOUGHTS]
        messages[-1:] = [{**messages[-1], "content": kept}] if kept else []


_THOUGHTS = ("thinking", "redacted_thinking")


class _Writer:
    """Puts one turn after the other."""

    def __init__(self, chat: Chat) -> None:
        self._where = name_of(chat, "turns") if "turns" in chat.names else "messages"
        self._messages: list[Json] = []
        self.lost: list[str] = []

    def add(self, turn: Turn) -> None:
        """The next turn, joined to the one before it where the same side spoke."""
        role = "assistant" if turn.role == "assistant" else "user"
        if turn.role == "system":
            blocks = [_instruction(part) for part in turn.parts if isinstance(part, TextPart)]
        else:
            say = self._answered if role == "assistant" else self._block
            blocks = [block for part in turn.parts if (block := say(part)) is not None]
        if not blocks:
            return
        if self._messages and self._messages[-1]["role"] == role:
            self._messages[-1]["content"] += blocks
        else:
            self._messages.append({"role": role, "content": blocks})

    def messages(self) -> list[Json]:
        """All of them, in the order that the format asks for."""
        for message in self._messages:
            if message["role"] == "user":
                message["content"].sort(key=lambda block: block["type"] != "tool_result")
        if not self._messages or self._messages[0]["role"] != "user":
            self._messages.insert(0, {"role": "user", "content": [text_block(OPENING)]})
        self._close_prefill(self._messages[-1])
        return self._messages

    @staticmethod
    def _close_prefill(last: Json) -> None:
        """An answer that is to be gone on with must not end in white space."""
        block = last["content"][-1]
        if last["role"] == "assistant" and block["type"] == "text":
            block["text"] = block["text"].rstrip()

    def _block(self, part: Part) -> Json | None:
        match part:
            case TextPart(text=text, cache=cache):
                return text_block(text, cache) if text.strip() else None
            case RefusalPart(text=text):
                return text_block(text) if text.strip() else None
            case MediaPart():
                return self._media(part)
            case ReasoningPart():
                return _thought(part)
            case CallPart(cache=cache):
                return with_mark(_call(part), cache)
            case ResultPart(cache=cache):
                return with_mark(self._result(part), cache)

    def _result(self, part: ResultPart) -> Json:
        blocks = [block for inner in part.parts if (block := self._within(inner)) is not None]
        said: Json = {"type": "tool_result", "tool_use_id": call_id(part.call_id)}
        if blocks:
            said["content"] = blocks
        if part.is_error:
            said["is_error"] = True
        return said

    def _within(self, part: TextPart | MediaPart) -> Json | None:
        """What a tool answered; of sound and film only a note, which is listed."""
        if isinstance(part, MediaPart) and part.kind in ("audio", "video"):
            return self._note(part)
        return self._block(part)

    def _answered(self, part: Part) -> Json | None:
        """What the model said; of what it drew only a note, as its turns hold no images."""
        return self._note(part) if isinstance(part, MediaPart) else self._block(part)

    def _note(self, part: MediaPart) -> Json:
        self.lost.append(f"{self._where}.{part.kind}")
        return text_block(f"[{part.kind} left out]")

    def _media(self, part: MediaPart) -> Json:
        if part.kind not in ("image", "document"):
            raise self._refused(f"hold a part of type {part.kind}, which this model cannot take")
        part = _with_data(part)
        if part.kind == "image":
            return with_mark({"type": "image", "source": self._image(part)}, part.cache)
        said: Json = {"type": "document", "source": self._document(part)}
        if part.name:
            said["title"] = part.name
        return with_mark(said, part.cache)

    def _image(self, part: MediaPart) -> Json:
        if not part.data:
            return self._address(part)
        mime = "image/jpeg" if part.mime == "image/jpg" else part.mime.lower()
        if mime not in IMAGES:
            what = "hold an image that is not one of JPEG, PNG, GIF and WebP"
            raise self._refused(what, code="invalid_image")
        return {"type": "base64", "media_type": mime, "data": part.data}

    def _document(self, part: MediaPart) -> Json:
        if not part.data:
            return self._address(part)
        if part.mime == "application/pdf":
            return {"type": "base64", "media_type": part.mime, "data": part.data}
        try:
            text = b64decode(part.data, validate=True).decode()
        except ValueError:  # no base64, or of no text
            raise self._refused("hold a document that is neither PDF nor text") from None
        return {"type": "text", "media_type": "text/plain", "data": text}

    def _address(self, part: MediaPart) -> Json:
        if not part.url.startswith("https://"):
            raise self._refused("hold a file without an https address; send it as a data URI")
        return {"type": "url", "url": part.url}

    def _refused(self, what: str, code: str = "invalid_parameter") -> BadRequest:
        error = faults.invalid(self._where, what)
        return BadRequest(error.message, code=code, param=error.param)


def _instruction(part: TextPart) -> Json:
    return text_block(f"<system>\n{part.text}\n</system>", part.cache)


def _thought(part: ReasoningPart) -> Json | None:
    """Reasoning of this format's own models; that of others stays here."""
    if part.origin == ANTHROPIC and part.state:
        return {"type": "thinking", "thinking": part.text, "signature": part.state}
    if part.origin == ANTHROPIC_REDACTED and part.state:
        return {"type": "redacted_thinking", "data": part.state}
    return None


def _call(part: CallPart) -> Json:
    return {
        "type": "tool_use",
        "id": call_id(part.id),
        "name": part.name,
        "input": input_of(part.arguments),
    }


def input_of(arguments: str) -> object:
    """Arguments as the object that they must be, byte for byte where they are one."""
    try:
        _decode_object(arguments or "{}")
    except _NOT_READ:
        return {BROKEN: arguments} if arguments.strip() else {}
    return Raw((arguments or "{}").encode())


def call_id(found: str) -> str:
    """A tool call's id in the letters that the format allows; other ids stay different."""
    safe = _NOT_IN_IDS.sub("_", found)
    if safe == found and found:
        return found
    return f"{safe[:50]}_{binascii.crc32(found.encode('utf-8', 'replace')):08x}"


def _with_data(part: MediaPart) -> MediaPart:
    """A part whose address is its data, taken apart."""
    found = _DATA.match(part.url[:200]) if part.url[:5].lower() == "data:" else None
    if found is None:
        return part
    mime = (found[1] or part.mime).lower()
    return msgspec.structs.replace(part, url="", data=part.url[found.end() :], mime=mime)
