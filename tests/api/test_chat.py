"""Behaviour of the hot paths at the door: order of checks, limits and their headers, envelopes.

What happens behind it (faults of providers, streams) is the relay's, and tested there.
"""

from __future__ import annotations

import json
import time

import pytest

from tests.api.client import COST, MESSAGES, PROVIDER_KEY, Answer, Served, gateway

LIMIT_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


def standing(answer: Answer) -> tuple[int, int]:
    """Limit and remaining of a reply; its reset is a moment soon to come."""
    limit, remaining, reset = (int(answer.headers[name]) for name in LIMIT_HEADERS)
    assert 0 <= reset - time.time() <= 181
    return limit, remaining


@pytest.mark.parametrize("base", ["", "/v1", "/v1/chat/completions"])
async def test_chat_answers_under_each_base(served: Served, base: str) -> None:
    """Whole, as JSON, with a request id of its own."""
    body = json.dumps({"model": "small", "messages": MESSAGES}).encode()
    key = await served.key()

    one, two = [
        await served.ask("POST", f"{base}/chat/completions", key, body=body) for _ in range(2)
    ]

    assert one.status == 200
    assert one.headers["content-type"] == "application/json"
    assert one.json["choices"][0]["message"]["content"] == "w0 w1 w2 "
    assert one.json["usage"]["total_tokens"] == 12
    assert one.headers["x-request-id"] != two.headers["x-request-id"]
    (sent, _) = served.wall.calls("ok")
    assert sent.headers["authorization"] == f"Bearer {PROVIDER_KEY}"


async def test_chat_streams(served: Served) -> None:
    """Server-sent events to the end marker, with the same headers."""
    answer = await served.chat(await served.key(), stream=True)

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"].startswith("req_")
    assert standing(answer) == (500, 499)
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_embeddings_answer(served: Served) -> None:
    """By a model that is for them."""
    key = await served.key()
    body = json.dumps({"model": "embed", "input": ["one", "two"]}).encode()

    answer = await served.ask("POST", "/v1/embeddings", key, body=body)
    wrong = await served.chat(key, model="embed")

    assert answer.status == 200
    assert len(answer.json["data"]) == 2
    assert (wrong.status, wrong.code) == (400, "invalid_parameter")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_request", None),
        (b"{", "invalid_request", None),
        (b"[]", "invalid_request", None),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "missing_parameter", "model"),
        (b'{"model": "small"}', "missing_parameter", "messages"),
        (
            b'{"model": 5, "messages": [{"role": "user", "content": "x"}]}',
            "invalid_parameter",
            "model",
        ),
    ],
)
async def test_a_request_that_says_nothing_sensible_is_refused(
    served: Served, body: bytes, code: str, param: str | None
) -> None:
    """400, the parameter named where one is at fault; no provider is asked."""
    answer = await served.ask("POST", "/v1/chat/completions", await served.key(), body=body)

    assert (answer.status, answer.code) == (400, code)
    assert answer.json["error"].get("param") == param
    assert served.wall.calls() == []


@pytest.mark.parametrize("text", ["soon", "-5", "1.5", ""])
async def test_a_timeout_that_is_none_is_refused(served: Served, text: str) -> None:
    """400 naming the header."""
    answer = await served.chat(await served.key(), headers={"x-timeout": text})

    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.json["error"]["param"] == "X-Timeout"


@pytest.mark.parametrize("text", ["1", "5000", "999999999999999999999"])
async def test_a_timeout_out_of_bounds_is_brought_within(served: Served, text: str) -> None:
    """Not refused."""
    assert (await served.chat(await served.key(), headers={"x-timeout": text})).status == 200


async def test_a_body_past_the_bound_is_refused(tmp_path) -> None:
    """413, and the bound is said."""
    async with gateway(tmp_path, max_body_mb="1") as served:
        key = await served.key()
        just = await served.chat(key, padding="x" * (2**20 - 200))
        over = await served.chat(key, padding="x" * 2**20)

    assert just.status == 200
    assert (over.status, over.code) == (413, "request_too_large")
    assert "1 MiB" in over.json["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/embeddings", "POST"),
        ("POST", "/v1/models", "GET"),
        ("PUT", "/v1/token/usage", "GET"),
        ("POST", "/metrics", "GET"),
    ],
)
async def test_another_method_is_refused(
    served: Served, method: str, path: str, allowed: str
) -> None:
    """405 in the envelope, with those that do in `Allow`."""
    answer = await served.ask(method, path, await served.key())

    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert allowed in answer.headers["allow"].replace(" ", "").split(",")


@pytest.mark.parametrize(
    "path", ["/v1/files", "/v2/models", "/v1", "/x" * 500, "/v1//models", "//"]
)
async def test_an_unknown_path_is_not_found(served: Served, path: str) -> None:
    """404 in the envelope, with a request id, key or no key."""
    for key in (None, await served.key()):
        answer = await served.get(path, key)
        assert (answer.status, answer.code) == (404, "endpoint_not_found")


# Limits.


async def test_replies_say_how_much_is_left(tmp_path) -> None:
    """Of the tightest limit, going down by one."""
    limits = {"limit_per_address": "9/60", "limit_per_key": "6/60", "limit_per_model": "2/60"}
    async with gateway(tmp_path, **limits) as served:
        key = await served.key()

        assert standing(await served.chat(key)) == (2, 1)
        assert standing(await served.chat(key)) == (2, 0)
        assert standing(await served.chat(key, "large")) == (2, 1)
        assert standing(await served.get("/v1/models", key)) == (6, 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("limit_per_address", "this address may make 2 in 60 seconds"),
        ("limit_per_key", "this API key may make 2 in 60 seconds"),
        ("limit_per_model", "with the model small may make 2 in 60 seconds"),
    ],
)
async def test_past_a_limit_nothing_is_asked(tmp_path, name: str, words: str) -> None:
    """429 at once, saying whose limit and for how long; it costs nothing and reaches nobody."""
    async with gateway(tmp_path, **{name: "2/60"}) as served:
        key = await served.key()
        statuses = [(await served.chat(key)).status for _ in range(5)]
        refused = await served.chat(key)

        assert statuses == [200, 200, 429, 429, 429]
        assert refused.code == "rate_limit_exceeded"
        assert words in refused.json["error"]["message"]
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert standing(refused) == (2, 0)
        assert len(served.wall.calls()) == 2
        await served.app.parts.settlement.flush()
        assert await served.database.read("SELECT SUM(cost), COUNT(*) FROM usage") == [
            (2 * COST, 2)
        ]


async def test_limits_are_each_keys_and_each_models_own(tmp_path) -> None:
    """Another key, or another model, is not held up."""
    async with gateway(tmp_path, limit_per_model="1/60") as served:
        one, two = await served.key(), await served.key()

        assert (await served.chat(one)).status == 200
        assert (await served.chat(one)).status == 429
        assert (await served.chat(one, "apertis/small")).status == 429
        assert (await served.chat(one, "large")).status == 200
        assert (await served.chat(two)).status == 200


async def test_an_ipv6_site_is_one_address(tmp_path) -> None:
    """A /64 shares a limit; so does an IPv4 address written as IPv6."""
    async with gateway(tmp_path, limit_per_address="1/60") as served:
        key = await served.key()

        assert (await served.chat(key, peer="2001:db8::1")).status == 200
        assert (await served.chat(key, peer="2001:db8::ffff:1")).status == 429
        assert (await served.chat(key, peer="2001:db8:0:1::1")).status == 200
        assert (await served.chat(key, peer="::ffff:192.0.2.1")).status == 200
        assert (await served.chat(key, peer="192.0.2.1")).status == 429


async def test_forwarded_addresses_are_limited_each(tmp_path) -> None:
    """Behind a trusted proxy; and what a caller writes itself wins it nothing."""
    async with gateway(tmp_path, limit_per_address="1/60", trusted_proxies="10.0.0.1") as served:
        key = await served.key()

        async def knock(forwarded: str) -> int:
            headers = {"x-forwarded-for": forwarded}
            return (await served.chat(key, peer="10.0.0.1", headers=headers)).status

        assert await knock("192.0.2.1") == 200
        assert await knock("192.0.2.2") == 200
        assert await knock("6.6.6.6, 192.0.2.1") == 429
        assert await knock("7.7.7.7, 192.0.2.1") == 429


async def test_nonsense_counts_too(tmp_path) -> None:
    """It cannot be sent faster than sense."""
    async with gateway(tmp_path, limit_per_key="2/60") as served:
        key = await served.key()
        for model in ("none", ""):
            assert (await served.chat(key, model)).status in (400, 404)

        assert (await served.chat(key)).status == 429


async def test_switched_off_limits_say_nothing(tmp_path) -> None:
    """No header, no refusal."""
    off = dict.fromkeys(("limit_per_address", "limit_per_key", "limit_per_model"), "off")
    async with gateway(tmp_path, **off) as served:
        answer = await served.chat(await served.key())

    assert answer.status == 200
    assert not set(LIMIT_HEADERS) & set(answer.headers)
