"""PostgreSQL as a `Database`: one lane of writes with group commit, readers beside it.

As with SQLite, the writes of this process form one queue. Its task takes what waits as a batch: one
transaction, each work inside a savepoint, one `COMMIT`. So works of one process never collide;
those of several do, and PostgreSQL sees to it (`SERIALIZABLE`) that what is kept is what some order
one after the other would have left: SQL that is right on SQLite is right here. A batch that it
refuses for that runs again, and from then on in turn, under a lock which all that were refused
queue for.

What it is not: reading and hearing of changes (`postgres_read`); the connection, the words of SQL
and what a fault means (`postgres_link`).

The rule that keeps it honest: an answer is given after the commit that holds it, and no batch runs
again that may be kept. Where the connection breaks in a `COMMIT`, the server is asked what became
of it; only a server that stays away at this moment leaves that open, and the answer is then 503.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from apertura.errors import Unavailable
from apertura.store.database import Conflict, Row, Tx, out_of_service
from apertura.store.postgres_link import OLDEST, Again, Link, connect, storable
from apertura.store.postgres_read import Connect, Readers, Watcher

T = TypeVar("T")
Work = Callable[[Tx], Awaitable[Any]]

RETRY_SECONDS = 5.0
"""For so long a batch that was refused, or lost its connection, runs again."""
PAUSE_SECONDS = 0.05
BATCH_MAX = 64
"""Works in one commit: each is a few round trips, in which others may collide with all of them."""
WAITING_MAX = 4096
ROWS_PER_INSERT = 2_000
_TURN = 0x61706572


async def open_postgres(url: str, *, waiting_max: int = WAITING_MAX) -> PostgresDatabase:
    """Open the database of a `postgresql://` URL.

    Raises:
        ValueError: the URL cannot be read.
        Unavailable: the server cannot be reached, refuses us, or is too old.
    """
    place = url.rpartition("@")[2].partition("?")[0]  # no password
    try:
        link = await connect(url, "write")
        ((version,),) = await link.rows("SHOW server_version_num")
    except Again as error:
        raise out_of_service(f"the database {place} cannot be opened: {error}") from error
    if int(version) // 10_000 < OLDEST:
        await link.close()
        raise out_of_service(f"the database {place} is older than PostgreSQL {OLDEST}")
    return PostgresDatabase(url, link, waiting_max)


class PostgresDatabase:
    """See `Database`. Belongs to the event loop in which it was opened."""

    engine = "postgres"

    def __init__(self, url: str, link: Link, waiting_max: int) -> None:
        self._waiting_max = waiting_max
        self._to_read: Connect = partial(connect, url, "read")
        self._lane = _Lane(partial(connect, url, "write"), link)
        self._readers = Readers(self._to_read)
        self._watcher: Watcher | None = None
        self._closing: asyncio.Task[None] | None = None

    async def read(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        self._refuse_if_closing()
        # In a task of its own, as the driver's time limits need one and handlers run without.
        return await asyncio.create_task(self._readers.read(sql, params))

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        self._refuse_if_closing()
        if self._lane.waiting >= self._waiting_max:
            raise out_of_service("the database does not keep up with what is to be written")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._lane.put(work, answer)
        return await answer

    def on_change(self, callback: Callable[[], None]) -> None:
        self._refuse_if_closing()
        if self._watcher is None:
            self._watcher = Watcher(self._to_read)
        self._watcher.callbacks.append(callback)

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise out_of_service("the database is closed")

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)  # an impatient caller does not leave it half done

    async def _close(self) -> None:
        if self._watcher:
            await self._watcher.close()
        await self._lane.close()
        await self._readers.close()


_Question = tuple[Work, "asyncio.Future[Any]"]
_Answer = tuple["asyncio.Future[Any]", Any, Exception | None]


class _Lane:
    """The one task that writes, and its connection."""

    def __init__(self, connect: Connect, link: Link) -> None:
        self.waiting = 0
        self._connect = connect
        self._link: Link | None = link
        self._questions: deque[_Question | None] = deque()
        self._woken = asyncio.Event()
        self._inserts: dict[tuple[str, ...], str] = {}
        self._clock = asyncio.get_running_loop().time
        self._task = asyncio.create_task(self._run())

    def put(self, work: Work, answer: asyncio.Future[Any]) -> None:
        self.waiting += 1
        self._questions.append((work, answer))
        self._woken.set()

    async def close(self) -> None:
        """Write what waits, then end."""
        self._questions.append(None)
        self._woken.set()
        await self._task
        if self._link:
            await self._link.close()

    async def _run(self) -> None:
        going = True
        while going:
            await self._woken.wait()
            batch, going = self._next_batch()
            for future, result, error in await self._commit(batch) if batch else []:
                self.waiting -= 1
                if future.done():  # its caller was cancelled meanwhile
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

    def _next_batch(self) -> tuple[list[_Question], bool]:
        """What waits, and whether to go on after it."""
        batch: list[_Question] = []
        while self._questions and len(batch) < BATCH_MAX:
            question = self._questions.popleft()
            if question is None:
                return batch, False
            batch.append(question)
        if not self._questions:
            self._woken.clear()
        return batch, True

    async def _commit(self, batch: list[_Question]) -> list[_Answer]:
        """Run the batch until it is kept, or cannot be."""
        give_up, in_turn = self._clock() + RETRY_SECONDS, False
        while True:
            try:
                return await self._attempt(batch, in_turn=in_turn)
            except Again as refusal:
                if self._clock() < give_up:
                    in_turn = True
                    continue
                failure: Exception = out_of_service(
                    "The database of this installation cannot serve right now."
                )
                failure.__cause__ = refusal
            except Exception as error:  # noqa: BLE001 - carried to those who wait
                failure = error
                self._drop()
            return [(future, None, failure) for _, future in batch]

    async def _attempt(self, batch: list[_Question], *, in_turn: bool) -> list[_Answer]:
        link = await self._connected()
        try:
            if in_turn:
                await link.rows("SELECT pg_advisory_lock(?)", (_TURN,))
            answers = await self._transact(link, batch)
        except Again:
            await self._clear(link)
            raise
        if in_turn:
            await self._clear(link)
        return answers

    async def _connected(self) -> Link:
        if self._link is None or self._link.is_closed:
            self._drop()
            try:
                self._link = await self._connect()
            except Again:
                await asyncio.sleep(PAUSE_SECONDS)
                raise
        return self._link

    async def _clear(self, link: Link) -> None:
        """Leave nothing of a transaction, or of a turn, on the connection; or leave it."""
        try:
            await link.run("ROLLBACK; SELECT pg_advisory_unlock_all()")
        except (Again, Unavailable):
            self._drop()

    def _drop(self) -> None:
        if self._link:
            self._link.drop()
        self._link = None
        self._inserts.clear()

    async def _transact(self, link: Link, batch: list[_Question]) -> list[_Answer]:
        """All works in one transaction; what fails in one, fails for that one alone."""
        alone = len(batch) == 1  # the usual case, and a savepoint would be a round trip more
        await link.run("BEGIN" if alone else "BEGIN; SAVEPOINT work")
        answers: list[_Answer] = []
        for work, future in batch:
            answer = await self._work(link, work, future)
            answers.append(answer)
            if alone and answer[2]:
                await link.run("ROLLBACK")
                return answers
            if not alone:
                await link.run("ROLLBACK TO work" if answer[2] else "RELEASE work; SAVEPOINT work")
        await self._keep(link)
        return answers

    async def _work(self, link: Link, work: Work, future: asyncio.Future[Any]) -> _Answer:
        tx = Transaction(link, self._inserts)
        result, failure = None, None
        try:
            result = await work(tx)
        except Exception as error:  # noqa: BLE001 - carried to the caller, who awaits it
            failure = error
        if tx.again:  # whatever the work has made of it
            raise tx.again
        if tx.refused and failure is None:
            failure = RuntimeError("a work went on after one of its statements was refused")
        return future, result, failure

    async def _keep(self, link: Link) -> None:
        """Commit, and be sure about it."""
        ((xid,),) = await link.rows("SELECT pg_current_xact_id_if_assigned()::text")
        try:
            await link.run("COMMIT")
        except (Again, Unavailable) as error:
            if isinstance(error, Again) and not error.lost:
                raise
            if xid is None:  # it only read
                return
            self._drop()
            if not await self._is_kept(xid):
                raise Again(error, lost=True) from error

    async def _is_kept(self, xid: str) -> bool:
        """What the server says of a transaction whose answer was lost."""
        give_up, status = self._clock() + RETRY_SECONDS, "in progress"
        while status == "in progress":
            if self._clock() > give_up:
                raise out_of_service("The database went away, and has perhaps kept this.")
            with suppress(Again, Unavailable):
                link = await self._connected()
                question = "SELECT pg_xact_status(CAST(CAST(? AS TEXT) AS xid8))"
                ((status,),) = await link.rows(question, (xid,))
            if status == "in progress":
                await asyncio.sleep(PAUSE_SECONDS)
        return status == "committed"


class Transaction:
    """`Tx` over the lane's connection."""

    def __init__(self, link: Link, inserts: dict[tuple[str, ...], str]) -> None:
        self._link = link
        self._inserts = inserts
        self.again: Again | None = None
        self.refused = False

    async def execute(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        return await self._noted(self._link.rows(sql, params))

    async def insert_many(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> int:
        if not rows:
            return 0
        sql, new = await self._insert(table, columns), 0
        for at in range(0, len(rows), ROWS_PER_INSERT):
            piece = zip(*rows[at : at + ROWS_PER_INSERT], strict=True)
            arrays = [storable(column) for column in piece]
            status = await self._noted(self._link.run(sql, *arrays))  # such as INSERT 0 17
            new += int(status.rpartition(" ")[2])
        return new

    async def _insert(self, table: str, columns: Sequence[str]) -> str:
        """One statement for any number of rows: an array for each column, of its type."""
        name = (table, *columns)
        if name not in self._inserts:
            found = await self.execute(_TYPES, (table,))
            types = {str(column): str(kind) for column, kind in found}
            arrays = [f"${n}::{types.get(c, 'text')}[]" for n, c in enumerate(columns, 1)]
            self._inserts[name] = (
                f"INSERT INTO {table} ({', '.join(columns)}) "
                f"SELECT * FROM unnest({', '.join(arrays)}) ON CONFLICT DO NOTHING"
            )
        return self._inserts[name]

    async def _noted(self, query: Awaitable[T]) -> T:
        try:
            return await query
        except Again as error:
            self.again = error
            raise
        except (Conflict, Unavailable):
            self.refused = True
            raise


_TYPES = (
    "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute "
    "WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped"
)
