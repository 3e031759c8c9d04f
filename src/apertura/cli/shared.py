"""What the commands share: a database that is open for a moment, and output for people or scripts.

The rule that keeps it honest: a command that changed something returns only after running servers
have had time to hear of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from apertura.app import make_data_folder
from apertura.domain.money import Nano, parse_usd
from apertura.errors import BadRequest, NotFound
from apertura.settings import Settings, database_url
from apertura.store import identity
from apertura.store.database import Database, open_database
from apertura.store.identity import Organization
from apertura.store.migrate import migrate

T = TypeVar("T")
Subparsers = Any  # argparse keeps the class of its subparsers private
AddSettings = Callable[[argparse.ArgumentParser, Sequence[str] | None], None]
Finish = Callable[[argparse.ArgumentParser, Any], None]
"""Gives a command its usual flags, and what it runs."""
STORE = ("data", "database", "config", "dev")
"""The settings that name the database: what commands take as flags."""
HEARD_SECONDS = 0.12
"""A running server looks for changes every 50 ms."""


@asynccontextmanager
async def database(settings: Settings, *, ready: bool = True) -> AsyncIterator[Database]:
    """The database of the settings, brought up to date unless `ready` is false."""
    if not settings.database:
        make_data_folder(settings)
    opened = await open_database(database_url(settings))
    try:
        if ready:
            await migrate(opened)
        yield opened
    finally:
        await opened.close()


def within(
    settings: Settings,
    work: Callable[[Database], Awaitable[T]],
    *,
    changes: bool,
    ready: bool = True,
) -> T:
    """Run `work` with the database; after a change, wait until running servers have heard."""

    async def run() -> T:
        async with database(settings, ready=ready) as opened:
            result = await work(opened)
        if changes:
            await asyncio.sleep(HEARD_SECONDS)
        return result

    return asyncio.run(run())


def show_json(value: object) -> None:
    """One JSON document."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")


def show_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as what stands in them."""
    lines = [list(headings), *([("" if c is None else str(c)) for c in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    for line in lines:
        sys.stdout.write("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())
        sys.stdout.write("\n")


def say(text: str) -> None:
    """A line for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# What is given on a command line.


async def organization_of(database: Database, id_or_name: str) -> Organization:
    """Raises: NotFound; Conflict, where several are called so."""
    found = await identity.find_organization(database, id_or_name)
    if found is None:
        raise NotFound(f"there is no organization {id_or_name!r}; `apertura orgs list` shows all")
    return found


def amount_of(text: str) -> Nano:
    """An amount of dollars. Raises: ValueError, BadRequest."""
    amount = parse_usd(text)
    if amount < 0:
        raise BadRequest(f"{text} USD is less than nothing")
    return amount


def moment_of(text: str) -> int:
    """A date or a time (UTC unless it says otherwise), in ms since 1970. Raises: BadRequest."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text!r} is no date such as 2027-01-31") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
