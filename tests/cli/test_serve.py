"""Behaviour of `apertura serve` as a process: start, serve, stop."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path

from tests.cli.process import ask, command, server
from tests.wall import Wall

CONFIG = """
[[providers]]
name = "acme"
base_url = "{url}"

[[offers]]
model = "small"
provider = "acme"
upstream_model = "ok?delay=0.2"
input_usd_per_million = "2.50"
output_usd_per_million = "10"
"""
BODY = {"model": "small", "messages": [{"role": "user", "content": "Say something."}]}


async def test_a_running_call_ends_before_the_server_does(tmp_path: Path) -> None:
    """After SIGTERM it is answered whole and stands in the books; the exit code is 0."""
    async with Wall() as wall:
        config = tmp_path / "apertura.toml"
        config.write_text(CONFIG.format(url=wall.url))
        org = await command(tmp_path, "orgs", "create", "acme")
        await command(tmp_path, "orgs", "top-up", org["id"], "10", "--reference", "r")
        key = (await command(tmp_path, "keys", "create", "--org", org["id"], "--name", "x"))["key"]
        async with server(tmp_path, "--config", str(config)) as running:
            ready = await ask(running.url, "GET", "/health/ready")
            assert ready is not None
            assert json.loads(ready.body) == {"status": "ready"}
            call = asyncio.create_task(
                ask(running.url, "POST", "/v1/chat/completions", key, {**BODY, "stream": True})
            )
            await wall.arrival("ok?delay=0.2")

            assert await running.stop() == 0

            answer = await call
            assert answer is not None
            assert answer.status == 200
            assert answer.body.endswith(b"data: [DONE]\n\n")
        events = [json.loads(line)["event"] for line in running.said]
        assert events == ["serving", "stopping", "stopped"]
        (listed,) = await command(tmp_path, "keys", "list", "--org", org["id"])
        assert (listed["calls"], listed["used_usd"]) == (1, "0.0000525")


async def test_a_first_run_makes_everything_and_a_second_nothing(tmp_path: Path) -> None:
    """With --dev: a secret, an organization and a key that is shown once and works."""
    flags = ("--dev", "--local-model", "off")
    shown = []
    for _ in range(2):
        async with server(tmp_path, *flags, APERTURA_SECRET="") as running:
            assert running.process.stdout is not None
            welcome = (await running.process.stdout.readuntil(b"API key")).decode()
            welcome += (await running.process.stdout.readline()).decode()
            key = re.search(r"sk-\w{48}", welcome)
            shown.append(key.group() if key else "")
            answer = await ask(running.url, "GET", "/v1/models", shown[0])
            assert answer is not None
            assert answer.status == 200
            running.process.send_signal(signal.SIGINT)
            await running.process.stdout.read()
            assert await running.process.wait() == 0

    assert shown[0]
    assert shown[1] == ""
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o077 == 0
