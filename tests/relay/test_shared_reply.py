"""Whatever its readers do, each gets a prefix of what was written: all of it, or a broken reply."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import Internal
from apertura.relay.exchange import Exchange, Head
from apertura.relay.shared_reply import REPLAYED, Reader, SharedReply

HEAD = b"x-request-id: %b\r\nx-ratelimit-remaining: 4\r\n"


class Caller(Exchange):
    """A caller whose reading a test decides."""

    def __init__(self, name: str, takes: int = 1 << 30) -> None:
        super().__init__("POST", "/v1/chat/completions", b"", {}, b"", "")
        self.id, self.takes = name, takes
        self.head_lines: Head = b""
        self.got = b""
        self.aborted = False

    def respond(self, status: int, head: Head, body: bytes) -> None:
        self.start(status, head)
        self.got, self.finished = body, True

    def start(self, status: int, head: Head) -> None:
        assert not self.started
        self.started, self.head_lines = True, head

    def write(self, data: bytes) -> None:
        assert self.started
        assert not self.finished
        self.got += data
        self.takes -= len(data)
        if self.takes <= 0 and not self.paused:
            self.paused = True
            if self.on_pause is not None:
                self.on_pause()

    def end(self) -> None:
        assert not self.finished
        self.finished = True

    def abort(self) -> None:
        self.finished = self.aborted = True

    def read(self, more: int) -> None:
        self.takes = more
        if self.paused:
            self.paused = False
            if self.on_resume is not None:
                self.on_resume()


def shared(first: Caller) -> SharedReply:
    return SharedReply(first, lambda _: None, patience=60)


def attach(reply: SharedReply, caller: Caller, *, again: bool = True) -> None:
    reply.attach(caller, HEAD % caller.id.encode(), again=again)


async def test_a_repeated_reply_has_the_first_ones_id_and_says_so() -> None:
    """What else its head says is its own, or the call's."""
    first, second = Caller("req_1"), Caller("req_2")
    reply = shared(first)
    attach(reply, first, again=False)
    attach(reply, second)
    reply.respond(200, b"content-type: x\r\n", b"body")
    assert first.head_lines == b"content-type: x\r\n" + HEAD % b"req_1"
    assert second.head_lines == first.head_lines + REPLAYED
    assert first.got == second.got == b"body"
    assert reply.readers == []


async def test_an_end_without_a_reply_is_everybodys() -> None:
    callers = [Caller(f"req_{n}") for n in range(3)]
    reply = shared(callers[0])
    readers = [reply.attach(caller, b"", again=n > 0) for n, caller in enumerate(callers)]
    error = Internal("no")
    reply.fail(error)
    assert [reader.error for reader in readers] == [error] * 3
    assert all(reader.done.fired for reader in readers)


async def test_a_provider_is_paused_only_past_the_bound() -> None:
    """And goes on when the first reader has caught up, or has left."""
    first, second = Caller("req_1", takes=1), Caller("req_2")
    reply = shared(first)
    said: list[str] = []
    reply.on_pause = lambda: said.append("pause")
    reply.on_resume = lambda: said.append("resume")
    attach(reply, first, again=False)
    attach(reply, second)
    reply.start(200, b"")
    reply.write(b"one")
    reply.write(b"two")
    assert said == []
    reply.unkeep()
    assert said == ["pause"]
    assert second.got == b"onetwo"
    reply.write(b"three")
    assert not second.aborted
    first.read(100)
    assert said == ["pause", "resume"]
    assert bytes(reply.sent) == b""
    first.read(1)
    reply.write(b"four")
    reply.write(b"five")
    assert said == ["pause", "resume", "pause"]
    reply.readers[0].leave()
    assert said == ["pause", "resume", "pause", "resume"]
    reply.write(b"six")
    reply.end()
    assert second.got == b"onetwothreefourfivesix"
    assert second.finished
    assert not second.aborted


async def test_who_does_not_read_to_the_end_is_cut_in_time() -> None:
    """After a reply's end there is so much patience, and no more."""
    first, slow = Caller("req_1"), Caller("req_2", takes=1)
    reply = SharedReply(first, lambda _: None, patience=0.01)
    attach(reply, first, again=False)
    reply.start(200, b"")
    reader = reply.attach(slow, b"", again=True)
    reply.write(b"one")
    reply.write(b"two")
    reply.end()
    assert not slow.finished
    await asyncio.wait_for(_until(reader), 20)
    assert slow.aborted
    assert not first.aborted


async def _until(reader: Reader) -> None:
    while not reader.done.fired:
        await asyncio.sleep(0.002)


class Readers:
    """A reply and its callers, and what happens to them by the name of a method."""

    def __init__(self) -> None:
        self.callers = [Caller("req_first", takes=100_000)]
        self.reply = shared(self.callers[0])
        self.written = b""
        self.left: set[str] = set()
        attach(self.reply, self.callers[0], again=False)
        self.reply.start(200, b"")

    def write(self, size: int) -> None:
        piece = bytes([size % 256]) * size
        self.written += piece
        self.reply.write(piece)

    def attach(self, takes: int) -> None:
        if self.reply.kept:
            self.callers.append(Caller(f"req_{len(self.callers)}", takes))
            attach(self.reply, self.callers[-1])

    def read(self, number: int) -> None:
        self.callers[number % len(self.callers)].read(number)

    def leave(self, number: int) -> None:
        if self.reply.readers:
            reader = self.reply.readers[number % len(self.reply.readers)]
            self.left.add(reader.exchange.id)
            reader.leave()

    def unkeep(self, _: int) -> None:
        self.reply.unkeep()


ACTS = st.tuples(
    st.sampled_from(["write", "write", "attach", "read", "leave", "unkeep"]),
    st.integers(1, 200_000),
)


@given(st.lists(ACTS, max_size=30))
def test_every_reader_gets_all_or_sees_that_it_does_not(acts: list[tuple[str, int]]) -> None:
    asyncio.run(_every_reader(acts))


async def _every_reader(acts: list[tuple[str, int]]) -> None:
    readers = Readers()
    for act, number in acts:
        getattr(readers, act)(number)
    readers.reply.end()
    for caller in readers.callers:
        caller.read(1 << 30)
        assert readers.written.startswith(caller.got)
        if caller.id not in readers.left:
            assert caller.finished
            assert caller.aborted or caller.got == readers.written
    cut = [caller.id for caller in readers.callers if caller.aborted]
    assert "req_first" not in cut
    assert not cut or not readers.reply.kept
