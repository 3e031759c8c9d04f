"""`apertura` as processes of their own: commands, and a server that can be stopped or killed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.cli.conftest import SECRET

COMMAND = [sys.executable, "-m", "apertura"]
PATIENCE = 30
"""Seconds after which something that should have happened has not."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This process's, with the installation of the folder and no other."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("APERTURA_")}
    ours = {"APERTURA_DATA": str(folder / "data"), "APERTURA_SECRET": SECRET}
    return {**kept, **ours, **more}


async def command(folder: Path, *arguments: str) -> Any:
    """Run a command to its good end; what it says as JSON."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, "--json", env=environment(folder), stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


@dataclass
class Server:
    """A running `apertura serve`."""

    process: Process
    url: str
    said: list[str]

    async def kill(self) -> None:
        """SIGKILL: it gets no chance to do anything."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, as an operator would; its exit code."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@asynccontextmanager
async def server(
    folder: Path, *flags: str, program: Sequence[str] = COMMAND, **more: str
) -> AsyncIterator[Server]:
    """Start a server on a free port and wait until it serves; it is gone at the end."""
    process = await asyncio.create_subprocess_exec(
        *program,
        *("serve", "--port", "0", *flags),
        env=environment(folder, **more),
        stdout=DEVNULL if "--dev" not in flags else PIPE,
        stderr=PIPE,
    )
    said: list[str] = []
    try:
        url = await asyncio.wait_for(_serving(process, said), PATIENCE)
        listener = asyncio.create_task(_listen(process, said))
        yield Server(process, url, said)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    await listener


async def _serving(process: Process, said: list[str]) -> str:
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode():
        said.append(line)
        if line.startswith("{") and (event := json.loads(line))["event"] == "serving":
            return str(event["url"])
    raise AssertionError("".join(said))


async def _listen(process: Process, said: list[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        said.append(line.decode())


@dataclass
class Reply:
    """A reply that came whole."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    url: str, method: str, path: str, key: str = "", body: dict[str, Any] | None = None
) -> Reply | None:
    """One request on a connection of its own; None unless its reply came whole."""
    place = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
    except OSError:
        return None
    try:
        data = json.dumps(body).encode() if body is not None else b""
        lines = [f"{method} {path} HTTP/1.1", f"host: {place.netloc}", "connection: close"]
        lines += [f"authorization: Bearer {key}"] if key else []
        lines += [f"content-length: {len(data)}", "content-type: application/json", "", ""]
        writer.write("\r\n".join(lines).encode() + data)
        return await asyncio.wait_for(_read(reader), PATIENCE)
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return None
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
        return Reply(int(first.split()[1]), headers, body)
    assert headers["transfer-encoding"] == "chunked"
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return Reply(int(first.split()[1]), headers, body)
