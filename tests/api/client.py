"""A running application with a wall behind it, asked over ASGI without a socket between.

    async with gateway(tmp_path) as served:
        key = await served.key(models=("small",))
        answer = await served.chat(key, model="small")
        assert answer.status == 200

Models: `small` (input $2.50, output $10 per million), `large`, `org/with:tag`, `unpriced`, `embed`;
the wall answers each with 9 input and 3 output tokens.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from apertura.app import Application, opened
from apertura.domain import keys, secrets
from apertura.domain.catalog import OfferRow, ProviderRow
from apertura.domain.keys import Minted
from apertura.domain.money import NANO_PER_USD
from apertura.settings import Settings, load
from apertura.store import identity
from apertura.store import keys as key_store
from apertura.store.database import Database
from apertura.store.keys import KeyRecord
from tests.databases import put_migrated_sqlite
from tests.money import pay_in
from tests.wall import Wall

WALLET_USD = 1_000_000
"""What the organization can spend."""
SECRET = "the root secret of all of these tests"
PROVIDER_KEY = "canary-of-the-provider"
PRICE = {"input_usd_per_million": "2.50", "output_usd_per_million": "10"}
COST = 9 * 2_500 + 3 * 10_000
"""Nano-dollars of one call of `small` (and of every other chat model) at the wall."""
MODELS: dict[str, dict[str, Any]] = {
    "small": {**PRICE, "context_length": 8000, "created": 1_700_000_000},
    "large": PRICE,
    "org/with:tag": PRICE,
    "unpriced": {},
    "embed": {"kind": "embeddings", "input_usd_per_million": "0.02"},
}
MESSAGES = [{"role": "user", "content": "Say something."}]


@dataclass
class Answer:
    """A whole reply; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error, whose envelope is checked along the way."""
        said = self.json
        error = said.pop("error")
        assert said in ({}, {"success": False, "message": error["message"]})
        assert {"message", "type", "code"} <= set(error) <= {"message", "type", "code", "param"}
        assert all(isinstance(value, str) for value in error.values())
        assert self.headers["content-type"] == "application/json"
        assert self.headers["x-request-id"].startswith("req_")
        return str(error["code"])


class Served:
    """An application and what a test asks of it."""

    def __init__(self, app: Application, wall: Wall, org_id: str, settings: Settings) -> None:
        self.app, self.wall, self.org_id, self.settings = app, wall, org_id, settings

    @property
    def database(self) -> Database:
        return self.app.parts.database

    async def key(self, **fields: Any) -> str:
        """A new key of the organization."""
        return await new_key(self.database, self.org_id, **fields)

    async def ask(
        self,
        method: str,
        target: str,
        key: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        peer: str = "203.0.113.9",
    ) -> Answer:
        """One request and its whole reply."""
        given = dict(headers or {})
        if key is not None:
            given["authorization"] = f"Bearer {key}"
        return await ask(self.app, method, target, given, body, peer)

    async def get(self, target: str, key: str | None = None, **rest: Any) -> Answer:
        return await self.ask("GET", target, key, **rest)

    async def chat(self, key: str | None = None, model: str = "small", **rest: Any) -> Answer:
        """A call; what is no argument of `ask` goes into the body."""
        kept = {name: rest.pop(name) for name in ("headers", "peer") if name in rest}
        body = json.dumps({"model": model, "messages": MESSAGES, **rest}).encode()
        return await self.ask("POST", "/v1/chat/completions", key, body=body, **kept)


async def ask(
    app: Application,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    peer: str,
) -> Answer:
    """What an ASGI server would do with one request of HTTP/1.1."""
    path, _, query = target.partition("?")
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"gateway.test"), *lines],
        "client": (peer, 40_000),
        "server": ("gateway.test", 80),
    }
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop()
        await asyncio.Event().wait()
        raise AssertionError("nobody hangs up here")

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *pieces = sent
    assert start["type"] == "http.response.start"
    assert not pieces[-1].get("more_body")
    received = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], received, b"".join(p.get("body", b"") for p in pieces))


@asynccontextmanager
async def gateway(folder: Path, **flags: str) -> AsyncIterator[Served]:
    """A gateway with a data folder, one organization and the models above."""
    given = {"data": str(folder / "data"), "secret": SECRET, "call_log": "off", **flags}
    settings = load(flags=given, environment={}, read_file=lambda _: "")
    put_migrated_sqlite(folder / "data" / "apertura.db")
    async with Wall() as wall:
        provider = ProviderRow(name="acme", base_url=wall.url, api_key=PROVIDER_KEY)
        offers = [
            OfferRow(model=name, provider="acme", upstream_model="ok", **fields)
            for name, fields in MODELS.items()
        ]
        async with opened(settings, environment={}, providers=[provider], offers=offers) as app:
            made = await identity.create_organization(
                app.parts.database, "acme", random=os.urandom(13), now_ms=0
            )
            await pay_in(app.parts.database, made.id, WALLET_USD * NANO_PER_USD)
            yield Served(app, wall, made.id, settings)


async def new_key(
    database: Database,
    org_id: str,
    *,
    minted: Minted | None = None,
    secret: str = SECRET,
    **fields: Any,
) -> str:
    """A key of an organization; it is told only here."""
    minted = minted or keys.mint(os.urandom(keys.RANDOM_BYTES))
    pepper = secrets.derive(secret, secrets.KEY_DIGEST)
    given: dict[str, Any] = {
        "id": minted.id,
        "org_id": org_id,
        "name": "test",
        "digest": keys.Digester(pepper).digest(minted.key.encode()).hex(),
        "last4": minted.last4,
        "created_at": time.time_ns() // 1_000_000,
    }
    await key_store.create(database, KeyRecord(**{**given, **fields}))
    return minted.key


def well_formed_stranger() -> str:
    """A key that could be one of ours, and is not."""
    return keys.mint(bytes(keys.RANDOM_BYTES)).key


def id_of(key: str) -> str:
    """The public id within a key."""
    return key[3 : 3 + keys.ID_LENGTH]
