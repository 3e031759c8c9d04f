"""Organizations, users and memberships as they are kept.

What it is not: who may do what (`domain`), or keys (`keys`). Ids are minted from random bytes that
the caller brings.

The rule that keeps it honest: every change moves `revision` in the same transaction, so that a
running server hears of it.
"""

from __future__ import annotations

from base64 import b32encode
from typing import Literal

import msgspec

from apertura.store.database import Conflict, Database, Row, Tx, bump_revision

Status = Literal["active", "suspended"]
ID_BYTES = 13
"""Random bytes that an id wants: 100 of their bits stand in it, in 20 characters."""


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant. `created_at` in milliseconds since 1970."""

    id: str
    name: str
    status: Status = "active"
    created_at: int


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person. `created_at` in milliseconds since 1970."""

    id: str
    email: str
    name: str
    status: Status = "active"
    created_at: int


def mint_id(prefix: str, random: bytes) -> str:
    """`org_` or `user_` and 20 characters of base 32, in lower case."""
    if len(random) < ID_BYTES:
        raise ValueError(f"an id needs {ID_BYTES} random bytes")
    return prefix + b32encode(random[:ID_BYTES]).decode().lower()[:20]


async def create_organization(
    db: Database, name: str, *, random: bytes, now_ms: int
) -> Organization:
    """Names need not be unique; but one that is not cannot be found by."""
    made = Organization(id=mint_id("org_", random), name=name, created_at=now_ms)
    await _change(
        db, "INSERT INTO organizations VALUES (?, ?, ?, ?)", msgspec.structs.astuple(made)
    )
    return made


async def organizations(db: Database) -> list[Organization]:
    """All of them, the oldest first."""
    rows = await db.read(f"{_SELECT} ORDER BY created_at, id")
    return [_organization(row) for row in rows]


async def find_organization(db: Database, id_or_name: str) -> Organization | None:
    """By id, or by name if just one has it.

    Raises:
        Conflict: several organizations have this name.
    """
    rows = await db.read(f"{_SELECT} WHERE id = ?", (id_or_name,))
    if not rows:
        rows = await db.read(f"{_SELECT} WHERE name = ? ORDER BY id", (id_or_name,))
    if len(rows) > 1:
        ids = ", ".join(row[0] for row in rows)
        raise Conflict(f"{len(rows)} organizations are called {id_or_name!r}: {ids}")
    return _organization(rows[0]) if rows else None


async def set_organization_status(db: Database, org_id: str, status: Status) -> bool:
    """Suspend, or let go on; False when there is no such organization."""
    sql = "UPDATE organizations SET status = ? WHERE id = ? RETURNING id"
    return bool(await _change(db, sql, (status, org_id)))


async def create_user(db: Database, email: str, name: str, *, random: bytes, now_ms: int) -> User:
    """Raises Conflict: somebody has this e-mail address (compared in lower case)."""
    made = User(id=mint_id("user_", random), email=email.lower(), name=name, created_at=now_ms)
    await _change(db, "INSERT INTO users VALUES (?, ?, ?, ?, ?)", msgspec.structs.astuple(made))
    return made


async def find_user(db: Database, id_or_email: str) -> User | None:
    """By id or e-mail address."""
    rows = await db.read(
        "SELECT id, email, name, status, created_at FROM users WHERE id = ? OR email = ?",
        (id_or_email, id_or_email.lower()),
    )
    return User(**dict(zip(User.__struct_fields__, rows[0], strict=True))) if rows else None


async def add_member(db: Database, org_id: str, user_id: str, role: str) -> None:
    """Raises Conflict: there is no such organization or user, or the user is a member already."""
    await _change(db, "INSERT INTO memberships VALUES (?, ?, ?)", (org_id, user_id, role))


_SELECT = "SELECT id, name, status, created_at FROM organizations"


def _organization(row: Row) -> Organization:
    return Organization(**dict(zip(Organization.__struct_fields__, row, strict=True)))


async def _change(db: Database, sql: str, values: tuple[object, ...]) -> list[Row]:
    async def work(tx: Tx) -> list[Row]:
        rows = await tx.execute(sql, values)
        await bump_revision(tx)
        return rows

    return await db.write(work)
