"""Money for the organizations of tests, and what must be true of it afterwards."""

from __future__ import annotations

from functools import partial

from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.relay.leases import Leases
from apertura.store import ledger
from apertura.store.audit import audit
from apertura.store.database import Database

PLENTY = 10**15
"""A million dollars, in nano-dollars."""


async def pay_in(database: Database, org_id: str, amount: int = PLENTY) -> None:
    """Fill an organization's wallet; nothing is nothing."""
    if amount:
        name = f"test-{org_id}"
        paid = top_up(org_id, Nano(amount), name, transaction_id=f"txn_{name}", at=1)
        await database.write(partial(ledger.post, transaction=paid))


async def assert_exact(database: Database, leases: Leases) -> None:
    """No call runs any more: nothing is held, and the books, the funds and the usage agree."""
    assert leases.held() == 0
    found = [finding for check in await audit(database) for finding in check.findings]
    assert found == []
