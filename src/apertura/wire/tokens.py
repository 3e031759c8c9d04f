"""How many input tokens a text or a request has, for those who ask: `count_tokens`, and estimates
that somebody will read.

Counted with OpenAI's vocabulary o200k_base: exact for the text of its models, and the best that
can be said of the others, whose vocabularies are not public; for those a margin is added, so that
the figure is rather too high than too low. What a format adds around the text: see the constants.
Images, sounds and documents weigh what `estimate` says.

What it is not: for holds or the hot path; those use `estimate`, which costs a hundredth. A megabyte
takes some tenths of a second here, the first count loads the vocabulary: on the event loop call
these functions through `asyncio.to_thread`; no step keeps other threads from running for long.

The rule that keeps it honest: nothing is fetched, and whatever is sent, the work is bounded: beyond
`EXACT_MOST` characters `estimate` counts on.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from apertura.wire import bpe
from apertura.wire.estimate import IMAGE, beside, is_data, media, read, tokens_in

EXACT_MOST = 4_000_000
"""Characters of one text or request that are really cut."""
PER_MESSAGE = 3
"""What stands around each message, beside its role (OpenAI's own figure)."""
PER_REPLY = 3
"""What opens the answer."""
PER_TOOL = 8
"""What stands around each tool beside its JSON, which is already longer than what models see."""

TALK = ("messages", "input", "contents", "prompt")
"""Members of a request, in whatever format, that hold messages or plain text."""
ORDERS = ("system", "instructions", "systemInstruction", "system_instruction")
SCHEMAS = ("tools", "functions", "response_format")
"""Members that are seen as their JSON, names and all."""

_ARGUMENTS = frozenset({"input", "args", "response", "arguments"})
"""Members of a message that may hold a call's JSON: Anthropic's and Gemini's tools."""
_UNSEEN = frozenset(
    {
        "cache_control",
        "call_id",
        "encrypted_content",
        "id",
        "signature",
        "status",
        "thoughtSignature",
        "thought_signature",
        "tool_call_id",
        "tool_use_id",
        "type",
    }
)
"""Members of a message that are no text: names of kinds, identifiers, sealed reasoning."""
_SEALED = ("redacted_thinking", "reasoning.encrypted")
"""Kinds of parts that nobody but their provider can read."""


class Margin(Struct, frozen=True):
    """What models of a family count above o200k_base: percent of the text, and tokens for having
    any tools at all.
    """

    percent: int = 0
    tools: int = 0


MARGINS = {
    # 16 % more for English, 30 % for code, by what users measured; and Anthropic's documentation
    # states 290 to 350 tokens for the prompt that explains tools.
    "claude": Margin(percent=25, tools=340),
    # Between nothing and a tenth more, by language.
    "gemini": Margin(percent=10),
}
"""By a part of the model's name."""
_NONE = Margin()


def count(text: str) -> int:
    """Tokens of a text."""
    scale = _Scale()
    scale.add(text)
    return scale.total()


def count_request(members: Mapping[str, Raw], model: str = "") -> int:
    """Input tokens of a request in any format, from its raw members; the model's name decides the
    margin. What is neither text nor media nor tools (sampling, say) weighs nothing.
    """
    margin = margin_of(model)
    scale = _Scale()
    scale.weight = PER_REPLY
    for name in (*ORDERS, *TALK):
        if name in members:
            _put_talk(read(members[name]), scale)
    for name in SCHEMAS:
        if name in members:
            _put_schemas(read(members[name]), scale)
    if "tools" in members and bytes(members["tools"]) not in (b"[]", b"null"):
        scale.weight += margin.tools
    return -(-scale.total() * (100 + margin.percent) // 100)


def margin_of(model: str) -> Margin:
    """The margin for a model, by its name in any spelling."""
    name = model.lower()
    return next((margin for part, margin in MARGINS.items() if part in name), _NONE)


class _Scale:
    """What a request puts on it: texts, cut together at the end as long as there are not too many,
    and what has a weight of its own.
    """

    __slots__ = ("_left", "_texts", "weight")

    def __init__(self) -> None:
        self._left = EXACT_MOST
        self._texts: list[str] = []
        self.weight = 0

    def add(self, text: str) -> None:
        exact = text[: self._left]
        self._left -= len(exact)
        self._texts.append(exact)
        if len(exact) < len(text):
            self.weight += tokens_in(text[len(exact) :])

    def total(self) -> int:
        return self.weight + bpe.o200k().count(self._texts)


def _put_talk(value: object, scale: _Scale) -> None:
    """Messages, or a text that stands for one."""
    if isinstance(value, list):
        scale.weight += PER_MESSAGE * sum(isinstance(item, dict) for item in value)
    else:
        scale.weight += PER_MESSAGE
    _put(value, scale)


def _put_schemas(value: object, scale: _Scale) -> None:
    """Tools, each as its JSON."""
    for item in value if isinstance(value, list) else [value]:
        if item is not None:
            scale.weight += PER_TOOL
            scale.add(_json(item))


def _put(value: object, scale: _Scale) -> None:
    """The text of a message, wherever in it, and its media. A number in a list is a token: so
    callers send what they have tokenized themselves.
    """
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            if is_data(item):
                scale.weight += IMAGE
            else:
                scale.add(item)
        elif isinstance(item, list):
            scale.weight += sum(isinstance(each, int) for each in item)
            todo.extend(each for each in item if isinstance(each, str | list | dict))
        elif isinstance(item, dict) and item.get("type") not in _SEALED:
            weight = media(item)
            scale.weight += weight
            todo.extend(beside(item) if weight else _seen(item))


def _seen(item: dict[str, object]) -> list[object]:
    """What a model sees of an object within a message."""
    return [
        _json(value) if name in _ARGUMENTS and isinstance(value, dict) else value
        for name, value in item.items()
        if name not in _UNSEEN
    ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
