"""Mail that waits to be sent, as it is kept: put once for its key, tried until it is through.

A mail is put in the transaction that books its reason, so that neither is there without the other.
It has a copy for each recipient, which is claimed by a worker for a time, handed to a mail server,
and marked. A worker who dies in between leaves its claim to run out, and the copy is tried again:
at least once, with the same id (the Message-ID), by which a second one can be recognized.

What it is not: what a mail says (`mail.messages`), or how it is sent. The rule that keeps it
honest: a copy ends once, as sent or given up, and only somebody who asks for it lets one that was
given up wait again; nothing is ever sent that is not kept here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from apertura.store.database import Database, Row, Tx

Status = Literal["waiting", "sent", "given-up", "nobody"]

MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
BACKOFF_MS = (MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 120 * MINUTE_MS, 720 * MINUTE_MS)
"""After the first failure, the second and so on; after the one that follows a copy is given up."""
TRIES = len(BACKOFF_MS) + 1
CLAIM_MS = 10 * MINUTE_MS
"""How long a worker may take for what it has claimed at once."""
WAIT_MS = 60 * MINUTE_MS
"""Until a copy that found no server to try looks again."""
STALE_MS = 7 * DAY_MS
"""Mail that could not be sent so long is no news any more."""
KEPT_MS = 90 * DAY_MS
"""Mail is forgotten, its key too, after that."""


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient's copy of a mail, claimed: `attempts` counts this one. Times in ms."""

    id: str
    recipient: str
    attempts: int
    template: str
    facts: dict[str, str]
    created_at: int


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """A copy as it is shown to the operator."""

    id: str
    key: str
    org_id: str
    template: str
    recipient: str
    status: Status
    attempts: int
    created_at: int
    due_at: int
    error: str


_to_facts = msgspec.json.Decoder(dict[str, str])


# Putting.


async def put(
    tx: Tx, *, key: str, org_id: str, template: str, facts: Mapping[str, str], now_ms: int
) -> bool:
    """Queue a mail to an organization's contacts, or to its owners if it has none; False where one
    was put under this key already. Without any recipient it is kept, and shown, as for nobody.
    """
    kept = msgspec.json.encode(dict(facts)).decode()
    columns = ("key", "org_id", "template", "facts", "created_at")
    if not await tx.insert_many("mails", columns, [(key, org_id, template, kept, now_ms)]):
        return False
    people = await recipients(tx, org_id)
    copies = [(_copy_id(key, to), key, to, "waiting", 0, now_ms, "", "") for to in people]
    if not copies:
        copies = [(_copy_id(key, ""), key, "", "nobody", 0, now_ms, "", "no contact, no owner")]
    await tx.insert_many(
        "mail_copies",
        ("id", "mail_key", "recipient", "status", "attempts", "due_at", "worker", "error"),
        copies,
    )
    return True


def _copy_id(key: str, recipient: str) -> str:
    """The same each time: whoever gets a copy twice can see that it is one."""
    return hashlib.sha256(f"{key}\n{recipient}".encode()).hexdigest()[:32]


async def recipients(tx: Tx, org_id: str) -> list[str]:
    """To whom an organization's mail goes, in order."""
    rows = await tx.execute(
        "SELECT email FROM contacts WHERE org_id = ? ORDER BY email", (org_id,)
    ) or await tx.execute(
        "SELECT DISTINCT email FROM users JOIN memberships ON memberships.user_id = users.id "
        "WHERE org_id = ? AND role = 'owner' AND status = 'active' ORDER BY email",
        (org_id,),
    )
    return [email for (email,) in rows]


# Contacts.


async def contacts(db: Database, org_id: str) -> list[str]:
    """The addresses that an organization has named, in order."""
    rows = await db.read("SELECT email FROM contacts WHERE org_id = ? ORDER BY email", (org_id,))
    return [email for (email,) in rows]


async def set_contacts(tx: Tx, org_id: str, emails: Sequence[str]) -> None:
    """Name others instead; they hold from the next mail on. Raises Conflict: no such organization.

    The caller has looked at the addresses (`domain.contacts`).
    """
    await tx.execute("DELETE FROM contacts WHERE org_id = ?", (org_id,))
    rows = [(org_id, email) for email in dict.fromkeys(emails)]
    await tx.insert_many("contacts", ("org_id", "email"), rows)


# Delivering.


async def is_due(db: Database, now_ms: int) -> bool:
    """Whether there is something to claim."""
    rows = await db.read(
        f"SELECT 1 FROM mail_copies WHERE status = 'waiting' AND due_at <= ? "
        f"AND attempts < {TRIES} LIMIT 1",
        (now_ms,),
    )
    return bool(rows)


async def claim(db: Database, *, worker: str, now_ms: int, most: int) -> list[Copy]:
    """Take copies whose time has come, the oldest first; nobody else tries them for `CLAIM_MS`."""

    async def work(tx: Tx) -> list[Row]:
        return await tx.execute(
            "UPDATE mail_copies SET worker = ?, attempts = attempts + 1, due_at = ? WHERE id IN "
            "(SELECT id FROM mail_copies WHERE status = 'waiting' AND due_at <= ? "
            f"AND attempts < {TRIES} ORDER BY due_at, id LIMIT ?) "
            "AND status = 'waiting' AND due_at <= ? "
            "RETURNING id, recipient, attempts, "
            "(SELECT template FROM mails WHERE key = mail_key), "
            "(SELECT facts FROM mails WHERE key = mail_key), "
            "(SELECT created_at FROM mails WHERE key = mail_key)",
            (worker, now_ms + CLAIM_MS, now_ms, most, now_ms),
        )

    copies = [
        Copy(
            id=name,
            recipient=recipient,
            attempts=attempts,
            template=template,
            facts=_to_facts.decode(facts),
            created_at=created,
        )
        for name, recipient, attempts, template, facts, created in await db.write(work)
    ]
    return sorted(copies, key=lambda copy: (copy.created_at, copy.id))


async def delivered(db: Database, copy: Copy, now_ms: int) -> bool:
    """The server has taken it. So it is even if the claim has run out meanwhile."""
    return await _end(db, copy.id, "sent", "", now_ms)


async def refused(db: Database, copy: Copy, reason: str, now_ms: int) -> bool:
    """It will never be taken."""
    return await _end(db, copy.id, "given-up", reason, now_ms)


async def failed(db: Database, copy: Copy, reason: str, now_ms: int) -> int | None:
    """It was not taken this time. Returns when it is tried again, or None if it is given up.

    Where the claim has run out, whoever has it now decides.
    """
    if copy.attempts >= TRIES:
        await _end(db, copy.id, "given-up", reason, now_ms)
        return None
    due = now_ms + BACKOFF_MS[copy.attempts - 1]
    await _put_off(db, copy, reason, due, copy.attempts)
    return due


async def postpone(db: Database, copy: Copy, reason: str, now_ms: int) -> None:
    """Nothing was tried, as there is no server; that is no attempt."""
    await _put_off(db, copy, reason, now_ms + WAIT_MS, copy.attempts - 1)


async def _put_off(db: Database, copy: Copy, reason: str, due: int, attempts: int) -> None:
    sql = (
        "UPDATE mail_copies SET worker = '', due_at = ?, attempts = ?, error = ? "
        "WHERE id = ? AND status = 'waiting' AND attempts = ?"
    )
    values = (due, attempts, reason, copy.id, copy.attempts)
    await db.write(lambda tx: tx.execute(sql, values))


async def _end(db: Database, copy_id: str, status: Status, reason: str, now_ms: int) -> bool:
    sql = (
        "UPDATE mail_copies SET status = ?, worker = '', error = ?, ended_at = ? "
        "WHERE id = ? AND status = 'waiting' RETURNING id"
    )
    return bool(await db.write(lambda tx: tx.execute(sql, (status, reason, now_ms, copy_id))))


async def retry(tx: Tx, now_ms: int, copy_id: str = "") -> int:
    """Try again what was given up, all or one copy, as if for the first time; returns how many.
    What is too old stays given up.
    """
    which, values = (" AND id = ?", [copy_id]) if copy_id else ("", [])
    again = await tx.execute(
        "UPDATE mail_copies SET status = 'waiting', attempts = 0, due_at = ?, ended_at = NULL "
        "WHERE status = 'given-up' "
        f"AND mail_key IN (SELECT key FROM mails WHERE created_at > ?){which} RETURNING id",
        (now_ms, now_ms - STALE_MS, *values),
    )
    return len(again)


async def sweep(db: Database, now_ms: int) -> int:
    """Give up what is too old, or has killed whoever tried it; forget what is long over. Returns
    how many copies were given up.
    """

    async def work(tx: Tx) -> int:
        lost = await tx.execute(
            "UPDATE mail_copies SET status = 'given-up', worker = '', ended_at = ?, "
            "error = CASE WHEN error = '' THEN 'never answered' ELSE error END "
            f"WHERE status = 'waiting' AND due_at <= ? AND (attempts >= {TRIES} OR mail_key IN "
            "(SELECT key FROM mails WHERE created_at <= ?)) RETURNING id",
            (now_ms, now_ms, now_ms - STALE_MS),
        )
        old = "SELECT key FROM mails WHERE created_at <= ?"
        before = (now_ms - KEPT_MS,)
        await tx.execute(f"DELETE FROM mail_copies WHERE mail_key IN ({old})", before)
        await tx.execute("DELETE FROM mails WHERE created_at <= ?", before)
        return len(lost)

    return await db.write(work)


# Showing.


async def queue(db: Database, *, most: int = 1_000) -> list[Queued]:
    """What was not sent, the newest first: it waits, was given up, or is for nobody."""
    rows = await db.read(
        "SELECT mail_copies.id, mail_key, org_id, template, recipient, status, attempts, "
        "created_at, due_at, error FROM mail_copies JOIN mails ON mails.key = mail_key "
        "WHERE status <> 'sent' ORDER BY created_at DESC, mail_copies.id LIMIT ?",
        (most,),
    )
    return [Queued(**dict(zip(Queued.__struct_fields__, row, strict=True))) for row in rows]


async def counts(db: Database) -> dict[str, int]:
    """How many copies there are by status."""
    return dict(await db.read("SELECT status, COUNT(*) FROM mail_copies GROUP BY status"))
