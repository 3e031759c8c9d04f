"""A real SMTP server for tests, in a thread of its own: what it was handed, and what it answers.

with postbox() as box:
    ...send something to box.url...
    (letter,) = box.letters
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "courier", "canary p@ss/word:ü"
Tls = Literal["off", "starttls", "implicit"]


@dataclass
class Letter:
    """One message as it was handed in."""

    sender: str
    recipients: list[str]
    raw: bytes
    tls: bool
    user: str | None

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        assert parsed.defects == []
        return parsed

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")


class Postbox:
    """What aiosmtpd asks, and what a test sets and reads."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.answers: dict[str, str] = {}
        """By recipient: what is answered to RCPT."""
        self.on_data: Callable[[], str] | None = None
        """What is answered to a message; may block, or raise."""
        self.hellos = 0
        self.port = 0
        self.tls: Tls = "off"
        self.authority: Path | None = None
        self._user: str | None = None

    @property
    def url(self) -> str:
        """For the setting `smtp_url`."""
        if self.tls == "off":
            return f"smtp://127.0.0.1:{self.port}?tls=off"
        scheme = "smtps" if self.tls == "implicit" else "smtp"
        login = "courier:canary%20p%40ss%2Fword%3A%C3%BC@"
        return f"{scheme}://{login}127.0.0.1:{self.port}?ca={self.authority}"

    async def handle_EHLO(
        self, _: SMTP, session: Session, __: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.hellos += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        if answer := self.answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.on_data() if self.on_data else "250 kept it"
        if answer.startswith("250"):
            raw = envelope.content
            assert isinstance(raw, bytes)
            assert envelope.mail_from is not None
            tls = session.ssl is not None or self.tls == "implicit"
            to = list(envelope.rcpt_tos)
            self.letters.append(Letter(envelope.mail_from, to, raw, tls, self._user))
        return answer

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, data: Any) -> AuthResult:
        """Only with the right password."""
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self._user = USER if good else None
        return AuthResult(success=good, handled=False)


class _Server:
    """The thread, and the loop in it."""

    def __init__(self, box: Postbox, context: ssl.SSLContext | None) -> None:
        self._box = box
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._talking: list[SMTP] = []
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        implicit = self._context if self._box.tls == "implicit" else None
        server = await self._loop.create_server(self._protocol, "127.0.0.1", 0, ssl=implicit)
        self._box.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        await self._hang_up(server)

    def _protocol(self) -> SMTP:
        given: dict[str, Any] = {"authenticator": self._box.authenticate}
        if self._box.tls == "starttls":
            given |= {"tls_context": self._context, "require_starttls": True, "auth_required": True}
        if self._box.tls == "implicit":
            given["auth_require_tls"] = False  # aiosmtpd does not see that TLS is there
        made = SMTP(self._box, hostname="box.test", loop=self._loop, **given)
        self._talking.append(made)
        return made

    async def _hang_up(self, server: asyncio.Server) -> None:
        server.close()
        for one in self._talking:
            if one.transport is not None:
                one.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def postbox(tls: Tls = "off", folder: Path | None = None) -> Iterator[Postbox]:
    """A running server on 127.0.0.1; with TLS it wants the password, and `folder` for its files."""
    box, context = Postbox(), None
    box.tls = tls
    if tls != "off":
        assert folder is not None
        box.authority, context = _certificate(folder)
    server = _Server(box, context)
    server.start()
    try:
        yield box
    finally:
        server.stop()


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that has signed itself, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "box.test")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "box.pem", folder / "box.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, secret)
    return certificate, context
