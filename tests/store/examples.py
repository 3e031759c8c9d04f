"""Values of the store with all that a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from apertura.domain.money import Nano
from apertura.domain.plans import allowance, payment
from apertura.store import ledger
from apertura.store.charges import Charge, record_and_charge
from apertura.store.database import Database, Tx
from apertura.store.keys import KeyRecord
from apertura.store.usage import UsageRow

NEW_YEAR_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""

_ROW: dict[str, Any] = {
    "org_id": "org_1",
    "key_id": "key_1",
    "model": "small",
    "provider": "acme",
    "offer": "acme/small",
    "operation": "chat",
    "streamed": True,
    "status": 200,
    "outcome": "answered",
    "error_code": "",
    "started_ms": NEW_YEAR_MS,
    "first_ms": 200,
    "total_ms": 900,
    "attempts": 1,
    "input": 100,
    "cache_read": 0,
    "cache_write": 0,
    "cache_write_1h": 0,
    "audio_input": 0,
    "output": 20,
    "reasoning": 0,
    "audio_output": 0,
    "estimated": False,
    "cost": 7,
    "price_id": "price_1",
}


def usage_row(call_id: str, **fields: object) -> UsageRow:
    return UsageRow(call_id=call_id, **{**_ROW, **fields})


async def record(db: Database, rows: Sequence[UsageRow]) -> int:
    """Keep rows of calls that held nothing; returns how many were new."""
    return await record_and_charge(db, [Charge(*msgspec.structs.astuple(row)) for row in rows])


async def allow(db: Database, amount: int) -> None:
    """The organization `o` has paid for one cycle, `s.0`, of so many thousandths of a credit."""
    columns = ("id", "org_id", "key_id", "plan", "period", "price", "allowance", "anchor_ms")
    columns += ("paid_until_ms", "status", "cancel_at_end", "next_at_ms", "fallback")
    sub = ("s", "o", "key_s", "lite", "monthly", 12, amount, 0, 1, "active", 0, 0, 0)
    paid = ("paid", "s", "manual", 12, 0, 1, 1)

    async def work(tx: Tx) -> None:
        await tx.insert_many(
            "organizations", ("id", "name", "status", "created_at"), [("o", "o", "active", 1)]
        )
        await tx.insert_many("subscriptions", columns, [sub])
        await tx.insert_many("plan_payments", _PAID, [paid])
        await tx.insert_many(
            "plan_cycles",
            ("subscription_id", "number", "granted", "upgrades"),
            [("s", 0, amount, 0)],
        )
        await ledger.post(tx, payment("manual", Nano(12), "paid", at=1))
        await ledger.post(tx, allowance("o", "s.0", amount, at=1))

    await db.write(work)


_PAID = ("reference", "subscription_id", "via", "amount", "first_cycle", "cycles", "at")


def key_record(key_id: str, org_id: str, **fields: Any) -> KeyRecord:
    given: dict[str, Any] = {"name": "test", "digest": f"digest of {key_id}", "last4": "wxyz"}
    return KeyRecord(id=key_id, org_id=org_id, created_at=NEW_YEAR_MS, **{**given, **fields})
