"""API keys as they are kept: their digest and policy, never the key itself.

What it is: create, find, list, change, delete. What it is not: minting or judging a key (`domain`)
or what it has spent (`usage`).

The rule that keeps it honest: every change moves `revision` in the same transaction, so that a
running server hears of it; and a change or deletion names the organization, so that no caller
reaches into another one.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from apertura.store import funds
from apertura.store.database import Database, Row, Tx, bump_revision

Status = Literal["enabled", "disabled"]


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One key. Times are milliseconds since 1970, the quota nano-dollars; `None` is no bound."""

    id: str
    """Public: it stands in URLs and usage rows."""
    org_id: str
    user_id: str | None = None
    name: str
    kind: str = "standard"
    digest: str
    """Keyed hash of the key, in hex."""
    last4: str
    status: Status = "enabled"
    models: tuple[str, ...] = ()
    """Names of models; empty means all. So for `addresses`."""
    addresses: tuple[str, ...] = ()
    quota_nano: int | None = None
    expires_at: int | None = None
    created_at: int
    scopes: tuple[str, ...] = ()
    """What an admin key is restricted to (`domain.keys.SCOPES`); empty means nothing."""
    org_status: str = "active"
    """The organization's, read along; not of the key itself."""
    key_reset: int | None = None
    """The day on which the key's monthly budget begins anew, if it has one; read along."""
    org_reset: int | None = None
    """So, the organization's."""


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that may change; those left out stay."""

    name: str | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    models: tuple[str, ...] | UnsetType = UNSET
    addresses: tuple[str, ...] | UnsetType = UNSET
    quota_nano: int | UnsetType | None = UNSET
    expires_at: int | UnsetType | None = UNSET


_ALONG = ("org_status", "key_reset", "org_reset")
_COLUMNS = tuple(name for name in KeyRecord.__struct_fields__ if name not in _ALONG)
_LISTS = ("models", "addresses", "scopes")
_SELECT = (
    f"SELECT {', '.join('keys.' + name for name in _COLUMNS)}, organizations.status, "
    "of_key.reset_day, of_org.reset_day "
    "FROM keys JOIN organizations ON organizations.id = keys.org_id "
    "LEFT JOIN budgets AS of_key ON of_key.owner = keys.id "
    "LEFT JOIN budgets AS of_org ON of_org.owner = keys.org_id"
)
_to_list = msgspec.json.Decoder(tuple[str, ...])


async def create(db: Database, record: KeyRecord) -> None:
    """Raises Conflict: the id or the digest exists, or the organization or user does not."""

    async def work(tx: Tx) -> None:
        await insert(tx, record)
        await bump_revision(tx)

    await db.write(work)


async def insert(tx: Tx, record: KeyRecord) -> None:
    """So within a transaction of the caller's, who moves `revision`."""
    values = [_stored(name, getattr(record, name)) for name in _COLUMNS]
    marks = ",".join("?" * len(_COLUMNS))
    await tx.execute(f"INSERT INTO keys ({','.join(_COLUMNS)}) VALUES ({marks})", values)


async def create_out_of(db: Database, record: KeyRecord, parent_id: str) -> None:
    """A key whose quota is taken out of another's, so that both together may spend no more than
    that one could.

    Raises: Conflict: the other has no quota, or that much of it is used or held by running calls;
        and as `create`.
    """
    values = [_stored(name, getattr(record, name)) for name in _COLUMNS]
    marks = ",".join("?" * len(_COLUMNS))

    async def work(tx: Tx) -> None:
        await funds.take_quota(tx, parent_id, record.quota_nano or 0)
        await tx.execute(f"INSERT INTO keys ({','.join(_COLUMNS)}) VALUES ({marks})", values)
        await bump_revision(tx)

    await db.write(work)


async def count(db: Database, org_id: str) -> int:
    """How many keys an organization has."""
    rows = await db.read("SELECT COUNT(*) FROM keys WHERE org_id = ?", (org_id,))
    return int(rows[0][0])


async def find(db: Database, digest: str) -> KeyRecord | None:
    """The key with this digest, whatever its status."""
    rows = await db.read(f"{_SELECT} WHERE keys.digest = ?", (digest,))
    return _record(rows[0]) if rows else None


async def find_by_id(db: Database, key_id: str) -> KeyRecord | None:
    """The key with this public id, whatever its status."""
    rows = await db.read(f"{_SELECT} WHERE keys.id = ?", (key_id,))
    return _record(rows[0]) if rows else None


async def listing(db: Database, org_id: str) -> list[KeyRecord]:
    """All keys of an organization, the oldest first."""
    rows = await db.read(
        f"{_SELECT} WHERE keys.org_id = ? ORDER BY keys.created_at, keys.id", (org_id,)
    )
    return [_record(row) for row in rows]


async def change(db: Database, org_id: str, key_id: str, fields: KeyChange) -> bool:
    """Change some fields; False when the organization has no such key."""
    new = {
        name: _stored(name, value)
        for name in KeyChange.__struct_fields__
        if (value := getattr(fields, name)) is not UNSET
    }
    # A change of nothing still says whether there is such a key.
    assignments = ", ".join(f"{name} = ?" for name in new) or "id = id"

    async def work(tx: Tx) -> bool:
        sql = f"UPDATE keys SET {assignments} WHERE id = ? AND org_id = ? RETURNING id"
        found = bool(await tx.execute(sql, (*new.values(), key_id, org_id)))
        if found and new:
            if fields.quota_nano is not UNSET:
                await funds.set_quota(tx, key_id, fields.quota_nano)
            await bump_revision(tx)
        return found

    return await db.write(work)


async def delete(db: Database, org_id: str, key_id: str) -> bool:
    """Delete for good; False when the organization has no such key. Its usage stays."""

    async def work(tx: Tx) -> bool:
        sql = "DELETE FROM keys WHERE id = ? AND org_id = ? RETURNING id"
        found = bool(await tx.execute(sql, (key_id, org_id)))
        if found:
            await bump_revision(tx)
        return found

    return await db.write(work)


def _stored(name: str, value: Any) -> Any:
    return msgspec.json.encode(value).decode() if name in _LISTS else value


def _record(row: Row) -> KeyRecord:
    fields = dict(zip((*_COLUMNS, *_ALONG), row, strict=True))
    for name in _LISTS:
        fields[name] = _to_list.decode(fields[name])
    return KeyRecord(**fields)
