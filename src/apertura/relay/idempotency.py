"""Calls that are asked for again: the second asking gets the first one's reply.

A call with an `Idempotency-Key` claims it in the database before it starts, once for all workers;
its reply is kept in memory, within bounds, for whoever asks again with the same key and the same
body, while it runs and for 24 hours after. It goes on to its end though its caller hangs up, so
that the reply is there when the caller comes back. With `recognise`, retries of SDKs that say so
(`x-stainless-retry-count`) are treated alike without a key, for ten minutes, in memory alone.

What it is not: the reply and its readers (`shared_reply`), or what is kept in the database
(`store.idempotency`). The rule that keeps it honest: a key is used up by a call that was answered,
and by no other; so no key is charged for twice, and none is lost on a call that came to nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from apertura.errors import AperturaError, Internal
from apertura.relay import repeats
from apertura.relay.call import Call
from apertura.relay.exchange import Exchange, Head
from apertura.relay.shared_reply import Reader, SharedReply
from apertura.relay.steps import Steps
from apertura.store import idempotency as store
from apertura.store.database import Conflict, Database
from apertura.store.idempotency import KEPT_MS, Earlier, Record, Reply
from apertura.telemetry import log, where

KEY = b"idempotency-key"
RETRY_COUNT = b"x-stainless-retry-count"
"""What the SDKs made by Stainless (OpenAI's, Anthropic's) send: 0 first, then 1, 2 …"""
RECOGNISED_MS = 600_000
"""How long a call without a key is remembered for its SDK's retries."""
OVERHEAD = 2048
"""Bytes that a remembered call takes besides its reply, about."""
FAILED_MOST = 10_000

_is_key = re.compile(rb"[\x20-\x7e]{1,255}").fullmatch

Start = Callable[[Exchange], Awaitable[None]]
"""Runs the call, with its reply to this exchange."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds, in bytes and seconds."""

    secret: bytes
    """For the digests: what is kept of a key or a body tells nothing without it."""
    total: int
    """Of all replies that are kept."""
    each: int
    """Of one reply."""
    patience: float
    """How long a reader may take after a reply's end."""
    recognise: bool
    """Retries of SDKs are recognised, also without a key."""


class Asked(msgspec.Struct, frozen=True):
    """By what a call may be found again. `name` and `body` are digests."""

    owner: str
    """The organization, for a key; the API key, for a retry that is recognised."""
    name: str
    body: str
    durable: bool
    """Claimed in the database, for all workers."""
    joins: bool
    """May get another call's reply; not so the first attempt of an SDK."""


class Run(msgspec.Struct, eq=False, kw_only=True):
    """A call that runs or was answered, and its reply."""

    asked: Asked
    call: Call
    reply: SharedReply
    record: Record | None
    until_ms: int
    size: int = OVERHEAD
    listed: bool = True
    stores: bool = False
    refused: bool = False
    """Another call has the key; this one never started."""
    stored: bool = False
    """Its reply came out of the database."""
    steps: Steps | None = None

    @property
    def answered(self) -> bool:
        return self.stored or self.call.outcome == "answered"


class Replays:
    """The calls of this worker that may be asked for again. `worker`: its place and time."""

    def __init__(self, database: Database, worker: str, rules: Rules) -> None:
        self._database, self._worker, self._rules = database, worker, rules
        self.recognise = rules.recognise
        """Whether calls with `RETRY_COUNT` are to be brought here, besides those with `KEY`."""
        self._loop = asyncio.get_running_loop()
        self._runs: dict[tuple[str, str], Run] = {}
        self._going: set[Run] = set()
        self._failed: dict[str, Record] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.bytes = 0
        """Kept now."""
        self.replayed = 0
        """Calls that got another one's reply."""

    async def answer(self, call: Call, exchange: Exchange, head: Head, start: Start) -> None:
        """Answer a call by its own run, or by the run of the call that it repeats.

        Raises: AperturaError; BadRequest, where the key is none or was used for another request;
            Repeated, where the first call runs elsewhere or its reply is no longer at hand.
        """
        asked = self._asked(call, exchange)
        run = self._find(asked, call.started_ms)
        if run is None:
            run = self._new(asked, call, exchange)
            reader = run.reply.attach(exchange, head, again=False)
            steps = run.steps = Steps(self._live(run, start), partial(self._ended, run))
            steps.step()
        else:
            self.replayed += 1
            reader = run.reply.attach(exchange, head, again=True)
        await self._follow(run, reader)

    async def start(self) -> None:
        """Free the keys of calls that died with an earlier life of this place, whose journal is in
        the books by now. Raises: Unavailable.
        """
        await store.free_dead(self._database, self._worker)

    async def free_failed(self) -> None:
        """Free the keys that could not be freed when their calls came to nothing."""
        for record in list(self._failed.values()):
            await self._free_in_database(record)

    def expire(self, now_ms: int) -> int:
        """Forget what is over; how many calls."""
        old = [run for run in self._runs.values() if run.until_ms <= now_ms]
        for run in old:
            self._forget(run)
        return len(old)

    async def close(self) -> None:
        """End what still runs though its caller has left; then nothing is left to do."""
        for run in self._going:
            if run.steps is not None:
                run.steps.cancel()
        await self._idle.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def waiting(self) -> int:
        """Callers who have not got all of their reply yet."""
        return sum(len(run.reply.readers) for run in self._runs.values())

    # Which call is meant.

    def _asked(self, call: Call, exchange: Exchange) -> Asked:
        said = self._digest(b"body", _request(exchange))
        caller = call.caller
        key = exchange.headers.get(KEY)
        if key is None:
            again = exchange.headers[RETRY_COUNT].strip() not in (b"", b"0")
            return Asked(caller.key_id, said, said, durable=False, joins=again)
        if not _is_key(key.strip()):
            raise repeats.malformed()
        name = self._digest(b"key", key.strip())
        return Asked(caller.org_id, name, said, durable=True, joins=True)

    def _digest(self, kind: bytes, data: bytes) -> str:
        secret = self._rules.secret
        return hashlib.blake2b(data, digest_size=32, key=secret, person=kind).hexdigest()

    def _find(self, asked: Asked, now_ms: int) -> Run | None:
        """The run whose reply this asking gets, if it is here."""
        run = self._runs.get((asked.owner, asked.name))
        if run is None or not asked.joins or run.until_ms <= now_ms:
            return None
        if run.asked.body != asked.body:
            raise repeats.reused()
        if asked.durable and not run.reply.kept:
            raise repeats.in_progress(run.call.id)
        return run if run.reply.kept else None

    def _new(self, asked: Asked, call: Call, exchange: Exchange) -> Run:
        record = None
        if asked.durable:
            record = Record(
                org_id=asked.owner,
                name=asked.name,
                body=asked.body,
                call_id=call.id,
                key_id=call.caller.key_id,
                worker=self._worker,
                started_ms=call.started_ms,
            )
        place = (asked.owner, asked.name)
        if (old := self._runs.get(place)) is not None:
            self._forget(old)
        reply = SharedReply(exchange, lambda count: self._grew(run, count), self._rules.patience)
        until_ms = call.started_ms + (KEPT_MS if asked.durable else RECOGNISED_MS)
        run = Run(asked=asked, call=call, reply=reply, record=record, until_ms=until_ms)
        self._runs[place] = run
        self._going.add(run)
        self._idle.clear()
        self.bytes += run.size
        self._make_room()
        return run

    # A run, from its claim to its end.

    async def _live(self, run: Run, start: Start) -> None:
        record = run.record
        if record is not None:
            found = await store.claim(self._database, record, failed=self._failed)
            if isinstance(found, Earlier):
                self._fill(run, found)
                return
            run.stores = found.stores
        await start(run.reply)
        if run.stores and record is not None and run.answered and run.reply.kept:
            await self._store(record, run.reply)

    def _fill(self, run: Run, earlier: Earlier) -> None:
        """Another call has the key: its reply if that was stored, or why there is none."""
        run.refused = True
        reply = repeats.reply_of(earlier, run.asked.body)
        run.stored, self.replayed = True, self.replayed + 1
        run.until_ms = earlier.started_ms + KEPT_MS
        shared = run.reply
        shared.replayed, shared.id = True, earlier.call_id
        if reply.streamed:
            shared.start(reply.status, reply.head)
            shared.write(reply.body)
            shared.end()
        else:
            shared.respond(reply.status, reply.head, reply.body)

    async def _store(self, record: Record, reply: SharedReply) -> None:
        body = reply.whole
        stored = Reply(
            status=reply.status,
            streamed=body is None,
            head=reply.lines,
            body=bytes(reply.sent) if body is None else body,
        )
        try:
            await store.store(self._database, record, stored)
        except (AperturaError, Conflict) as error:
            log("reply_not_stored", request_id=record.call_id, error=type(error).__name__)

    def _ended(self, run: Run, error: BaseException | None) -> None:
        """Told once of each run."""
        self._going.discard(run)
        run.steps = None
        run.reply.forget_asking()
        if not (run.answered and run.reply.kept and run.listed):
            self._forget(run)
        if run.record is not None and not run.answered and not run.refused:
            self._free(run.record)
        if error is not None or not run.reply.finished:
            _tell_if_bug(run, error)
            run.reply.fail(error or Internal("The call ended without a reply."))
        if not self._going:
            self._idle.set()

    def _free(self, record: Record) -> None:
        """Nothing came of the call, so its key may be used again: from now on here, and as soon as
        the database knows, everywhere.
        """
        if len(self._failed) >= FAILED_MOST:
            self._failed.clear()
        self._failed[record.call_id] = record
        task = self._loop.create_task(self._free_in_database(record))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _free_in_database(self, record: Record) -> None:
        try:
            await store.free(self._database, record)
        except (AperturaError, Conflict) as error:
            log("key_not_freed", request_id=record.call_id, error=type(error).__name__)
        else:
            self._failed.pop(record.call_id, None)

    async def _follow(self, run: Run, reader: Reader) -> None:
        """Until this caller has the whole reply, or has hung up."""
        try:
            await reader.done
        except asyncio.CancelledError:
            if reader.exchange.closed or run.reply.finished or run.steps is None:
                raise
            run.steps.cancel()  # the server is being stopped, and does not wait any more
            await reader.done
        finally:
            if not reader.done.fired:
                reader.leave()
        if reader.error is not None:
            reader.name()
            raise reader.error

    # Bounds.

    def _grew(self, run: Run, count: int) -> None:
        if not run.listed:
            return
        run.size += count
        self.bytes += count
        if run.size > self._rules.each + OVERHEAD or not self._make_room():
            self._unkeep(run)

    def _make_room(self) -> bool:
        """Forget the oldest that were answered and that nobody reads, until there is some room."""
        if self.bytes <= self._rules.total:
            return True
        enough = self._rules.total // 10 * 9
        for run in list(self._runs.values()):
            if run not in self._going and not run.reply.readers:
                self._forget(run)
                if self.bytes <= enough:
                    return True
        return self.bytes <= self._rules.total

    def _unkeep(self, run: Run) -> None:
        """Too much: it goes on as if nobody could ask for it again."""
        self.bytes -= run.size - OVERHEAD
        run.size = OVERHEAD
        run.reply.unkeep()

    def _forget(self, run: Run) -> None:
        place = (run.asked.owner, run.asked.name)
        if self._runs.get(place) is run:
            del self._runs[place]
        if run.listed:
            run.listed = False
            self.bytes -= run.size
            if run in self._going and not run.reply.finished:
                run.reply.unkeep()
        run.reply.let_go()


def _request(exchange: Exchange) -> bytes:
    """What makes two requests the same: all of them but headers, and a key in the query."""
    query = b"&".join(part for part in exchange.query.split(b"&") if part[:4] != b"key=")
    first = b"%b %b?%b\n" % (exchange.method.encode(), exchange.path.encode(), query)
    return first + exchange.body


def _tell_if_bug(run: Run, error: BaseException | None) -> None:
    """A fault of ours is logged where its reply is made; if nobody reads that, then here."""
    if run.reply.readers or isinstance(error, AperturaError | asyncio.CancelledError):
        return
    trace = "" if error is None else where(error)
    log("bug", request_id=run.call.id, path=run.reply.path, error=repr(type(error)), trace=trace)
