"""The messages of a chat request in OpenAI's format, as turns made of parts.

What it is not: the check of what a message may be; `parse` has done that (`openai_shapes`), and
what is read here besides are members that only matter where a request is translated: tool calls,
reasoning, marks of the prompt cache.

The rule that keeps it honest: what no other format can say is refused by its place in the body, and
nothing of the conversation is left out in silence.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from apertura.wire import faults, openai_media, state
from apertura.wire.chat import (
    CallPart,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    ResultPart,
    TextPart,
    Turn,
)
from apertura.wire.openai_media import ContentPart
from apertura.wire.openai_thoughts import Thought, signature_on, thoughts

ABSENT: Final = Raw(b"null")
"""What a raw member is that is not there."""


class _Function(Struct, gc=False):
    name: str
    arguments: Raw = Raw(b'""')


class _Call(Struct, gc=False):
    id: str
    function: _Function
    extra_content: Raw = ABSENT


class Message(Struct, gc=False):
    """A message of any role."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Raw] | None = None
    images: list[ContentPart] | None = None
    audio: Raw = ABSENT


_any = msgspec.json.Decoder().decode


def turns(messages: list[Message]) -> tuple[tuple[TextPart, ...], tuple[Turn, ...]]:
    """The instructions before everything else, and the turns. Raises: BadRequest."""
    reader = _Reader()
    for index, message in enumerate(messages):
        reader.take(message, f"messages[{index}]")
    return tuple(reader.system), tuple(reader.turns())


class _Reader:
    """Message after message."""

    def __init__(self) -> None:
        self.system: list[TextPart] = []
        self._turns: list[Turn] = []
        self._results: list[ResultPart] = []
        self._names: dict[str, str] = {}
        self._last_of: dict[str, str] = {}

    def turns(self) -> list[Turn]:
        """All of them."""
        self._flush()
        return self._turns

    def take(self, message: Message, place: str) -> None:
        """One message. Results of tools that follow each other are one turn."""
        if message.role in ("tool", "function"):
            self._results.append(self._result(message, place))
            return
        self._flush()
        if message.role in ("system", "developer"):
            self._instruct(message, place)
        elif message.role == "assistant":
            parts = self._assistant(message, place)
            if parts:
                self._turns.append(Turn(role="assistant", parts=tuple(parts)))
        else:
            parts = _parts(message.content, place) or [TextPart(text="")]
            self._turns.append(Turn(role="user", parts=tuple(parts)))

    def _flush(self) -> None:
        if self._results:
            self._turns.append(Turn(role="user", parts=tuple(self._results)))
            self._results = []

    def _instruct(self, message: Message, place: str) -> None:
        texts: list[TextPart] = []
        for part in _parts(message.content, place):
            if not isinstance(part, TextPart):
                raise faults.invalid(f"{place}.content", "may hold text alone in this role")
            texts.append(part)
        if not self._turns:
            self.system += texts
        elif texts:
            self._turns.append(Turn(role="system", parts=tuple(texts)))

    def _result(self, message: Message, place: str) -> ResultPart:
        """What a tool answered; in the format's first way to say so, only its name tells which."""
        call_id = message.tool_call_id
        if call_id is None:
            call_id = self._last_of.get(message.name or "", "")
            if not call_id:
                raise faults.invalid(f"{place}.name", "names no function that was called before")
        parts: list[TextPart | MediaPart] = []
        for part in _parts(message.content, place):
            if not isinstance(part, TextPart | MediaPart):
                raise faults.invalid(f"{place}.content", "may hold text and images in this role")
            parts.append(part)
        name = self._names.get(call_id, "") or message.name or ""
        return ResultPart(call_id=call_id, parts=tuple(parts), name=name)

    def _assistant(self, message: Message, place: str) -> list[Part]:
        """Thoughts stand where they were; calls come last, each after what belongs to it."""
        if bytes(message.audio) != b"null":
            raise faults.invalid(f"{place}.audio", "is known only to the provider that made it")
        calls = self._calls(message, place)
        ids = frozenset(call.id for call, _ in calls)
        shown = message.reasoning_content or message.reasoning or ""
        found = thoughts(message.reasoning_details or (), shown, ids)
        parts = _parts(message.content, place)
        if message.refusal:
            parts.append(RefusalPart(text=message.refusal))
        for at, image in enumerate(message.images or ()):
            parts.append(openai_media.part(image, f"{place}.images[{at}]"))
        parts = _placed(parts, [thought for thought in found if not thought.before])
        for call, signature in calls:
            before = [thought.part for thought in found if thought.before == call.id]
            if signature and not any(part.state == signature for part in before):
                before.append(ReasoningPart(state=signature, origin=state.GEMINI))
            parts += [*before, call]
        return parts

    def _calls(self, message: Message, place: str) -> list[tuple[CallPart, str]]:
        """Each call, and the signature that Google's edition of this format has on it."""
        calls: list[tuple[CallPart, str]] = []
        for at, asked in enumerate(message.tool_calls or ()):
            if not asked.id:
                raise faults.missing(f"{place}.tool_calls[{at}].id")
            signature = signature_on(faults.read(bytes(asked.extra_content), _any))
            calls.append((_call(asked.id, asked.function), signature))
        if message.function_call is not None:
            call_id = f"call_{len(self._turns)}_{len(self._names)}"
            calls.append((_call(call_id, message.function_call), ""))
        for call, _ in calls:
            self._names[call.id] = call.name
            self._last_of[call.name] = call.id
        return calls


def _call(call_id: str, function: _Function) -> CallPart:
    """Arguments are JSON within a string; some callers send the object itself."""
    said = bytes(function.arguments)
    arguments = _any(said) if said[:1] == b'"' else said.decode()
    return CallPart(id=call_id, name=function.name, arguments=arguments or "{}")


def _parts(content: str | list[ContentPart] | None, place: str) -> list[Part]:
    """What a message says; empty text says nothing."""
    if content is None or isinstance(content, str):
        return [TextPart(text=content)] if content else []
    found = [openai_media.part(part, f"{place}.content[{at}]") for at, part in enumerate(content)]
    return [part for part in found if not isinstance(part, TextPart) or part.text]


def _placed(parts: list[Part], found: list[Thought]) -> list[Part]:
    """The parts with thoughts where they stood: after so many characters of the text."""
    placed: list[Part] = []
    waiting = list(found)
    seen = 0
    for part in parts:
        text = part.text if isinstance(part, TextPart) else ""
        while waiting and waiting[0].offset < seen + max(len(text), 1):
            cut = max(0, waiting[0].offset - seen)
            if cut:
                placed.append(TextPart(text=text[:cut]))
                text, seen = text[cut:], seen + cut
            placed.append(waiting.pop(0).part)
        if not isinstance(part, TextPart):
            placed.append(part)
        elif text:
            placed.append(TextPart(text=text, cache=part.cache))
            seen += len(text)
    return placed + [thought.part for thought in waiting]
