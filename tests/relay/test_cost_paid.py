"""What a reply says of its cost: of any usage at any price, and of a call that a plan pays."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from apertura.domain import keys, secrets
from apertura.domain.pricing import Price
from apertura.domain.pricing import cost as priced
from apertura.domain.usage import Usage
from apertura.relay.question import cost_lines
from apertura.store import subscriptions
from apertura.store.database import Tx
from apertura.store.plans import Plans
from tests import live as live_module
from tests.live import SECRET, Live, live
from tests.plans import GRACE, LITE
from tests.relay.test_cost import ASKED, UPSTREAMS, cost, header, rows_of
from tests.speakers import SPEAKERS
from tests.wall import Wall

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
CALLS = 20


def usd(nano: int) -> str:
    return f"{nano // 10**9}.{nano % 10**9:09d}"


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("seed", range(3))
async def test_any_usage_at_any_price(
    wall: Wall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: str, seed: int
) -> None:
    """Whoever asks in whatever way: the reply, the row and the price say the same."""
    chance = random.Random(f"{upstream}{seed}")
    price = Price(**{name: chance.randrange(10**11) for name in ("input", "output")})
    price = replace(price, cache_read=chance.choice([None, 0, price.input // 10 + 1]))
    prices = {
        f"{name}_usd_per_million": usd(rate)
        for name in ("input", "output", "cache_read")
        if (rate := getattr(price, name)) is not None
    }
    offer = live_module._offer
    monkeypatch.setattr(live_module, "_offer", lambda name, **more: offer(name, **prices, **more))

    async def one(gateway: Live) -> Any:
        taken = chance.randrange(1, 10 ** chance.randrange(1, 7))
        cached = chance.randrange(taken + 1)
        wall.script("any", f"ok?input={taken}&cached={cached}&chunks={chance.randrange(5)}")
        speaker = SPEAKERS[chance.choice(list(SPEAKERS))]
        return await speaker.ask(gateway, "any", ASKED, stream=chance.random() < 0.5)

    async with live(wall, tmp_path, dialect=upstream) as gateway:
        answers = [await one(gateway) for _ in range(CALLS)]
        rows = await rows_of(gateway, answers)
    for answer, row in zip(answers, rows, strict=True):
        usage = Usage(input=row.input, cache_read=row.cache_read, output=row.output)
        assert cost(answer) == row.cost == (priced(usage, price) if row.output else 0)
        assert answer.headers.get("x-cost-usd") == (None if row.streamed else header(row.cost))


async def test_a_call_that_a_plan_pays_says_its_credits(wall: Wall, tmp_path: Path) -> None:
    """Its cost is 0, in the header and within; an answer of nothing takes no credits."""
    plan = replace(LITE, multipliers={"ok": 1_500, "any": 2_000, "usage-on-choice": 0})
    wall.script("any", "ok?chunks=0")
    async with live(wall, tmp_path) as gateway:
        parts, now_ms = gateway.application.parts, time.time_ns() // 1_000_000
        [(org,)] = await parts.database.read("SELECT id FROM organizations")
        parts.callers._plans = Plans(plans={plan.id: plan}, grace_ms=GRACE)
        key = keys.mint(b"s" * keys.RANDOM_BYTES, "subscription").key
        digester = keys.Digester(secrets.derive(SECRET, secrets.KEY_DIGEST))

        async def subscribe(tx: Tx) -> None:
            random = bytes(subscriptions.START_BYTES)
            sub = await subscriptions.start(tx, str(org), plan, random=random, now_ms=now_ms)
            await subscriptions.pay_period(
                tx, sub.id, reference="1", via="manual", amount=sub.terms.price, now_ms=now_ms
            )
            digest = digester.digest(key.encode()).hex()
            await subscriptions.set_key(tx, sub.id, digest, key[-4:], now_ms)

        await parts.database.write(subscribe)
        answers = [
            await gateway.ask(gateway.request({**HELLO, "model": model}, ASKED, key=key))
            for model in ("ok", "any", "usage-on-choice")
        ]
        rows = await rows_of(gateway, answers)
    assert [answer.headers["x-credits"] for answer in answers] == ["1.5", "0", "0"]
    assert [answer.headers["x-cost-usd"] for answer in answers] == ["0"] * 3
    assert [cost(answer) for answer in answers] == [row.cost for row in rows] == [0] * 3
    assert [row.credits for row in rows] == [1_500, 0, 0]


def test_the_header_of_a_plans_call() -> None:
    """Credits are kept in thousandths."""
    assert cost_lines(0, 1_500) == b"x-cost-usd: 0\r\nx-credits: 1.5\r\n"
    assert cost_lines(0, 0) == b"x-cost-usd: 0\r\nx-credits: 0\r\n"
    assert cost_lines(2_000_000_000, 999) == b"x-cost-usd: 2\r\nx-credits: 0.999\r\n"


@pytest.mark.parametrize("amount", [0, 1, 10, 123_000, 999_999_999, 10**9, 10**9 + 1, 10**10])
def test_the_header_of_a_call_that_money_pays(amount: int) -> None:
    assert cost_lines(amount, None).decode() == f"x-cost-usd: {header(amount)}\r\n"
