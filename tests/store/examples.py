"""Values of the store with all that a test does not care about filled in."""

from __future__ import annotations

from typing import Any

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


def key_record(key_id: str, org_id: str, **fields: Any) -> KeyRecord:
    given: dict[str, Any] = {"name": "test", "digest": f"digest of {key_id}", "last4": "wxyz"}
    return KeyRecord(id=key_id, org_id=org_id, created_at=NEW_YEAR_MS, **{**given, **fields})
