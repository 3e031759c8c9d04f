"""What a mailer is: it takes messages, one after the other, and says what became of each.

What it is: the `Mailer` protocol, a `Message`, an `Outcome`, and the mailer of an installation
without a mail server. What it is not: what a message says (`messages`), when it is tried again
(`store.outbox`), or SMTP (`smtp`).

The rule that keeps it honest: a message with a line break or another control character in what
becomes a header cannot be made, and no address or content is ever in the log.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, Protocol

import msgspec

from apertura.domain.contacts import parse_address
from apertura.telemetry import log

_ID = re.compile(r"[A-Za-z0-9._-]+")
SUBJECT_MAX = 250


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One mail to one recipient. `id` is the same each time that it is tried: its Message-ID.

    Raises: ValueError, where an address, the id or the subject cannot stand in a header.
    """

    id: str
    recipient: str
    subject: str
    text: str
    html: str
    at_ms: int
    """When it was written, in ms since 1970."""

    def __post_init__(self) -> None:
        if parse_address(self.recipient) != self.recipient:
            raise ValueError("the domain of a recipient is written in lower case")
        if not _ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is no id of a message")
        check_line(self.subject, "a subject", SUBJECT_MAX)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message. `refused` is for good, `failed` may be tried again, `waits` is no
    attempt: there is no server to try. `reason` is one line, and may hold a server's own words.
    """

    kind: Literal["delivered", "refused", "failed", "waits"]
    reason: str = ""
    code: int | None = None
    """Of the server's reply, if it came to one."""


Send = Callable[[Message], Awaitable[Outcome]]
"""Sends one message; raises nothing but what cancels it."""


class Mailer(Protocol):
    """Where mail goes."""

    def session(self) -> AbstractAsyncContextManager[Send]:
        """A connection for a few messages, opened with the first of them."""


class Unserved:
    """The mailer of an installation without a mail server: it says in the log that mail waits."""

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Send]:
        """Nothing is sent."""
        yield _wait


async def _wait(message: Message) -> Outcome:
    log("mail_waits", mail=message.id)
    return Outcome(kind="waits", reason="no mail server is set up (smtp_url)")


def open_mailer(smtp_url: str, mail_from: str, name: str) -> Mailer:
    """The mailer of these settings. Raises: ValueError, where one of them cannot be used."""
    if not smtp_url:
        return Unserved()
    from apertura.mail.smtp import SmtpMailer, parse_sender, parse_server  # loaded when used

    return SmtpMailer(parse_server(smtp_url), parse_sender(mail_from, name))


def check_line(text: str, what: str, most: int) -> str:
    """A text that can stand in a header.

    Raises:
        ValueError: it is empty, too long, or holds a line break or another control character.
    """
    if not text or len(text) > most or any(not char.isprintable() for char in text):
        raise ValueError(f"{what} is one line of 1 to {most} characters")
    return text
