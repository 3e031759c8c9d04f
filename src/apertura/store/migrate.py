"""Brings a database to the shape that this version expects.

Migrations are files, `0001_first.sql` and on, forward only. What engines say differently (triggers)
stands beside it in `0001_first.<engine>.sql` and runs after it, in the same transaction. Statements
end with a semicolon and an empty line, which needs no parser of SQL.

Each file is one write transaction that first looks at what was applied, so processes that start
together wait for each other and none applies a file twice.

The rule that keeps it honest: a file that was applied anywhere is never edited; the digest kept
with each finds out.
"""

from __future__ import annotations

import hashlib
import re
import time
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec

from apertura.errors import Unavailable
from apertura.store.database import Conflict, Database, Tx

_NAME = re.compile(r"(\d{4})_\w+\.sql")
_IN_TURN = {
    "postgres": (  # each statement is to see what the process before us has applied
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET LOCAL lock_timeout = '25s'",
        "SELECT pg_advisory_xact_lock(1634756978)",
        "SET LOCAL lock_timeout = '5s'",
    )
}
"""What makes processes wait for each other, where a write transaction alone does not."""


class MigrationRefused(Unavailable):
    """The database does not fit this version; the message says why. Nothing was changed."""


class Migration(msgspec.Struct, frozen=True):
    """One step: its number, the name of its file, and the SQL of both its files."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The statements, without comments that stand alone on a line."""
        bare = "\n".join(line for line in self.sql.splitlines() if not line.startswith("--"))
        return [part.strip() for part in re.split(r"(?<=;)\n\s*\n", bare) if part.strip()]


async def migrate(db: Database, folder: Traversable | None = None) -> list[str]:
    """Apply what is missing, in order; return the names of the files that were applied now.

    Raises:
        MigrationRefused: an applied file was edited or is missing here, or one cannot be applied.
        Unavailable: the database cannot be written.
    """
    migrations = available(folder or files("apertura.store") / "migrations", db.engine)

    async def step(tx: Tx) -> str | None:
        for statement in _IN_TURN.get(db.engine, ()):
            await tx.execute(statement)
        done = await _applied(tx)
        _check(done, migrations)
        if len(done) == len(migrations):
            return None
        following = migrations[len(done)]
        for statement in following.statements:
            await tx.execute(statement)
        row = (following.number, following.name, following.sha256, time.time_ns() // 1_000_000)
        await tx.execute("INSERT INTO migrations VALUES (?, ?, ?, ?)", row)
        return following.name

    names: list[str] = []
    try:
        while name := await db.write(step):
            names.append(name)
    except Conflict as error:
        raise MigrationRefused(f"the migration after {names or 'none'} fails: {error}") from error
    return names


def available(folder: Traversable, engine: str) -> list[Migration]:
    """The migrations of a folder, for one engine, in order."""
    names = sorted(entry.name for entry in folder.iterdir() if _NAME.fullmatch(entry.name))
    numbers = [int(name[:4]) for name in names]
    if numbers != list(range(1, len(names) + 1)):
        raise MigrationRefused(f"migrations are to be numbered from 1 without gaps: {numbers}")
    return [Migration(int(name[:4]), name, _text(folder, name, engine)) for name in names]


def _text(folder: Traversable, name: str, engine: str) -> str:
    special = folder / f"{name.removesuffix('.sql')}.{engine}.sql"
    common = (folder / name).read_text(encoding="utf-8")
    return f"{common}\n\n{special.read_text(encoding='utf-8')}" if special.is_file() else common


async def _applied(tx: Tx) -> list[tuple[int, str, str]]:
    await tx.execute(
        "CREATE TABLE IF NOT EXISTS migrations (number BIGINT NOT NULL PRIMARY KEY, "
        "name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at BIGINT NOT NULL)"
    )
    rows = await tx.execute("SELECT number, name, sha256 FROM migrations ORDER BY number")
    return [(number, name, sha256) for number, name, sha256 in rows]


def _check(done: list[tuple[int, str, str]], migrations: list[Migration]) -> None:
    if [number for number, _, _ in done] != list(range(1, len(done) + 1)):
        raise MigrationRefused("the database lacks a migration before its newest one")
    for (_, name, _), ours in zip(done, migrations, strict=False):
        if name != ours.name:
            raise MigrationRefused(f"the database has {name} where this version has {ours.name}")
    for (_, name, sha256), ours in zip(done, migrations, strict=False):
        if sha256 != ours.sha256:
            raise MigrationRefused(f"{name} was edited after it was applied to this database")
    if len(done) > len(migrations):
        raise MigrationRefused(
            f"the database was made by a newer version: it has {done[len(migrations)][1]}"
        )
