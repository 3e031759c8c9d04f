"""A streamed answer to a caller in the Messages format.

A stream is one block after the other, each begun and ended. Text and the first open call to a tool
leave at once; what comes between the pieces of a call waits until the call is whole. What it is
not: for several choices; there is one answer. What the blocks say stands in `anthropic_whole`.

The rule that keeps it honest: the indexes are contiguous, nothing stays open, a thinking block has
its signature, and nothing follows a failure.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, Literal

import msgspec

from apertura.domain.usage import NOTHING, Usage
from apertura.errors import Garbled
from apertura.wire import sse
from apertura.wire.anthropic_errors import render_stream_error
from apertura.wire.anthropic_state import signature_of
from apertura.wire.anthropic_turns import Json
from apertura.wire.anthropic_usage import report_of
from apertura.wire.anthropic_whole import citation_of, identity, picture, stopped, tool_use
from apertura.wire.dialect import CallFacts
from apertura.wire.events import (
    Cited,
    Content,
    Event,
    Failed,
    Finished,
    Media,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
)
from apertura.wire.state import ANTHROPIC_REDACTED

WAITING_MAX = 16 * 1024 * 1024
"""Characters that may wait for the end of a call to a tool."""

_NOBODY = Started(id="", created=0, model="")
_TAIL = b"}}\n\n"
_STOP = sse.frame(b'{"type":"message_stop"}', b"message_stop")
_encode = msgspec.json.Encoder().encode


class MessagesEncoder:
    """One streamed answer to a caller."""

    def __init__(self, call: CallFacts) -> None:
        self._call = call
        self._begun = self._failed = self._refused = False
        self._open: Literal["", "text", "thinking", "tool"] = ""
        self._index = 0
        self._head = b""
        self._origin = ""
        self._tool = 0
        self._arguments = _Arguments()
        self._done: set[int] = set()
        self._waiting: list[Content] = []
        self._size = 0
        self._end: Finished | None = None
        self._told = False

    def feed(self, events: list[Event]) -> bytes:
        """The bytes that say these events. Raises: Garbled, for a call that keeps too much."""
        return b"".join(map(self._say, events))

    def close(self) -> bytes:
        """The end of the message, unless the stream failed."""
        if self._failed:
            return b""
        out = self._ended(Finished(reason="stop")) if self._end is None else b""
        return out + self._tell(NOTHING) + _STOP

    def _say(self, event: Event) -> bytes:
        if self._failed:
            return b""
        match event:
            case Text(text=text, choice=0) if self._open == "text" and text:
                return self._head + _encode(text) + _TAIL
            case Started():
                return self._begin(event)
            case Finished():
                return self._ended(event) if event.choice == 0 and self._end is None else b""
            case UsageReported(usage=usage):
                return self._tell(usage)
            case Failed(error=error):
                self._failed = True
                return render_stream_error(error)
            case _:
                return self._content(event) if event.choice == 0 and self._end is None else b""

    def _begin(self, started: Started) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message = {
            **identity(self._call, started),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": report_of(NOTHING),
        }
        return _frame("message_start", message=message)

    def _content(self, *events: Content) -> bytes:
        """Content in its order, but for what must wait for an open call."""
        out = [] if self._begun else [self._begin(_NOBODY)]
        todo = deque(events)
        while todo:
            event = todo.popleft()
            if self._open != "tool" or _is_of(event, self._tool):
                out.append(self._write(event))
                continue
            self._wait(event)
            if self._arguments.whole:
                todo.extendleft(reversed(self._waiting))
                self._waiting, self._size = [], 0
                out.append(self._close())
        return b"".join(out)

    def _wait(self, event: Content) -> None:
        self._waiting.append(event)
        if isinstance(event, Text | Refusal | Reasoning):
            self._size += len(event.text) + 1
        elif isinstance(event, ToolCall):
            self._size += len(event.arguments) + 1
        if self._size > WAITING_MAX:
            raise Garbled("The provider sent tool arguments that are too large.")

    def _ended(self, end: Finished) -> bytes:
        """All content is there: what waited is written, call by call."""
        self._end = end
        out = [b"" if self._begun else self._begin(_NOBODY), self._close()]
        while self._waiting:
            waiting, self._waiting, self._size = self._waiting, [], 0
            out += [self._content(*waiting), self._close()]
        return b"".join(out)

    def _tell(self, usage: Usage) -> bytes:
        """Why the answer ended and what it consumed, once both are known."""
        if self._told or self._end is None:
            return b""
        self._told = True
        said = stopped(self._end.reason, self._end.stop_sequence, refused=self._refused)
        return _frame("message_delta", delta=said, usage=report_of(usage))

    def _write(self, event: Content) -> bytes:
        """One piece of content, now."""
        match event:
            case Refusal(text=text):
                self._refused = self._refused or text != ""
                return self._text(text)
            case Text(text=text):
                return self._text(text)
            case Reasoning():
                return self._think(event)
            case ToolCall():
                return self._tool_call(event)
            case Cited(citation=citation):
                return self._ready("text") + self._delta(
                    {"type": "citations_delta", "citation": citation_of(citation)}
                )
            case Media(part=part):
                return self._text(picture(part))

    def _text(self, text: str) -> bytes:
        return self._ready("text") + self._head + _encode(text) + _TAIL if text else b""

    def _think(self, event: Reasoning) -> bytes:
        out = b""
        if event.text:
            out = self._ready("thinking") + self._head + _encode(event.text) + _TAIL
        if self._open == "thinking":
            self._origin = event.origin or self._origin
        if not event.state:
            return out
        if event.origin == ANTHROPIC_REDACTED:
            block = {"type": "redacted_thinking", "data": event.state}
            return out + self._close() + self._start(block) + self._stop()
        out += self._ready("thinking")
        return out + self._sign(event.state, event.origin or self._origin) + self._stop()

    def _tool_call(self, event: ToolCall) -> bytes:
        if event.index in self._done:
            return b""
        out = b""
        if self._open != "tool":
            out = self._close()
            self._tool, self._arguments = event.index, _Arguments()
            block = tool_use(event.id or f"toolu_{self._call.id}_{event.index}", event.name, {})
            out += self._start(block)
            self._opened("tool")
        if not event.arguments:
            return out
        self._arguments.add(event.arguments)
        return out + self._head + _encode(event.arguments) + _TAIL

    def _ready(self, kind: Literal["text", "thinking"]) -> bytes:
        """A block of this kind, open."""
        if self._open == kind:
            return b""
        out = self._close() + self._start(_EMPTY[kind])
        self._opened(kind)
        self._origin = ""
        return out

    def _opened(self, kind: Literal["text", "thinking", "tool"]) -> None:
        self._open = kind
        self._head = _HEADS[kind] % self._index

    def _close(self) -> bytes:
        """Ends the open block, if there is one."""
        if self._open == "":
            return b""
        if self._open == "tool":
            self._done.add(self._tool)
        return (self._sign("", self._origin) if self._open == "thinking" else b"") + self._stop()

    def _start(self, block: Json) -> bytes:
        return _frame("content_block_start", index=self._index, content_block=block)

    def _stop(self) -> bytes:
        out = _frame("content_block_stop", index=self._index)
        self._index += 1
        self._open = ""
        return out

    def _delta(self, delta: Json) -> bytes:
        return _frame("content_block_delta", index=self._index, delta=delta)

    def _sign(self, state: str, origin: str) -> bytes:
        return self._delta({"type": "signature_delta", "signature": signature_of(state, origin)})


class _Arguments:
    """The arguments of an open call, as far as one must know to see that they are whole."""

    _TOKENS = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)

    def __init__(self) -> None:
        self._new: list[str] = []
        self._depth = 0
        self._begun = self._quoted = self._escaped = False

    def add(self, text: str) -> None:
        """The next piece."""
        self._new.append(text)

    @property
    def whole(self) -> bool:
        """What came so far is a whole JSON object (looked at only when something must wait)."""
        if self._new:
            self._scan("".join(self._new))
            self._new.clear()
        return self._begun and self._depth == 0

    def _scan(self, text: str) -> None:
        start = 1 if self._escaped else 0
        self._escaped = False
        for found in self._TOKENS.finditer(text, start):
            sign = found[0]
            if sign[0] == "\\":
                self._escaped = len(sign) == 1
            elif sign == '"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._begun = True
                self._depth += 1 if sign in "{[" else -1


_EMPTY: Final[dict[str, Json]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


def _head_of(kind: str, member: str) -> bytes:
    """A delta of text up to the text itself; `%d` stands for the block's index."""
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%%d,'
        b'"delta":{"type":"%b","%b":' % (kind.encode(), member.encode())
    )


_HEADS: Final = {
    "text": _head_of("text_delta", "text"),
    "thinking": _head_of("thinking_delta", "thinking"),
    "tool": _head_of("input_json_delta", "partial_json"),
}


def _is_of(event: Content, call: int) -> bool:
    return isinstance(event, ToolCall) and event.index == call


def _frame(kind: str, **members: object) -> bytes:
    return sse.frame(_encode({"type": kind, **members}), kind.encode())


def encoder(call: CallFacts) -> MessagesEncoder:
    """For one streamed answer to a caller."""
    return MessagesEncoder(call)
