"""The items of an answer in OpenAI's Responses format, as a stream writes them.

An item is announced, filled in pieces, and closed with all that it holds. What it is not: the order
of an answer's items (`responses_encoder`).

The rule that keeps it honest: every event is numbered by the one `Script`, what is announced is
closed, and a closing event holds just what the pieces added up to.
"""

from __future__ import annotations

import msgspec

from apertura.wire import sse, state
from apertura.wire.chat import Citation

_encode = msgspec.json.Encoder().encode

Said = dict[str, object]


class Script:
    """The events of one stream: each numbered, named and framed."""

    def __init__(self) -> None:
        self.number = 0

    def event(self, name: str, /, **said: object) -> bytes:
        """One event."""
        data = _encode({"type": name, **said, "sequence_number": self.next()})
        return sse.frame(data, name.encode())  # what repeats the request may have lines

    def next(self) -> int:
        """The number of the next event."""
        number = self.number
        self.number += 1
        return number


class _Item:
    """What all items have."""

    def __init__(self, script: Script, index: int, item_id: str) -> None:
        self.script, self.index, self.id = script, index, item_id
        self._place: Said = {"item_id": item_id, "output_index": index}

    def whole(self, status: str) -> Said:
        """The item with what it holds so far."""
        raise NotImplementedError

    def _added(self) -> bytes:
        item = self.whole("in_progress")
        return self.script.event("response.output_item.added", output_index=self.index, item=item)

    def _closed(self, item: Said) -> bytes:
        return self.script.event("response.output_item.done", output_index=self.index, item=item)


class _Part:
    """One part of a message: text or a refusal."""

    def __init__(self, message: Message, index: int, kind: str) -> None:
        self.kind, self.index = kind, index
        self._pieces: list[str] = []
        self._cited: list[Said] = []
        self._script = message.script
        self._place: Said = {
            "item_id": message.id,
            "output_index": message.index,
            "content_index": index,
        }
        name = f"response.{kind}.delta".encode()
        head = _encode({"type": name.decode(), **self._place})[:-1]
        self._head = b"event: " + name + b"\ndata: " + head + b',"delta":'
        self._tail = b',"logprobs":[],"sequence_number":%d}\n\n'
        if kind == "refusal":
            self._tail = b',"sequence_number":%d}\n\n'

    def whole(self) -> Said:
        """The part with what it holds so far."""
        text = "".join(self._pieces)
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": self._cited, "logprobs": []}

    def open(self) -> bytes:
        part = self.whole()
        return self._script.event("response.content_part.added", **self._place, part=part)

    def say(self, text: str) -> bytes:
        """A piece."""
        self._pieces.append(text)
        return self._head + _encode(text) + self._tail % self._script.next()

    def cite(self, citation: Citation) -> bytes:
        """A web page that the text rests on; both flat and nested, as clients differ."""
        said: Said = {
            "url": citation.url,
            "title": citation.title,
            "start_index": citation.start,
            "end_index": citation.end,
        }
        annotation: Said = {"type": "url_citation", **said, "url_citation": said}
        number = len(self._cited)
        self._cited = [*self._cited, annotation]
        name = "response.output_text.annotation.added"
        place = {**self._place, "annotation_index": number}
        return self._script.event(name, **place, annotation=annotation)

    def close(self) -> bytes:
        part, event = self.whole(), self._script.event
        name = f"response.{self.kind}.done"
        if self.kind == "refusal":
            done = event(name, **self._place, refusal=part["refusal"])
        else:
            done = event(name, **self._place, text=part["text"], logprobs=[])
        return done + event("response.content_part.done", **self._place, part=part)


class Message(_Item):
    """What the model says: parts of text and of refusal."""

    def __init__(self, script: Script, index: int, item_id: str) -> None:
        super().__init__(script, index, item_id)
        self._done: list[Said] = []
        self.part: _Part | None = None
        self.open = self._added

    def whole(self, status: str) -> Said:
        """The item; a part that goes on is not in it yet."""
        return {
            "type": "message",
            "id": self.id,
            "status": status,
            "role": "assistant",
            "content": list(self._done),
        }

    def turn_to(self, kind: str) -> tuple[_Part, bytes]:
        """The part of this kind to go on with, and what opens it if it is new."""
        if self.part is not None and self.part.kind == kind:
            return self.part, b""
        before = self._close_part()
        self.part = _Part(self, len(self._done), kind)
        return self.part, before + self.part.open()

    def close(self, status: str) -> tuple[bytes, Said]:
        """What ends the item, and the item."""
        before = self._close_part()
        item = self.whole(status)
        return before + self._closed(item), item

    def _close_part(self) -> bytes:
        part, self.part = self.part, None
        if part is None:
            return b""
        self._done.append(part.whole())
        return part.close()


class Thought(_Item):
    """What the model thinks: a summary of one part, and state that is sealed."""

    def __init__(self, script: Script, index: int, item_id: str) -> None:
        super().__init__(script, index, item_id)
        self._pieces: list[str] = []
        self._place["summary_index"] = 0
        self._sealed = ""
        self.origin = ""
        self.open = self._added

    def whole(self, status: str) -> Said:
        text = "".join(self._pieces)
        said: Said = {"type": "reasoning", "id": self.id}
        said["summary"] = [{"type": "summary_text", "text": text}] if text else []
        if self._sealed:
            said["encrypted_content"] = self._sealed
        return said

    def say(self, text: str) -> bytes:
        """A piece of what is shown."""
        event = self.script.event
        opened = b""
        if not self._pieces:
            part = {"type": "summary_text", "text": ""}
            opened = event("response.reasoning_summary_part.added", **self._place, part=part)
        self._pieces.append(text)
        return opened + event("response.reasoning_summary_text.delta", **self._place, delta=text)

    def seal(self, opaque: str, origin: str) -> None:
        """Its state: in the format's own way if that is where it comes from and its id fits, else
        wrapped.
        """
        item_id, _, sealed = opaque.partition(":")
        native = origin == state.OPENAI and item_id == self.id
        self._sealed = sealed if native else state.wrap(origin, opaque)

    def close(self, status: str) -> tuple[bytes, Said]:
        """What ends the item, and the item. Shown reasoning keeps the mark of its origin."""
        if self.origin not in ("", state.OPENAI) and not self._sealed:
            self._sealed = state.wrap(self.origin, "")
        said, event = b"", self.script.event
        if self._pieces:
            text = "".join(self._pieces)
            part = {"type": "summary_text", "text": text}
            said = event("response.reasoning_summary_text.done", **self._place, text=text)
            said += event("response.reasoning_summary_part.done", **self._place, part=part)
        item = self.whole(status)
        return said + self._closed(item), item


class Call(_Item):
    """A call of a tool."""

    def __init__(self, script: Script, index: int, item_id: str, call_id: str, name: str) -> None:
        super().__init__(script, index, item_id)
        self._call_id, self._name = call_id, name
        self._arguments: list[str] = []
        self.open = self._added

    def whole(self, status: str) -> Said:
        return {
            "type": "function_call",
            "id": self.id,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": "".join(self._arguments),
            "status": status,
        }

    @property
    def complete(self) -> bool:
        """Its arguments are a whole object, to which nothing can be added."""
        text = "".join(self._arguments)
        if not text.endswith("}"):
            return False
        try:
            msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False
        return True

    def say(self, arguments: str) -> bytes:
        """A piece of the arguments."""
        self._arguments.append(arguments)
        name = "response.function_call_arguments.delta"
        return self.script.event(name, **self._place, delta=arguments)

    def close(self, status: str) -> tuple[bytes, Said]:
        """What ends the item, and the item."""
        before = b"" if any(self._arguments) else self.say("{}")
        item = self.whole(status)
        name, said = "response.function_call_arguments.done", item["arguments"]
        done = self.script.event(name, **self._place, name=self._name, arguments=said)
        return before + done + self._closed(item), item


class Picture(_Item):
    """A picture, whole."""

    def __init__(self, script: Script, index: int, item_id: str, data: str, mime: str) -> None:
        super().__init__(script, index, item_id)
        self._data, self._form = data, mime.removeprefix("image/")

    def whole(self, status: str) -> Said:
        return {
            "type": "image_generation_call",
            "id": self.id,
            "status": status,
            "output_format": self._form,
            "result": self._data if status == "completed" else None,
        }

    def write(self) -> tuple[bytes, Said]:
        """All of it, and the item."""
        item = self.whole("completed")
        return self._added() + self._closed(item), item
