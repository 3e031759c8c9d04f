"""A running gateway in the test's own loop, and callers who speak to it byte by byte.

    async with Wall() as wall, live(wall, tmp_path, timeout_first=0.5) as gateway:
        answer = await gateway.chat("ok", stream=True)
        [row] = await gateway.rows()

Every behaviour of the wall is a model of that name ($1 and $2 per million tokens). `any` and `two`
are scripted: `wall.script("any", "500", "ok?chunks=9")`; `two` has two offers, which the wall sees
as `two-first` and `two-second`. With `lane=False` it is plain uvicorn and ASGI: same handlers.

Leaving it asserts that nothing is left over: no call, no task, no row out of the books.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from apertura import settings as settings_module
from apertura.app import Application, opened
from apertura.cli.serve import Server
from apertura.domain import keys, secrets
from apertura.domain.catalog import OfferRow, ProviderRow
from apertura.settings import Settings
from apertura.store import identity
from apertura.store import keys as key_store
from apertura.store.keys import KeyRecord
from apertura.store.usage import UsageRow
from tests.databases import put_migrated_sqlite
from tests.money import PLENTY, assert_exact, pay_in
from tests.wall import Wall

SECRET = "s" * 32
MIB = 2**20
PATIENCE = 20.0
"""Seconds after which a test counts as hanging; nothing is measured by it."""


class Gone(Exception):
    """The gateway ended the connection before an answer was there."""


@dataclass
class Answer:
    """One HTTP reply. `whole`: it ended as its own framing says."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    whole: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, type and code of the envelope, which holds nothing else."""
        said = self.json["error"]
        assert set(said) <= {"message", "type", "code", "param"}, said
        assert said["message"]
        return self.status, said["type"], said["code"]

    @property
    def events(self) -> list[Any]:
        """The JSON of each event of a stream; `[DONE]` is not one."""
        lines = [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: ")]
        return [json.loads(line) for line in lines if line != b"[DONE]"]

    @property
    def done(self) -> bool:
        """The stream has its success marker."""
        return self.body.endswith(b"data: [DONE]\n\n")

    @property
    def text(self) -> str:
        """What the model said, whole or streamed."""
        said = [self.json] if not self.headers["content-type"].startswith("text/") else self.events
        choices = [each["choices"][0] for each in said if each.get("choices")]
        parts = [choice.get("message") or choice["delta"] for choice in choices]
        return "".join(part.get("content") or "" for part in parts)

    @property
    def error_inside(self) -> tuple[str, str]:
        """Type and code of the error that ends a stream: the last event, and no success marker."""
        last = self.body[self.body.rfind(b"data: ") + 6 :]
        assert not self.done
        error = json.loads(last)["error"]
        return error["type"], error["code"]


class Line:
    """A caller's connection. What the gateway sends is read only when asked for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        """Write without waiting."""
        self.writer.write(data)

    async def push(self, data: bytes) -> None:
        """Write, and wait while the gateway does not read. Raises: ConnectionError."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Answer:
        """The next reply's status and headers; its body is left to the caller."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as end:
            raise Gone(getattr(end, "partial", b"")) from None
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return Answer(status=int(first.split(" ")[1]), headers=headers)

    async def answer(self) -> Answer:
        """The next reply, interim ones passed over. Raises: Gone, when none began."""
        answer = await self.head()
        while answer.status < 200:
            answer = await self.head()
        try:
            await self._body(answer)
        except asyncio.IncompleteReadError as end:
            answer.body += end.partial
        except ConnectionError:
            pass
        return answer

    async def _body(self, answer: Answer) -> None:
        if "transfer-encoding" in answer.headers:
            body = bytearray()
            try:
                while piece := await self.chunk():
                    body += piece
                answer.whole = True
            finally:
                answer.body = bytes(body)
        elif "content-length" in answer.headers:
            length = int(answer.headers["content-length"])
            answer.body = await self.reader.readexactly(length)
            answer.whole = True
        else:
            answer.body = await self.reader.read()
            answer.whole = answer.headers.get("connection") == "close"

    async def chunk(self) -> bytes:
        """One chunk of a chunked body; empty at its end."""
        line = await self.reader.readuntil(b"\r\n")
        return (await self.reader.readexactly(int(line, 16) + 2))[:-2]

    async def is_closed(self) -> bool:
        """Waits for the connection's end; False when something else comes first."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def widen(self) -> None:
        """Let the kernel's buffer be large from now on."""
        line: socket.socket = self.writer.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)

    def half_close(self) -> None:
        """Say that no more will be sent, and go on reading."""
        self.writer.write_eof()

    def hang_up(self, *, reset: bool = False) -> float:
        """Leave, by FIN or by RST; the time (monotonic) just before."""
        line: socket.socket = self.writer.get_extra_info("socket")
        if reset:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        at = time.monotonic()
        if self.writer.transport is not None:
            self.writer.transport.abort()
        return at


@dataclass
class Live:
    """The running gateway."""

    application: Application
    server: uvicorn.Server
    listening: socket.socket
    port: int
    key: str
    lines: list[Line] = field(default_factory=list)
    stopped: bool = False

    def request(
        self, body: object, *headers: str, path: str = "/v1/chat/completions", key: str = ""
    ) -> bytes:
        """A POST on the wire; `body` is bytes, or is made JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: gateway",
            f"Authorization: Bearer {key or self.key}",
        ]
        lines += [f"Content-Length: {len(data)}", *headers, "", ""]
        return "\r\n".join(lines).encode() + data

    def asking(self, model: str, *headers: str, stream: bool = False, **more: Any) -> bytes:
        """A chat request on the wire."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
        return self.request({**body, "stream": stream}, *headers)

    async def line(self, *, receive: int = 0) -> Line:
        """A new connection; `receive` makes its kernel's buffer small, in bytes."""
        theirs = socket.socket()
        theirs.setblocking(False)
        if receive:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        try:
            await asyncio.get_running_loop().sock_connect(theirs, ("127.0.0.1", self.port))
        except OSError:
            theirs.close()
            raise
        limit = receive or 16 * MIB
        line = Line(*await asyncio.open_connection(sock=theirs, limit=limit))
        self.lines.append(line)
        return line

    async def ask(self, request: bytes) -> Answer:
        """The reply to these bytes, on a connection of its own."""
        line = await self.line()
        line.send(request)
        async with asyncio.timeout(PATIENCE):
            answer = await line.answer()
        line.hang_up()
        return answer

    async def chat(self, model: str, *headers: str, stream: bool = False, **more: Any) -> Answer:
        """One chat call."""
        return await self.ask(self.asking(model, *headers, stream=stream, **more))

    async def rows(self) -> list[UsageRow]:
        """All usage rows in the books, in the order of their calls, once no call is running."""
        await self.until(lambda: self.application.parts.relay.running == 0)
        await self.application.parts.settlement.flush()
        names = UsageRow.__struct_fields__
        found = await self.application.parts.database.read(
            f"SELECT {', '.join(names)} FROM usage ORDER BY call_id"
        )
        return [UsageRow(*row) for row in found]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits for something that the gateway does by itself, and soon."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.005)

    def upstream_connections(self) -> int:
        """Open connections to the wall, as the metrics tell it."""
        page = self.application.parts.meters.render().decode()
        [value] = [
            line.split()[1]
            for line in page.splitlines()
            if line.startswith("apertura_connections_open ")
        ]
        return int(float(value))

    async def stop(self) -> None:
        """What happens on the first signal: returns when all calls have ended, or been ended."""
        self.stopped = True
        await self.server.shutdown(sockets=[self.listening])


@contextlib.asynccontextmanager
async def live(
    wall: Wall,
    folder: Path,
    *,
    lane: bool = True,
    dialect: str = "",
    wallet: int = PLENTY,
    **settings: object,
) -> AsyncIterator[Live]:
    """A gateway whose providers are the wall, with these settings and so much to spend."""
    chosen = _settings(folder, settings)
    put_migrated_sqlite(Path(chosen.data) / "apertura.db")
    providers, offers = catalogue(wall.url, wall.behaviours, dialect=dialect or "openai_chat")
    async with opened(chosen, environment={}, providers=providers, offers=offers) as application:
        key = await _first_key(application, chosen, wallet)
        listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        port = listening.getsockname()[1]
        gateway = Live(application, _server(application, chosen, lane), listening, port, key)
        await _start(gateway)
        try:
            yield gateway
            await _leave(gateway)
        finally:
            _drop(gateway)


def catalogue(
    url: str, names: Any, **provider: Any
) -> tuple[tuple[ProviderRow, ...], tuple[OfferRow, ...]]:
    """Two providers at one address, and an offer for each name."""
    providers = tuple(
        ProviderRow(name=name, base_url=url, api_key="upstream-secret", **provider)
        for name in ("wall", "wall2")
    )
    offers = [_offer(name) for name in (*names, "any")]
    for kind in ("embeddings", "rerank"):
        offers += [_offer(name, kind=kind) for name in (*names, "any")]
    offers += [
        _offer("two", upstream_model="two-first", weight=90),
        _offer("two", upstream_model="two-second", weight=10, provider="wall2"),
        _offer("bounded", upstream_model="stall-in-the-middle", max_output=1),
    ]
    return providers, tuple(offers)


def _offer(model: str, **fields: Any) -> OfferRow:
    prices = {"input_usd_per_million": "1", "output_usd_per_million": "2"}
    return OfferRow(**{"model": model, "provider": "wall", **prices, **fields})


def _settings(folder: Path, given: dict[str, object]) -> Settings:
    off = ("call_log", "limit_per_address", "limit_per_key", "limit_per_model")
    flags = {"data": folder / "data", "secret": SECRET, **dict.fromkeys(off, "off")}
    texts = {name: str(value) for name, value in {**flags, **given}.items()}
    return settings_module.load(flags=texts, environment={}, read_file=str)  # the text itself


async def _first_key(application: Application, settings: Settings, wallet: int) -> str:
    database = application.parts.database
    org = await identity.create_organization(database, "test", random=b"o" * 13, now_ms=1)
    await pay_in(database, org.id, wallet)
    minted = keys.mint(b"k" * keys.RANDOM_BYTES)
    pepper = secrets.derive(settings.secret, secrets.KEY_DIGEST)
    record = KeyRecord(
        id=minted.id,
        org_id=org.id,
        name="test",
        digest=keys.Digester(pepper).digest(minted.key.encode()).hex(),
        last4=minted.last4,
        created_at=1,
    )
    await key_store.create(database, record)
    return minted.key


def _server(application: Application, settings: Settings, lane: bool) -> uvicorn.Server:
    if lane:
        return Server(application, settings)
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=round(settings.grace),
    )
    return uvicorn.Server(config)


async def _start(gateway: Live) -> None:
    """As `uvicorn.Server.serve` does it, without signals and without a tick that one must await."""
    server = gateway.server
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=[gateway.listening])


async def _leave(gateway: Live) -> None:
    """The callers go, and nothing may be left of them."""
    for line in gateway.lines:
        line.hang_up()
    parts, state = gateway.application.parts, gateway.server.server_state
    await gateway.until(lambda: not parts.relay.running)
    await gateway.until(lambda: not state.connections and not state.tasks)
    await parts.settlement.flush()
    assert parts.settlement.backlog() == 0
    await assert_exact(parts.database, parts.settlement.leases)


def _drop(gateway: Live) -> None:
    for line in gateway.lines:
        line.hang_up()
    for connection in list(gateway.server.server_state.connections):
        connection.transport.abort()
    for server in gateway.server.servers:
        server.close()
    gateway.listening.close()
