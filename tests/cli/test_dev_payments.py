"""Behaviour of `serve --dev` about money: play money by card, on a page of its own processor."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.cli.process import COMMAND, PATIENCE, Server, ask, environment, server

FLAGS = ("--dev", "--local-model", "off")


async def run(folder: Path, *arguments: str) -> Any:
    """A command beside `serve --dev`; what it says as JSON."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        *("--dev", "--json"),
        env=environment(folder, APERTURA_SECRET=""),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def press(page: str, card: str) -> str:
    """A visitor presses a button of a page; where it sends them."""
    place = urlsplit(page)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    form = urlencode({"card": card}).encode()
    head = f"POST {place.path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-length: {len(form)}\r\n"
    writer.write(head.encode() + b"\r\n" + form)
    reply = (await asyncio.wait_for(reader.read(), PATIENCE)).decode()
    writer.close()
    await writer.wait_closed()
    [location] = [line for line in reply.splitlines() if line.startswith("Location: ")]
    return location.removeprefix("Location: ")


async def read_page(page: str) -> str:
    place = urlsplit(page)
    shown = await ask(f"{place.scheme}://{place.netloc}", "GET", place.path)
    assert shown is not None
    assert shown.status == 200
    return shown.body.decode()


async def balance(folder: Path) -> str:
    [org] = await run(folder, "orgs", "list")
    return str(org["balance_usd"])


async def top_up(running: Server, folder: Path, key: str, amount: int) -> str:
    """Pay on the page, and wait until the processor's message is in the books; what it left."""
    before = await balance(folder)
    made = await ask(running.url, "POST", "/api/billing/top-ups", key, {"amount_usd": amount})
    assert made is not None
    assert made.status == 201, made.body
    page = json.loads(made.body)["data"]["url"]
    assert "Pay with Visa 4242" in await read_page(page)
    back = await press(page, "pm_card_visa")
    assert back.startswith(f"{running.url}/billing?payment=pay_")
    async with asyncio.timeout(PATIENCE):
        while (after := await balance(folder)) == before:
            await asyncio.sleep(0)
    return after


async def stopped(running: Server) -> str:
    """Ctrl-C; all that the server had said to its terminal."""
    assert running.process.stdout is not None
    running.process.send_signal(signal.SIGINT)
    said = (await asyncio.wait_for(running.process.stdout.read(), PATIENCE)).decode()
    assert await asyncio.wait_for(running.process.wait(), PATIENCE) == 0
    return said


async def test_play_money_is_paid_by_card(tmp_path: Path) -> None:
    """From the page to the books, at the first start and at the second, which knows the
    organization as a customer of a processor that is gone. Nothing is left running.
    """
    left = []
    for total in ("200.00", "250.00"):
        async with server(tmp_path, *FLAGS, APERTURA_SECRET="") as running:
            arguments = ("--org", "dev", "--name", "admin", "--admin")
            key = (await run(tmp_path, "keys", "create", *arguments))["key"]
            amount = 100 if total == "200.00" else 50
            assert await top_up(running, tmp_path, key, amount) == total
            page = await ask(running.url, "POST", "/api/billing/portal", key)
            assert page is not None
            left.append(json.loads(page.body)["data"]["url"])
            said = await stopped(running)
            assert "play money" in said
        assert "Traceback" not in "".join(running.said)
        place = urlsplit(left[-1])
        assert await ask(f"{place.scheme}://{place.netloc}", "GET", place.path) is None
        assert (await run(tmp_path, "ledger", "audit"))["findings"] == []
