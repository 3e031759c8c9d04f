"""The content of an answer in the Messages format, block by block, as canonical events.

Streams and whole replies both run through here, so that they cannot differ: a whole reply is blocks
that each come at once. What it is not: trusting; providers leave out beginnings and ends, put all
of a block into its beginning, and send blocks that we do not know, which are read over. What only
servers do (their tools, their results) is no part of the canonical answer.

The rule that keeps it honest: state comes whole and with its block's end, citations with the text
that they are of, and what is held of an open block is bounded.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from apertura.errors import Garbled
from apertura.wire.anthropic_events import Block, Delta
from apertura.wire.anthropic_state import origin_and_state
from apertura.wire.chat import Citation
from apertura.wire.events import Cited, Event, Reasoning, Text, ToolCall
from apertura.wire.state import ANTHROPIC_REDACTED

BLOCKS_MAX = 4096
STATE_MAX = 4 * 1024 * 1024
"""Characters of one block's signature."""
CITATIONS_MAX = 1024


class _Open(Struct):
    """A block that has begun and not ended."""

    kind: Literal["text", "thinking", "redacted", "tool", "other"]
    call: int = 0
    start: int = 0
    """Of a text: how many characters of the same text came before."""
    said: bool = False
    input: str = ""
    signature: list[str] = msgspec.field(default_factory=list)
    size: int = 0
    data: str = ""
    citations: list[Citation] = msgspec.field(default_factory=list)


_KINDS: dict[str, Literal["text", "thinking", "redacted", "tool", "other"]] = {
    "text": "text",
    "thinking": "thinking",
    "redacted_thinking": "redacted",
    "tool_use": "tool",
}
_BY_DELTA = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
}


class Blocks:
    """The content of one answer, block by block."""

    __slots__ = ("_begun", "_calls", "_open", "_written")

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._begun = 0
        self._calls = 0
        self._written = 0
        """Characters of the text that is being written, since something else came."""

    @property
    def called(self) -> bool:
        """A tool was called."""
        return self._calls > 0

    def begin(self, index: int, block: Block) -> list[Event]:
        """A block begins; some providers say all of it here. Raises: Garbled."""
        events = self.end(index)
        self._begun += 1
        if self._begun > BLOCKS_MAX:
            raise Garbled("The provider sent more blocks than there can be.")
        opened = _Open(kind=_KINDS.get(block.type, "other"), start=self._written)
        self._open[index] = opened
        if opened.kind == "text":
            self._cite(opened, *(block.citations or ()))
            events += self._text(block.text)
        elif opened.kind == "thinking":
            events += self._think(block.thinking)
            self._sign(opened, block.signature)
        elif opened.kind == "redacted":
            opened.data = block.data or ""
        elif opened.kind == "tool":
            opened.call, self._calls = self._calls, self._calls + 1
            opened.input = _arguments(block.input)
            call_id = block.id or f"toolu_{opened.call}"
            events.append(ToolCall(index=opened.call, id=call_id, name=block.name or ""))
            self._written = 0
        return events

    def more(self, index: int, delta: Delta) -> list[Event]:
        """A piece of a block. Raises: Garbled."""
        opened = self._open.get(index)
        if opened is None:
            if delta.type not in _BY_DELTA:
                return []
            events = self.begin(index, Block(type=_BY_DELTA[delta.type]))
            return events + self.more(index, delta)
        if opened.kind == "text":
            if delta.citation is not None:
                self._cite(opened, delta.citation)
            return self._text(delta.text)
        if opened.kind == "thinking":
            self._sign(opened, delta.signature)
            return self._think(delta.thinking)
        if opened.kind == "tool" and delta.partial_json:
            opened.said = True
            return [ToolCall(index=opened.call, arguments=delta.partial_json)]
        return []

    def end(self, index: int) -> list[Event]:
        """A block ends: what only its end makes known."""
        opened = self._open.pop(index, None)
        if opened is None:
            return []
        if opened.kind == "tool" and not opened.said and opened.input:
            return [ToolCall(index=opened.call, arguments=opened.input)]
        if opened.kind == "thinking":
            return self._state("".join(opened.signature), redacted=False)
        if opened.kind == "redacted":
            return self._state(opened.data, redacted=True)
        return [
            Cited(citation=msgspec.structs.replace(cite, start=opened.start, end=self._written))
            for cite in opened.citations
        ]

    def end_all(self) -> list[Event]:
        """The answer is over: so are its blocks."""
        return [event for index in sorted(self._open) for event in self.end(index)]

    def _text(self, text: str | None) -> list[Event]:
        if not text:
            return []
        self._written += len(text)
        return [Text(text=text)]

    def _think(self, text: str | None) -> list[Event]:
        if not text:
            return []
        self._written = 0
        return [Reasoning(text=text)]

    def _state(self, state: str, *, redacted: bool) -> list[Event]:
        native = (ANTHROPIC_REDACTED,) if redacted else ()
        origin, found = origin_and_state(state, *native)
        self._written = 0
        return [Reasoning(state=found, origin=origin)] if origin else []

    @staticmethod
    def _sign(opened: _Open, piece: str | None) -> None:
        if piece:
            opened.signature.append(piece)
            opened.size += len(piece)
            if opened.size > STATE_MAX:
                raise Garbled("The provider sent a signature that is too large.")

    @staticmethod
    def _cite(opened: _Open, *found: dict[str, Any]) -> None:
        """Citations of web pages; those of the caller's own documents have no address."""
        for cite in found:
            url, title = cite.get("url"), cite.get("title")
            if isinstance(url, str) and url and len(opened.citations) < CITATIONS_MAX:
                named = title if isinstance(title, str) else ""
                opened.citations.append(Citation(url=url, title=named))


def _arguments(found: Raw) -> str:
    """The input of a tool where it comes at once: JSON as it stands, or nothing."""
    text = bytes(found).decode(errors="replace").strip()
    return text if text.startswith("{") and text != "{}" else ""
