"""What stands beside the words in an answer of OpenAI's chat format: thoughts, sources, pictures.

Providers of this format add these each in their own way; here is what of it becomes events. What it
is not: the words and the calls to tools (`openai_reply`, `openai_tools`).

The rule that keeps it honest: state keeps the entry that it came in, whole, so that its provider
gets it back as it was; its text alone is taken out, because it has been streamed before; and what
has another shape than we know is read over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apertura.errors import Garbled
from apertura.wire.chat import Citation, MediaPart
from apertura.wire.events import Cited, Media, Reasoning
from apertura.wire.openai_chunks import words
from apertura.wire.openai_media import medium_at, sound_mime
from apertura.wire.openai_tools import json_text
from apertura.wire.state import OPENAI_CHAT

AUDIO_MAX = 32 * 1024 * 1024
"""Characters of base64 that one choice may speak."""


class Thinking:
    """The reasoning of one choice."""

    __slots__ = ("_apart", "_choice")

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._apart = False

    def shown(self, text: str) -> Reasoning:
        """A piece of text that came without details; whoever sends such repeats it in them."""
        self._apart = True
        return Reasoning(text=text, origin=OPENAI_CHAT, choice=self._choice)

    def take(self, text: str, details: object) -> Iterator[Reasoning]:
        """What a delta or a message shows (`text`), and its `reasoning_details`.

        Most say the text in both; some in the details alone; some say it there again, whole, once
        it is complete.
        """
        entries = [e for e in details if isinstance(e, dict)] if isinstance(details, list) else []
        said = [_said(entry) for entry in entries]
        if text and text != "".join(said):
            yield self.shown(text)
        for entry, piece in zip(entries, said, strict=True):
            if piece and not self._apart:
                yield Reasoning(text=piece, origin=OPENAI_CHAT, choice=self._choice)
            if _has_state(entry):
                state = json_text(_without_text(entry))
                yield Reasoning(state=state, origin=OPENAI_CHAT, choice=self._choice)


def _said(entry: dict[str, Any]) -> str:
    return words(entry.get("text")) or words(entry.get("summary"))


def _has_state(entry: dict[str, Any]) -> bool:
    return any(isinstance(entry.get(name), str) and entry[name] for name in ("signature", "data"))


def _without_text(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in ("text", "summary")}


def citations(delta: dict[str, Any], choice: int, begins: int) -> Iterator[Cited]:
    """Web pages that the text rests on, in the nested form or the flat one. Their places count from
    the beginning of all content; ours from where the current text `begins`.
    """
    found = delta.get("annotations")
    for note in found if isinstance(found, list) else ():
        if not isinstance(note, dict) or note.get("type") != "url_citation":
            continue
        nested = note.get("url_citation")
        said = nested if isinstance(nested, dict) else note
        url, title = said.get("url"), said.get("title")
        if isinstance(url, str) and url:
            citation = Citation(
                url=url,
                title=title if isinstance(title, str) else "",
                start=_count(said.get("start_index"), begins),
                end=_count(said.get("end_index"), begins),
            )
            yield Cited(citation=citation, choice=choice)


def _count(value: object, begins: int) -> int:
    return max(0, value - begins) if isinstance(value, int) and value < 2**53 else 0


def images(delta: dict[str, Any], choice: int) -> Iterator[Media]:
    """Pictures, in `images` or as parts of the content."""
    for member in (delta.get("images"), delta.get("content")):
        for part in member if isinstance(member, list) else ():
            image = part.get("image_url") if isinstance(part, dict) else None
            url = image.get("url") if isinstance(image, dict) else image
            medium = medium_at("image", url) if isinstance(url, str) else None
            if medium is not None:
                yield Media(part=medium, choice=choice)


class Sound:
    """What one choice speaks: base64 in pieces, and the words in it."""

    __slots__ = ("_choice", "_pieces", "_size")

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._pieces: list[str] = []
        self._size = 0

    def take(self, delta: dict[str, Any]) -> str:
        """The words in a piece. Raises: Garbled, past all bounds."""
        audio = delta.get("audio")
        if not isinstance(audio, dict):
            return ""
        data = audio.get("data")
        if isinstance(data, str) and data:
            self._pieces.append(data)
            self._size += len(data)
            if self._size > AUDIO_MAX:
                raise Garbled("The provider sent a sound that is too long.")
        return words(audio.get("transcript"))

    def rest(self) -> Iterator[Media]:
        """The whole of it, at the end."""
        if self._pieces:
            data = "".join(self._pieces)
            part = MediaPart(kind="audio", data=data, mime=sound_mime(data))
            yield Media(part=part, choice=self._choice)
