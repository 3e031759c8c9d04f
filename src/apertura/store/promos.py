"""Promotions: what an organization was given to spend, and until when.

What it is not: the movements of money (`domain.ledger`), or when a gift pays (`domain.payers`). The
rule that keeps it honest: what is left of a gift goes back in the books once its time is over and
nothing of it is held any more, so that no gift outlives its end and no running call is cut.
"""

from __future__ import annotations

from functools import partial

import msgspec

from apertura.domain import ledger as books
from apertura.domain.funds import promo_of
from apertura.domain.money import Nano
from apertura.domain.payers import Gift
from apertura.store import funds, ledger
from apertura.store.database import Conflict, Database, Tx, bump_revision


class Promo(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts in nano-dollars; times in ms since 1970."""

    id: str
    org_id: str
    amount: int
    note: str
    granted_at: int
    expires_at: int
    left: int = 0
    """What of it was not spent yet."""


async def grant(tx: Tx, promo: Promo) -> None:
    """Give it. Raises: Conflict, if there is one of this id."""
    given = books.give(
        promo.org_id,
        promo.id,
        Nano(promo.amount),
        promo.id,
        transaction_id=f"promo_{promo.id}",
        at=promo.granted_at,
    )
    new = await tx.insert_many(
        "promos",
        ("id", "org_id", "amount", "note", "granted_at", "expires_at"),
        [(*msgspec.structs.astuple(promo)[:-1],)],
    )
    if not new:
        raise Conflict(f"there is a promotion {promo.id!r} already")
    await ledger.post(tx, given)
    await bump_revision(tx)


async def gifts(db: Database, org_id: str, now_ms: int) -> tuple[Gift, ...]:
    """What an organization may spend now beside its wallet, the one that ends first, first."""
    rows = await db.read(
        "SELECT id, expires_at FROM promos WHERE org_id = ? AND expires_at > ? "
        "AND ended_at IS NULL ORDER BY expires_at, id",
        (org_id, now_ms),
    )
    return tuple(Gift(*row) for row in rows)


async def listing(db: Database, org_id: str) -> list[Promo]:
    """All that an organization was ever given, the newest first."""
    rows = await db.read(
        "SELECT id, org_id, amount, note, granted_at, expires_at, "
        "COALESCE((SELECT posted FROM funds WHERE funds.id = "
        "'org:' || promos.org_id || ':promo:' || promos.id), 0) FROM promos "
        "WHERE org_id = ? ORDER BY granted_at DESC, id",
        (org_id,),
    )
    names = Promo.__struct_fields__
    return [Promo(**dict(zip(names, row, strict=True))) for row in rows]


async def end_due(db: Database, now_ms: int) -> int:
    """Take back what is left of gifts whose time is over; returns how many have ended now."""
    rows = await db.read(
        "SELECT id, org_id FROM promos WHERE expires_at <= ? AND ended_at IS NULL ORDER BY id",
        (now_ms,),
    )
    ended = 0
    for promo_id, org_id in rows:
        ended += await db.write(partial(_end, promo_id=promo_id, org_id=org_id, now_ms=now_ms))
    return ended


async def _end(tx: Tx, promo_id: str, org_id: str, now_ms: int) -> bool:
    """Not while something of it is held: running calls end first, and leases come back."""
    fund = promo_of(org_id, promo_id)
    await funds.lock(tx, [fund])
    rows = await tx.execute("SELECT posted, held FROM funds WHERE id = ?", (fund,))
    posted, held = rows[0] if rows else (0, 0)
    if held:
        return False
    claimed = await tx.execute(
        "UPDATE promos SET ended_at = ? WHERE id = ? AND ended_at IS NULL RETURNING id",
        (now_ms, promo_id),
    )
    if claimed and posted:
        name = f"promo_end_{promo_id}"
        await ledger.post(
            tx,
            books.take_back(
                org_id, promo_id, Nano(posted), promo_id, transaction_id=name, at=now_ms
            ),
        )
    await funds.close_payer(tx, fund)
    return bool(claimed)
