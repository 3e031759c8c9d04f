"""An installation to be hurt: a database, tenants with little and much money, and its servers."""

from __future__ import annotations

import random
import sys
import time
import tomllib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from apertura.domain import keys, secrets
from apertura.domain.catalog import Catalog
from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.store import funds, identity, ledger, promos, subscriptions
from apertura.store import keys as key_store
from apertura.store.audit import audit
from apertura.store.database import Database, Tx, open_database
from apertura.store.keys import KeyRecord
from apertura.store.migrate import migrate
from apertura.store.plans import read_plans
from apertura.store.promos import Promo
from tests.cli.conftest import SECRET
from tests.cli.process import Server, server
from tests.torture import victim
from tests.torture.load import Caller, Role

VICTIM = [sys.executable, str(Path(victim.__file__))]
CONFIG = """
limit_per_address = "off"
limit_per_key = "off"
limit_per_model = "off"
output_held = 16

[[providers]]
name = "acme"
base_url = "{url}"
"""
OFFER = """
[[offers]]
model = "{model}"
provider = "acme"
upstream_model = "{behaviour}"
input_usd_per_million = "{input}"
output_usd_per_million = "10"
"""
PLAN = """
[[plans]]
id = "torture"
title = "Torture"
usd_per_month = "1000"
allowance = {allowance}
calls_per_minute = 1_000_000
multipliers = {{ {multipliers} }}
bands = []
"""
MUCH = 10**15
ALLOWANCE = 300_000
PER_CALL = 1_500
"""Thousandths of a credit: of a cycle, and of a call by a plan's key."""


@dataclass
class Tenant:
    """An organization, and all that was ever paid in for it."""

    id: str
    paid: int = 0
    """Into the wallet, and as gifts."""
    has_plan: bool = False


@dataclass
class Place:
    """One database and its tenants. `machines` are data folders: one for each server."""

    folder: Path
    url: str
    chance: random.Random
    input_price: str = "2.50"
    tenants: dict[str, Tenant] = field(default_factory=dict)
    offers: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    """The models that the plan includes."""
    _count: int = 0

    async def open(self) -> Database:
        """The database, with its tables. Opened for one purpose and closed again."""
        database = await open_database(self.url)
        await migrate(database)
        return database

    async def hire(self, database: Database, roles: Sequence[Role]) -> list[Caller]:
        """A caller for each role, with a key and a model of its own."""
        return [await self._caller(database, role) for role in roles]

    async def _caller(self, database: Database, role: Role) -> Caller:
        self._count += 1
        model = f"{role.name}-{self._count}"
        self.offers.append(
            OFFER.format(model=model, behaviour=role.behaviour, input=self.input_price)
        )
        org = f"{role.org}-{self._count}" if role.by_plan else role.org  # one plan for each
        tenant = self.tenants.get(org) or await self._tenant(database, org)
        chance = random.Random(self.chance.random())
        if role.by_plan:
            key, key_id = await self._subscribe(database, tenant, model)
            return Caller(role, model, key, key_id, tenant.id, chance)
        minted = keys.mint(self.chance.randbytes(keys.RANDOM_BYTES))
        pepper = secrets.derive(SECRET, secrets.KEY_DIGEST)
        record = KeyRecord(
            id=minted.id,
            org_id=tenant.id,
            name=model,
            digest=keys.Digester(pepper).digest(minted.key.encode()).hex(),
            last4=minted.last4,
            quota_nano=role.quota,
            created_at=1,
        )
        await key_store.create(database, record)
        return Caller(role, model, minted.key, minted.id, tenant.id, chance)

    async def _tenant(self, database: Database, name: str) -> Tenant:
        random_bytes = self.chance.randbytes(13)
        org = await identity.create_organization(database, name, random=random_bytes, now_ms=1)
        tenant = self.tenants[name] = Tenant(org.id)
        if name == "rich":
            await self.pay(database, name, MUCH)
            await database.write(
                partial(funds.set_budget, owner=org.id, cap=MUCH, reset_day=1, now_ms=now())
            )
        return tenant

    async def _subscribe(self, database: Database, tenant: Tenant, model: str) -> tuple[str, str]:
        """A subscription that is paid for, with the wallet beside it; its key."""
        self.planned.append(model)
        plan = read_plans(
            Catalog(models={}, offers={}), tomllib.loads(self._plan())["plans"]
        ).plans["torture"]
        minted = keys.mint(self.chance.randbytes(keys.RANDOM_BYTES), "subscription")
        pepper = secrets.derive(SECRET, secrets.KEY_DIGEST)
        digest = keys.Digester(pepper).digest(minted.key.encode()).hex()
        random_bytes = self.chance.randbytes(subscriptions.START_BYTES)

        async def work(tx: Tx) -> str:
            at = {"now_ms": now()}
            sub = await subscriptions.start(tx, tenant.id, plan, random=random_bytes, **at)
            paid = {"reference": sub.id, "via": "manual", "amount": 12 * 10**9}
            await subscriptions.pay_period(tx, sub.id, **paid, **at)
            await subscriptions.set_key(tx, sub.id, digest, minted.last4, **at)
            await subscriptions.set_fallback(tx, sub.id, on=True, cap=None, **at)
            return str(sub.key_id)

        tenant.has_plan = True
        return minted.key, await database.write(work)

    def _plan(self) -> str:
        multipliers = ", ".join(f'"{model}" = "1.5"' for model in self.planned)
        return PLAN.format(allowance=ALLOWANCE // 1000, multipliers=multipliers)

    async def give(self, database: Database, name: str, amount: int) -> None:
        """A gift of money, beside whatever runs."""
        self._count += 1
        tenant, at = self.tenants[name], now()
        promo = Promo(
            id=f"gift-{self._count}",
            org_id=tenant.id,
            amount=amount,
            note="",
            granted_at=at,
            expires_at=at + 10**10,
        )
        await database.write(partial(promos.grant, promo=promo))
        tenant.paid += amount

    async def pay(self, database: Database, name: str, amount: int) -> None:
        """Money comes in, beside whatever runs."""
        self._count += 1
        tenant, payment = self.tenants[name], f"payment-{self._count}"
        paid = top_up(tenant.id, Nano(amount), payment, transaction_id=f"txn_{payment}", at=1)
        await database.write(partial(ledger.post, transaction=paid))
        tenant.paid += amount

    def configure(self, wall_url: str) -> Path:
        """The file for its servers: the wall, and an offer for each model."""
        file = self.folder / "apertura.toml"
        plan = self._plan() if self.planned else ""
        file.write_text("".join([CONFIG.format(url=wall_url), *self.offers, plan]))
        return file

    def server(
        self, machine: str, *, flags: Sequence[str] = (), **more: str
    ) -> AbstractAsyncContextManager[Server]:
        """A server with a data folder of its own, as on a machine of its own."""
        home = self.folder / machine
        home.mkdir(exist_ok=True)
        config = ("--config", str(self.folder / "apertura.toml"), *flags)
        return server(home, *config, program=VICTIM, APERTURA_DATABASE=self.url, **more)

    async def faults(self, database: Database) -> list[str]:
        """What the audit finds, in words."""
        return [
            f"audit: {finding.rule}: {finding.subject}: {finding.expected} is {finding.found}"
            for check in await audit(database)
            for finding in check.findings
        ]


def now() -> int:
    """In ms since 1970."""
    return time.time_ns() // 1_000_000


async def held(database: Database) -> int:
    """What is lent or held by whoever, of all funds."""
    ((total,),) = await database.read("SELECT CAST(COALESCE(SUM(held), 0) AS BIGINT) FROM funds")
    ((count,),) = await database.read("SELECT COUNT(*) FROM leases WHERE amount > 0")
    assert bool(total) == bool(count), (total, count)
    return int(total)
