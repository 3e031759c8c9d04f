"""One connection to PostgreSQL that speaks the shared SQL, and fails in our words.

The shared SQL has `?` where PostgreSQL wants `$1`, and text that sorts by its bytes: both are
translated here, once per statement. Text with a NUL, which PostgreSQL cannot keep, is kept with
U+FFFD in its place.

What it is not: transactions, and when to try again (`postgres`). The rule that keeps it honest: a
connection that may be in the middle of something is closed, never used again.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol

import asyncpg

from apertura.errors import Unavailable
from apertura.store.database import Conflict, Row, out_of_service

OLDEST = 13
"""The first version that can be asked what became of a transaction by its full id."""
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
STATEMENTS_KEPT = 512

_SESSION = (
    "SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '15s'; SET jit = off; "
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; "
)
_SESSIONS = {
    "read": _SESSION + "SET default_transaction_read_only = on",
    "write": _SESSION
    + "SET default_transaction_isolation = 'serializable'; "
    + "SELECT set_config('synchronous_commit', 'on', false) "
    + "WHERE current_setting('synchronous_commit') = 'off'",
}
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}

_REFUSED = (  # by other transactions, or since a statement was compiled for another shape
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_CONFLICT = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.RaiseError,  # of a trigger
)
_FAILED = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_log = logging.getLogger(__name__)


class Again(Exception):
    """The transaction was refused, or its connection is lost. Before a COMMIT: nothing is kept."""

    def __init__(self, cause: BaseException, *, lost: bool) -> None:
        super().__init__(_said(cause))
        self.lost = lost


class _Connection(Protocol):
    """What we use of asyncpg's."""

    async def execute(self, query: str, *args: object) -> str: ...
    async def fetch(self, query: str, *args: object, timeout: float | None) -> list[Any]: ...
    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None: ...
    def add_termination_listener(self, callback: Callable[..., None]) -> None: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...
    async def close(self, *, timeout: float | None = None) -> None: ...


async def connect(url: str, session: Literal["read", "write"]) -> Link:
    """Connect to the server of a `postgresql://` URL.

    Raises:
        ValueError: the URL cannot be read.
        Again: the server cannot be reached, or refuses us.
    """
    try:
        connection: _Connection = await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            statement_cache_size=STATEMENTS_KEPT,
            max_cached_statement_lifetime=0,
        )
        try:
            _keep_alive(connection)
            await connection.execute(_SESSIONS[session])
        except BaseException:
            connection.terminate()
            raise
    except asyncpg.ClientConfigurationError as error:
        raise ValueError(f"the database's URL cannot be read: {_said(error)}") from None
    except _FAILED as error:
        raise Again(error, lost=True) from error
    return Link(connection)


class Link:
    """See the module. Each method raises `Again`, `Conflict` or `Unavailable`."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    @property
    def is_closed(self) -> bool:
        return self._connection.is_closed()

    async def rows(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Run one statement of the shared SQL. One that defines something may take its time."""
        patience = None if _is_definition(sql) else STATEMENT_SECONDS
        try:
            values = storable(params)
            found = await self._connection.fetch(translated(sql), *values, timeout=patience)
        except _FAILED as error:
            raise self._fault(error) from error
        return [tuple(row) for row in found]

    async def run(self, sql: str, *values: object) -> str:
        """Run PostgreSQL's own SQL, also several statements; what it says of the last one."""
        try:
            return await self._connection.execute(sql, *values)
        except _FAILED as error:
            raise self._fault(error) from error

    async def listen(self, channel: str, told: Callable[[], None]) -> None:
        """Call `told` at every notice, and at the end of the connection."""
        self._connection.add_termination_listener(lambda *_: told())
        try:
            await self._connection.add_listener(channel, lambda *_: told())
        except _FAILED as error:
            raise self._fault(error) from error

    def drop(self) -> None:
        """Let go at once."""
        self._connection.terminate()

    async def close(self) -> None:
        """Take leave."""
        try:
            await self._connection.close(timeout=CONNECT_SECONDS)
        except _FAILED:
            self._connection.terminate()

    def _fault(self, error: Exception) -> Exception:
        """What a fault of PostgreSQL, or of our use of it, is to the rest of the product."""
        if isinstance(error, TimeoutError):
            self.drop()
            return _unavailable(error)
        if isinstance(error, _REFUSED):
            return Again(error, lost=False)
        if isinstance(error, _LOST) or self.is_closed:
            self.drop()
            return Again(error, lost=True)
        if isinstance(error, _CONFLICT):
            return Conflict(_said(error))
        if isinstance(error, asyncpg.NumericValueOutOfRangeError):
            return Conflict("a number does not fit 64 bits")
        # A fault of asyncpg's own is ours: a wrong number of values, or one of another type.
        is_ours = isinstance(error, asyncpg.InterfaceError)
        return error if is_ours else _unavailable(error)


_WORD = re.compile(r"'[^']*'|\"[^\"]*\"|\$\$.*?\$\$|--[^\n]*|\?|\bTEXT\b", re.DOTALL)


@lru_cache(maxsize=4096)
def translated(sql: str) -> str:
    """The shared SQL as PostgreSQL writes it: numbered values, text that sorts by its bytes."""
    count = 0
    is_table = sql.lstrip().startswith(("CREATE TABLE", "ALTER TABLE"))

    def one(match: re.Match[str]) -> str:
        nonlocal count
        word = match[0]
        if word == "?":
            count += 1
            return f"${count}"
        return 'TEXT COLLATE "C"' if word == "TEXT" and is_table else word

    return _WORD.sub(one, sql)


def _is_definition(sql: str) -> bool:
    return sql.lstrip().startswith(("CREATE", "ALTER", "DROP"))


def storable(values: Iterable[object]) -> list[object]:
    """Without what PostgreSQL cannot keep."""
    return [
        value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value
        for value in values
    ]


def _unavailable(error: BaseException) -> Unavailable:
    _log.error("the database failed: %s: %s", type(error).__name__, _said(error))
    return out_of_service("The database of this installation cannot serve right now.")


def _said(error: BaseException) -> str:
    """In one line, without the details, in which values stand."""
    text = error.args[0] if error.args and isinstance(error, asyncpg.PostgresError) else error
    return " ".join(str(text).split()) or type(error).__name__


def _keep_alive(connection: _Connection) -> None:
    """A network that is gone shows within seconds, not after the kernel's quarter of an hour."""
    transport = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001
    sock = transport.get_extra_info("socket")
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
