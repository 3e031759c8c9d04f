"""Which call an Idempotency-Key stands for, in all workers of one database.

What it is: claim a key for a call before the call starts, free it where nothing came of the call,
the replies of organizations that allow these to be stored, and the purge of what is over. What it
is not: replies in memory or who waits for them (`relay.idempotency`).

How a call ended is not kept here a second time: its usage row says so. A record without one is of a
call that runs, or of one whose worker died. The journal of a worker's place is in the books before
the place serves again; so an earlier life's call that is not in them never will be.

The rule that keeps it honest: a key passes to another call only in the transaction that has seen
that the one before was not charged and never will be. No record holds any content.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from apertura.store.database import Database, Tx

KEPT_MS = 86_400_000
"""How long a key stands for its call, from the call's start: 24 hours."""
PURGE_MAX = 500
"""Rows of each kind that one transaction purges."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A call that wants a key. `name` and `body` are digests, in hex."""

    org_id: str
    name: str
    """Of the Idempotency-Key."""
    body: str
    """Of what was asked."""
    call_id: str
    key_id: str
    worker: str
    """The place it runs at, and the time at which the place began to serve: `place/time`."""
    started_ms: int


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole reply, or all that was sent of a stream."""

    status: int
    streamed: bool
    head: bytes
    """Header lines, those left out that differ each time (ids and limits)."""
    body: bytes


class Claimed(msgspec.Struct, frozen=True):
    """The key is the call's, which may start. `stores`: its reply may be stored."""

    stores: bool


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """The call that has the key. Cost in nano-dollars, credits in thousandths."""

    body: str
    call_id: str
    worker: str
    started_ms: int
    outcome: str | None
    """From its usage row; None where there is none (yet)."""
    cost: int = 0
    credits: int = 0
    reply: Reply | None = None


_RECORD = Record.__struct_fields__
_REPLY = ("call_id", "org_id", "status", "streamed", "head", "body", "started_ms")
_STORES = "(SELECT COUNT(*) FROM reply_storage WHERE org_id = ?)"
_CLAIM = (
    f"INSERT INTO idempotency ({', '.join(_RECORD)}, stores) "
    f"VALUES ({', '.join('?' * len(_RECORD))}, {_STORES}) "
    "ON CONFLICT (org_id, name) DO NOTHING RETURNING stores"
)
_PASS_ON = (
    "UPDATE idempotency SET body = ?, call_id = ?, key_id = ?, worker = ?, started_ms = ?, "
    f"stores = {_STORES} WHERE org_id = ? AND name = ? AND call_id = ? RETURNING stores"
)
_EARLIER = """
SELECT idempotency.body, idempotency.call_id, idempotency.worker, idempotency.started_ms,
    usage.outcome, usage.cost, usage.credits, replies.status, replies.streamed, replies.head,
    replies.body
FROM idempotency
LEFT JOIN usage ON usage.call_id = idempotency.call_id
LEFT JOIN idempotency_replies AS replies ON replies.call_id = idempotency.call_id
WHERE idempotency.org_id = ? AND idempotency.name = ?
"""


async def claim(db: Database, record: Record, *, failed: Collection[str] = ()) -> Claimed | Earlier:
    """Take the key for a call, or learn which call has it. Of calls that claim the same key at
    once, in whatever processes, one gets it. `failed` are calls of this worker that ended without
    a charge, whether or not the database has heard of it.

    Raises: Unavailable.
    """

    async def work(tx: Tx) -> Claimed | Earlier:
        values = msgspec.structs.astuple(record)
        rows = await tx.execute(_CLAIM, (*values, record.org_id))
        if rows:
            return Claimed(bool(rows[0][0]))
        (row,) = await tx.execute(_EARLIER, (record.org_id, record.name))
        earlier = _earlier(row)
        if not is_free(earlier, record, failed):
            return earlier
        return await _pass_on(tx, earlier, record)

    return await db.write(work)


def is_free(earlier: Earlier, record: Record, failed: Collection[str] = ()) -> bool:
    """Whether the key may pass from the earlier call to this one: the earlier one's time is over,
    or it was not charged and never will be.
    """
    if earlier.started_ms + KEPT_MS <= record.started_ms or earlier.call_id in failed:
        return True
    if earlier.outcome is None:
        return earlier.worker != record.worker and _place(earlier.worker) == _place(record.worker)
    return earlier.outcome != "answered" and not earlier.cost and not earlier.credits


async def _pass_on(tx: Tx, earlier: Earlier, record: Record) -> Claimed:
    sets = (record.body, record.call_id, record.key_id, record.worker, record.started_ms)
    where = (record.org_id, record.name, earlier.call_id)
    ((stores,),) = await tx.execute(_PASS_ON, (*sets, record.org_id, *where))
    await tx.execute("DELETE FROM idempotency_replies WHERE call_id = ?", (earlier.call_id,))
    return Claimed(bool(stores))


async def free(db: Database, record: Record) -> None:
    """The call ended without a charge: its key may be used again. Raises: Unavailable."""
    sql = "DELETE FROM idempotency WHERE org_id = ? AND name = ? AND call_id = ?"
    await db.write(lambda tx: tx.execute(sql, (record.org_id, record.name, record.call_id)))


async def free_dead(db: Database, worker: str) -> int:
    """Free the keys of calls that earlier lives of a worker's place have left without a usage row;
    to be called once its journal is in the books. Returns how many. Raises: Unavailable.
    """
    place = f"{_place(worker)}/"
    rows = await db.write(lambda tx: tx.execute(_DEAD, (len(place), place, worker)))
    return len(rows)


_DEAD = """
DELETE FROM idempotency WHERE SUBSTR(worker, 1, ?) = ? AND worker <> ?
AND NOT EXISTS (SELECT 1 FROM usage WHERE usage.call_id = idempotency.call_id) RETURNING call_id
"""


async def store(db: Database, record: Record, reply: Reply) -> bool:
    """Store a reply, if its organization (still) allows it; False if not, or if it is no text.

    Raises: Unavailable.
    """
    try:
        texts = reply.head.decode("latin-1"), reply.body.decode()
    except UnicodeDecodeError:
        return False
    if "\0" in texts[1]:  # PostgreSQL has no text with it
        return False
    about = (record.call_id, record.org_id, reply.status, int(reply.streamed))
    row = (*about, *texts, record.started_ms)

    async def work(tx: Tx) -> bool:
        if not await tx.execute(_ALLOWED, (record.org_id,)):
            return False
        return bool(await tx.insert_many("idempotency_replies", _REPLY, [row]))

    return await db.write(work)


_ALLOWED = "SELECT 1 FROM reply_storage WHERE org_id = ?"


async def allows(db: Database, org_id: str) -> bool:
    """Whether an organization's replies may be stored."""
    return bool(await db.read(_ALLOWED, (org_id,)))


async def allow(db: Database, org_id: str, *, allowed: bool) -> None:
    """Say whether an organization's replies may be stored; a no deletes those that are.

    Raises Conflict: there is no such organization.
    """

    async def work(tx: Tx) -> None:
        if allowed:
            await tx.insert_many("reply_storage", ("org_id",), [(org_id,)])
            return
        await tx.execute("DELETE FROM reply_storage WHERE org_id = ?", (org_id,))
        await tx.execute("DELETE FROM idempotency_replies WHERE org_id = ?", (org_id,))

    await db.write(work)


async def purge(db: Database, *, now_ms: int) -> int:
    """Delete some of what is over; how many rows. Less than `PURGE_MAX` means: all of it."""
    until = now_ms - KEPT_MS

    async def work(tx: Tx) -> int:
        purged = 0
        for table in ("idempotency", "idempotency_replies"):
            old = f"SELECT call_id FROM {table} WHERE started_ms <= ? ORDER BY started_ms LIMIT ?"
            sql = f"DELETE FROM {table} WHERE started_ms <= ? AND call_id IN ({old})"
            gone = await tx.execute(f"{sql} RETURNING call_id", (until, until, PURGE_MAX))
            purged = max(purged, len(gone))
        return purged

    return await db.write(work)


def _place(worker: str) -> str:
    return worker.partition("/")[0]


def _earlier(row: tuple[Any, ...]) -> Earlier:
    *about, cost, allowance, status, streamed, head, body = row
    reply = None
    if status is not None:
        head, body = head.encode("latin-1"), body.encode()
        reply = Reply(status=status, streamed=bool(streamed), head=head, body=body)
    fields = dict(zip(Earlier.__struct_fields__, about, strict=False))
    return Earlier(**fields, cost=cost or 0, credits=allowance or 0, reply=reply)
