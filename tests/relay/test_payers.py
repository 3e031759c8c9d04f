"""Behaviour of calls that something else than the wallet alone pays for, on a running gateway."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from apertura.store import funds, ledger, promos, usage
from apertura.store.promos import Promo
from tests.live import Answer, Live, live
from tests.wall import Wall

COST = 9 * 1_000 + 3 * 2_000
"""Nano-dollars of a call at the wall: 9 tokens in, 3 out, at $1 and $2 per million."""
HOUR_MS = 3_600_000


def now() -> int:
    return time.time_ns() // 1_000_000


async def org_of(gateway: Live) -> str:
    [(org,)] = await gateway.application.parts.database.read("SELECT id FROM organizations")
    return str(org)


async def give(gateway: Live, amount: int, promo_id: str = "p", until: int = HOUR_MS) -> None:
    promo = Promo(
        id=promo_id,
        org_id=await org_of(gateway),
        amount=amount,
        note="welcome",
        granted_at=now() - HOUR_MS,
        expires_at=now() + until,
    )
    await gateway.application.parts.database.write(partial(promos.grant, promo=promo))
    gateway.application.parts.callers.forget()


async def budget(gateway: Live, owner: str, cap: int | None) -> None:
    change = partial(funds.set_budget, owner=owner, cap=cap, reset_day=1, now_ms=now())
    await gateway.application.parts.database.write(change)
    gateway.application.parts.callers.forget()


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error[2]


async def test_a_gift_is_spent_before_the_wallet(wall: Wall, tmp_path: Path) -> None:
    """The row names who paid, the wallet is as full as before."""
    async with live(wall, tmp_path, wallet=10**9) as gateway:
        await give(gateway, 10**9)
        assert (await gateway.chat("ok")).status == 200

        [row] = await gateway.rows()
        db, org = gateway.application.parts.database, await org_of(gateway)
        assert (row.payer, row.cost) == ("promo", COST)
        assert await ledger.balance(db, f"org:{org}:promo:p") == 10**9 - COST
        assert await ledger.balance(db, f"org:{org}:wallet") == 10**9


async def test_without_a_wallet_a_gift_is_enough(wall: Wall, tmp_path: Path) -> None:
    """A newcomer who was given something can call at once."""
    async with live(wall, tmp_path, wallet=0) as gateway:
        assert code(await gateway.chat("ok")) == (402, "insufficient_balance")
        await give(gateway, 10**9)
        assert (await gateway.chat("ok", stream=True)).done


async def test_a_call_that_no_gift_covers_is_paid_by_the_wallet(wall: Wall, tmp_path: Path) -> None:
    """As a whole: a call has one payer. A gift that is over is not asked."""
    async with live(wall, tmp_path, wallet=10**9) as gateway:
        await give(gateway, 1_000)
        await give(gateway, 10**9, "over", until=-1)
        assert (await gateway.chat("ok")).status == 200

        [row] = await gateway.rows()
        assert (row.payer, row.cost) == ("wallet", COST)


async def test_a_gift_ends_once_nothing_of_it_is_held(wall: Wall, tmp_path: Path) -> None:
    """What is left goes back in the books, and its fund is gone; a second time changes nothing."""
    async with live(wall, tmp_path, wallet=10**9) as gateway:
        await give(gateway, 10**8)
        assert (await gateway.chat("ok")).status == 200
        await gateway.rows()
        db, org = gateway.application.parts.database, await org_of(gateway)
        later = now() + 2 * HOUR_MS
        assert await promos.end_due(db, later) == 0  # a part of it is leased
        leases = gateway.application.parts.settlement.leases
        await leases.sweep()
        await leases.sweep()

        assert [await promos.end_due(db, later) for _ in range(2)] == [1, 0]

        assert await ledger.balance(db, f"org:{org}:promo:p") == 0
        assert await ledger.balance(db, "contra:promos") == COST
        assert await funds.find(db, f"org:{org}:promo:p") is None
        assert [promo.left for promo in await promos.listing(db, org)] == [0]


async def test_a_keys_budget_of_the_month_refuses(wall: Wall, tmp_path: Path) -> None:
    """With its own code, before any provider is asked; taken away, calls go on."""
    async with live(wall, tmp_path, wallet=10**9) as gateway:
        [(key,)] = await gateway.application.parts.database.read("SELECT id FROM keys")
        await budget(gateway, str(key), 0)
        assert code(await gateway.chat("ok")) == (402, "quota_exceeded")
        assert wall.calls() == []
        await budget(gateway, str(key), None)
        assert (await gateway.chat("ok")).status == 200


async def test_an_organizations_budget_counts_all_that_is_paid(wall: Wall, tmp_path: Path) -> None:
    """Also what a gift pays for; it is spent to the last nano-dollar that a call takes."""
    async with live(wall, tmp_path, wallet=10**9) as gateway:
        await give(gateway, 10**9)
        org = await org_of(gateway)
        await budget(gateway, org, 10**8)
        assert (await gateway.chat("ok")).status == 200
        await gateway.rows()
        db = gateway.application.parts.database
        [(posted,)] = await db.read("SELECT posted FROM funds WHERE kind = 'org-budget'")
        assert posted == 10**8 - COST
        await budget(gateway, org, COST)
        await gateway.application.parts.settlement.leases.recall()
        assert code(await gateway.chat("ok")) == (402, "quota_exceeded")


async def test_what_the_provider_takes_is_kept_for_each_call(wall: Wall, tmp_path: Path) -> None:
    """The same as its price where an offer says nothing else."""
    async with live(wall, tmp_path) as gateway:
        assert (await gateway.chat("ok")).status == 200
        rows = await gateway.rows()
        db, org = gateway.application.parts.database, await org_of(gateway)
        assert rows[0].upstream_cost == rows[0].cost == COST
        owed = await ledger.balance(db, "upstream:wall")
        assert owed == (await usage.org_totals(db, org)).upstream_cost == COST
