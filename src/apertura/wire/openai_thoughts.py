"""Reasoning in the chat format: text beside the answer, state in `reasoning_details`.

A caller carries the state of any provider's model for us, each in its own well-known way: an entry
names the format that can read it. A provider of this format gets back only what came from this
format, entry by entry as it was. What it is not: a reading of any state.

The rule that keeps it honest: an entry holds all that its provider will ask for (a signature has
its text with it), so that callers who keep nothing but `reasoning_details` lose nothing; and where
an entry stood, between texts and before which call, is written into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from apertura.wire import state
from apertura.wire.chat import ReasoningPart

Entry = dict[str, object]

TEXT: Final = "reasoning.text"
SUMMARY: Final = "reasoning.summary"
ENCRYPTED: Final = "reasoning.encrypted"
FORMATS: Final[Mapping[str, str]] = {
    state.ANTHROPIC: "anthropic-claude-v1",
    state.ANTHROPIC_REDACTED: "anthropic-claude-v1",
    state.GEMINI: "google-gemini-v1",
    state.OPENAI: "openai-responses-v1",
}
"""What an entry's `format` calls each origin."""
_ORIGINS: Final[Mapping[str, str]] = {
    "anthropic-claude-v1": state.ANTHROPIC,
    "google-gemini-v1": state.GEMINI,
    "openai-responses-v1": state.OPENAI,
}
EXTRA: Final = "extra_content"
"""Where Google's edition of this format has the state of a tool call: on the call itself."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, object]).decode
_NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Thought(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a caller's history, and where it stood: before a tool call, or within the text."""

    part: ReasoningPart
    before: str = ""
    offset: int = 0


# To a caller.


def entries(
    part: ReasoningPart, *, index: int = 0, before: str = "", offset: int = 0
) -> list[Entry]:
    """One thought that has state, as a caller carries it."""
    format_name = FORMATS.get(part.origin, "")
    placed: Entry = {"format": format_name, "index": index}
    if offset:
        placed["offset"] = offset
    if before:
        placed["before" if part.origin == state.OPENAI else "id"] = before
    if part.origin == state.ANTHROPIC:
        return [{"type": TEXT, "text": part.text, "signature": part.state, **placed}]
    if part.origin in (state.ANTHROPIC_REDACTED, state.GEMINI):
        return [{"type": ENCRYPTED, "data": part.state, **placed}]
    if part.origin == state.OPENAI:
        return _item(part, placed)
    return own_entries(part)


def _item(part: ReasoningPart, placed: Entry) -> list[Entry]:
    """A reasoning item of the Responses format: its summary, and its encrypted content."""
    item_id, _, data = part.state.partition(":")
    closing: Entry = {"type": ENCRYPTED, "data": data, "id": item_id, **placed}
    if not part.text:
        return [closing]
    said: Entry = {"type": SUMMARY, "summary": part.text, "id": item_id, **placed}
    return [said, closing]


def own_entries(part: ReasoningPart) -> list[Entry]:
    """State of this format's own, with the text that was taken out of it when it came."""
    entry = entry_of(part)
    if entry is None or EXTRA in entry:
        return []
    if not part.text or "text" in entry or "summary" in entry:
        return [entry]
    if entry.get("type") == TEXT:
        return [{**entry, "text": part.text}]
    format_name = entry.get("format")
    summed = isinstance(format_name, str) and "responses" in format_name
    said = {"type": SUMMARY, "summary": part.text} if summed else {"type": TEXT, "text": part.text}
    return [{**said, "format": format_name or "unknown"}, entry]


def entry_of(part: ReasoningPart) -> Entry | None:
    """The entry that state of this format's own is; None for other state."""
    if part.origin != state.OPENAI_CHAT or not part.state:
        return None
    try:
        return _decode(part.state)
    except _NOT_READ:
        return None


def signature_on(extra: object) -> str:
    """Gemini's signature in the `extra_content` of a tool call."""
    google = extra.get("google") if isinstance(extra, dict) else None
    found = google.get("thought_signature") if isinstance(google, dict) else None
    return found if isinstance(found, str) else ""


def extra_of(part: ReasoningPart) -> object:
    """What the call after this thought has as its `extra_content`; None for nothing."""
    if part.origin == state.GEMINI and part.state:
        return {"google": {"thought_signature": part.state}}
    return (entry_of(part) or {}).get(EXTRA)


class Carrier:
    """The states of one choice, held until it is known what they stand before."""

    __slots__ = ("_held", "_next")

    def __init__(self) -> None:
        self._held: list[ReasoningPart] = []
        self._next = 0

    def hold(self, part: ReasoningPart) -> None:
        """A thought that is closed by its state."""
        self._held.append(part)

    def extra(self) -> object:
        """What the call that comes now has as its `extra_content`; None for nothing."""
        return next((found for part in self._held if (found := extra_of(part)) is not None), None)

    def placed(self, *, before: str = "", offset: int = 0) -> list[Entry]:
        """The entries of what is held, now that the next content is there."""
        found: list[Entry] = []
        for part in self._held:
            made = entries(part, index=self._next, before=before, offset=offset)
            self._next += len(made)
            found += made
        self._held.clear()
        return found


# From a caller.


def thoughts(details: Iterable[Raw], shown: str, calls: frozenset[str]) -> list[Thought]:
    """What `reasoning_details` hold; `shown` is the text beside them, `calls` the tool calls' ids.

    Entries that are none are read over: some callers send back what they were never given.
    """
    reader = _Reader(calls)
    for raw in details:
        reader.take(raw)
    found = reader.end()
    if shown and not any(thought.part.text for thought in found):
        origin = found[0].part.origin if found else state.OPENAI_CHAT
        found.insert(0, Thought(part=ReasoningPart(text=shown, origin=_shows(origin))))
    return found


def _shows(origin: str) -> str:
    """The origin of text beside state; redacted state has no text of its own."""
    return state.ANTHROPIC if origin == state.ANTHROPIC_REDACTED else origin


class _Reader:
    """Joins entries that came in pieces, as the callers of streams collect them."""

    def __init__(self, calls: frozenset[str]) -> None:
        self._calls = calls
        self._found: list[Thought] = []
        self._texts: list[str] = []
        self._origin = ""

    def take(self, raw: Raw) -> None:
        """One entry."""
        try:
            entry = _decode(raw)
        except _NOT_READ:
            return
        format_name = entry.get("format")
        origin = _ORIGINS.get(format_name, "") if isinstance(format_name, str) else ""
        if origin != self._origin:
            self._close(self._origin, "")
            self._origin = origin
        if not origin:
            self._add(bytes(raw).decode(), state.OPENAI_CHAT, entry, _said(entry))
            return
        self._texts.append(_said(entry))
        if signature := _word(entry, "signature"):
            self._close(origin, signature, entry)
        elif entry.get("type") == ENCRYPTED:
            self._encrypted(origin, entry)

    def end(self) -> list[Thought]:
        """All thoughts."""
        self._close(self._origin, "")
        return self._found

    def _encrypted(self, origin: str, entry: Entry) -> None:
        data = _word(entry, "data")
        if origin == state.OPENAI:
            self._close(origin, f"{_word(entry, 'id')}:{data}", entry)
        elif data and origin == state.ANTHROPIC:
            self._close(origin, "")
            self._add(data, state.ANTHROPIC_REDACTED, entry)
        elif data:
            self._close(origin, data, entry)

    def _close(self, origin: str, found: str, entry: Entry | None = None) -> None:
        text = "".join(self._texts)
        self._texts.clear()
        if text or found:
            self._add(found, origin, entry or {}, text)

    def _add(self, found: str, origin: str, entry: Entry, text: str = "") -> None:
        before, offset = _word(entry, "before") or _word(entry, "id"), entry.get("offset")
        self._found.append(
            Thought(
                part=ReasoningPart(text=text, state=found, origin=origin),
                before=before if before in self._calls else "",
                offset=offset if isinstance(offset, int) and offset > 0 else 0,
            )
        )


def _said(entry: Entry) -> str:
    return _word(entry, "text") or _word(entry, "summary")


def _word(entry: Entry, name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""
