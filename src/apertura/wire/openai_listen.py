"""Listening to an answer that passes: caller and provider both speak OpenAI's chat format.

Bytes go through as they came; each event is decoded once, into the few fields that we act on, which
proves that it is what the format allows, or is known to be an event that was decoded but for its
words (`openai_mould`). What it is not: a translator; nothing is put into other words, only what a
caller must not see is taken out.

The rule that keeps it honest: only whole, understood events leave; the end of the stream is ours to
say; and where a read is canonical and nothing is to be taken out, the same bytes object leaves.
"""

from __future__ import annotations

from msgspec import UNSET

from apertura.domain.usage import Usage
from apertura.errors import AperturaError, Cut, Garbled
from apertura.wire import sse
from apertura.wire.dialect import ReplyFacts
from apertura.wire.openai_chunks import (
    NOT_READ,
    REASONS,
    Choice,
    decode_plain,
    mended,
    read,
    size_of,
)
from apertura.wire.openai_mould import Mould, mould_of
from apertura.wire.openai_usage import usage_of

DONE = b"data: [DONE]\n\n"
_FRAME = len(sse.frame(b""))
_HELD_MAX = 16 * 1024
"""Bytes of a begun event up to which it is simply put before the next read."""
_MANY = 4
"""Events in one read above which one in its middle is made a mould of before all are decoded."""
_LESSONS = 3
"""Moulds that may be made for nothing; each read that one serves allows one more."""


class Tap:
    """One stream that passes. The attributes say what went by so far.

    `content`: something that a model said was seen. `pieces`, `chars`: how many content deltas, and
    their characters, to estimate a call that is cut. `finished`: each choice seen has its finish
    reason. `ended`: the provider said `[DONE]`. `salvage`: after an error was raised, what may
    still be sent of the bytes before it.
    """

    __slots__ = (
        "_done",
        "_held",
        "_include_usage",
        "_lessons",
        "_live",
        "_mould",
        "_reader",
        "chars",
        "content",
        "ended",
        "finished",
        "pieces",
        "salvage",
        "usage",
    )

    def __init__(self, include_usage: bool) -> None:
        self.content = False
        self.usage: Usage | None = None
        self.finished = False
        self.ended = False
        self.pieces = 0
        self.chars = 0
        self.salvage = b""
        self._include_usage = include_usage
        self._held = b""
        self._reader = sse.Reader()
        self._mould: Mould | None = None
        self._lessons = _LESSONS
        self._live: set[int] = set()
        self._done: set[int] = set()

    def feed(self, data: bytes) -> bytes:
        """What the caller gets for these bytes: whole events only, never `[DONE]`.

        Raises: Garbled, or the error that the provider reports inside its stream.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        mould = self._mould
        if mould is not None and self._reader.idle and not self.ended:
            chars = mould.hear(data)
            if chars >= 0:
                self._count(mould.index, 1 if chars else 0, chars)
                return data
        parts = sse.canonical(data) if self._reader.idle else None
        if parts is None:
            return self._feed_other(data)
        self._reader.at_start = False
        return self._pass(data, parts)

    def close(self) -> bytes:
        """The provider's bytes have ended: what is still due. Raises: Cut, and what `feed` does."""
        last = b""
        if not self.ended and (self._held or not self._reader.idle):
            try:
                last = self.feed(b"\n\n")
            except Garbled:
                raise Cut("The provider's reply ended in the middle of an event.") from None
        if self.ended or self.finished:
            return last + DONE
        self.salvage = last
        raise Cut("The provider's reply ended before it was complete.")

    def _feed_other(self, data: bytes) -> bytes:
        """Bytes that are not whole canonical events: cut somewhere, or framed in another way."""
        if self.ended:
            return b""
        if self._reader.idle and sse.CR not in data:
            end = data.rfind(b"\n\n") + 2
            parts = sse.canonical(data[:end]) if end > 2 else None
            if (parts is not None or end < 2) and len(data) - end < _HELD_MAX:
                whole, self._held = (data[:end], data[end:]) if end > 2 else (b"", data)
                self._reader.at_start = self._reader.at_start and parts is None
                return self._pass(whole, parts) if parts is not None else b""
        return self._each([event.data for event in self._reader.feed(data)])

    def _pass(self, data: bytes, parts: list[bytes]) -> bytes:
        """Canonical events. Returns `data` itself where all of it may leave as it came."""
        if self.ended:
            return b""
        begin, end = self._run(parts)
        if begin == end:
            out = self._pass_decoded(data, parts)
            if out is data:
                self._learn(parts[-1])
            return out
        if end - begin == len(parts) and self._repeats(data, parts):
            return data
        kept = b""
        try:
            for some in (parts[:begin], parts[begin:end], parts[end:]):
                if self.ended or not some:
                    continue
                framed = b"data: %b\n\n" % b"\n\ndata: ".join(some)
                kept += framed if self._repeats(framed, some) else self._each(some)
        except AperturaError:
            self.salvage = kept + self.salvage
            raise
        return data if kept == data else kept

    def _pass_decoded(self, data: bytes, parts: list[bytes]) -> bytes:
        """Canonical events, decoded. Returns `data` itself where all of them are plain deltas."""
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                return self._each(parts)
        plain = len(parts)
        if not self._hear_plain(parts):  # the end of an answer comes in the last three
            plain = max(0, plain - 3)
            if plain and not self._hear_plain(parts[:plain]):
                plain = 0
        if plain == len(parts):
            return data
        rest = parts[plain:]
        begins = len(data) - sum(map(len, rest)) - _FRAME * len(rest)
        try:
            kept = self._each(rest)
        except AperturaError:
            self.salvage = data[:begins] + self.salvage
            raise
        return data if kept == data[begins:] else data[:begins] + kept

    def _repeats(self, data: bytes, parts: list[bytes]) -> bool:
        """Hear events that are all from the mould; False, and nothing heard, if one is not."""
        heard = self._mould.hear_many(data, parts) if self._mould is not None else None
        if self._mould is None or heard is None:
            return False
        self._count(self._mould.index, heard.pieces, heard.chars)
        return True

    def _count(self, index: int, pieces: int, chars: int) -> None:
        """Events of the mould have passed."""
        if pieces:
            self.content = True
            self.pieces += pieces
            self.chars += chars
        if index not in self._live:
            self._live.add(index)
        if self._done:
            self.finished = self._live <= self._done
        self._lessons += 1

    def _run(self, parts: list[bytes]) -> tuple[int, int]:
        """Which of the events may be from the mould: the first, and the one after the last."""
        run = self._mould.run(parts) if self._mould is not None else (0, 0)
        if run[0] == run[1] and len(parts) > _MANY:
            self._learn(parts[len(parts) // 2])
            run = self._mould.run(parts) if self._mould is not None else (0, 0)
        return run

    def _learn(self, part: bytes) -> None:
        """Make a mould of an event, if it is worth the try."""
        if self._lessons > 0:
            self._lessons -= 1
            self._mould = mould_of(part) or self._mould

    def _hear_plain(self, parts: list[bytes]) -> bool:
        """Hear events that are all plain pieces of words; False, and nothing heard, if one is not.

        They are decoded together, as the list that their JSON makes: a third faster than apart.
        """
        try:
            chunks = decode_plain(b"[%b]" % b",".join(parts))
        except NOT_READ:
            return False
        if len(chunks) != len(parts):
            return False
        for chunk in chunks:
            choice = chunk.choices[0]
            delta = choice.delta
            size = len(delta.content or "") + len(delta.reasoning_content or delta.reasoning or "")
            if size:
                self.content = True
                self.pieces += 1
                self.chars += size
            if choice.index not in self._live:
                self._live.add(choice.index)
        if self._done:
            self.finished = self._live <= self._done
        return True

    def _each(self, parts: list[bytes]) -> bytes:
        """Events one by one, each as it may leave."""
        out: list[bytes] = []
        try:
            for part in parts:
                if self.ended:
                    break
                kept = self._one(part)
                if kept is not None:
                    out.append(kept)
        except AperturaError:
            self.salvage = b"".join(map(sse.frame, out))
            raise
        return b"".join(map(sse.frame, out))

    def _one(self, part: bytes) -> bytes | None:
        """One event's data: as it may leave, or None where the caller does not get it."""
        if not part.strip():
            return None
        if part.strip() == b"[DONE]":
            self.ended = True
            return None
        chunk, part = read(part)
        if chunk.choices is None and chunk.usage is None:
            raise Garbled("The provider sent an event that is not a part of an answer.")
        usage = usage_of(chunk.usage)
        if usage is not None:
            self.usage = usage
        mend = chunk.error is not UNSET or chunk.choices is None
        for choice in chunk.choices or ():
            mend = self._hear(choice) or mend
        if chunk.usage is not None and not self._include_usage:
            if not chunk.choices:
                return None
            mend = True
        return mended(part, keep_usage=self._include_usage) if mend else part

    def _hear(self, choice: Choice) -> bool:
        """One choice of one chunk. Returns whether its finish reason is not one to pass on."""
        for delta in (choice.delta, choice.message):
            size = size_of(delta) if delta is not None else 0
            if size:
                self.content = True
                self.pieces += 1
                self.chars += size
        self._live.add(choice.index)
        reason = choice.finish_reason
        if reason:
            self._done.add(choice.index)
        self.finished = self._live <= self._done
        return reason is not None and reason not in REASONS


def listen(include_usage: bool) -> Tap:
    """For one stream; `include_usage` says whether its caller asked for the usage chunk."""
    return Tap(include_usage)


def check_reply(body: bytes) -> ReplyFacts:
    """A whole reply that passes. Raises: Garbled, or the error that it holds."""
    reply, body = read(body)
    if not reply.choices:
        raise Garbled("The provider sent a reply without an answer.")
    chars = 0
    mend = reply.error is not UNSET
    for choice in reply.choices:
        said = choice.message or choice.delta
        chars += size_of(said) if said is not None else 0
        mend = mend or (choice.finish_reason is not None and choice.finish_reason not in REASONS)
    return ReplyFacts(
        body=mended(body, keep_usage=True) if mend else body,
        usage=usage_of(reply.usage),
        chars=chars,
        content=chars > 0,
    )
