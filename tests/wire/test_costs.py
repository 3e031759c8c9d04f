"""Laws of the cost in a reply: the very number, once, and nothing else about the reply changed."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from apertura.domain.money import NANO_MAX, NANO_PER_USD, Nano, format_usd
from apertura.domain.pricing import Price
from apertura.domain.pricing import cost as priced
from apertura.domain.usage import Usage
from apertura.errors import Cut, Garbled
from apertura.wire import costs, sse
from apertura.wire.costs import CostTap, dollars
from apertura.wire.dialect import Tap
from apertura.wire.dialects import INBOUND, OUTBOUND, PASSING
from apertura.wire.events import Event, Finished, Text, UsageReported, fold
from apertura.wire.passing import TranslatingTap
from tests.wire.answers import STARTED, answers, counts
from tests.wire.test_pairs import BOTH, ORIGINS, SPOKEN, facts

ALL = [(caller, provider) for caller in sorted(INBOUND) for provider in BOTH]
USED = Usage(input=9, output=3)
ESTIMATED = Usage(input=9, output=3, estimated=True)
rates = st.integers(0, 10**11)
prices = st.builds(Price, input=rates, output=rates, cache_read=st.none() | rates)


def tap_of(caller: str, provider: str) -> Tap:
    if caller == provider and caller in PASSING:
        return PASSING[caller].listen(True)
    return TranslatingTap(OUTBOUND[provider].decoder(), INBOUND[caller].encoder(facts(caller)))


def streamed(caller: str, provider: str, pieces: list[bytes], cost: int) -> tuple[bytes, bytes]:
    """What leaves of a stream before its settlement, and what after."""
    tap = CostTap(caller, tap_of(caller, provider))
    before = b"".join(map(tap.feed, pieces)) + tap.close()
    return before, tap.bill(tap.usage or ESTIMATED).at(cost)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def stated(data: bytes) -> list[Decimal]:
    """All costs in some bytes, with all their digits."""
    lines = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: ")] or [data]
    found: list[Decimal] = []

    def see(members: dict[str, Any]) -> dict[str, Any]:
        found.extend([members["cost"]] if "cost" in members else [])
        return members

    for line in lines:
        if line not in (b"[DONE]", b""):
            json.loads(line, object_hook=see, parse_float=Decimal, parse_int=Decimal)
    return found


def usd(cost: int) -> Decimal:
    return Decimal(cost) / NANO_PER_USD


@given(st.integers(0, NANO_MAX) | st.integers(0, 9).map(lambda n: 10**n))
def test_a_cost_is_written_exactly(cost: int) -> None:
    assert dollars(cost).decode() == format_usd(Nano(cost), places=0)
    assert Decimal(dollars(cost).decode()) * NANO_PER_USD == cost


@pytest.mark.parametrize(("caller", "provider"), ALL)
@settings(max_examples=settings().max_examples // 2)
@given(data=st.data())
def test_any_answer_has_its_cost_once(caller: str, provider: str, data: st.DataObject) -> None:
    """Whole or streamed, however the provider's bytes are cut: the cost that the usage has; no
    sooner than the call is settled; and without it, the answer is the same.
    """
    kinds = SPOKEN if caller != "openai_completions" else frozenset({"text"})
    events = data.draw(answers(kinds=kinds, families=("", ORIGINS[provider])))
    usage, price = data.draw(counts("cache_read")), data.draw(prices)
    assume(usage.input and usage.output)
    events = [each for each in events if not isinstance(each, UsageReported)]
    events.append(UsageReported(usage=usage))
    said = INBOUND[provider].encoder(facts(provider))
    sent = said.feed(events) + said.close()
    plain = tap_of(caller, provider)
    before = plain.feed(sent) + plain.close()
    used = plain.usage or ESTIMATED
    cost = priced(used, price)

    left, last = streamed(caller, provider, cut(sent, data.draw(st.lists(st.integers(0)))), cost)

    assert stated(left) == []
    assert stated(last) == [usd(cost)]
    if caller in OUTBOUND:
        decoder, same = OUTBOUND[caller].decoder(), OUTBOUND[caller].decoder()
        costed = fold(decoder.feed(left + last) + decoder.close())
        assert costed.choices == fold(same.feed(before) + same.close()).choices
        assert costed.usage == (plain.usage or Usage(input=9, output=3))
    whole = INBOUND[provider].render_reply(events, facts(provider))
    if caller != provider:
        whole = INBOUND[caller].render_reply(OUTBOUND[provider].parse_reply(whole), facts(caller))
    at_once = costs.in_reply(caller, whole, used).at(cost)
    assert stated(at_once) == [usd(cost)]
    if caller in OUTBOUND:
        first, again = (fold(OUTBOUND[caller].parse_reply(each)) for each in (whole, at_once))
        assert first.choices == again.choices


@pytest.mark.parametrize("name", BOTH)
def test_a_providers_own_price_is_not_passed_on(name: str) -> None:
    events: list[Event] = [STARTED, Text(text="a"), Finished(reason="stop")]
    body = INBOUND[name].render_reply([*events, UsageReported(usage=USED)], facts(name))
    member, _ = costs.PLACES[name]
    found = json.loads(body)
    found[member] |= {"cost": 9.5, "cost_details": {"upstream_inference_cost": 9.5}, "more": 1}

    told = json.loads(costs.in_reply(name, json.dumps(found).encode(), USED).at(1_500))

    assert told[member].pop("cost") == 0.0000015
    assert "cost_details" not in told[member]
    assert told[member].pop("more") == 1
    assert told == json.loads(body)


@pytest.mark.parametrize("member", [{}, {"usage": None}, {"usage": {}}, {"usage": "none"}])
def test_a_reply_without_usage_gets_the_one_that_is_charged_for(member: dict[str, Any]) -> None:
    told = json.loads(costs.in_reply("rerank", json.dumps(member).encode(), ESTIMATED).at(7))

    assert told == {"usage": {"total_tokens": 9, "cost": 7e-9}}


@pytest.mark.parametrize("body", [b"[]", b'{"a":', b"\xff"])
def test_what_is_no_object_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        costs.in_reply("openai_chat", body, USED)


def test_half_a_character_does_not_hide_the_cost() -> None:
    told = costs.in_reply("openai_chat", b'{"a":"\\ud83d","usage":{"x":1}}', USED).at(7)

    assert json.loads(told)["usage"] == {"x": 1, "cost": 7e-9}


def test_json_on_several_lines_stays_one_event() -> None:
    """A data line each is how some providers send it."""
    said = {"type": "response.completed", "response": {"id": "r", "output": [], "usage": {}}}
    pretty = json.dumps(said, indent=1)
    data = "".join(f"data: {line}\n" for line in pretty.split("\n")) + "\n"

    left, last = streamed("openai_responses", "openai_responses", [data.encode()], 7)

    [event] = sse.Reader().feed(left + last)
    assert json.loads(event.data)["response"]["usage"]["cost"] == 7e-9


# --- where a stream's last report of usage may stand ---


def messages(*events: dict[str, Any]) -> list[bytes]:
    opening = {"type": "message_start", "message": {"id": "m", "content": [], "usage": {}}}
    said = [opening, *events, {"type": "message_stop"}]
    return [sse.frame(json.dumps(each).encode(), each["type"].encode()) for each in said]


def delta(reason: str | None, output: int) -> dict[str, Any]:
    said = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": said, "usage": {"output_tokens": output}}


WORDS = {
    "type": "content_block_delta",
    "index": 0,
    "delta": {"type": "text_delta", "text": "message_delta"},
}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
PING = {"type": "ping"}


def types(data: bytes) -> list[str]:
    return [json.loads(event.data)["type"] for event in sse.Reader().feed(data)]


def test_only_the_last_of_several_deltas_has_the_cost() -> None:
    pieces = messages(BLOCK, WORDS, delta(None, 1), PING, delta("end_turn", 3), PING)
    left, last = streamed("anthropic_messages", "anthropic_messages", pieces, 7)

    assert types(left)[-3:] == ["ping", "message_delta", "ping"]
    assert types(last) == ["message_delta", "message_stop"]
    assert json.loads(sse.Reader().feed(last)[0].data)["usage"] == {
        "output_tokens": 3,
        "cost": 7e-9,
    }


def test_a_delta_that_came_too_early_is_repeated_and_holds_nothing_back() -> None:
    tap = CostTap("anthropic_messages", tap_of("anthropic_messages", "anthropic_messages"))
    opening, block, early, words, stop = messages(BLOCK, delta("end_turn", 3), WORDS)

    assert tap.feed(opening + block) == opening + block
    assert tap.feed(early) == b""
    assert tap.feed(words) == early + words
    assert (tap.feed(stop), tap.close()) == (b"", b"")
    assert types(tap.bill(tap.usage or ESTIMATED).at(7)) == ["message_delta", "message_stop"]


def test_a_message_without_a_delta_gets_one() -> None:
    _, last = streamed("anthropic_messages", "anthropic_messages", messages(BLOCK, WORDS), 7)

    told, _ = sse.Reader().feed(last)
    assert json.loads(told.data)["usage"] == {
        "input_tokens": 9,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 3,
        "cost": 7e-9,
    }


def test_usage_after_the_last_words_of_gemini() -> None:
    """Some say that they are done, and in another chunk what it took."""
    part = {"content": {"parts": [{"text": "a"}]}, "index": 0}
    chunks = [
        {"candidates": [part]},
        {"candidates": [{**part, "finishReason": "STOP"}]},
        {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3}},
    ]
    pieces = [sse.frame(json.dumps(each).encode()) for each in chunks]
    left, last = streamed("gemini", "gemini", pieces, 7)

    assert left == pieces[0]
    *_, told = sse.Reader().feed(last)
    assert json.loads(told.data)["usageMetadata"]["cost"] == 7e-9


def test_a_stream_that_is_cut_states_nothing() -> None:
    """What came before the end can still be sent, but for the usage."""
    chat = {"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": {"prompt_tokens": 9}}
    tap = CostTap("openai_chat", tap_of("openai_chat", "openai_chat"))
    assert b"usage" not in tap.feed(sse.frame(json.dumps(chat).encode()))

    with pytest.raises(Cut):
        tap.close()
    assert (tap.salvage, tap.content, tap.chars) == (b"", True, 1)
