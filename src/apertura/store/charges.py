"""What calls cost, taken from whoever pays: from usage rows to the books.

A batch of rows becomes one database transaction: the rows and their sums (`usage`), one transaction
of the ledger for each organization and one for each provider, the leases lowered that covered the
calls, the funds lowered by what was charged. What no lease covers is drawn from what is available,
or else written off; what an allowance cannot be charged with is lost, as it is no money.

What it is not: what a call costs (`domain.pricing`) or what may be charged (`domain.funds`).

The rule that keeps it honest: a call is charged in the transaction that first keeps its row. A row
that is known by its call id changes nothing, however often the journal brings it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter

import msgspec

from apertura.domain import ledger as books
from apertura.domain.funds import PAYERS, Kind, charged, spend
from apertura.domain.money import Nano
from apertura.store import funds, ledger
from apertura.store.database import Database, Tx
from apertura.store.funds import Stand
from apertura.store.usage import COLUMNS, UsageRow, add_to_days, values_of

_PART = ("transaction_id", "org_id", "key_id", "model", "day")
_CHARGES = (*_PART, "cost", "written_off", "credits", "credits_lost")
_MS_PER_DAY = 86_400_000


class Charge(UsageRow, frozen=True, gc=False):
    """A call, and what its hold was: as JSON, a line of the journal."""

    worker: str = ""
    """Whose leases cover it."""
    funds: tuple[str, ...] = ()
    """Those that the hold was over; none for a call that was not to be paid for."""
    covered: int = 0
    """What of the cost (or credits, where an allowance pays) the leases cover: all of it, but where
    a provider reports more than was held and more than was left."""


_decode = msgspec.json.Decoder(Charge)


def decode(line: bytes) -> Charge:
    """A line of the journal. Raises: msgspec.DecodeError (a ValueError)."""
    return _decode.decode(line)


class Replayed(Exception):
    """Some rows of a batch were known already; nothing of it was kept."""


async def record_and_charge(db: Database, rows: Sequence[Charge]) -> int:
    """Keep rows and charge for those that are new; returns how many were.

    Raises: Unavailable.
    """
    try:
        return await db.write(partial(_at_once, rows=rows))
    except Replayed:  # after a restart, when the journal brings rows again
        return await db.write(partial(_one_by_one, rows=rows))


async def _at_once(tx: Tx, rows: Sequence[Charge]) -> int:
    if await tx.insert_many("usage", COLUMNS, [_columns(row) for row in rows]) != len(rows):
        raise Replayed
    await add_to_days(tx, rows)
    await _charge(tx, rows)
    await _owe(tx, rows)
    return len(rows)


async def _one_by_one(tx: Tx, rows: Sequence[Charge]) -> int:
    new = [row for row in rows if await tx.insert_many("usage", COLUMNS, [_columns(row)])]
    await add_to_days(tx, new)
    await _charge(tx, new)
    await _owe(tx, new)
    return len(new)


def _columns(row: Charge) -> list[object]:
    return values_of(row)[: len(COLUMNS)]


# Calls that are alike are charged together: of one key, model and day, on the same leases.

_Alike = tuple[str, str, str, int, str, tuple[str, ...]]
_alike: Callable[[Charge], tuple[str, str, str, str, tuple[str, ...]]] = attrgetter(
    "org_id", "key_id", "model", "worker", "funds"
)


class _Group(msgspec.Struct):
    """What calls that are alike cost, and what of it their leases cover."""

    org: str
    key: str
    model: str
    day: int
    worker: str
    funds: tuple[str, ...]
    cost: int = 0
    credits: int = 0
    covered: int = 0
    payer: str = ""
    """The account that pays, once that is known."""
    charged: int = 0

    @property
    def amount(self) -> int:
        """What is to be charged, in the unit of the payer: no call costs both."""
        return self.credits or self.cost

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The payers of that unit."""
        return ("allowance",) if self.credits else ("wallet", "promo")


def _groups(rows: Sequence[Charge]) -> list[_Group]:
    found: dict[_Alike, _Group] = {}
    for row in rows:
        if row.cost or row.credits:
            org, key, model, worker, held_on = _alike(row)
            alike = (org, key, model, row.started_ms // _MS_PER_DAY, worker, held_on)
            group = found.get(alike)
            if group is None:
                group = found[alike] = _Group(*alike)
            group.cost += row.cost
            group.credits += row.credits
            group.covered += min(row.covered, row.cost or row.credits)
    return list(found.values())


async def _charge(tx: Tx, rows: Sequence[Charge]) -> None:
    groups = _groups(rows)
    if not groups:
        return
    days = [group.day for group in groups]
    owners = sorted({group.org for group in groups} | {group.key for group in groups})
    stands = await funds.lock_owners(
        tx, owners, min(days) * _MS_PER_DAY, (max(days) + 1) * _MS_PER_DAY - 1
    )
    purse = _Purse(stands)
    names = sorted(purse.stands)
    for worker in sorted({group.worker for group in groups} - {""}):
        leases = await funds.leases_on(tx, worker, names)
        purse.leases |= {(fund, worker): amount for fund, amount in leases.items()}
    for group in groups:
        purse.charge(group)
    await purse.write(tx)
    await _write_books(tx, rows, groups)


class _Purse:
    """The funds that a batch concerns, and what the batch does to them."""

    def __init__(self, stands: Sequence[Stand]) -> None:
        self.stands = {stand.id: stand for stand in stands}
        self.leases: dict[tuple[str, str], int] = {}
        self._before = {stand.id: stand.fund for stand in stands}
        self._ended: dict[tuple[str, str], int] = defaultdict(int)
        self._owned: dict[str, list[Stand]] = defaultdict(list)
        for stand in stands:
            self._owned[stand.owner].append(stand)

    def charge(self, group: _Group) -> None:
        """Charge what can be charged: to the payer that much, to each cap the whole cost."""
        covers = self._covers(group)
        parts = [(self.stands[name].fund, covered) for name, covered in covers.items()]
        group.payer = next((name for name in covers if self.stands[name].kind in group.kinds), "")
        group.charged = charged(group.amount, parts) if group.payer else 0
        for name, covered in covers.items():
            stand = self.stands[name]
            amount = group.charged if stand.kind in PAYERS else group.cost
            stand.fund = spend(stand.fund, covered, amount)
            if covered:
                self.leases[name, group.worker] -= covered
                self._ended[name, group.worker] += covered
        for stand in self._caps(group):
            if stand.id not in covers:
                stand.fund = spend(stand.fund, 0, group.cost)

    def _covers(self, group: _Group) -> dict[str, int]:
        """The funds that pay or were held, and what leases on them cover. Where there is no payer
        (no hold: a line from before there were any; or a gift that is over) the wallet pays money.
        """
        held = {name for name in group.funds if name in self.stands}
        covers = {
            name: min(group.covered, self.leases.get((name, group.worker), 0)) for name in held
        }
        if not group.credits and not any(self.stands[name].kind in PAYERS for name in held):
            wallet = books.wallet(group.org)
            if wallet in self.stands:
                covers[wallet] = 0
        return covers

    def _caps(self, group: _Group) -> list[Stand]:
        """The caps under which calls of this kind count, whether or not they were held."""
        at = group.day * _MS_PER_DAY
        return [
            stand
            for owner in (group.key, group.org)
            for stand in self._owned.get(owner, ())
            if stand.kind in _COUNTING and stand.since_ms <= at < stand.until_ms
        ]

    async def write(self, tx: Tx) -> None:
        """Into the database, relative to what was there."""
        ended = [(fund, worker, amount) for (fund, worker), amount in sorted(self._ended.items())]
        lowered = await funds.lower_leases(tx, ended)
        assert len(lowered) == len(ended), "a lease of a locked fund changed"
        moved = [
            (name, stand.fund.posted - before.posted, stand.fund.held - before.held)
            for name, before in sorted(self._before.items())
            if (stand := self.stands[name]).fund != before
        ]
        await funds.move(tx, moved)


_COUNTING = {"key-quota", "key-budget", "org-budget"}


async def _write_books(tx: Tx, rows: Sequence[Charge], groups: Sequence[_Group]) -> None:
    """One transaction for each organization, called as the first of its calls in the batch."""
    first: dict[str, str] = {}
    for row in rows:
        if row.cost or row.credits:
            first.setdefault(row.org_id, row.call_id)
    at = max(row.started_ms + row.total_ms for row in rows)
    paid: dict[str, dict[str, int]] = {org: defaultdict(int) for org in first}
    lost: dict[str, list[int]] = {org: [0, 0] for org in first}
    parts: dict[tuple[str, str, str, str, int], list[int]] = {}
    for group in groups:
        left = group.amount - group.charged
        if group.payer:
            paid[group.org][group.payer] += group.charged
        lost[group.org][bool(group.credits)] += left
        name = _name_of(first[group.org])
        part = parts.setdefault((name, group.org, group.key, group.model, group.day), [0] * 4)
        part[0] += group.cost
        part[1] += 0 if group.credits else left
        part[2] += group.credits
        part[3] += left if group.credits else 0
    transactions = [
        books.charge(
            paid[org],
            written_off=lost[org][0],
            credits_lost=lost[org][1],
            reference=call_id,
            transaction_id=_name_of(call_id),
            at=at,
        )
        for org, call_id in first.items()
    ]
    await ledger.insert(tx, transactions)
    await tx.insert_many("charges", _CHARGES, [(*key, *sums) for key, sums in parts.items()])


def _name_of(call_id: str) -> str:
    return f"usage_{call_id}"


async def _owe(tx: Tx, rows: Sequence[Charge]) -> None:
    """What providers take for a batch: one transaction for each."""
    owed: dict[str, int] = {}
    first: dict[str, str] = {}
    for row in rows:
        if row.upstream_cost:
            owed[row.provider] = owed.get(row.provider, 0) + row.upstream_cost
            first.setdefault(row.provider, row.call_id)
    if owed:
        at = max(row.started_ms + row.total_ms for row in rows)
        transactions = [
            books.owe(name, Nano(amount), first[name], transaction_id=f"cost_{first[name]}", at=at)
            for name, amount in sorted(owed.items())
        ]
        await ledger.insert(tx, transactions)
