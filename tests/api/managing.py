"""Admin keys, subscriptions and other organizations for the tests of the management endpoints."""

from __future__ import annotations

import json
import os
import time
from decimal import Decimal
from typing import Any

from apertura.domain import keys, secrets
from apertura.domain.money import Nano
from apertura.store import identity, subscriptions
from apertura.store.identity import Organization
from apertura.store.usage import UsageRow
from tests.api.client import SECRET, Answer, Served, new_key
from tests.store.examples import record, usage_row

DOLLAR = 1_000_000_000


async def admin_key(served: Served, org_id: str = "", **fields: Any) -> str:
    """An admin key, of the organization or of another one."""
    minted = keys.mint(os.urandom(keys.RANDOM_BYTES), "admin")
    given = {"minted": minted, "kind": "admin", **fields}
    return await new_key(served.database, org_id or served.org_id, **given)


async def other_organization(served: Served) -> Organization:
    """Another tenant."""
    random = os.urandom(identity.ID_BYTES)
    return await identity.create_organization(served.database, "other", random=random, now_ms=0)


async def subscribe(
    served: Served, plan: str = "lite", now_ms: int | None = None
) -> tuple[str, str]:
    """A subscription of which a month is paid: its id, and its key."""
    now_ms = now_ms or time.time_ns() // 1_000_000
    random = os.urandom(subscriptions.START_BYTES)
    chosen = served.app.parts.plans.plans[plan]
    sub = await served.database.write(
        lambda tx: subscriptions.start(tx, served.org_id, chosen, random=random, now_ms=now_ms)
    )
    await served.database.write(
        lambda tx: subscriptions.pay_period(
            tx, sub.id, reference="paid", via="manual", amount=Nano(DOLLAR), now_ms=now_ms
        )
    )
    minted = keys.mint_again(sub.key_id, os.urandom(keys.RANDOM_BYTES), "subscription")
    pepper = secrets.derive(SECRET, secrets.KEY_DIGEST)
    digest = keys.Digester(pepper).digest(minted.key.encode()).hex()
    await served.database.write(
        lambda tx: subscriptions.set_key(tx, sub.id, digest, minted.last4, now_ms)
    )
    return sub.id, minted.key


def call_at(ms: int, number: int = 0, **fields: Any) -> UsageRow:
    """A call whose id begins with its time, as all have."""
    return usage_row(f"req_{(ms << 80) + number:032x}", started_ms=ms, **fields)


async def used(served: Served, *rows: UsageRow) -> None:
    """These calls were made."""
    await record(served.database, rows)


async def send(served: Served, method: str, path: str, key: str, body: object = None) -> Answer:
    """A request with a JSON body, or none."""
    data = b"" if body is None else json.dumps(body).encode()
    return await served.ask(method, path, key, body=data)


def exact(answer: Answer) -> Any:
    """The data of a good answer, its numbers as exact decimals."""
    said = json.loads(answer.body, parse_float=Decimal)
    assert answer.status in (200, 201), said
    assert said["success"] is True
    assert set(said) == {"success", "data"}
    return said["data"]


def key_id(key: str) -> str:
    """The public id within a key of any kind."""
    return key.rpartition("-")[2].rpartition("_")[2][: keys.ID_LENGTH]
