"""Whether replies may be stored, said on the command line; and a key that outlives its server."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Run
from tests.cli.process import command, server
from tests.wall import Wall

CONFIG = """
[[providers]]
name = "acme"
base_url = "{url}"

[[offers]]
model = "small"
provider = "acme"
upstream_model = "any"
input_usd_per_million = "2.50"
output_usd_per_million = "10"
"""
COST = 9 * 2_500 + 3 * 10_000


def test_replies_are_stored_where_it_was_said(run: Run, folder: Path) -> None:
    """By name or id; a second time, and a no, are as good."""
    org = run("orgs", "create", "acme", "--json").json["id"]
    for named, allowed, stored in (("acme", "on", 1), (org, "on", 1), (org, "off", 0)):
        said = run("orgs", "store-replies", named, allowed, "--json").json
        assert said == {"id": org, "store_replies": allowed}
        with closing(sqlite3.connect(folder / "data" / "apertura.db")) as books:
            assert len(books.execute("SELECT * FROM reply_storage").fetchall()) == stored
    assert run("orgs", "store-replies", org, "on").out == f"{org} store-replies on\n"
    assert run("orgs", "store-replies", "nobody", "on").code == 1


async def keyed(url: str, key: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A streamed call under the Idempotency-Key `a`, of which nothing is read yet."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    messages = [{"role": "user", "content": "Say something."}]
    body = json.dumps({"model": "small", "messages": messages, "stream": True}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        f"idempotency-key: a\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    return reader, writer


async def asked(url: str, key: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of that call."""
    reader, writer = await keyed(url, key)
    head, _, body = (await asyncio.wait_for(reader.read(), 30)).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), headers, body


def calls(folder: Path) -> list[Any]:
    with closing(sqlite3.connect(folder / "data" / "apertura.db")) as books:
        return books.execute("SELECT call_id, outcome, cost FROM usage ORDER BY 1").fetchall()


@pytest.mark.slow
async def test_a_key_outlives_its_server(folder: Path) -> None:
    """Killed in the middle of a call, the key is free; killed after, it is used up, and who asks
    again learns the call and its cost. It is charged for once.
    """
    async with Wall() as wall:
        wall.script("any", "stall-in-the-middle", "ok")
        config = folder / "apertura.toml"
        config.write_text(CONFIG.format(url=wall.url))
        org = (await command(folder, "orgs", "create", "acme"))["id"]
        key = (await command(folder, "keys", "create", "--org", org, "--name", "x"))["key"]
        await command(folder, "orgs", "top-up", org, "10", "--reference", "r")
        async with server(folder, "--config", str(config)) as running:
            reader, writer = await keyed(running.url, key)
            await reader.readuntil(b"w0 ")
            await running.kill()
            writer.close()
        async with server(folder, "--config", str(config)) as running:
            status, headers, body = await asked(running.url, key)
            await running.kill()
        assert status == 200
        assert body.count(b"[DONE]") == 1
        async with server(folder, "--config", str(config)) as running:
            refused, told, said = await asked(running.url, key)
            assert await running.stop() == 0
        assert len(wall.calls()) == 2
    assert (refused, json.loads(said)["error"]["code"]) == (409, "idempotency_result_gone")
    assert told["x-original-request-id"] == headers["x-request-id"]
    assert told["x-cost-usd"] == "0.0000525"
    assert calls(folder) == [(headers["x-request-id"], "answered", COST)]
