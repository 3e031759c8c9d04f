"""Funds and leases as they are kept: lending to workers, and taking back.

What it is: one conditional update that lends, and what gives back, renews, ends by time, or moves a
cap. What it is not: how much to lend or who may be charged (`domain.funds`), or the charge
(`charges`).

The rule that keeps it honest: `held` grows only where `posted - held` covers it, in the same
statement; and whoever touches a lease has touched its fund before, in the same transaction, so that
two who do never wait in a circle or miss each other's change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TypeVar

import msgspec

from apertura.domain.funds import (
    PAYERS,
    UNBOUNDED,
    Fund,
    Kind,
    kind_of,
    lease_size,
    owner_of,
    quota_of,
    span_of,
)
from apertura.store.database import Conflict, Database, Tx, bump_revision, placeholders
from apertura.store.usage import day_of

T = TypeVar("T")

_PIECES = (64, 8, 1)
"""Rows that go into one statement: few sizes, as each is a statement kept."""
_ATTEMPTS = 5
MUCH = 8
"""Much is left of a fund where so many leases as a worker's could still be lent."""


class Grant(msgspec.Struct, frozen=True):
    """What was lent, and the fund after it."""

    amount: int
    fund: Fund


class Stand(msgspec.Struct):
    """A fund as it is kept, and as the transaction that has locked it changes it."""

    id: str
    kind: Kind
    owner: str
    since_ms: int
    until_ms: int
    fund: Fund


def in_pieces(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Parts of a sequence, of few sizes."""
    at = 0
    for size in _PIECES:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


# Lending.


async def lend(
    tx: Tx, worker: str, fund: str, amounts: Sequence[int], *, free: int, expires_at: int
) -> Grant:
    """Lend to a worker whose calls wait for these amounts, in order, and who has so much free."""
    for _ in range(_ATTEMPTS):
        stands = await _find(tx, fund) or await _first_asked(tx, fund)
        size = lease_size(amounts, free, stands.available)
        if size == 0:
            return Grant(0, stands)
        rows = await tx.execute(
            "UPDATE funds SET held = held + ? WHERE id = ? AND posted - held >= ? "
            "RETURNING posted, held",
            (size, fund, size),
        )
        if rows:
            await tx.execute(
                "INSERT INTO leases (fund_id, worker, amount, expires_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (fund_id, worker) DO UPDATE SET "
                "amount = leases.amount + excluded.amount, expires_at = excluded.expires_at",
                (fund, worker, size, expires_at),
            )
            return Grant(size, Fund(*rows[0]))
    return Grant(0, stands)  # others were quicker each time, and may be so again


async def give_back(tx: Tx, worker: str, amounts: Mapping[str, int]) -> None:
    """Take back parts of a worker's leases. What has ended by time meanwhile is back already."""
    await lock(tx, sorted(amounts))
    rows = [(fund, worker, amount) for fund, amount in sorted(amounts.items()) if amount]
    back = await lower_leases(tx, rows)
    await move(tx, [(fund, 0, -amounts[fund]) for fund in sorted(back)])
    await tx.execute("DELETE FROM leases WHERE worker = ? AND amount = 0", (worker,))


async def renew(tx: Tx, worker: str, expires_at: int) -> None:
    """A worker lives: its leases last longer."""
    await tx.execute("UPDATE leases SET expires_at = ? WHERE worker = ?", (expires_at, worker))


async def return_of_place(tx: Tx, place: str) -> int:
    """Take back the leases of a place whose workers are dead; returns how many."""
    prefix = f"{place}/"
    return await _return(tx, "substr(worker, 1, ?) = ?", (len(prefix), prefix))


async def return_expired(tx: Tx, now_ms: int) -> int:
    """Take back the leases whose time is over; returns how many."""
    return await _return(tx, "expires_at < ?", (now_ms,))


async def _return(tx: Tx, where: str, values: tuple[object, ...]) -> int:
    leases = f"FROM leases WHERE {where}"
    await tx.execute(f"UPDATE funds SET held = held WHERE id IN (SELECT fund_id {leases})", values)
    rows = await tx.execute(f"DELETE {leases} RETURNING fund_id, amount", values)
    back: dict[str, int] = {}
    for fund, amount in rows:
        back[fund] = back.get(fund, 0) + amount
    await move(tx, [(fund, 0, -amount) for fund, amount in sorted(back.items())])
    return len(rows)


async def scarce(db: Database, worker: str) -> list[str]:
    """The funds of which little is available beside what a worker holds of them."""
    rows = await db.read(
        "SELECT fund_id FROM leases JOIN funds ON funds.id = fund_id "
        "WHERE worker = ? AND (posted - held) / ? < amount ORDER BY fund_id",
        (worker, MUCH),
    )
    return [fund for (fund,) in rows]


async def overlent(db: Database, worker: str) -> list[str]:
    """The funds of which a worker holds a part although their cap was lowered below it."""
    rows = await db.read(
        "SELECT fund_id FROM leases JOIN funds ON funds.id = fund_id "
        "WHERE worker = ? AND posted < held ORDER BY fund_id",
        (worker,),
    )
    return [fund for (fund,) in rows]


# What moves a fund otherwise.


async def pay_in(tx: Tx, fund: str, amount: int) -> None:
    """A payer holds more, or less. Raises Conflict: that much is not available."""
    rows = await tx.execute(
        "UPDATE funds SET posted = posted + ? WHERE id = ? AND posted + ? >= held RETURNING id",
        (amount, fund, amount),
    )
    if not rows:
        raise Conflict(f"{fund} does not hold that much, or running calls need it")


async def open_payer(tx: Tx, fund: str) -> None:
    """See that what pays is a fund, as full as the books say."""
    if await _find(tx, fund) is None:
        await _open(tx, fund)


async def close_payer(tx: Tx, fund: str) -> None:
    """Forget a fund that is empty and of which nothing is lent: a gift or a cycle that is over."""
    await tx.execute("DELETE FROM leases WHERE fund_id = ? AND amount = 0", (fund,))
    await tx.execute(
        "DELETE FROM funds WHERE id = ? AND posted = 0 AND held = 0 AND kind IN "
        "('promo', 'allowance') AND NOT EXISTS (SELECT 1 FROM leases WHERE fund_id = funds.id)",
        (fund,),
    )


async def close_cap(tx: Tx, fund: str) -> None:
    """Forget a cap on paying beside a plan of which nothing is lent: its cycle is over."""
    await tx.execute("DELETE FROM leases WHERE fund_id = ? AND amount = 0", (fund,))
    await tx.execute(
        "DELETE FROM funds WHERE id = ? AND held = 0 AND kind = 'fallback' "
        "AND NOT EXISTS (SELECT 1 FROM leases WHERE fund_id = funds.id)",
        (fund,),
    )


async def set_quota(tx: Tx, key_id: str, quota: int | None) -> None:
    """A key's quota was changed. What is lent of it stays lent until it comes back."""
    await _set_cap(tx, "kind = 'key-quota' AND owner = ?", (key_id,), quota)


async def take_quota(tx: Tx, key_id: str, amount: int) -> None:
    """Lower a key's quota by what is neither used nor lent of it. Raises Conflict: it is less."""
    fund = quota_of(key_id)
    if await _find(tx, fund) is None:
        await _open(tx, fund)
    rows = await tx.execute(
        "UPDATE funds SET posted = posted - ?, cap = cap - ? WHERE id = ? AND posted - held >= ? "
        "RETURNING id",
        (amount, amount, fund, amount),
    )
    taken = rows and await tx.execute(
        "UPDATE keys SET quota_nano = quota_nano - ? WHERE id = ? AND quota_nano >= ? RETURNING id",
        (amount, key_id, amount),
    )
    if not taken:
        raise Conflict(f"the quota of {key_id} does not have that much left")


async def set_budget(tx: Tx, owner: str, cap: int | None, reset_day: int, now_ms: int) -> None:
    """What a key or organization may spend in a month from now on; None takes the budget away. Of
    several reset days in one month, the last is where the next budget begins.
    """
    if cap is None:
        await tx.execute("DELETE FROM budgets WHERE owner = ?", (owner,))
    else:
        await tx.execute(
            "INSERT INTO budgets (owner, cap, reset_day) VALUES (?, ?, ?) "
            "ON CONFLICT (owner) DO UPDATE SET cap = excluded.cap, reset_day = excluded.reset_day",
            (owner, cap, reset_day),
        )
    current = "kind IN ('key-budget', 'org-budget') AND owner = ? AND until_ms > ?"
    await _set_cap(tx, current, (owner, now_ms), cap)
    await bump_revision(tx)


async def _set_cap(tx: Tx, where: str, values: tuple[object, ...], cap: int | None) -> None:
    bound = UNBOUNDED if cap is None else cap
    await tx.execute(
        f"UPDATE funds SET posted = posted - cap + ?, cap = ? WHERE {where}",
        (bound, bound, *values),
    )


# Reading, and opening what is asked for the first time.


async def find(db: Database, fund: str) -> Fund | None:
    """A fund as it stands; None if nothing was ever asked of it."""
    rows = await db.read("SELECT posted, held FROM funds WHERE id = ?", (fund,))
    return Fund(*rows[0]) if rows else None


async def _find(tx: Tx, fund: str) -> Fund | None:
    rows = await tx.execute("SELECT posted, held FROM funds WHERE id = ?", (fund,))
    return Fund(*rows[0]) if rows else None


async def _first_asked(tx: Tx, fund: str) -> Fund:
    """A fund that a call wants to hold over. An allowance is granted with its cycle's first call,
    if that is paid for; one that is not is no fund yet.
    """
    if kind_of(fund) != "allowance":
        return await _open(tx, fund)
    from apertura.store.subscriptions import grant_cycle  # which stands on this module

    await grant_cycle(tx, fund)
    return await _find(tx, fund) or Fund(0)


async def _open(tx: Tx, fund: str) -> Fund:
    """Make a fund out of what the rest of the database says."""
    kind, owner, (since, until) = kind_of(fund), owner_of(fund), span_of(fund)
    cap: int | None = None
    if kind in PAYERS:
        rows = await tx.execute("SELECT -posted FROM accounts WHERE id = ?", (fund,))
        posted = rows[0][0] if rows else 0
    elif kind == "fallback":
        cap = posted = await _fallback_cap(tx, fund)
    else:
        cap = await _cap(tx, kind, owner)
        posted = cap - await _used(tx, kind, owner, (since, until))
    await tx.execute(
        "INSERT INTO funds (id, kind, owner, cap, since_ms, until_ms, posted, held) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
        (fund, kind, owner, cap, since, until, posted),
    )
    return await _find(tx, fund) or Fund(0)


async def _cap(tx: Tx, kind: Kind, owner: str) -> int:
    question = "SELECT cap FROM budgets WHERE owner = ?"
    if kind == "key-quota":
        question = "SELECT quota_nano FROM keys WHERE id = ?"
    rows = await tx.execute(question, (owner,))
    return UNBOUNDED if not rows or rows[0][0] is None else int(rows[0][0])


async def _fallback_cap(tx: Tx, fund: str) -> int:
    """Of the subscription of whose cycle the fund is; it is made with the cycle's first use."""
    subscription = fund.rpartition(":")[2].partition(".")[0]
    rows = await tx.execute("SELECT fallback_cap FROM subscriptions WHERE id = ?", (subscription,))
    return UNBOUNDED if not rows or rows[0][0] is None else int(rows[0][0])


async def _used(tx: Tx, kind: Kind, owner: str, span: tuple[int, int]) -> int:
    column = "org_id" if kind == "org-budget" else "key_id"
    total = "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM usage_days"
    if kind == "key-quota":
        rows = await tx.execute(f"{total} WHERE {column} = ?", (owner,))
    else:
        days = (day_of(span[0]), day_of(span[1]))
        sql = f"{total} WHERE {column} = ? AND day >= ? AND day < ?"
        rows = await tx.execute(sql, (owner, *days))
    return int(rows[0][0])


# For whoever changes several at once.


async def lock(tx: Tx, funds: Sequence[str]) -> None:
    """Nobody else changes these funds, or a lease on them, before this transaction ends."""
    for piece in in_pieces(funds):
        marks = placeholders(len(piece), 1)
        await tx.execute(f"UPDATE funds SET held = held WHERE id IN {marks}", piece)


async def lock_owners(tx: Tx, owners: Sequence[str], first_ms: int, last_ms: int) -> list[Stand]:
    """So for all funds of these keys and organizations that count calls of this time."""
    stands: list[Stand] = []
    for piece in in_pieces(owners):
        rows = await tx.execute(
            f"UPDATE funds SET held = held WHERE owner IN {placeholders(len(piece), 1)} "
            "AND since_ms <= ? AND until_ms > ? "
            "RETURNING id, kind, owner, since_ms, until_ms, posted, held",
            (*piece, last_ms, first_ms),
        )
        stands += [
            Stand(fund, kind, owner, since, until, Fund(posted, held))
            for fund, kind, owner, since, until, posted, held in rows
        ]
    return stands


async def leases_on(tx: Tx, worker: str, funds: Sequence[str]) -> dict[str, int]:
    """What is lent to a worker of funds that are locked."""
    found: dict[str, int] = {}
    for piece in in_pieces(funds):
        rows = await tx.execute(
            "SELECT fund_id, amount FROM leases "
            f"WHERE fund_id IN {placeholders(len(piece), 1)} AND worker = ?",
            (*piece, worker),
        )
        found |= dict(rows)
    return found


async def lower_leases(tx: Tx, rows: Sequence[tuple[str, str, int]]) -> list[str]:
    """Lower leases (fund, worker, amount) that are as high; returns the funds of those."""
    done: list[str] = []
    for piece in in_pieces(rows):
        values = [value for row in piece for value in row]
        done += [fund for (fund,) in await tx.execute(_lower_sql(len(piece)), values)]
    return done


async def move(tx: Tx, rows: Sequence[tuple[str, int, int]]) -> None:
    """Add to `posted` and `held` of locked funds (fund, posted, held)."""
    for piece in in_pieces(rows):
        values = [value for row in piece for value in row]
        await tx.execute(_move_sql(len(piece)), values)


@cache
def _move_sql(size: int) -> str:
    values = ",".join(["(?, CAST(? AS BIGINT), CAST(? AS BIGINT))"] * size)
    return (
        f"WITH moved (id, more_posted, more_held) AS (VALUES {values}) "
        "UPDATE funds SET posted = posted + more_posted, held = held + more_held "
        "FROM moved WHERE funds.id = moved.id"
    )


@cache
def _lower_sql(size: int) -> str:
    values = ",".join(["(?, ?, CAST(? AS BIGINT))"] * size)
    return (
        f"WITH lowered (id, by, less) AS (VALUES {values}) "
        "UPDATE leases SET amount = amount - less FROM lowered "
        "WHERE fund_id = lowered.id AND worker = lowered.by AND amount >= less RETURNING fund_id"
    )
