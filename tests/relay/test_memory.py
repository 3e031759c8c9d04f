"""What hostile callers send leaves nothing behind in the process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.process import Server, ask, command, server
from tests.wall import Wall, content

CONFIG = """
limit_per_address = "off"
limit_per_key = "off"
limit_per_model = "off"

[[providers]]
name = "acme"
base_url = "{url}"

[[offers]]
model = "small"
provider = "acme"
upstream_model = "ok?chunks=50&delay=0.001"
input_usd_per_million = "1"
output_usd_per_million = "2"
"""
WARM_UP = 500
HOSTILE = 2_000
AT_ONCE = 40
GROWTH_MOST = 20 * 2**20
"""Bytes. Two thousand connections that each left 10 kB behind would be seen."""

Request = Callable[[str], bytes]


def post(key: str, *headers: str) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: x", f"Authorization: Bearer {key}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def good(key: str) -> bytes:
    body = b'{"model":"small","stream":true,"messages":[{"role":"user","content":"x"}]}'
    return post(key, f"Content-Length: {len(body)}") + body


HOSTILITIES: dict[str, Request] = {
    "nothing": lambda _: b"",
    "half a line": lambda _: b"POST /v1/chat/compl",
    "half a head": lambda key: post(key)[:-2],
    "half a body": lambda key: post(key, "Content-Length: 1000000") + b"x" * 200_000,
    "half a chunk": lambda key: post(key, "Transfer-Encoding: chunked") + b"fffff\r\n" + b"x" * 999,
    "a bad chunk": lambda key: post(key, "Transfer-Encoding: chunked") + b"zz\r\n",
    "trailers": lambda key: (
        post(key, "Transfer-Encoding: chunked") + b"0\r\n" + b"x: y\r\n" * 20_000
    ),
    "headers": lambda key: post(key, *(f"X-{number}: {number}" for number in range(10_000))),
    "a long header": lambda key: post(key, "X: " + "y" * 300_000),
    "a long path": lambda _: b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n",
    "too large": lambda key: post(key, "Content-Length: 99999999999") + b"x" * 10_000,
    "many requests": lambda _: b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n" * 500,
    "many calls": lambda key: good(key) * 30,
    "a call and nobody who waits": good,
    "not json": lambda key: post(key, "Content-Length: 100000") + b"[" * 100_000,
    "an upgrade": lambda key: post(key, "Connection: upgrade", "Upgrade: h2c") + b"\xff" * 5000,
    "http 2": lambda _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": lambda _: bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "bytes": lambda _: bytes(range(256)) * 100,
    "zeros": lambda _: bytes(100_000),
}


async def attack(url: str, request: bytes, *, reset: bool) -> None:
    """Send it, wait a moment, and leave without reading; in order, or not."""
    place = urlsplit(url)
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            writer.write(request)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.05)
            await asyncio.sleep(0.005)
            if reset:
                linger = struct.pack("ii", 1, 0)
                line: socket.socket = writer.get_extra_info("socket")
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        finally:
            writer.transport.abort()


async def attacks(url: str, key: str, count: int) -> None:
    """So many connections, of each kind as many as of any other."""
    requests = [request(key) for request in HOSTILITIES.values()]
    for begin in range(0, count, AT_ONCE):
        some = range(begin, min(begin + AT_ONCE, count))
        await asyncio.gather(
            *(
                attack(url, requests[number % len(requests)], reset=number // 20 % 2 == 1)
                for number in some
            )
        )


async def settled(running: Server, key: str) -> tuple[int, int]:
    """Resident bytes and open files, once the server has closed what was left to it."""
    await asyncio.sleep(3)  # a refusal lingers for two seconds
    reply = await ask(running.url, "GET", "/v1/models", key)
    assert reply is not None
    assert reply.status == 200
    process = Path("/proc") / str(running.process.pid)
    pages = int((process / "statm").read_text().split()[1])
    return pages * 4096, len(list((process / "fd").iterdir()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
async def test_hostile_callers_leave_nothing_behind(wall: Wall, tmp_path: Path) -> None:
    """Neither memory nor open files, and the next caller is answered."""
    config = tmp_path / "apertura.toml"
    config.write_text(CONFIG.format(url=wall.url))
    org = (await command(tmp_path, "orgs", "create", "acme"))["id"]
    await command(tmp_path, "orgs", "top-up", org, "1000", "--reference", "r")
    key = (await command(tmp_path, "keys", "create", "--org", org, "--name", "x"))["key"]
    async with server(tmp_path, "--config", str(config)) as running:
        await attacks(running.url, key, WARM_UP)
        size, files = await settled(running, key)
        await attacks(running.url, key, HOSTILE)
        size_after, files_after = await settled(running, key)
        print(f"{size >> 10} kB and {files} files; then {size_after >> 10} kB and {files_after}")
        assert size_after - size < GROWTH_MOST
        assert files_after - files < AT_ONCE

        messages = [{"role": "user", "content": "x"}]
        reply = await ask(
            running.url,
            "POST",
            "/v1/chat/completions",
            key,
            {"model": "small", "messages": messages},
        )
        assert reply is not None
        assert "".join(content(50)).encode() in reply.body
        assert not [line for line in running.said if '"bug"' in line or "Traceback" in line]
        assert await running.stop() == 0
