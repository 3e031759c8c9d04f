"""The row of a call, for its receipt.

What it is not: the receipt (`domain.receipts`), or looking through calls (`call_log`). The rule
that keeps it honest: who asks for an organization sees its calls only; the operator alone asks
without one.
"""

from __future__ import annotations

from apertura.store.database import Database
from apertura.store.usage import COLUMNS, UsageRow

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM usage WHERE call_id = ?"


async def find(db: Database, call_id: str, org_id: str | None = None) -> UsageRow | None:
    """A call by its id; of one organization, if one is named."""
    rows = await db.read(_SELECT, (call_id,))
    if not rows:
        return None
    values = dict(zip(COLUMNS, rows[0], strict=True))
    if org_id not in (None, values["org_id"]):
        return None
    for name in ("streamed", "estimated"):
        values[name] = bool(values[name])
    return UsageRow(**values)
