"""Models that stand in for another: which failures lead to them, and what the caller is told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apertura.domain import keys, secrets
from apertura.domain.catalog import OfferRow, ProviderRow
from apertura.store import keys as key_store
from apertura.store import subscriptions
from apertura.store.database import Tx
from apertura.store.keys import KeyChange
from apertura.store.plans import Plans
from tests import live as live_module
from tests.live import SECRET, Answer, Live, catalogue, live
from tests.plans import GRACE, LITE
from tests.relay.test_faults import COST, SMALL, UPSTREAM, WORDS
from tests.speakers import SPEAKERS
from tests.wall import Wall

DEAR = 9 * 2_000 + 3 * 4_000
"""Nano-dollars of a call to `dear`: twice as much."""
USED = {
    "x-fallback-used": "true",
    "x-fallback-from": "any",
    "x-actual-model": "ok",
    "x-fallback-reason": "primary_model_failed",
}


def told(answer: Answer) -> dict[str, str]:
    """What a reply says of the model that answered."""
    names = ("x-fallback", "x-actual-model")
    return {name: said for name, said in answer.headers.items() if name.startswith(names)}


@pytest.fixture(autouse=True)
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the wall's own models `dear`, at twice their price."""
    price = {"input_usd_per_million": "2", "output_usd_per_million": "4"}
    offer = OfferRow(model="dear", upstream_model="ok", provider="wall2", **price)

    def more(
        url: str, names: Any, **provider: Any
    ) -> tuple[tuple[ProviderRow, ...], tuple[OfferRow, ...]]:
        providers, offers = catalogue(url, names, **provider)
        able = OfferRow(model="able", upstream_model="ok", provider="wall", capabilities=("tools",))
        able = msgspec.structs.replace(able, **price, context_length=1_000)
        return providers, (*offers, offer, able)

    monkeypatch.setattr(live_module, "catalogue", more)


FAILURES = [
    "reset-before-head",
    "close-before-head",
    "stall-before-first-token",
    "500",
    "429",
    "529",
    "401",
    "400",
    "404",
    "html-502",
    "error-200",
    "empty-200",
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAILURES)
async def test_another_model_answers(wall: Wall, tmp_path: Path, name: str, stream: bool) -> None:
    """Whatever its provider did, a bad request included; one row, of the model that answered."""
    wall.script("any", name)
    async with live(wall, tmp_path, **SMALL) as gateway:
        answer = await gateway.chat("any", stream=stream, fallback_models=["ok"])
        assert (answer.text, told(answer)) == (WORDS, USED)
        [row] = await gateway.rows()
    assert (row.model, row.attempts, row.cost, row.status) == ("ok", 2, COST, 200)


async def test_no_provider_hears_of_it(wall: Wall, tmp_path: Path) -> None:
    """The members are the gateway's own, by whichever name the models are listed."""
    wall.script("any", "ok")
    async with live(wall, tmp_path) as gateway:
        for more in (
            {"fallback_models": ["ok"], "fallback_timeout": 5_000, "fallback_enabled": True},
            {"models": ["any", "ok"], "provider": {"sort": "price", "only": ["WALL"]}},
        ):
            answer = await gateway.chat("any", **more)
            assert told(answer) == {"x-fallback-used": "false", "x-actual-model": "any"}
    for call in wall.calls("any"):
        assert set(call.body) == {"model", "messages", "stream"}


async def test_without_a_list_nothing_stands_in(wall: Wall, tmp_path: Path) -> None:
    """An empty list, and one that is switched off, are none; nor is anything said of it."""
    async with live(wall, tmp_path) as gateway:
        for more in (
            {},
            {"fallback_models": []},
            {"fallback_enabled": True},
            {"fallback_enabled": False, "fallback_models": ["ok"]},
            {"fallback_enabled": False, "models": ["ok"]},
        ):
            wall.script("any", "500")
            answer = await gateway.chat("any", **more)
            assert (answer.error, told(answer)) == (UPSTREAM, {})
    assert wall.calls("ok") == []


async def test_all_offers_of_a_model_come_before_the_next(wall: Wall, tmp_path: Path) -> None:
    """And where all fail, the last one's error is the caller's, and the row is its model's."""
    wall.script("two-first", "500")
    wall.script("two-second", "500")
    wall.script("any", "529")
    async with live(wall, tmp_path, **SMALL) as gateway:
        answer = await gateway.chat("two", models=["500", "any"])
        assert answer.error == (503, "server_error", "model_overloaded")
        [row] = await gateway.rows()
    assert [call.model for call in wall.calls()] == ["two-first", "two-second", "500", "any"]
    assert (row.model, row.attempts, row.cost, row.outcome) == ("any", 4, 0, "failed")


async def test_no_other_model_after_content(wall: Wall, tmp_path: Path) -> None:
    """What the caller has read cannot be taken back."""
    wall.script("any", "reset-after-first-chunk")
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.chat("any", stream=True, fallback_models=["ok"])
        assert answer.error_inside == UPSTREAM[1:]
    assert wall.calls("ok") == []


async def test_the_model_that_answers_is_paid(wall: Wall, tmp_path: Path) -> None:
    """At its price, and held for at the dearest on the route: who cannot pay that is refused."""
    wall.script("any", "500")
    async with live(wall, tmp_path, wallet=10**9) as gateway:
        answer = await gateway.chat("any", fallback_models=["dear"])
        assert answer.headers["x-cost-usd"] == "0.00003"
        [row] = await gateway.rows()
        assert (row.model, row.provider, row.cost) == ("dear", "wall2", DEAR)


@pytest.mark.parametrize("name", ["anthropic_messages", "openai_completions", "openai_responses"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_every_format_that_can_say_it(
    wall: Wall, tmp_path: Path, name: str, stream: bool
) -> None:
    """The reply that is written here names the model that answered."""
    wall.script("any", "500")
    speaker = SPEAKERS[name]
    async with live(wall, tmp_path) as gateway:
        answer = await speaker.ask(gateway, "any", stream=stream, fallback_models=["ok"])
        assert (speaker.text(answer), told(answer)) == (WORDS, USED)
        assert b'"model":"ok"' in answer.body.replace(b" ", b"")
        assert b'"any"' not in answer.body


async def test_a_model_that_hangs_is_given_so_much_time(
    wall: Wall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its offers together; then the next is asked, for as long again."""
    monkeypatch.setattr("apertura.api.choice.MS_PER_SECOND", 50_000)  # 5,000 ms are 0.1 s
    wall.script("two-first", "stall-before-head")
    wall.script("any", "stall-before-first-token")
    async with live(wall, tmp_path) as gateway:
        for stream in (False, True):
            answer = await gateway.chat(
                "two", stream=stream, fallback_models=["any", "ok"], fallback_timeout=5_000
            )
            assert (answer.text, answer.headers["x-actual-model"]) == (WORDS, "ok")
            wall.script("two-first", "stall-before-head")
            wall.script("any", "stall-before-first-token")
        first, second = await gateway.rows()
    assert (first.attempts, second.attempts) == (3, 3)
    assert wall.calls("two-second") == []


async def test_the_calls_whole_time_bounds_all_models(wall: Wall, tmp_path: Path) -> None:
    """When it is up, no other is asked."""
    wall.script("any", "stall-before-head")
    async with live(wall, tmp_path, timeout_call=0.3) as gateway:
        answer = await gateway.chat("any", fallback_models=["ok"])
        assert answer.error == (408, "timeout", "request_timeout")
    assert wall.calls("ok") == []


async def test_a_model_that_is_not_there_is_stood_in_for(wall: Wall, tmp_path: Path) -> None:
    """Also where its name cannot stand in a header as it is."""
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.chat("größer", models=["neither", "ok"])
        assert told(answer) == {**USED, "x-fallback-from": "gr%C3%B6%C3%9Fer"}
        answer = await gateway.chat("neither", models=["nor"])
        assert answer.error == (404, "invalid_request_error", "model_not_found")


async def test_needs_are_met_by_a_model_that_can(wall: Wall, tmp_path: Path) -> None:
    """What is known to lack it is not asked; where nothing is left, 400 says what is missing."""
    said = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}
    tools = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    async with live(wall, tmp_path) as gateway:
        refused = await gateway.chat("able", **said, **tools)
        assert (refused.status, "json_schema" in refused.json["error"]["message"]) == (400, True)
        assert "tools" not in refused.json["error"]["message"]
        answer = await gateway.chat("able", **said, models=["ok"])
        assert answer.headers["x-fallback-used"] == "true"
        long = [{"role": "user", "content": "word " * 2_000}]
        refused = await gateway.chat("able", messages=long)
        assert refused.error == (400, "invalid_request_error", "context_length_exceeded")
        assert (await gateway.chat("able", messages=long, models=["ok"])).status == 200
        assert (await gateway.chat("able", **tools)).status == 200


REFUSED = [
    ({"fallback_models": ["a"] * 6}, "fallback_models"),
    ({"models": ["a"] * 6}, "models"),
    ({"models": ["a"], "fallback_models": ["b"]}, "fallback_models"),
    ({"models": ["a\nb: c"]}, "models"),
    ({"fallback_timeout": 4_999}, "fallback_timeout"),
    ({"fallback_timeout": 300_001}, "fallback_timeout"),
    ({"fallback_enabled": "yes"}, "fallback_enabled"),
    ({"provider": "acme"}, "provider"),
    ({"provider": {"order": "acme"}}, "provider.order"),
    ({"provider": {"order": ["wall", "acme"]}}, "provider.order"),
    ({"provider": {"only": ["acme"]}}, "provider.only"),
    ({"provider": {"sort": "speed"}}, "provider.sort"),
    ({"provider": {"data_collection": "deny"}}, "provider.data_collection"),
    ({"provider": {"max_price": {"prompt": -1}}}, "provider.max_price.prompt"),
    ({"provider": {"max_price": {"request": 1}}}, "provider.max_price.request"),
    ({"provider": {"max_price": {"completion": 1}}}, "provider"),
]


@pytest.mark.parametrize(("more", "param"), REFUSED)
async def test_what_cannot_be_is_refused_by_name(
    wall: Wall, tmp_path: Path, more: dict[str, Any], param: str
) -> None:
    """In every format, before any provider is asked."""
    async with live(wall, tmp_path) as gateway:
        for name in ("openai_chat", "openai_completions", "openai_responses"):
            answer = await SPEAKERS[name].ask(gateway, "ok", **more)
            assert (answer.status, answer.json["error"]["param"]) == (400, param), name
        answer = await SPEAKERS["anthropic_messages"].ask(gateway, "ok", **more)
        assert answer.status == 400
    assert wall.calls() == []


async def test_offers_are_chosen_as_preferred(wall: Wall, tmp_path: Path) -> None:
    """By order, and without a second where the caller wants none."""
    wall.script("two-second", "ok")
    async with live(wall, tmp_path, **SMALL) as gateway:
        await gateway.chat("two", provider={"order": ["wall2"]})
        await gateway.chat("two", provider={"ignore": ["wall"]})
        wall.script("two-first", "500")
        answer = await gateway.chat("two", provider={"allow_fallbacks": False})
        assert answer.error == UPSTREAM
    assert [call.model for call in wall.calls()] == ["two-second", "two-second", "two-first"]


async def test_a_provider_that_cannot_be_told_all_is_left_out(wall: Wall, tmp_path: Path) -> None:
    """Where the caller requires it; the reason names what it cannot be told."""
    async with live(wall, tmp_path, dialect="anthropic_messages") as gateway:
        asked = {"seed": 1, "provider": {"require_parameters": True}}
        answer = await gateway.chat("ok", **asked)
        assert (answer.status, answer.json["error"]["param"]) == (400, "provider")
        assert "seed" in answer.json["error"]["message"]
        assert (await gateway.chat("ok", provider=asked["provider"])).status == 200


async def test_a_key_falls_back_to_its_own_models_only(wall: Wall, tmp_path: Path) -> None:
    """One that it may not ask is passed over; one that it asks for first is refused."""
    wall.script("any", "500")
    async with live(wall, tmp_path) as gateway:
        parts = gateway.application.parts
        [(org, key)] = await parts.database.read("SELECT org_id, id FROM keys")
        await key_store.change(parts.database, str(org), str(key), KeyChange(models=("any", "ok")))
        parts.callers.forget()

        answer = await gateway.chat("any", models=["dear", "ok"])
        assert answer.headers["x-actual-model"] == "ok"
        answer = await gateway.chat("dear", models=["ok"])
        assert answer.error == (403, "permission_error", "model_access_denied")
    assert [call.model for call in wall.calls()] == ["any", "ok"]


async def subscribe(gateway: Live, rates: dict[str, int]) -> str:
    """The key of a subscription to a plan with these models."""
    parts, now_ms = gateway.application.parts, time.time_ns() // 1_000_000
    plan = msgspec.structs.replace(LITE, multipliers=rates)
    parts.callers._plans = Plans(plans={plan.id: plan}, grace_ms=GRACE)
    key = keys.mint(b"s" * keys.RANDOM_BYTES, "subscription").key
    digester = keys.Digester(secrets.derive(SECRET, secrets.KEY_DIGEST))
    [(org,)] = await parts.database.read("SELECT id FROM organizations")

    async def work(tx: Tx) -> None:
        random = bytes(subscriptions.START_BYTES)
        sub = await subscriptions.start(tx, str(org), plan, random=random, now_ms=now_ms)
        await subscriptions.pay_period(
            tx, sub.id, reference="1", via="manual", amount=sub.terms.price, now_ms=now_ms
        )
        digest = digester.digest(key.encode()).hex()
        await subscriptions.set_key(tx, sub.id, digest, key[-4:], now_ms)

    await parts.database.write(work)
    parts.callers.forget()
    return key


async def test_a_plan_is_charged_what_the_model_takes_that_answers(
    wall: Wall, tmp_path: Path
) -> None:
    """The call is held for by the one that takes the most; a model outside the plan is passed
    over.
    """
    wall.script("any", "500", "ok")
    rates = {"any": 2_000, "dear": 1_000, "able": 3_000}
    async with live(wall, tmp_path, wallet=0) as gateway:
        key = await subscribe(gateway, rates)
        for taken, model in (("1", "dear"), ("2", "any")):
            body = {
                "model": "any",
                "messages": [{"role": "user", "content": "Hello"}],
                "models": ["ok", "dear", "able"],
            }
            answer = await gateway.ask(gateway.request(body, key=key))
            assert (answer.status, answer.headers["x-actual-model"]) == (200, model)
            assert answer.headers["x-credits"] == taken
        first, second = await gateway.rows()
    assert [(row.model, row.credits, row.cost) for row in (first, second)] == [
        ("dear", 1_000, 0),
        ("any", 2_000, 0),
    ]
