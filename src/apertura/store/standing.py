"""How an organization and its keys stand: what they hold, may spend and have used.

What it is: reading only, for whoever shows it. What it is not: what may be spent right now by a
call (`funds`), or single calls (`call_log`).

The rule that keeps it honest: amounts come from the books and from the sums of usage, never from
what a worker remembers; every question names one organization, or a key of one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from apertura.domain.funds import budget_of, promo_of, span_of, wallet_of
from apertura.domain.ledger import wallet
from apertura.store import funds, ledger
from apertura.store.database import Database
from apertura.store.usage import day_of

Group = Literal["day", "model", "key"]
_SUM = "CAST(COALESCE(SUM({0}), 0) AS BIGINT)"


class Promo(msgspec.Struct, frozen=True, kw_only=True):
    """A gift: what it was, and what is left of it, in nano-dollars."""

    id: str
    amount: int
    left: int
    held: int
    note: str
    granted_at: int
    expires_at: int


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """What an organization holds, in nano-dollars. `held` by running calls is in `balance` too."""

    balance: int
    held: int
    promos: tuple[Promo, ...]

    @property
    def credit(self) -> int:
        """The balance and all gifts."""
        return self.balance + sum(promo.left for promo in self.promos)

    @property
    def available(self) -> int:
        """What of that is not held."""
        held = self.held + sum(promo.held for promo in self.promos)
        return max(0, self.credit - held)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A cap for each month, and what was used of it in the month that runs, in nano-dollars."""

    cap: int
    used: int
    reset_day: int
    resets_at: int
    """When the next month begins, in ms since 1970."""


class KeyUse(msgspec.Struct, frozen=True):
    """What a key has ever used; `last_day` as `2026-01-31`, empty if nothing."""

    calls: int = 0
    tokens: int = 0
    cost: int = 0
    last_day: str = ""


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of a day, a model or a key. Tokens; cost in nano-dollars, credits in thousandths."""

    name: str
    calls: int = 0
    failed: int = 0
    took_ms: int = 0
    """Of the calls that did not fail."""
    input: int = 0
    output: int = 0
    cost: int = 0
    credits: int = 0


class Contact(msgspec.Struct, frozen=True):
    """Who stands for an organization or a key."""

    username: str
    email: str


async def money(db: Database, org_id: str, now_ms: int) -> Money:
    """The wallet and the gifts that have not ended; the one that ends first, first."""
    balance = await ledger.balance(db, wallet(org_id))
    fund = await funds.find(db, wallet_of(org_id))
    return Money(
        balance=balance,
        held=0 if fund is None else fund.held,
        promos=tuple(await _promos(db, org_id, now_ms)),
    )


async def _promos(db: Database, org_id: str, now_ms: int) -> list[Promo]:
    prefix = promo_of(org_id, "")
    rows = await db.read(
        "SELECT promos.id, amount, COALESCE(-accounts.posted, 0), COALESCE(funds.held, 0), "
        "note, granted_at, expires_at FROM promos "
        "LEFT JOIN accounts ON accounts.id = ? || promos.id "
        "LEFT JOIN funds ON funds.id = ? || promos.id "
        "WHERE promos.org_id = ? AND expires_at > ? ORDER BY expires_at, promos.id",
        (prefix, prefix, org_id, now_ms),
    )
    return [Promo(**dict(zip(Promo.__struct_fields__, row, strict=True))) for row in rows]


async def budget(
    db: Database, shelf: Literal["key", "org"], owner: str, now_ms: int
) -> Budget | None:
    """The monthly budget of a key or an organization; None if it has none."""
    rows = await db.read("SELECT cap, reset_day FROM budgets WHERE owner = ?", (owner,))
    if not rows:
        return None
    cap, reset_day = rows[0]
    since, until = span_of(budget_of(shelf, owner, reset_day, now_ms))
    used = await db.read(
        f"SELECT {_SUM.format('cost')} FROM usage_days "
        f"WHERE {shelf}_id = ? AND day >= ? AND day < ?",
        (owner, day_of(since), day_of(until)),
    )
    return Budget(cap=cap, used=used[0][0], reset_day=reset_day, resets_at=until)


async def budgets_of_keys(db: Database, org_id: str) -> dict[str, tuple[int, int]]:
    """Cap and reset day by key, of the keys that have a budget."""
    rows = await db.read(
        "SELECT owner, cap, reset_day FROM budgets JOIN keys ON keys.id = owner WHERE org_id = ?",
        (org_id,),
    )
    return {owner: (cap, reset_day) for owner, cap, reset_day in rows}


async def key_uses(db: Database, org_id: str) -> dict[str, KeyUse]:
    """By key, of an organization's keys that were ever used."""
    rows = await db.read(
        f"SELECT key_id, {_SUM.format('calls')}, {_SUM.format('input + output')}, "
        f"{_SUM.format('cost')}, MAX(day) FROM usage_days WHERE org_id = ? GROUP BY key_id",
        (org_id,),
    )
    return {key_id: KeyUse(*rest) for key_id, *rest in rows}


async def key_use(db: Database, key_id: str) -> KeyUse:
    """So, of one key."""
    rows = await db.read(
        f"SELECT {_SUM.format('calls')}, {_SUM.format('input + output')}, "
        f"{_SUM.format('cost')}, COALESCE(MAX(day), '') FROM usage_days WHERE key_id = ?",
        (key_id,),
    )
    return KeyUse(*rows[0])


async def sums(
    db: Database, org_id: str, group: Group, span: tuple[str, str], key_id: str | None = None
) -> list[Sum]:
    """From day to day, both included, by day, model or key; of all keys, or of one."""
    where, values = ("", ()) if key_id is None else (" AND key_id = ?", (key_id,))
    columns = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in _SUMMED)
    rows = await db.read(
        f"SELECT {_GROUPS[group]} AS name, {columns} FROM usage_days "
        f"WHERE org_id = ? AND day BETWEEN ? AND ?{where} GROUP BY 1 ORDER BY 1",
        (org_id, *span, *values),
    )
    return [Sum(**dict(zip(Sum.__struct_fields__, row, strict=True))) for row in rows]


_SUMMED = Sum.__struct_fields__[1:]
_GROUPS: dict[Group, str] = {"day": "day", "model": "model", "key": "key_id"}


async def contact(db: Database, org_id: str, key_id: str) -> Contact:
    """The person whose key it is, else an owner of the organization, else its mere name."""
    rows = await db.read(
        "SELECT users.name, users.email FROM keys JOIN users ON users.id = keys.user_id "
        "WHERE keys.id = ? AND keys.org_id = ?",
        (key_id, org_id),
    ) or await db.read(
        "SELECT users.name, users.email FROM memberships JOIN users ON users.id = user_id "
        "WHERE org_id = ? AND role = 'owner' ORDER BY users.created_at, users.id LIMIT 1",
        (org_id,),
    )
    if not rows:
        rows = await db.read("SELECT name, '' FROM organizations WHERE id = ?", (org_id,))
    return Contact(*rows[0])
