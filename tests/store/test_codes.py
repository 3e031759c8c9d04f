"""Codes are redeemed once, by one organization."""

from __future__ import annotations

import asyncio

import pytest

from apertura.domain.ledger import wallet
from apertura.domain.money import Nano
from apertura.errors import BadRequest
from apertura.store import codes, ledger
from apertura.store.codes import Code
from apertura.store.database import Database, open_database
from apertura.store.identity import create_organization

CODE = Code(id="code_1", digest="d", amount=Nano(5), note="", created_at=1, expires_at=100)


async def redeem(db: Database, org_id: str, now_ms: int = 2) -> bool:
    try:
        await db.write(lambda tx: codes.redeem(tx, "d", org_id, now_ms))
    except BadRequest:
        return False
    return True


async def test_a_code_is_redeemed_once_by_whoever_is_first(db: Database, url: str) -> None:
    """Ten organizations at two servers, at once."""
    await db.write(lambda tx: codes.create(tx, [CODE]))
    made = [
        await create_organization(db, f"o{number}", random=bytes([number]) * 13, now_ms=1)
        for number in range(10)
    ]
    other = await open_database(url)

    done = await asyncio.gather(*(redeem(one, org.id) for org in made for one in (db, other)))

    await other.close()
    assert sum(done) == 1
    balances = [await ledger.balance(db, wallet(org.id)) for org in made]
    assert sorted(balances) == [0] * 9 + [5]
    [kept] = await codes.listing(db)
    assert kept.redeemed_by == made[balances.index(Nano(5))].id


@pytest.mark.parametrize("now_ms", [100, 101])
async def test_a_code_whose_time_is_over_is_nothing(db: Database, now_ms: int) -> None:
    org = await create_organization(db, "o", random=b"o" * 13, now_ms=1)
    await db.write(lambda tx: codes.create(tx, [CODE]))

    assert not await redeem(db, org.id, now_ms)
