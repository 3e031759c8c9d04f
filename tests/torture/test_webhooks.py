"""A payment is told of while the database is away, or to a server that dies of it: one credit."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import pytest

import apertura
from apertura.api import webhooks
from apertura.domain import keys
from apertura.domain.ledger import wallet
from apertura.payments.demo import checkout
from apertura.payments.demo.delivery import body_of, post
from apertura.payments.demo.server import Demo
from apertura.payments.stripe_events import sign
from apertura.store import identity, ledger, payment_events
from apertura.store.database import Database
from tests.api.client import new_key
from tests.cli.process import ask
from tests.torture.place import Place
from tests.torture.postgres import Fragile
from tests.torture.test_outage import HASTE, bring_back, take_away

pytestmark = pytest.mark.slow
SECRET = "whsec_of_these_tests"
CREDITED = 100 * 10**9


class Shop:
    """A place whose servers take cards at a processor that tells only what it is made to."""

    def __init__(self, place: Place, database: Database, demo: Demo, org: str, key: str) -> None:
        self.place, self.database, self.demo, self.org, self.key = place, database, demo, org, key
        self.environment = {
            "APERTURA_STRIPE_KEY": "sk_test_x",
            "APERTURA_STRIPE_WEBHOOK_SECRET": SECRET,
            "APERTURA_STRIPE_URL": demo.url,
        }

    async def paid(self, url: str) -> bytes:
        """Somebody pays a top-up on its page; the message that says so."""
        made = await ask(url, "POST", "/api/billing/top-ups", self.key, {"amount_usd": 100})
        assert made is not None
        assert made.status == 201, made.body
        page = json.loads(made.body)["data"]["url"].rpartition("/")[2]
        checkout.pay(self.demo.world, page, "pm_card_visa")
        [event] = [
            one for one in self.demo.world.events if one["type"] == "checkout.session.completed"
        ]
        return body_of(event)

    async def tell(self, url: str, body: bytes) -> int:
        """The status, or 0 where the connection ended without one."""
        try:
            header = sign(SECRET, body, int(time.time()))
            return await post(f"{url}/webhooks/stripe", body, {"Stripe-Signature": header})
        except (OSError, IndexError):
            return 0

    async def balance(self) -> int:
        return await ledger.balance(self.database, wallet(self.org))


@asynccontextmanager
async def shop(place: Place) -> AsyncIterator[Shop]:
    database = await place.open()
    try:
        org = await identity.create_organization(
            database, "acme", random=os.urandom(identity.ID_BYTES), now_ms=1
        )
        minted = keys.mint(os.urandom(keys.RANDOM_BYTES), "admin")
        key = await new_key(database, org.id, minted=minted, kind="admin")
        place.configure("http://127.0.0.1:9")
        async with Demo() as demo:
            yield Shop(place, database, demo, org.id, key)
    finally:
        await database.close()


def line_of(module: ModuleType, text: str) -> str:
    """`TORTURE_KILL_AT`: just before the one line that says so is run."""
    lines = inspect.getsource(module).splitlines()
    [number] = [at for at, line in enumerate(lines, 1) if line.strip() == text]
    assert module.__file__ is not None
    file = Path(module.__file__).relative_to(Path(apertura.__file__).parent)
    return f"{file}:{number}:1"


@pytest.mark.parametrize("kind", ["killed", pytest.param("paused", marks=pytest.mark.soak)])
async def test_a_message_waits_for_the_database(
    postgres: Fragile, tmp_path: Path, kind: str
) -> None:
    """503 with which Stripe tries again; then it is booked, once."""
    place = Place(tmp_path, postgres.url("postgres"), random.Random(1))
    async with shop(place) as held:
        async with place.server("m", TORTURE_SET=HASTE, **held.environment) as running:
            body = await held.paid(running.url)
            await asyncio.to_thread(take_away, postgres, kind)
            assert [await held.tell(running.url, body) for _ in range(2)] == [503, 503]

            await asyncio.to_thread(bring_back, postgres, kind)
            async with asyncio.timeout(30):
                while (status := await held.tell(running.url, body)) == 503:
                    await asyncio.sleep(0)
            assert status == 200
            assert await held.tell(running.url, body) == 200
            assert await running.stop() == 0
        assert await held.balance() == CREDITED
        assert await place.faults(held.database) == []


@pytest.mark.parametrize(
    ("where", "booked"),
    [
        pytest.param(
            line_of(payment_events, "await auto_top_ups.paid(tx, paid.id)"),
            0,
            marks=pytest.mark.soak,
        ),
        (line_of(webhooks, 'if state == "waiting":'), CREDITED),
    ],
    ids=["before the commit", "before the reply"],
)
async def test_a_message_kills_the_server(place: Place, where: str, booked: int) -> None:
    """It was not answered, so it comes again: to the books it is the same message."""
    async with shop(place) as held:
        async with place.server("m", TORTURE_KILL_AT=where, **held.environment) as dying:
            body = await held.paid(dying.url)
            assert await held.tell(dying.url, body) == 0
            assert await dying.process.wait() == -9
        assert await held.balance() == booked

        async with place.server("m", **held.environment) as running:
            assert [await held.tell(running.url, body) for _ in range(2)] == [200, 200]
            assert await running.stop() == 0
        assert await held.balance() == CREDITED
        assert await place.faults(held.database) == []
