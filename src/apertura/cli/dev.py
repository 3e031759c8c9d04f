"""`apertura serve --dev`: the first run, with everything made up that a first run needs.

A root secret and a database in the data folder, an organization, a user and a key, and the embedded
model as a process of its own. All of it is kept: a second start finds it and makes nothing twice;
the key is shown once, as keys are.

What it is not: a way to run in production. The rule that keeps it honest: nothing here is reached
without `--dev`.
"""

from __future__ import annotations

import os
import secrets as randomness
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec

from apertura.cli import demo_payments
from apertura.cli.shared import say
from apertura.domain import keys, ledger, secrets
from apertura.domain.catalog import OfferRow, ProviderRow
from apertura.domain.money import NANO_PER_USD, Nano
from apertura.jobs.local_model import LocalModel
from apertura.providers import local
from apertura.settings import Settings
from apertura.store import identity
from apertura.store import keys as key_store
from apertura.store import ledger as books
from apertura.store.database import Database
from apertura.store.identity import ID_BYTES
from apertura.store.keys import KeyRecord
from apertura.telemetry import log

ORGANIZATION = "dev"
EMAIL = "dev@localhost"
PLAY_MONEY = Nano(100 * NANO_PER_USD)
"""What the first organization can spend. No real provider is asked without a real credential."""


class LocalRows(msgspec.Struct, frozen=True, kw_only=True):
    """The local model as the catalogue sees it; empty without one."""

    providers: tuple[ProviderRow, ...] = ()
    offers: tuple[OfferRow, ...] = ()


def with_secret(settings: Settings) -> Settings:
    """The settings with the secret of the data folder, made up at the first start."""
    if settings.secret:
        return settings
    folder = Path(settings.data)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "secret"
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return msgspec.structs.replace(settings, secret=path.read_text().strip())
    secret = randomness.token_hex(32)
    with os.fdopen(made, "w") as file:
        file.write(secret + "\n")
    return msgspec.structs.replace(settings, secret=secret)


@asynccontextmanager
async def local_model(settings: Settings) -> AsyncIterator[LocalRows]:
    """The embedded model while the server runs; nothing without `--dev`."""
    if not (settings.dev and settings.local_model):
        yield LocalRows()
        return
    model = LocalModel(
        threads=max(1, (os.cpu_count() or 1) // 2),
        log=Path(settings.data) / "local-model.log",
        on_trouble=lambda line: log("local_model", message=line),
    )
    say("Starting the local model (SmolLM2, 135 million parameters) …")
    endpoint = await model.start(on_progress=say)
    try:
        yield LocalRows(
            providers=(local.provider(endpoint.base_url, endpoint.api_key),),
            offers=local.offers(endpoint.models),
        )
    finally:
        await model.stop()


async def welcome(settings: Settings, database: Database, url: str, rows: LocalRows) -> None:
    """Make what is missing, and say how to make the first call."""
    key = await _first_key(settings, database)
    model = rows.offers[0].model if rows.offers else "MODEL"
    say("")
    say(f"{settings.name} is ready.")
    say(f"  Base URL   {url}/v1")
    if settings.stripe_key == demo_payments.KEY:
        say("  Cards      pay with play money: POST /api/billing/top-ups answers with a page")
    if key is None:
        say("  API key    was made at the first start; this makes another:")
        say(f"             apertura keys create {_again(settings)}")
        say("")
        return
    say(f"  API key    {key}   (shown only now)")
    say(f"  Model      {model}")
    say("")
    say("Try it:")
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Say hello."}}]}}'
    say(f"  curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' \\")
    say(f"       -H 'Content-Type: application/json' -d '{body}'")
    say("")


async def _first_key(settings: Settings, database: Database) -> str | None:
    """The first key of a new installation; None if there has been one."""
    if await identity.find_organization(database, ORGANIZATION) is not None:
        return None
    now = time.time_ns() // 1_000_000
    org = await identity.create_organization(
        database, ORGANIZATION, random=randomness.token_bytes(ID_BYTES), now_ms=now
    )
    user = await identity.find_user(database, EMAIL) or await identity.create_user(
        database, EMAIL, "Developer", random=randomness.token_bytes(ID_BYTES), now_ms=now
    )
    await identity.add_member(database, org.id, user.id, "owner")
    paid_in = ledger.top_up(
        org.id, PLAY_MONEY, "play money", transaction_id=f"txn_{randomness.token_hex(12)}", at=now
    )
    await database.write(partial(books.post, transaction=paid_in))
    minted = keys.mint(randomness.token_bytes(keys.RANDOM_BYTES))
    pepper = secrets.derive(settings.secret, secrets.KEY_DIGEST)
    record = KeyRecord(
        id=minted.id,
        org_id=org.id,
        user_id=user.id,
        name="first key",
        digest=keys.Digester(pepper).digest(minted.key.encode()).hex(),
        last4=minted.last4,
        created_at=now,
    )
    await key_store.create(database, record)
    return minted.key


def _again(settings: Settings) -> str:
    return f"--org {ORGANIZATION} --name NAME --dev --data {settings.data}"
