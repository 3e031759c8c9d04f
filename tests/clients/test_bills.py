"""One price and one count of tokens, whatever the caller and the provider speak."""

from __future__ import annotations

import pytest

from tests.clients.gateway import Gateway
from tests.clients.matrix import HELLO, USAGE
from tests.clients.raw import FORMATS, ask
from tests.simulator.simulators import INPUT_PRICE, OUTPUT_PRICE

CALLS = 2 * len(FORMATS)
BILLED = ("total_requests", "total_tokens", "used_quota_usd")


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    """A key of their own."""
    return gateway.new_key()[1]


def test_bill(gateway: Gateway, key: str, scripted: str) -> None:
    """Two calls in each format, one of them a stream: each costs what the provider counted."""
    before = gateway.get("/token/usage", key)["data"]
    for asked in FORMATS:
        for stream in (False, True):
            reply = ask(gateway, asked, scripted, HELLO, stream=stream, key=key)
            assert 200 == reply.status, (asked, stream, reply.body)
    used = gateway.get("/token/usage", key)["data"]

    one = (USAGE[0] * int(INPUT_PRICE) + USAGE[1] * int(OUTPUT_PRICE)) / 1_000_000
    grown = {name: used[name] - before[name] for name in BILLED}
    assert CALLS == grown["total_requests"]
    assert CALLS * sum(USAGE) == grown["total_tokens"]
    assert CALLS * one == pytest.approx(grown["used_quota_usd"], abs=1e-12)
