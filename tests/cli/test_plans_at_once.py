"""What a command does to a plan holds in a running server when the command returns."""

from __future__ import annotations

from pathlib import Path

from tests.api.client import Served, gateway
from tests.cli.process import command


async def code(served: Served, key: str) -> str:
    """What becomes of a call to a model of the plan Pro."""
    answer = await served.chat(key)
    return "ok" if answer.status == 200 else answer.code


async def test_changes_of_a_plan_hold_at_once(tmp_path: Path) -> None:
    """Its key, its plan, its end."""
    async with gateway(tmp_path) as served:
        start = ("plans", "start", served.org_id, "lite", "--reference", "1")
        key = (await command(tmp_path, *start))["key"]
        assert await code(served, key) == "model_access_denied"

        await command(tmp_path, "plans", "change", served.org_id, "pro", "--reference", "2")
        assert await code(served, key) == "ok"

        fresh = (await command(tmp_path, "plans", "key", served.org_id))["key"]
        assert await code(served, key) == "invalid_api_key"
        assert await code(served, fresh) == "ok"

        await command(tmp_path, "plans", "cancel", served.org_id, "--now")
        assert await code(served, fresh) == "subscription_expired"
