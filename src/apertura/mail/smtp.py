"""Mail by SMTP, with TLS and a password, through one server.

`smtps://user:password@host:465` speaks TLS from the first byte; `smtp://user:password@host:587`
turns to it (STARTTLS) and refuses a server that does not offer it. Two options may follow a `?`:
`tls=off` for a relay on the same machine or network, and `ca=/path.pem` for one whose certificate a
private authority has signed. A password is never sent without TLS.

What it is not: when a message is tried again (`store.outbox`). The rule that keeps it honest: a
message counts as delivered only after the server has said so; and headers are made by a policy that
refuses line breaks, from values that were looked at before.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import formatdate
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import aiosmtplib
import msgspec

from apertura.domain.contacts import parse_address
from apertura.mail.base import Message, Outcome, Send, check_line

SECONDS_PER_STEP = 20.0
"""For the server to be reached, and for each of its replies."""
SECONDS_PER_MESSAGE = 60.0
_PORTS = {"implicit": 465, "starttls": 587, "off": 25}
_NAME_MAX = 80
_NAMED = re.compile(r"(?P<name>[^<>]*?)\s*<(?P<address>[^<>]*)>", re.DOTALL)
_NOT_SENT = (aiosmtplib.SMTPException, OSError, TimeoutError)


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail is handed in, and how; the password is not shown with it."""

    host: str
    port: int
    tls: Literal["implicit", "starttls", "off"]
    user: str = ""
    password: str = ""
    ca: str = ""
    """A file with certificates to trust instead of the system's."""

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}"


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Whom mail comes from."""

    name: str
    address: str


class Unsendable(Exception):
    """The server cannot be used; the message says why, without a password."""


def parse_server(url: str) -> Server:
    """Read the setting `smtp_url`.

    Raises:
        ValueError: it cannot be used; the message never repeats it.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls, ca = options.pop("tls", "on"), options.pop("ca", "")
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or options:
        raise ValueError("smtp_url is smtps://user:password@host:465 or smtp://host:587")
    if tls not in ("on", "off") or (tls == "off" and (parts.scheme == "smtps" or parts.password)):
        raise ValueError("smtp_url: tls=off goes with smtp:// and without a password only")
    kind: Literal["implicit", "starttls", "off"] = "off" if tls == "off" else "starttls"
    if parts.scheme == "smtps":
        kind = "implicit"
    return Server(
        host=parts.hostname,
        port=parts.port or _PORTS[kind],
        tls=kind,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        ca=ca,
    )


def parse_sender(text: str, name: str) -> Sender:
    """Read the setting `mail_from`: an address, or `Name <address>`; else `name` stands before it.

    Raises:
        ValueError: it is no address, or a name that cannot stand in a header.
    """
    found = _NAMED.fullmatch(text.strip())
    shown, address = (found["name"].strip('"'), found["address"]) if found else ("", text.strip())
    shown = shown or name
    if re.search(r'[<>"\\]', shown):
        raise ValueError(f'{shown!r} cannot be the name of a sender: it holds one of < > " \\')
    check_line(shown, "the name of a sender", _NAME_MAX)
    return Sender(name=shown, address=parse_address(address))


class SmtpMailer:
    """Hands messages to one server."""

    def __init__(self, server: Server, sender: Sender) -> None:
        self._server = server
        self._sender = sender

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Send]:
        """One connection. Once it cannot be made, or breaks, the rest fails without trying."""
        session = _Session(self._server, self._sender)
        try:
            yield session.send
        finally:
            await session.close()

    async def probe(self) -> str:
        """Reach the server and show the password, without a message; returns how it said hello.

        Raises: Unsendable.
        """
        session = _Session(self._server, self._sender)
        try:
            async with asyncio.timeout(SECONDS_PER_MESSAGE):
                return await session.open()
        except _NOT_SENT as error:
            raise Unsendable(_line(error)) from None
        finally:
            await session.close()


class _Session:
    """A connection, made when it is needed."""

    def __init__(self, server: Server, sender: Sender) -> None:
        self._server = server
        self._sender = sender
        self._client: aiosmtplib.SMTP | None = None
        self._broken: Outcome | None = None

    async def open(self) -> str:
        """Connect, turn to TLS, log in."""
        server = self._server
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password or None,
            local_hostname=self._sender.address.rpartition("@")[2],
            timeout=SECONDS_PER_STEP,
            use_tls=server.tls == "implicit",
            start_tls=server.tls == "starttls",
            tls_context=await asyncio.to_thread(_trust, server) if server.tls != "off" else None,
        )
        said = await self._client.connect()
        return _clean(said.message)

    async def send(self, message: Message) -> Outcome:
        """Hand over one message."""
        if self._broken is not None:
            return self._broken
        try:
            written = compose(message, self._sender).as_bytes()
        except ValueError as error:  # the policy's own refusal
            return Outcome(kind="refused", reason=_clean(str(error)))
        try:
            async with asyncio.timeout(SECONDS_PER_MESSAGE):
                said = await self._hand_over(message.recipient, written)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _outcome(error.recipients[0], permanent=True)
        except aiosmtplib.SMTPDataError as error:
            return _outcome(error, permanent=True)
        except _NOT_SENT as error:
            self._broken = _outcome(error, permanent=False)
            return self._broken
        except BaseException:  # stopped in the middle of a message: no goodbye is understood now
            self._broken = Outcome(kind="failed", reason="cut off")
            raise
        return Outcome(kind="delivered", reason=_clean(said))

    async def _hand_over(self, recipient: str, written: bytes) -> str:
        if self._client is None:
            await self.open()
        assert self._client is not None
        _, said = await self._client.sendmail(self._sender.address, [recipient], written)
        return said

    async def close(self) -> None:
        """Say goodbye, if the server still listens."""
        if self._client is None:
            return
        try:
            if self._broken is None and self._client.is_connected:
                with suppress(*_NOT_SENT):
                    await self._client.quit()
        finally:
            self._client.close()


def compose(message: Message, sender: Sender) -> EmailMessage:
    """A message as it goes over the wire (RFC 5322), in plain text and in HTML."""
    made = EmailMessage(policy=WIRE)
    made["From"] = Address(sender.name, addr_spec=sender.address)
    made["To"] = Address(addr_spec=message.recipient)
    made["Subject"] = message.subject
    made["Date"] = formatdate(message.at_ms // 1000)
    made["Message-ID"] = f"<{message.id}@{sender.address.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    made.set_content(message.text)
    made.add_alternative(message.html, subtype="html")
    return made


def _trust(server: Server) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca or None)


def _outcome(error: BaseException, *, permanent: bool) -> Outcome:
    """5xx of a recipient or a content is for good; all else may be different next time."""
    code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None
    refused = permanent and code is not None and code >= 500
    return Outcome(kind="refused" if refused else "failed", reason=_line(error), code=code)


def _line(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _clean(f"{error.code} {error.message}")
    if isinstance(error, aiosmtplib.SMTPException):
        return _clean(error.message)
    return _clean(str(error) or "the server took too long")


def _clean(text: str) -> str:
    """One line of a server's words."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
