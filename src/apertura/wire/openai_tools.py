"""The calls to tools in one choice of an answer, from whatever pieces a provider sends.

Providers differ: an index that is missing, null, the same for all, or begins at 1; an id in each
piece, in the first, or new in each; arguments as text in many pieces, at once, as an object, or
only in a closing message; the old `function_call`. What it is not: a check of the arguments; those
are between the model and the caller.

The rule that keeps it honest: calls come out numbered from 0 in the order in which they began, each
with its id and name in its first piece, and none of its arguments is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from apertura.errors import Garbled
from apertura.wire.events import Event, Reasoning, ToolCall
from apertura.wire.openai_thoughts import EXTRA, signature_on
from apertura.wire.state import OPENAI_CHAT

CALLS_MAX = 512
HELD_MAX = 1024 * 1024
"""Characters of arguments that wait for the name of their tool."""


class _Call(msgspec.Struct, kw_only=True):
    index: int
    id: str = ""
    name: str = ""
    held: list[str] = msgspec.field(default_factory=list)
    size: int = 0
    begun: bool = False
    extra: object = None
    """Google's edition of this format has the model's state here, on the call that it is for."""


class CallPieces:
    """The calls of one choice."""

    __slots__ = ("_by_index", "_calls", "_choice")

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    @property
    def any(self) -> bool:
        """Whether a tool was called at all."""
        return bool(self._calls)

    def take(self, delta: dict[str, Any], *, whole: bool = False) -> list[Event]:
        """The pieces in a delta, or in the message that closes a stream (`whole`)."""
        found = delta.get("tool_calls")
        found = found if isinstance(found, list) else []
        pieces: list[dict[str, Any]] = [piece for piece in found if isinstance(piece, dict)]
        old = delta.get("function_call")
        if isinstance(old, dict):
            pieces.append({"index": 0, "function": old})
        events: list[Event] = []
        for position, piece in enumerate(pieces):
            function = piece.get("function")
            function = function if isinstance(function, dict) else {}
            name = _text(function.get("name"))
            if whole:
                call = self._at(position, _text(piece.get("id")), name)
            else:
                call = self._call(piece, name)
            if signature_on(piece.get(EXTRA)):
                call.extra = piece[EXTRA]
            if not (whole and call.size):
                events.extend(self._more(call, _arguments(function.get("arguments"))))
        return events

    def rest(self) -> Iterator[Event]:
        """At the end: calls whose name never came."""
        for call in self._calls:
            if not call.begun:
                yield from self._begin(call)

    def _call(self, piece: dict[str, Any], name: str) -> _Call:
        """The call that a piece belongs to; a new one, if it begins one."""
        index, call_id = piece.get("index"), _text(piece.get("id"))
        if isinstance(index, int):
            call = self._by_index.get(index)
            # Some give each piece a new id; some give all calls the same index. A name tells.
            if call is not None and name and call_id and call.id and call_id != call.id:
                call = None
        else:
            call = self._unnumbered(call_id, name)
        if call is None:
            call = self._new()
        if isinstance(index, int):
            self._by_index[index] = call
        call.id = call.id or call_id
        call.name = call.name or name
        return call

    def _at(self, position: int, call_id: str, name: str) -> _Call:
        """The call at a place of a whole message; there the order is all that counts."""
        call = self._calls[position] if position < len(self._calls) else self._new()
        call.id = call.id or call_id
        call.name = call.name or name
        return call

    def _new(self) -> _Call:
        if len(self._calls) >= CALLS_MAX:
            raise Garbled("The provider sent more tool calls than there can be.")
        call = _Call(index=len(self._calls))
        self._calls.append(call)
        return call

    def _unnumbered(self, call_id: str, name: str) -> _Call | None:
        """The call of a piece without an index: by its id; else the last, unless it has a name."""
        if call_id:
            same = next((call for call in self._calls if call.id == call_id), None)
            if same is not None or name:
                return same
        return self._calls[-1] if self._calls and not name else None

    def _more(self, call: _Call, arguments: str) -> Iterator[Event]:
        call.size += len(arguments)
        if call.begun:
            if arguments:
                yield ToolCall(index=call.index, arguments=arguments, choice=self._choice)
            return
        call.held.append(arguments)
        if call.name:
            yield from self._begin(call)
        elif call.size > HELD_MAX:
            raise Garbled("The provider sent arguments for a tool without a name.")

    def _begin(self, call: _Call) -> Iterator[Event]:
        call.begun = True
        arguments = "".join(call.held)
        call.held.clear()
        if call.extra is not None:
            state = json_text({EXTRA: call.extra})
            yield Reasoning(state=state, origin=OPENAI_CHAT, choice=self._choice)
        yield ToolCall(
            index=call.index,
            arguments=arguments,
            id=call.id or f"call_{self._choice}_{call.index}",
            name=call.name,
            choice=self._choice,
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arguments(value: object) -> str:
    """Arguments as JSON text; some providers send the object itself."""
    if not isinstance(value, dict):
        return _text(value)
    return json_text(value)


def json_text(value: dict[str, Any]) -> str:
    """What a provider sent, as JSON again. Raises: Garbled."""
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        raise Garbled("The provider sent something that is nested too deeply.") from None
