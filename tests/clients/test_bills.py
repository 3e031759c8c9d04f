"""One price and one count of tokens, whatever the caller and the provider speak."""

from __future__ import annotations

import pytest

from tests.clients.gateway import Gateway
from tests.clients.matrix import HELLO, USAGE
from tests.clients.raw import FORMATS, ask
from tests.simulator.simulators import INPUT_PRICE, OUTPUT_PRICE

CALLS = 2 * len(FORMATS)


def test_bill(gateway: Gateway, scripted: str) -> None:
    """Two calls in each format, one of them a stream: each costs what the provider counted."""
    _, key = gateway.new_key()
    for asked in FORMATS:
        for stream in (False, True):
            reply = ask(gateway, asked, scripted, HELLO, stream=stream, key=key)
            assert 200 == reply.status, (asked, stream, reply.body)
    used = gateway.get("/token/usage", key)["data"]

    one = (USAGE[0] * int(INPUT_PRICE) + USAGE[1] * int(OUTPUT_PRICE)) / 1_000_000
    assert CALLS == used["total_requests"]
    assert CALLS * sum(USAGE) == used["total_tokens"]
    assert CALLS * one == pytest.approx(used["used_quota_usd"], abs=1e-12)
