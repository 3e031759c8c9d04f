"""The items of one answer in OpenAI's Responses format, from whatever pieces a provider sends.

Providers and their clones differ: items that are never announced, ids that are missing or new in
each event, one output index for all, text or arguments that come only when an item closes, or only
with the whole response. What it is not: the events of a stream (`responses_reading`).

The rule that keeps it honest: of each part it counts what was said, and what closes it adds only
the rest; so nothing is lost and nothing comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from apertura.errors import Garbled
from apertura.wire import state
from apertura.wire.chat import Citation, MediaPart
from apertura.wire.events import Cited, Content, Media, Reasoning, Refusal, Text, ToolCall

ITEMS_MAX = 1024
PARTS_MAX = 8192
HELD_MAX = 1024 * 1024
"""Characters of arguments that wait for the name of their tool."""

MESSAGE: Final = "message"
THOUGHT: Final = "reasoning"
CALL: Final = "function_call"
PICTURE: Final = "image_generation_call"
KINDS: Final = frozenset({MESSAGE, THOUGHT, CALL, PICTURE})
"""The items that an answer is made of; others are passed over."""

_TEXTS = {"output_text": "text", "refusal": "refusal", "text": "text"}


class Part:
    """One part of an item: how many characters of it were said, and how many citations."""

    __slots__ = ("chars", "cited")

    def __init__(self) -> None:
        self.chars = 0
        self.cited = 0


class Item:
    """One item in the making."""

    __slots__ = ("begun", "channel", "closed", "held", "id", "kind", "name", "number", "parts")

    def __init__(self, kind: str, item_id: str) -> None:
        self.kind, self.id = kind, item_id
        self.parts: dict[tuple[str, int], Part] = {}
        self.closed = False
        self.channel = ""
        """Of reasoning: whether its summary or its content is heard; some send both, the same."""
        self.begun = False
        self.number = 0
        self.name = ""
        self.held = ""


class Items:
    """All items of an answer."""

    def __init__(self) -> None:
        self._of: dict[str, list[Item]] = {kind: [] for kind in KINDS}
        self._by_index: dict[tuple[str, int], Item] = {}
        self._by_id: dict[str, Item] = {}
        self._parts = 0
        self.calls = 0
        """Calls of tools that have begun."""

    @property
    def all_closed(self) -> bool:
        """There are items, and each is complete."""
        items = [item for listed in self._of.values() for item in listed]
        return bool(items) and all(item.closed for item in items)

    def at(self, kind: str, index: object, item_id: object) -> Item:
        """The item that an event speaks of; a new one, if it was never announced."""
        if isinstance(index, int):
            found = self._by_index.get((kind, index))
        elif isinstance(item_id, str):
            found = self._by_id.get(item_id)
        else:
            found = self._of[kind][-1] if self._of[kind] else None
        return self._new(kind, index, item_id) if found is None or found.kind != kind else found

    def announced(self, kind: str, index: object, item_id: object) -> Item:
        """The item that an event brings whole, begun or complete."""
        found = self.at(kind, index, item_id)
        named = isinstance(item_id, str) and bool(item_id)
        if found.closed and named and found.id != item_id:  # one index for all
            return self._new(kind, index, item_id)
        if isinstance(item_id, str) and not found.id:
            self._name(found, item_id)
        return found

    def nth(self, kind: str, number: int, item_id: object) -> Item:
        """The item at a place among those of its kind, in the whole response."""
        found = self._by_id.get(item_id) if isinstance(item_id, str) else None
        if found is not None and found.kind == kind:
            return found
        listed = self._of[kind]
        return listed[number] if number < len(listed) else self._new(kind, None, item_id)

    def part(self, item: Item, kind: str, index: object) -> Part:
        """A part of an item."""
        key = (kind, index if isinstance(index, int) else 0)
        part = item.parts.get(key)
        if part is None:
            self._parts += 1
            if self._parts > PARTS_MAX:
                raise Garbled("The provider sent more parts than there can be.")
            part = item.parts[key] = Part()
        return part

    def close(self, item: Item, found: dict[str, Any]) -> Iterator[Content]:
        """What a whole item says beyond what was said of it before."""
        if item.kind == MESSAGE:
            yield from self._message(item, found)
        elif item.kind == CALL:
            yield from self.call(item, found)
        elif item.kind == THOUGHT:
            yield from self._thought(item, found)
        elif not item.closed and isinstance(data := found.get("result"), str) and data:
            form = found.get("output_format")
            mime = f"image/{form}" if isinstance(form, str) and form else "image/png"
            yield Media(part=MediaPart(kind="image", data=data, mime=mime))
        item.closed = True

    def text(self, item: Item, index: object, whole: object) -> Iterator[Content]:
        """The rest of a text."""
        if rest := _rest(self.part(item, "text", index), whole):
            yield Text(text=rest)

    def refusal(self, item: Item, index: object, whole: object) -> Iterator[Content]:
        """The rest of a refusal."""
        if rest := _rest(self.part(item, "refusal", index), whole):
            yield Refusal(text=rest)

    def think(self, item: Item, channel: str, index: object, delta: str) -> Iterator[Content]:
        """A piece of shown reasoning; the parts of a summary are paragraphs."""
        item.channel = item.channel or channel
        if item.channel != channel or not delta:
            return
        part = self.part(item, channel, index)
        first = part.chars == 0 and any(one.chars for one in item.parts.values())
        part.chars += len(delta)
        yield Reasoning(text="\n\n" + delta if first else delta)

    def thought(self, item: Item, channel: str, index: object, whole: object) -> Iterator[Content]:
        """The rest of a part of shown reasoning."""
        if isinstance(whole, str) and item.channel in ("", channel):
            yield from self.think(item, channel, index, whole[self._heard(item, channel, index) :])

    def cite(self, item: Item, index: object, found: object) -> Iterator[Content]:
        """One annotation, if it is a web page."""
        self.part(item, "text", index).cited += 1
        if (citation := _citation(found)) is not None:
            yield Cited(citation=citation)

    def arguments(self, item: Item, delta: str) -> Iterator[Content]:
        """A piece of a call's arguments; it waits for the name of the tool."""
        part = self.part(item, "arguments", 0)
        part.chars += len(delta)
        if item.begun:
            if delta:
                yield ToolCall(index=item.number, arguments=delta)
            return
        item.held += delta
        if len(item.held) > HELD_MAX:
            raise Garbled("The provider sent arguments for a tool without a name.")

    def call(self, item: Item, found: dict[str, Any]) -> Iterator[Content]:
        """What an event says of a call as a whole: its name, its arguments so far."""
        name, call_id = found.get("name"), found.get("call_id") or found.get("id") or item.id
        arguments = _arguments(found.get("arguments"))
        if isinstance(name, str) and name and not item.begun:
            item.name = name
            yield self._begin(item, call_id if isinstance(call_id, str) else "")
        if rest := arguments[self.part(item, "arguments", 0).chars :]:
            yield from self.arguments(item, rest)

    def rest(self) -> Iterator[Content]:
        """At the end: calls whose tool was never named."""
        for item in self._of[CALL]:
            if not item.begun:
                yield self._begin(item, item.id)

    def _begin(self, item: Item, call_id: str) -> ToolCall:
        item.begun, item.number = True, self.calls
        self.calls += 1
        held, item.held = item.held, ""
        named = call_id or f"call_{item.number}"
        return ToolCall(index=item.number, id=named, name=item.name, arguments=held)

    def _message(self, item: Item, found: dict[str, Any]) -> Iterator[Content]:
        content = found.get("content")
        if isinstance(content, str):
            content = [{"type": "output_text", "text": content}]
        for index, part in _dicts(content):
            kind = _TEXTS.get(str(part.get("type")))
            if kind == "text":
                yield from self.text(item, index, part.get("text"))
                annotations = [one for _, one in _dicts(part.get("annotations"))]
                for annotation in annotations[self.part(item, "text", index).cited :]:
                    yield from self.cite(item, index, annotation)
            elif kind == "refusal":
                yield from self.refusal(item, index, part.get("refusal"))

    def _thought(self, item: Item, found: dict[str, Any]) -> Iterator[Content]:
        for channel in ("summary", "content"):
            for index, part in _dicts(found.get(channel)):
                yield from self.thought(item, channel, index, part.get("text"))
        sealed = found.get("encrypted_content")
        if isinstance(sealed, str) and sealed and not item.closed:
            item_id = found.get("id")
            named = item_id if isinstance(item_id, str) else item.id
            yield Reasoning(state=f"{named}:{sealed}", origin=state.OPENAI)

    @staticmethod
    def _heard(item: Item, channel: str, index: object) -> int:
        part = item.parts.get((channel, index if isinstance(index, int) else 0))
        return 0 if part is None else part.chars

    def _new(self, kind: str, index: object, item_id: object) -> Item:
        if sum(map(len, self._of.values())) >= ITEMS_MAX:
            raise Garbled("The provider sent more items than there can be.")
        item = Item(kind, "")
        self._of[kind].append(item)
        if isinstance(index, int):
            self._by_index[kind, index] = item
        if isinstance(item_id, str) and item_id:
            self._name(item, item_id)
        return item

    def _name(self, item: Item, item_id: str) -> None:
        item.id = item_id
        self._by_id[item_id] = item


def _dicts(found: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a list, numbered by their places; nothing for what is no list."""
    for index, one in enumerate(found if isinstance(found, list) else ()):
        if isinstance(one, dict):
            yield index, one


def _rest(part: Part, whole: object) -> str:
    """What of a whole text was not said yet; now it is."""
    if not isinstance(whole, str):
        return ""
    rest = whole[part.chars :]
    part.chars += len(rest)
    return rest


def _arguments(found: object) -> str:
    """Arguments as JSON text; some providers send the object itself."""
    if not isinstance(found, dict):
        return found if isinstance(found, str) else ""
    try:
        return msgspec.json.encode(found).decode()
    except RecursionError:
        raise Garbled("The provider sent arguments that are nested too deeply.") from None


def _citation(found: object) -> Citation | None:
    """A citation of a web page, flat or nested; None for anything else."""
    if not isinstance(found, dict):
        return None
    nested = found.get("url_citation")
    said = {**nested, **found} if isinstance(nested, dict) else found
    url, title = said.get("url"), said.get("title")
    if not isinstance(url, str):
        return None
    return Citation(
        url=url,
        title=title if isinstance(title, str) else "",
        start=_place(said.get("start_index")),
        end=_place(said.get("end_index")),
    )


def _place(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
