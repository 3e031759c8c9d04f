"""What the rest of the product may ask of a database: read, write, hear of a change.

What it is: the `Database` protocol, the transaction handed to a write, and `open_database`, which
picks an engine by the URL. What it is not: an engine (`sqlite`), a query builder or a mapper; SQL
is written out where it is used, with `?` for values, in the part that SQLite and PostgreSQL share.

The rule that keeps it honest: whoever writes does it in one `async` function of a transaction,
which may run again after a refusal and does nothing but SQL; there is no other way to write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar

from apertura.errors import Unavailable

T = TypeVar("T")
Row = tuple[Any, ...]


class Conflict(Exception):
    """The database refused a value: it exists already, refers to nothing, or may not change."""


class Tx(Protocol):
    """Inside one write transaction. All of it is kept, or none."""

    async def execute(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Run one statement and return its rows (also those of a `RETURNING`)."""

    async def insert_many(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> int:
        """Insert the rows that are new by every unique key; return how many were.

        A row that breaks another rule (a missing value, a reference to nothing) is a `Conflict`.
        """


class Database(Protocol):
    """One open database. Every method raises `Unavailable` while the engine cannot serve."""

    @property
    def engine(self) -> str:
        """The name by which migrations find what is special to it, such as "sqlite"."""

    async def read(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Run one query beside the writes; it sees every write that returned before it."""

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` in a transaction and return its result once that is on the disk.

        What `work` raises undoes it and is raised here. A caller who is cancelled while waiting
        does not stop the work.

        Raises:
            Conflict: a unique key, a reference or a trigger refused a value.
            Unavailable: the engine cannot write now, or too many writes wait; nothing was kept.
        """

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` soon after any process changed keys or organizations (see `revision`)."""

    async def close(self) -> None:
        """Finish what waits, then let go of everything. A second time does nothing."""


async def open_database(url: str) -> Database:
    """Open the database of a URL such as `sqlite:/var/lib/apertura/apertura.db`, or
    `postgresql://user:password@host/name`.

    Raises:
        ValueError: the scheme names no engine of this version.
        Unavailable: the database cannot be opened.
    """
    scheme, colon, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        from apertura.store.sqlite import open_sqlite  # an engine is imported when used

        return await open_sqlite(rest.removeprefix("//") if rest.startswith("///") else rest)
    if scheme in ("postgresql", "postgres"):
        from apertura.store.postgres import open_postgres

        return await open_postgres(url)
    named = f"{scheme}:" if colon else "a URL without a scheme"
    raise ValueError(
        f"no database for {named}; this version knows sqlite:/path/to/apertura.db and "
        "postgresql://user:password@host/name"
    )


def out_of_service(what: str) -> Unavailable:
    """The one way in which the store says that it cannot serve: 503 and try again in a second."""
    return Unavailable(what, headers={"Retry-After": "1"})


@cache
def placeholders(columns: int, rows: int) -> str:
    """`(?,?),(?,?)`: the value lists of one statement. Few sizes only: each is a statement kept."""
    one = "(" + ",".join("?" * columns) + ")"
    return ",".join([one] * rows)


async def bump_revision(tx: Tx) -> None:
    """Part of every change to keys or organizations: what `on_change` listens to."""
    await tx.execute("UPDATE revision SET value = value + 1 WHERE id = 1")
