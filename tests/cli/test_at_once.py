"""Behaviour of commands beside a running server: what they change holds when they return."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.client import SECRET, WALLET_USD, Served, gateway
from tests.cli import conftest
from tests.cli.process import command


@pytest.fixture(autouse=True)
def _one_secret() -> None:
    assert SECRET == conftest.SECRET


async def run(folder: Path, *arguments: str) -> Any:
    return await command(folder, *arguments)


async def code(served: Served, key: str) -> str:
    """What becomes of a call."""
    answer = await served.chat(key)
    return "ok" if answer.status == 200 else answer.code


async def test_a_new_key_works_and_a_deleted_one_does_not(tmp_path: Path) -> None:
    """The moment that the command has returned."""
    async with gateway(tmp_path) as served:
        named = ("--org", served.org_id, "--name", "cli")
        made = await run(tmp_path, "keys", "create", *named)
        assert await code(served, made["key"]) == "ok"

        await run(tmp_path, "keys", "delete", made["id"])

        assert await code(served, made["key"]) == "invalid_api_key"
        assert len(served.wall.calls()) == 1


async def test_a_key_is_disabled_and_enabled_under_way(tmp_path: Path) -> None:
    """Back and forth; another key is not touched."""
    async with gateway(tmp_path) as served:
        key, other = await served.key(id="a"), await served.key(id="b")
        for verb, expected in (("disable", "invalid_api_key"), ("enable", "ok")):
            assert await code(served, other) == "ok"
            await run(tmp_path, "keys", verb, "a")
            assert await code(served, key) == expected
            assert await code(served, other) == "ok"


async def test_an_organization_is_suspended_and_resumed_under_way(tmp_path: Path) -> None:
    """All of its keys, at once."""
    async with gateway(tmp_path) as served:
        first, second = await served.key(), await served.key()
        for verb, expected in (("suspend", "account_suspended"), ("resume", "ok")):
            await run(tmp_path, "orgs", verb, "acme")
            assert [await code(served, key) for key in (first, second)] == [expected] * 2


async def test_a_top_up_shows_in_the_account(tmp_path: Path) -> None:
    """The balance is read, not remembered."""
    async with gateway(tmp_path) as served:
        key = await served.key()
        await run(tmp_path, "orgs", "top-up", "acme", "5", "--reference", "r")

        data = (await served.get("/v1/token/usage", key)).json["data"]

        assert data["remain_quota_usd"] == WALLET_USD + 5
