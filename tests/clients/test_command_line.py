"""The calls of the official command line and tool server, as they make them: usage, chat, usage.

Neither is a Python package, so what they send and read is written out here.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.clients.gateway import Gateway

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/124.0 Safari/537.36"
NUMBERS = (
    "total_quota_usd",
    "total_tokens",
    "total_requests",
    "remain_quota_usd",
    "used_quota_usd",
)


def ask(gateway: Gateway, key: str, question: list[dict[str, str]]) -> Any:
    """The command line's one POST."""
    body = {"model": gateway.model, "messages": question, "max_tokens": 8, "stream": False}
    request = urllib.request.Request(
        f"{gateway.base_url}/chat/completions",
        json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "User-Agent": BROWSER,
        },
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def test_usage_grows_by_what_a_call_used(gateway: Gateway, question) -> None:
    """The difference of two readings around a call is that call, at once."""
    _, key = gateway.new_key("--quota", "2.50")
    headers = {"User-Agent": BROWSER}
    before = gateway.get("/token/usage", key, **headers)["data"]
    models = gateway.get("/models", key, **headers)["data"]
    answer = ask(gateway, key, question)
    after = gateway.get("/token/usage", key, **headers)["data"]

    for data in (before, after):
        assert "extra" == data["token_name"]
        assert all(type(data[name]) in (int, float) for name in NUMBERS)
    assert gateway.model in [model["id"] for model in models]
    assert all(isinstance(model["owned_by"], str) for model in models)
    assert answer["usage"]["completion_tokens"] > 0
    assert 1 == after["total_requests"] - before["total_requests"]
    used = after["total_tokens"] - before["total_tokens"]
    assert answer["usage"]["total_tokens"] == used > 0
    assert 2.5 == before["total_quota_usd"] == after["total_quota_usd"]
    assert after["remain_quota_usd"] + after["used_quota_usd"] == 2.5


def test_usage_as_the_tool_server_reads_it(gateway: Gateway, question) -> None:
    """The same body has the period's sums at its top, with parts that add up to them."""
    _, key = gateway.new_key()
    for _ in range(2):
        ask(gateway, key, question)

    for period in ("today", "week", "month"):
        usage = gateway.get(f"/token/usage?period={period}", key)
        assert period == usage["period"]
        assert usage["total_tokens"] == usage["data"]["total_tokens"] > 0
        assert type(usage["total_cost"]) in (int, float)
        assert [gateway.model] == [part["model"] for part in usage["models"]]
        for parts in (usage["models"], usage["daily_breakdown"]):
            assert usage["total_tokens"] == sum(part["tokens"] for part in parts)
            assert usage["total_cost"] == sum(part["cost"] for part in parts)
        assert all(len(part["date"]) == 10 for part in usage["daily_breakdown"])


def test_the_tool_server_reads_the_account(gateway: Gateway) -> None:
    """What its tools print of a key: its own account, and the list of keys, none of them whole."""
    key_id, key = gateway.new_key("--quota", "2.50")

    info = gateway.get("/token/info", key)
    listed = gateway.get("/token/keys", key)

    assert info["success"] is listed["success"] is True
    assert (info["data"]["id"], info["data"]["name"]) == (key_id, "extra")
    assert info["data"]["remain_quota_usd"] == 2.5
    assert {"username", "email"} == set(info["data"]["owner"])
    (row,) = [row for row in listed["data"] if row["id"] == key_id]
    assert (row["total_quota"], row["remaining_quota"]) == (1_250_000, 1_250_000)
    assert {"id", "name", "key", "status", "created_at", "last_used"} < set(row)
    assert key not in json.dumps(listed)


def test_the_tool_server_makes_a_key(gateway: Gateway, question) -> None:
    """With a name and a quota in units; the key is in the answer, and answers at once."""
    _, key = gateway.new_key("--quota", "2.50")
    body = json.dumps({"name": "by a tool", "quota": 500_000}).encode()
    head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{gateway.base_url}/token/keys", body, head)
    with urllib.request.urlopen(request, timeout=60) as reply:
        made = json.load(reply)

    assert made["success"] is True
    assert {"id", "name", "key", "created_at", "status"} <= set(made["data"])
    assert ask(gateway, made["data"]["key"], question)["usage"]["completion_tokens"] > 0
    assert gateway.get("/token/usage", key)["data"]["total_quota_usd"] == 1.5


def test_the_operator_sees_the_same(gateway: Gateway, question) -> None:
    """What the command line of the installation lists is what the caller reads."""
    key_id, key = gateway.new_key()
    ask(gateway, key, question)
    usage = gateway.get("/token/usage", key)["data"]
    rows = gateway.command("keys", "list", "--org", "dev", "--dev")

    (row,) = [row for row in rows if row["id"] == key_id]
    assert (1, 1) == (usage["total_requests"], row["calls"])
    assert key not in json.dumps(rows)
