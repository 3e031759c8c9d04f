"""`apertura mail`: whether mail gets through, and what waits.

The rule that keeps it honest: `test` says what the mail server said, word for word, and fails where
it did not take the message.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets as randomness
import time
from datetime import UTC, datetime

import msgspec

from apertura.cli.shared import STORE, AddSettings, Subparsers, say, show_json, show_table, within
from apertura.domain.contacts import parse_address
from apertura.errors import NotFound
from apertura.mail.base import Message, Outcome, open_mailer
from apertura.mail.messages import Brand, render
from apertura.settings import Settings, SettingsError
from apertura.store import outbox
from apertura.store.database import Database
from apertura.store.outbox import Queued

SERVER = ("config", "name", "public_url", "mail_from")


def add(subparsers: Subparsers, add_settings: AddSettings) -> None:
    """The noun with its verbs."""
    verbs = subparsers.add_parser("mail", help="mail that the server sends").add_subparsers(
        required=True, metavar="VERB"
    )
    test = verbs.add_parser("test", help="send a message, to see whether it gets through")
    test.add_argument("address", help="to whom")
    test.add_argument("--json", action="store_true", help="output for scripts")
    add_settings(test, SERVER)
    test.set_defaults(run=run_test)
    queue = verbs.add_parser("queue", help="what was not sent, and why")
    queue.add_argument("--json", action="store_true", help="output for scripts")
    add_settings(queue, STORE)
    queue.set_defaults(run=run_queue)
    retry = verbs.add_parser("retry", help="try again what was given up in the last seven days")
    retry.add_argument(
        "id", nargs="?", default="", help="one mail, as `mail queue --json` names it"
    )
    retry.add_argument("--json", action="store_true", help="output for scripts")
    add_settings(retry, STORE)
    retry.set_defaults(run=run_retry)


def run_test(settings: Settings, parsed: argparse.Namespace) -> int:
    """Send one message now, past the queue; 1 if the server did not take it."""
    if not settings.smtp_url:
        raise SettingsError("APERTURA_SMTP_URL is not set: there is no server to send mail through")
    now_ms = time.time_ns() // 1_000_000
    words = render("test", {}, Brand(name=settings.name, public_url=settings.public_url))
    message = Message(
        id=f"test.{randomness.token_hex(12)}",
        recipient=parse_address(parsed.address),
        subject=words.subject,
        text=words.text,
        html=words.html,
        at_ms=now_ms,
    )
    outcome = asyncio.run(_send(settings, message))
    done = outcome.kind == "delivered"
    if parsed.json:
        show_json({"delivered": done, "server": outcome.reason})
    else:
        say(f"{'The server took it' if done else 'The server did not take it'}: {outcome.reason}")
    return 0 if done else 1


async def _send(settings: Settings, message: Message) -> Outcome:
    mailer = open_mailer(settings.smtp_url, settings.mail_from, settings.name)
    async with mailer.session() as send:
        return await send(message)


def run_queue(settings: Settings, parsed: argparse.Namespace) -> int:
    """What waits, was given up, or is for nobody, the newest first."""
    waiting = within(settings, outbox.queue, changes=False)
    if parsed.json:
        show_json([msgspec.to_builtins(one) for one in waiting])
        return 0
    headings = (
        "written",
        "organization",
        "template",
        "recipient",
        "status",
        "tries",
        "next",
        "why",
    )
    show_table(headings, [_row(one) for one in waiting])
    return 0


def run_retry(settings: Settings, parsed: argparse.Namespace) -> int:
    """Let mail that was given up wait again; the server sends it."""
    now_ms = time.time_ns() // 1_000_000

    async def work(database: Database) -> int:
        return await database.write(lambda tx: outbox.retry(tx, now_ms, parsed.id))

    count = within(settings, work, changes=False)
    if parsed.id and not count:
        raise NotFound(f"there is no mail {parsed.id!r} that was given up in the last seven days")
    if parsed.json:
        show_json({"waiting": count})
    else:
        say(f"{count} {'is' if count == 1 else 'are'} tried again")
    return 0


def _row(one: Queued) -> list[object]:
    due = _moment(one.due_at) if one.status == "waiting" else ""
    return [
        _moment(one.created_at),
        one.org_id,
        one.template,
        one.recipient,
        one.status,
        one.attempts,
        due,
        one.error,
    ]


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%d %H:%M}Z"
