"""Responses that callers asked to keep, so that a later request can go on from them.

What it is: keep, find, delete, the history that a response stands at the end of, and the purge of
what has expired. What it is not: a log; a response that no caller asked to keep is never here.

The rule that keeps it honest: every read names the organization and the time, so that no caller
sees another organization's words, and none sees what has expired but is not purged yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from apertura.errors import Garbled, TooLarge
from apertura.store.database import Database, Tx

DEPTH_MAX = 500
"""Responses in one history."""
HISTORY_MAX = 16 * 1024 * 1024
"""Bytes of one history, the objects around its items included."""
PURGE_MAX = 500
"""Responses that one transaction purges."""
ITEMS_MAX = 500
"""Items that one request may refer to."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One response. Times are milliseconds since 1970; `input` and `response` are JSON."""

    id: str
    """As the caller knows it; unique within the organization."""
    org_id: str
    key_id: str
    model: str
    previous_id: str | None = None
    """The response that this one goes on from."""
    input: bytes
    """The items of the request, those of earlier responses left out."""
    response: bytes
    """The whole object."""
    created_at: int
    expires_at: int

    @property
    def size(self) -> int:
        return len(self.input) + len(self.response)

    @property
    def output(self) -> list[Raw]:
        """The items of the answer."""
        return _to_output(self.response).output

    def items(self) -> list[Raw]:
        """The items of request and answer."""
        return [*_to_items(self.input), *self.output]


class _Output(msgspec.Struct):
    output: list[Raw] = msgspec.field(default_factory=list)


class _Named(msgspec.Struct):
    id: str | None = None


_COLUMNS = tuple(Kept.__struct_fields__)
_LISTED = ", ".join(f"responses.{name}" for name in _COLUMNS)
_to_items = msgspec.json.Decoder(list[Raw]).decode
_to_output = msgspec.json.Decoder(_Output).decode
_to_named = msgspec.json.Decoder(_Named).decode

_HISTORY = f"""
WITH RECURSIVE history (id, depth, bytes) AS (
    SELECT id, 1, size FROM responses WHERE org_id = ? AND id = ? AND expires_at > ?
    UNION ALL
    SELECT earlier.id, history.depth + 1, history.bytes + earlier.size
    FROM history
    JOIN responses ON responses.org_id = ? AND responses.id = history.id
    JOIN responses AS earlier
        ON earlier.org_id = responses.org_id AND earlier.id = responses.previous_id
    WHERE earlier.expires_at > ? AND history.depth < ? AND history.bytes + earlier.size <= ?
)
SELECT {_LISTED} FROM history
JOIN responses ON responses.org_id = ? AND responses.id = history.id
ORDER BY history.depth DESC
"""


async def keep(db: Database, kept: Kept) -> None:
    """Keep a response; a second time under the same id changes nothing.

    Raises Conflict: the organization does not exist. Garbled: its items are none.
    """
    row = [_stored(getattr(kept, name)) for name in _COLUMNS]
    try:
        names = [named.id for item in kept.output if (named := _to_named(item)).id]
    except msgspec.DecodeError:
        raise Garbled("The provider sent a response that cannot be kept.") from None

    async def work(tx: Tx) -> None:
        new = await tx.insert_many("responses", (*_COLUMNS, "size"), [(*row, kept.size)])
        if new and names:
            rows = [(kept.org_id, name, kept.id) for name in names]
            await tx.insert_many("response_items", ("org_id", "id", "response_id"), rows)

    await db.write(work)


async def find(db: Database, org_id: str, response_id: str, *, now_ms: int) -> Kept | None:
    """The response, if the organization has it and it has not expired."""
    rows = await db.read(
        f"SELECT {_LISTED} FROM responses WHERE org_id = ? AND id = ? AND expires_at > ?",
        (org_id, response_id, now_ms),
    )
    return _kept(rows[0]) if rows else None


async def history(db: Database, org_id: str, response_id: str, *, now_ms: int) -> list[Raw] | None:
    """All items up to and with a response, the oldest first; None where one of them is not kept.

    Raises TooLarge: the history is past `DEPTH_MAX` or `HISTORY_MAX`.
    """
    params = (org_id, response_id, now_ms, org_id, now_ms, DEPTH_MAX, HISTORY_MAX, org_id)
    found = [_kept(row) for row in await db.read(_HISTORY, params)]
    if not found:
        return None
    before = found[0].previous_id
    if before is not None:
        if await find(db, org_id, before, now_ms=now_ms) is None:
            return None
        raise TooLarge(
            "The responses that this one goes on from are too many, or too large, to go on from.",
            param="previous_response_id",
        )
    return [item for kept in found for item in kept.items()]


async def find_items(
    db: Database, org_id: str, item_ids: Sequence[str], *, now_ms: int
) -> Mapping[str, Raw]:
    """Those of the items by these ids that stand in kept answers of the organization."""
    asked = tuple(dict.fromkeys(item_ids))[:ITEMS_MAX]
    if not asked:
        return {}
    marks = ",".join("?" * len(asked))
    rows = await db.read(
        f"SELECT DISTINCT {_LISTED} FROM response_items JOIN responses "
        "ON responses.org_id = response_items.org_id "
        "AND responses.id = response_items.response_id "
        f"WHERE response_items.org_id = ? AND response_items.id IN ({marks}) "
        "AND responses.expires_at > ?",
        (org_id, *asked, now_ms),
    )
    items = [item for row in rows for item in _kept(row).output]
    named = {_to_named(item).id: item for item in items}
    return {name: named[name] for name in asked if name in named}


async def delete(db: Database, org_id: str, response_id: str) -> bool:
    """Delete for good; False when the organization has no such response."""

    async def work(tx: Tx) -> bool:
        sql = "DELETE FROM responses WHERE org_id = ? AND id = ? RETURNING id"
        found = bool(await tx.execute(sql, (org_id, response_id)))
        await _forget_items(tx, org_id, response_id)
        return found

    return await db.write(work)


async def purge(db: Database, *, now_ms: int) -> int:
    """Delete some of what has expired; how many. Less than `PURGE_MAX` means: all of it."""

    async def work(tx: Tx) -> int:
        old = await tx.execute(
            "SELECT org_id, id FROM responses WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
            (now_ms, PURGE_MAX),
        )
        for org_id, response_id in old:
            await tx.execute(
                "DELETE FROM responses WHERE org_id = ? AND id = ?", (org_id, response_id)
            )
            await _forget_items(tx, org_id, response_id)
        return len(old)

    return await db.write(work)


async def _forget_items(tx: Tx, org_id: str, response_id: str) -> None:
    sql = "DELETE FROM response_items WHERE org_id = ? AND response_id = ?"
    await tx.execute(sql, (org_id, response_id))


def _stored(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def _kept(row: Sequence[object]) -> Kept:
    fields = dict(zip(_COLUMNS, row, strict=True))
    for name in ("input", "response"):
        fields[name] = str(fields[name]).encode()
    return msgspec.convert(fields, Kept)
