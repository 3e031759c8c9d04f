"""SQLite as a `Database`: one writer thread with group commit, readers beside it.

All writes go through one queue to one thread. It takes what waits as a batch: `BEGIN IMMEDIATE`,
each work inside a savepoint of its own (one that fails is undone alone), one `COMMIT` with one
fsync for all, and only then the answers, with one wake-up of the event loop per batch.

A work is an `async` function so that the same source also serves an engine that awaits a network.
Here nothing ever waits: `Transaction` runs its statements at once, so the writer thread drives the
coroutine by hand, in one step, to its end. A work that suspends (a sleep, a lock, a socket) is a
mistake in the program and fails as one.

Every step of a statement lets go of the interpreter's lock, and beside a busy event loop getting
it back can cost 5 ms. So rows go in by statements of many rows and never by `executemany`.

The rule that keeps it honest: an answer is given after the commit that holds it, never before.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote

from apertura.store.database import Conflict, Row, Tx, out_of_service, placeholders

T = TypeVar("T")
Work = Callable[[Tx], Awaitable[Any]]

BUSY_SECONDS = 5.0
BATCH_MAX = 256
"""Works in one commit."""
WAITING_MAX = 4096
"""Works that may wait; more is a disk that does not keep up, and a refusal."""
READERS = 2
POLL_SECONDS = 0.05
STATEMENTS_KEPT = 512
ROWS_PER_INSERT = (256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Sizes of a multi-row insert: each is compiled once and kept; together they make any number of
rows in few statements, for each of which the thread must win the interpreter's lock again.
"""

_log = logging.getLogger(__name__)


async def open_sqlite(path: str, *, waiting_max: int = WAITING_MAX) -> SqliteDatabase:
    """Open the file, made with mode 600 where there is none.

    Raises:
        Unavailable: the file cannot be opened, or is no database.
    """
    database = SqliteDatabase(Path(path), asyncio.get_running_loop(), waiting_max)
    try:
        await asyncio.to_thread(database.connect)
    except (OSError, sqlite3.Error) as error:
        await database.close()
        raise out_of_service(f"the database {path} cannot be opened: {error}") from error
    return database


class SqliteDatabase:
    """See `Database`. Belongs to the event loop in which it was opened."""

    engine = "sqlite"

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, waiting_max: int) -> None:
        self._path = path
        self._loop = loop
        self._waiting_max = waiting_max
        self._waiting = 0
        self._closing: asyncio.Task[None] | None = None
        self._writer: _Writer | None = None
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="apertura-read")
        self._watcher: _Watcher | None = None

    def connect(self) -> None:
        """Open the connections and start the writer (in a thread: it may wait for a lock)."""
        _create(self._path)
        self._writer = _Writer(_connect(self._path), self._loop, self._answer)
        for _ in range(READERS):
            self._readers.put(_connect(self._path, read_only=True))

    async def read(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        self._refuse_if_closing()
        return await self._loop.run_in_executor(self._pool, self._read, sql, params)

    def _read(self, sql: str, params: Sequence[object]) -> list[Row]:
        connection = self._readers.get_nowait()  # as many as there are threads
        try:
            return _query(connection, sql, params)
        finally:
            self._readers.put(connection)

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        writer = self._refuse_if_closing()
        if self._waiting >= self._waiting_max:
            raise out_of_service("the database does not keep up with what is to be written")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        writer.queue.put((work, answer))
        return await answer

    def _answer(self, answers: list[_Answer]) -> None:
        self._waiting -= len(answers)
        for future, result, error in answers:
            if future.done():  # its caller was cancelled meanwhile
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def _refuse_if_closing(self) -> _Writer:
        if self._closing or self._writer is None:
            raise out_of_service("the database is closed")
        return self._writer

    def on_change(self, callback: Callable[[], None]) -> None:
        self._refuse_if_closing()
        if self._watcher is None:
            self._watcher = _Watcher(_connect(self._path, read_only=True), self._loop)
        self._watcher.callbacks.append(callback)

    async def close(self) -> None:
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())
        await asyncio.shield(self._closing)  # an impatient caller does not leave it half done

    async def _close(self) -> None:
        if self._watcher:
            await self._watcher.close()
        await asyncio.to_thread(self._pool.shutdown)
        while not self._readers.empty():
            self._readers.get_nowait().close()
        if self._writer:
            await asyncio.to_thread(self._writer.close)


_Question = tuple[Work, "asyncio.Future[Any]"]
_Answer = tuple["asyncio.Future[Any]", Any, BaseException | None]


class _Writer:
    """The thread that owns the only connection that writes."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        loop: asyncio.AbstractEventLoop,
        answer: Callable[[list[_Answer]], None],
    ) -> None:
        self.queue: SimpleQueue[_Question | None] = SimpleQueue()
        self._connection = connection
        self._loop = loop
        self._answer = answer
        # A daemon: a process that ends without `close` must not hang on it.
        self._thread = threading.Thread(target=self._run, name="apertura-write", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what waits, fold the log into the file, end the thread."""
        self.queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            batch, going = self._next_batch()
            answers = self._commit(batch) if batch else []
            try:
                self._loop.call_soon_threadsafe(self._answer, answers)
            except RuntimeError:  # the loop is gone: what was committed stays, nobody asks
                break
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:  # the next start does it
            _log.warning("the database could not be folded at its end: %s", error)
        self._connection.close()

    def _next_batch(self) -> tuple[list[_Question], bool]:
        """What waits, at least one; and whether to go on after it."""
        batch: list[_Question] = []
        item = self.queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH_MAX:
                return batch, True
            try:
                item = self.queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: list[_Question]) -> list[_Answer]:
        """All works in one transaction; what fails in one, fails for that one alone."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            if len(batch) == 1:  # the usual case, and a savepoint would be two steps more
                answers = [self._attempt(*batch[0])]
            else:
                answers = [self._within_savepoint(*question) for question in batch]
            if len(batch) == 1 and answers[0][2]:
                _undo(connection)
            else:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            _undo(connection)
            return [(future, None, _translated(error)) for _, future in batch]
        return answers

    def _attempt(self, work: Work, future: asyncio.Future[Any]) -> _Answer:
        try:
            return future, _drive(work(Transaction(self._connection))), None
        except BaseException as error:  # noqa: BLE001 - carried to the caller, who awaits it
            return future, None, error

    def _within_savepoint(self, work: Work, future: asyncio.Future[Any]) -> _Answer:
        # A full disk or a lost file ends the whole transaction. Then the savepoint is gone, the
        # statement after the work raises, and nobody in the batch is told that it was kept.
        self._connection.execute("SAVEPOINT work")
        answer = self._attempt(work, future)
        if answer[2]:
            self._connection.execute("ROLLBACK TO work")
        self._connection.execute("RELEASE work")
        return answer


class Transaction:
    """`Tx` over a connection, in the writer's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        return _query(self._connection, sql, params)

    async def insert_many(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> int:
        new, at, total = 0, 0, len(rows)
        for size in ROWS_PER_INSERT:
            sql = _insert(table, tuple(columns), size)
            while total - at >= size:
                values = list(chain.from_iterable(rows[at : at + size]))
                try:
                    new += self._connection.execute(sql, values).rowcount
                except sqlite3.Error as error:
                    raise _translated(error) from error
                at += size
        return new


class _Watcher:
    """Looks every 50 ms whether any process changed `revision`.

    In the event loop's own thread: a look takes microseconds, and in WAL a reader never waits.
    """

    def __init__(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self._connection = connection
        self._data_version: int | None = None
        self._revision: int | None = None
        self._look()
        self._task = loop.create_task(self._watch())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self._connection.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._look():
                for callback in self.callbacks:
                    # Through the loop, which logs what a callback raises and lets us go on.
                    asyncio.get_running_loop().call_soon(callback)

    def _look(self) -> bool:
        """Whether `revision` moved since the last look. A look that fails is made up for later."""
        try:
            (data_version,) = self._connection.execute("PRAGMA data_version").fetchone()
            if data_version == self._data_version:
                return False
            rows = self._connection.execute("SELECT value FROM revision WHERE id = 1").fetchall()
        except sqlite3.Error:
            return False
        revision = rows[0][0] if rows else None
        moved = revision != self._revision
        self._data_version, self._revision = data_version, revision
        return moved


def _create(path: Path) -> None:
    """Make the file, for its owner only. One that exists is not touched: to close a second
    descriptor of it would take away the locks that SQLite holds in this process.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={'ro' if read_only else 'rw'}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # we say BEGIN and COMMIT ourselves
        check_same_thread=False,
        cached_statements=STATEMENTS_KEPT,
    )
    try:
        if not read_only:
            _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # The writer is to open the log before a read-only connection does: one whose first
        # statement is the checkpoint at the end would wait for itself.
        connection.execute("SELECT COUNT(*) FROM sqlite_master")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """For this one statement SQLite does not wait for other processes; so we do."""
    for _ in range(100):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(BUSY_SECONDS / 100)
    raise sqlite3.OperationalError("another process keeps the database locked")


def _query(connection: sqlite3.Connection, sql: str, params: Sequence[object]) -> list[Row]:
    try:
        return connection.execute(sql, params).fetchall()
    except sqlite3.Error as error:
        raise _translated(error) from error


def _translated(error: sqlite3.Error) -> Exception:
    """What a fault of SQLite is to the rest of the product."""
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict(str(error))
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return error  # ours: a wrong number of values, a closed connection
    _log.error("the database failed: %s", error)
    unavailable = out_of_service("The database of this installation cannot serve right now.")
    unavailable.__cause__ = error
    return unavailable


def _undo(connection: sqlite3.Connection) -> None:
    if not connection.in_transaction:
        return
    try:
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:  # the next BEGIN says whether it lives
        _log.error("a transaction could not be undone: %s", error)


def _drive(awaitable: Awaitable[Any]) -> Any:
    """Run to its end what never waits."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a work for the database must await nothing but its transaction")


@cache
def _insert(table: str, columns: tuple[str, ...], rows: int) -> str:
    names, values = ",".join(columns), placeholders(len(columns), rows)
    return f"INSERT INTO {table} ({names}) VALUES {values} ON CONFLICT DO NOTHING"
