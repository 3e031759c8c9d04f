"""One price and one count of tokens, whatever the caller and the provider speak.

Four formats, each whole and as a stream, at every model: those of both simulators in each of their
formats, and the local one. What a reply says of its cost, what its tokens amount to, and what the
key has used are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.gateway import Gateway
from tests.clients.matrix import EVERY_MODEL, HELLO, USAGE, is_scripted
from tests.clients.raw import FORMATS, Reply, ask
from tests.simulator.simulators import INPUT_PRICE, OUTPUT_PRICE, missing

NANO = 1_000_000_000
WAYS = [(asked, stream) for asked in FORMATS for stream in (False, True)]
CALLS = len(WAYS)
BILLED = ("total_requests", "total_tokens", "used_quota_usd")
LOCAL = "local"
COUNTS = {
    "openai_chat": ("prompt_tokens", "completion_tokens"),
    "openai_responses": ("input_tokens", "output_tokens"),
    "anthropic_messages": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount", "totalTokenCount"),
}


@pytest.fixture(params=[LOCAL, *EVERY_MODEL])
def known(request: pytest.FixtureRequest, gateway: Gateway) -> str:
    """A model for each format at each simulator, and the local one."""
    name = str(request.param)
    if name == LOCAL:
        return gateway.model
    if why := missing(name.partition("-")[0]):
        pytest.skip(why)
    return name


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    """A key of their own."""
    return gateway.new_key()[1]


def reports(reply: Reply) -> Iterator[dict[str, Any]]:
    """Each report of usage in a reply, in order."""
    for said in reply.events or [reply.body]:
        for place in (said, said.get("message") or {}, said.get("response") or {}):
            for name in ("usage", "usageMetadata"):
                if isinstance(place.get(name), dict):
                    yield place[name]


def consumed(asked: str, reply: Reply) -> tuple[int, int, int]:
    """Input and output tokens as a caller reads them, and the cost that is stated: once, last."""
    *before, last = reports(reply)
    assert not any("cost" in report for report in before)
    whole: dict[str, Any] = {}
    for report in (*before, last):
        whole |= report
    taken, given = (whole.get(name, 0) for name in COUNTS[asked])
    given -= taken if asked == "gemini" else 0
    if asked == "anthropic_messages":  # beside what came from a cache or went into one
        names = ("cache_read_input_tokens", "cache_creation_input_tokens")
        taken += sum(whole.get(name) or 0 for name in names)
    return taken, given, round(last["cost"] * NANO)


def test_bill(gateway: Gateway, key: str, known: str) -> None:
    """Two calls in each format, one of them a stream: each costs what its tokens cost."""
    prices = (0, 0) if known == gateway.model else (int(INPUT_PRICE), int(OUTPUT_PRICE))
    before = gateway.get("/token/usage", key)["data"]
    found = []
    for asked, stream in WAYS:
        reply = ask(gateway, asked, known, HELLO, stream=stream, few=True, cost=True, key=key)
        assert reply.status == 200, (asked, stream, reply.body)
        taken, given, cost = consumed(asked, reply)
        assert taken > 0 and given > 0, (asked, stream)
        assert cost == 1_000 * (taken * prices[0] + given * prices[1]), (asked, stream)
        assert stream or round(float(reply.headers["x-cost-usd"]) * NANO) == cost
        found.append((taken, given, cost))
    used = gateway.get("/token/usage", key)["data"]

    grown = {name: used[name] - before[name] for name in BILLED}
    assert grown["total_requests"] == CALLS
    assert grown["total_tokens"] == sum(taken + given for taken, given, _ in found)
    assert round(grown["used_quota_usd"] * NANO) == sum(cost for *_, cost in found)
    if is_scripted(known):
        assert {(taken, given) for taken, given, _ in found} == {USAGE}
    assert len({taken for taken, *_ in found}) == 1
    assert len({cost for *_, cost in found}) == 1
