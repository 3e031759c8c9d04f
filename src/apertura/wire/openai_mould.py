"""What is the same in all plain events of one stream: everything but the words.

A provider writes one event after the other from one mould: `data: {… "content":"`, some words,
`"} …}`. Once an event was decoded and found plain, its mould is known, and the next events need not
be decoded to be understood: whatever starts and ends as the mould does, with nothing between but
characters that a JSON string may hold as they are, is the same event with other words.

What it is not: a guess. A mould is made by decoding the event a second time with other words in the
same place, so that the place is known to be the words' own. The rule that keeps it honest: what a
mould takes for a plain event, `openai_chunks.decode_plain` takes for the same one, with the same
words; what is not surely so is left to be decoded.
"""

from __future__ import annotations

import re

import msgspec

from apertura.wire.openai_chunks import NOT_READ, PlainChunk, decode_plain

_WORDS = ("content", "reasoning_content", "reasoning")
_DATA, _END = len(b"data: "), len(b"\n\n")
_encode = msgspec.json.Encoder().encode

_QUOTE = ord('"')
_SPECIAL = bytes(range(32)) + b'"\\'
"""What cannot stand in a JSON string as it is."""
_whole = re.compile(rb'[^"\\\x00-\x1f]*+(?:\\["\\/bfnrt][^"\\\x00-\x1f]*+)*+').fullmatch
"""The inside of a JSON string. Not with `\\u`: half a character may stand there."""
_escapes = re.compile(rb"\\.").findall


class Heard(msgspec.Struct, gc=False):
    """What some events said: how many of them said something, and how many characters in all."""

    pieces: int
    chars: int


class Mould(msgspec.Struct, gc=False):
    """An event in canonical framing before and after its words, with the choice's index."""

    before: bytes
    after: bytes
    index: int

    def hear(self, data: bytes) -> int:
        """How many characters one event says, if it is surely one of this mould's and its words
        stand there as they are; else -1.
        """
        begin, end = len(self.before), len(data) - len(self.after)
        if data.find(_QUOTE, begin) != end:  # nearly always: there are more events than one
            return -1
        if not (data.startswith(self.before) and data.endswith(self.after)):
            return -1
        said = data[begin:end]
        if len(said.translate(None, _SPECIAL)) != len(said):
            return -1
        try:
            return len(said) if said.isascii() else len(said.decode())
        except UnicodeDecodeError:
            return -1

    def hear_many(self, data: bytes, parts: list[bytes]) -> Heard | None:
        """What these canonical events say together, if they are all of this mould and their words
        are surely words; else None. `parts` is the data of each.
        """
        # Cut where the words would be. That all that was cut off is the mould's is told by putting
        # it together again, which is cheaper than a look at each event.
        begin, end = len(self.before) - _DATA, _END - len(self.after)
        texts = [part[begin:end] for part in parts]
        if self.before + (self.after + self.before).join(texts) + self.after != data:
            return None
        return _heard(b"".join(texts), texts)

    def run(self, parts: list[bytes]) -> tuple[int, int]:
        """The first event that begins as those of this mould do, and the one after the last."""
        before = self.before[_DATA:]
        begin, end = 0, len(parts)
        while begin < end and not parts[begin].startswith(before):
            begin += 1
        while begin < end and not parts[end - 1].startswith(before):
            end -= 1
        return begin, end


def _heard(said: bytes, texts: list[bytes]) -> Heard | None:
    """What these texts say, if each is surely the inside of a JSON string; `said` is their sum."""
    escapes = 0
    if len(said.translate(None, _SPECIAL)) != len(said):
        if b"\\" not in said or not all(map(_whole, texts)):
            return None
        escapes = len(_escapes(said))
    if said.isascii():
        chars = len(said)
    else:
        try:
            chars = sum([len(text.decode()) for text in texts])
        except UnicodeDecodeError:
            return None
    return Heard(len(texts) - texts.count(b""), chars - escapes)


def mould_of(part: bytes) -> Mould | None:
    """The mould of a plain event with words in it, from its data; None if it has none."""
    try:
        chunk = _plain(part)
    except NOT_READ:
        return None
    delta = chunk.choices[0].delta
    spoken = [name for name in _WORDS if getattr(delta, name)]
    if len(spoken) != 1:
        return None
    text = getattr(delta, spoken[0])
    token = _encode(text)
    at = part.find(token)
    if at < 0 or part.find(token, at + 1) >= 0:
        return None
    # With one character more in that place, just the words must have one character more.
    before, after = part[: at + 1], part[at + len(token) - 1 :]
    setattr(delta, spoken[0], text + "+")
    try:
        if _plain(b"%b%b+%b" % (before, token[1:-1], after)) != chunk:
            return None
    except NOT_READ:
        return None
    return Mould(b"data: " + before, after + b"\n\n", chunk.choices[0].index)


def _plain(part: bytes) -> PlainChunk:
    """Raises: NOT_READ."""
    part.isascii() or part.decode()
    chunks = decode_plain(b"[%b]" % part)
    if len(chunks) != 1:  # nothing, or several behind commas
        raise msgspec.DecodeError
    return chunks[0]
