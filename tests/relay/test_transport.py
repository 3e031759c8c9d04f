"""Our HTTP client: who it trusts, when it reuses a connection, and where it stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from apertura.domain.catalog import ProviderRow
from apertura.errors import AperturaError, Cut, Overloaded, Stalled, Unreachable
from apertura.providers.base import Ask
from apertura.providers.compatible import Compatible
from apertura.relay import transport as module
from apertura.relay.connection import Origin, Reply
from apertura.relay.steps import Steps
from apertura.relay.transport import Transport
from tests.live import MIB, PATIENCE
from tests.wall import Wall, deaf, refused

T = TypeVar("T")


async def in_steps(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it as handlers are run; for a test, which is a task, to wait for."""
    ended = asyncio.get_running_loop().create_future()

    async def handler() -> None:
        result = await coroutine
        if not ended.done():
            ended.set_result(result)

    def end(error: BaseException | None) -> None:
        if error is not None and not ended.done():
            ended.set_exception(error)

    steps = Steps(handler(), end)
    steps.step()
    try:
        return await ended
    except asyncio.CancelledError:
        steps.cancel()
        raise


def late() -> AperturaError:
    return Stalled("The test's own deadline.")


class Client:
    """A transport, and calls on it."""

    def __init__(self, url: str, transport: Transport) -> None:
        self.url, self.transport = url, transport

    async def send(self, model: str = "ok", *, patience: float = PATIENCE, **row: bool) -> Reply:
        """The reply's head."""
        provider = Compatible(ProviderRow(name="x", base_url=self.url, **row))
        body = json.dumps({"model": model, "messages": []}).encode()
        expiry = (self.transport.loop.time() + patience, late)
        request = provider.build(Ask("chat", "openai_chat", "m", False, body))
        origin = Origin.of(self.url)
        return await in_steps(self.transport.send(origin, request, limit=MIB, expiry=expiry))

    async def call(self, model: str = "ok", **row: bool) -> int:
        """One call from beginning to end; its status."""
        reply = await self.send(model, **row)
        assert await in_steps(reply.read())
        return reply.status

    async def until_open(self, count: int) -> None:
        """Waits until there are so many connections."""
        async with asyncio.timeout(PATIENCE):
            while self.transport.open_count() != count:
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def client(
    url: str, connect_seconds: float = 5, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Client]:
    """Leaving it closes all of its connections."""
    transport = Transport(connect_seconds=connect_seconds, tls=tls)
    one = Client(url, transport)
    try:
        yield one
    finally:
        transport.close()
        await one.until_open(0)


# --- connections are used again ---


async def test_calls_in_a_row_share_a_connection(wall: Wall) -> None:
    """Whole ones, errors and empty ones alike."""
    async with client(wall.url) as one:
        for _ in range(5):
            assert await one.call("ok") == 200
            assert await one.call("429") == 429
        assert len(wall.calls()) == 10
        assert wall.connections == one.transport.open_count() == 1


async def test_calls_at_once_each_have_their_own(wall: Wall) -> None:
    """And share those afterwards."""
    async with client(wall.url) as one:
        for _ in range(2):
            await asyncio.gather(*(one.call("ok?first=0.05") for _ in range(5)))
        assert wall.connections == one.transport.open_count() == 5


async def test_an_idle_connection_is_let_go(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; the next call makes another."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.01)
    async with client(wall.url) as one:
        await one.call()
        await one.until_open(0)
        await one.call()
        assert wall.connections == 2


async def test_not_every_connection_of_a_burst_is_kept(
    wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only as many as the bound says."""
    monkeypatch.setattr(module, "IDLE_MOST", 2)
    async with client(wall.url) as one:
        await asyncio.gather(*(one.call("ok?first=0.05") for _ in range(6)))
        await one.until_open(2)
        assert len(wall.calls()) == 6


async def test_without_keepalive_each_call_has_its_own(wall: Wall) -> None:
    """The provider is told to close, and none is lost on a connection that closes."""
    async with client(wall.url) as one:
        for _ in range(3):
            await one.call(keepalive=False)
            await one.until_open(0)
        assert {call.headers["connection"] for call in wall.calls()} == {"close"}
        assert wall.connections == 3
        assert wall.lost == []


async def test_with_keepalive_nothing_is_said_of_it(wall: Wall) -> None:
    """HTTP/1.1 means it."""
    async with client(wall.url) as one:
        await one.call()
        [call] = wall.calls()
        assert "connection" not in call.headers


async def test_a_reused_connection_that_dies_costs_nothing(wall: Wall) -> None:
    """The request is sent once more, on a fresh one."""
    async with client(wall.url) as one:
        await one.call("close-on-reuse")
        assert await one.call() == 200
        assert (len(wall.lost), wall.connections) == (1, 2)


async def test_a_fresh_connection_that_dies_is_an_error(wall: Wall) -> None:
    """It is not for the transport to try that again."""
    async with client(wall.url) as one:
        with pytest.raises(Cut):
            await one.send("close-before-head")
        assert len(wall.calls()) == 1


async def test_an_aborted_reply_takes_its_connection_with_it(wall: Wall) -> None:
    """The provider sees that nobody wants the rest."""
    async with client(wall.url) as one:
        reply = await one.send("stall-in-the-middle")
        reply.abort()
        assert (await wall.hangup("stall-in-the-middle")).call
        await one.until_open(0)


# --- bounds ---


async def test_too_many_connections_are_refused(
    wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a word on when to come again; and no longer than there are too many."""
    monkeypatch.setattr(module, "OPEN_MOST", 3)
    async with client(wall.url) as one:
        held = [await one.send("stall-in-the-middle") for _ in range(3)]
        with pytest.raises(Overloaded) as refusal:
            await one.send()
        assert refusal.value.headers == {"Retry-After": "1"}
        held[0].abort()
        await one.until_open(2)
        assert await one.call() == 200
        assert wall.connections == 4


async def test_connections_in_the_making_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that accepts nothing does not gather a queue without end."""
    monkeypatch.setattr(module, "OPEN_MOST", 3)
    with deaf() as url:
        async with client(url, connect_seconds=0.2) as one:
            calls = [one.send() for _ in range(8)]
            ends = await asyncio.gather(*calls, return_exceptions=True)
    kinds = [type(end) for end in ends]
    assert (kinds.count(Stalled), kinds.count(Overloaded)) == (3, 5)


async def test_nobody_accepts_a_connection() -> None:
    """The timer for connecting ends it."""
    with deaf() as url:
        async with client(url, connect_seconds=0.05) as one:
            with pytest.raises(Stalled, match="accept a connection"):
                await one.send()


async def test_the_callers_deadline_comes_first() -> None:
    """Then it is the caller's own error."""
    with deaf() as url:
        async with client(url, connect_seconds=60) as one:
            with pytest.raises(Stalled, match="own deadline"):
                await one.send(patience=0.05)


async def test_a_deadline_ends_a_reply(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its head as well as after it."""
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.01)
    async with client(wall.url) as one:
        with pytest.raises(Stalled, match="own deadline"):
            await one.send("stall-before-head", patience=0.05)
        reply = await one.send("stall-in-the-middle", patience=0.05)
        with pytest.raises(Stalled, match="own deadline"):
            await in_steps(reply.read())
        await one.until_open(0)


async def test_nobody_listens() -> None:
    """Nor is a host's name always one."""
    with refused() as url:
        for place in (url, "http://no-such-host.invalid/v1"):
            async with client(place) as one:
                with pytest.raises(Unreachable):
                    await one.send()


async def test_a_connection_that_its_caller_left_is_kept_for_the_next(wall: Wall) -> None:
    """It cannot be called back while it is being made."""
    async with client(wall.url) as one:
        sending = asyncio.ensure_future(one.send())
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await one.until_open(1)
        assert await one.call() == 200
        assert (wall.connections, len(wall.calls())) == (1, 1)


# --- TLS ---

BODY = b"{}"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n" + BODY
HERE = "subjectAltName=IP:127.0.0.1"
ELSEWHERE = "subjectAltName=DNS:elsewhere.invalid"
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificate(folder: Path, name: str, alternative: str, *signer: str) -> None:
    """`name.pem` and `name.key`: of its own, or signed by the authority."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    made = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}"]
    openssl(folder, "req", "-x509", *key, *made, "-addext", alternative, *signer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and three certificates of which it knows two."""
    folder = tmp_path_factory.mktemp("certificates")
    is_authority = ["-addext", "keyUsage=critical,keyCertSign"]
    certificate(folder, "authority", "subjectAltName=DNS:authority.invalid", *is_authority)
    is_none = ["-addext", "basicConstraints=critical,CA:FALSE"]
    signed = ["-CA", "authority.pem", "-CAkey", "authority.key", *is_none]
    certificate(folder, "good", HERE, *signed)
    certificate(folder, "elsewhere", ELSEWHERE, *signed)
    certificate(folder, "self-signed", HERE)
    return folder


@contextlib.asynccontextmanager
async def secure(folder: Path, name: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A provider with that certificate: its base URL, and the heads of what it was asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                asked.append(head)
                writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", asked


@needs_openssl
async def test_a_trusted_provider_is_spoken_to(folder: Path) -> None:
    """And its connection is used again."""
    trusting = ssl.create_default_context(cafile=folder / "authority.pem")
    async with secure(folder, "good") as (url, asked), client(url, tls=trusting) as one:
        for _ in range(3):
            assert await one.call() == 200
        assert len(asked) == 3
        assert one.transport.open_count() == 1


@needs_openssl
async def test_the_system_says_whom_to_trust(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every program that uses OpenSSL, by SSL_CERT_FILE too."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    async with secure(folder, "good") as (url, _), client(url) as one:
        assert await one.call() == 200


@needs_openssl
@pytest.mark.parametrize("name", ["self-signed", "elsewhere"])
async def test_nobody_else_is(folder: Path, name: str) -> None:
    """A certificate of its own making, or for another name: not a byte of the call is sent."""
    trusting = ssl.create_default_context(cafile=folder / "authority.pem")
    async with secure(folder, name) as (url, asked), client(url, tls=trusting) as one:
        with pytest.raises(Unreachable, match="No connection") as refusal:
            await one.send()
        assert "127.0.0.1" not in refusal.value.message
        assert asked == []
        await one.until_open(0)


@needs_openssl
async def test_by_default_an_unknown_authority_is_not_trusted(folder: Path) -> None:
    """Verification needs no switching on."""
    async with secure(folder, "good") as (url, asked), client(url) as one:
        with pytest.raises(Unreachable):
            await one.send()
        assert asked == []


class Plain(asyncio.Protocol):
    """Answers anything in the clear, and keeps what it heard."""

    heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


async def test_a_provider_without_tls_is_not_spoken_to() -> None:
    """Where https was promised, nothing is sent in the clear."""
    plain = Plain()
    server = await asyncio.get_running_loop().create_server(lambda: plain, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with client(url) as one:
            with pytest.raises(Unreachable):
                await one.send()
    assert plain.heard
    assert b"POST" not in plain.heard


async def test_a_handshake_that_never_ends_is_ended() -> None:
    """By the timer for connecting."""
    silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with silent:
        url = f"https://127.0.0.1:{silent.sockets[0].getsockname()[1]}/v1"
        async with client(url, connect_seconds=0.1) as one:
            with pytest.raises(Stalled, match="accept a connection"):
                await one.send()
