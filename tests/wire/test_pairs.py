"""Behaviour of every pair of formats: a caller of the one, a provider of the other.

What holds of each format by itself is tested beside it; here is what must hold wherever two meet:
the same answer streamed or whole, the same usage, the provider's own reasoning state back where it
stood, and no parameter lost in silence.
"""

from __future__ import annotations

import json
import re
import runpy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import BadRequest
from apertura.wire import gemini, state
from apertura.wire.chat import CallPart, Chat, Part, ReasoningPart, TextPart
from apertura.wire.dialect import CallFacts, Target
from apertura.wire.dialects import INBOUND, OUTBOUND
from apertura.wire.events import (
    Answer,
    Event,
    Finished,
    Reasoning,
    Text,
    ToolCall,
    UsageReported,
    fold,
)
from apertura.wire.passing import TranslatingTap
from tests.source import ROOT
from tests.wire.answers import STARTED, answers, counts

TABLE = runpy.run_path(str(ROOT / "tools" / "dialect_table.py"))
BODIES: dict[str, dict[str, dict[str, Any]]] = TABLE["BODIES"]

BOTH = sorted(set(INBOUND) & set(OUTBOUND))
"""Formats that are spoken on both sides, so that what a caller gets can be read again here."""
PAIRS = [(caller, provider) for caller in BOTH for provider in BOTH if caller != provider]
ALL_PAIRS = [(c, p) for c in sorted(INBOUND) for p in sorted(OUTBOUND) if c != p]
ORIGINS = {
    "anthropic_messages": state.ANTHROPIC,
    "gemini": state.GEMINI,
    "openai_chat": state.OPENAI_CHAT,
    "openai_responses": state.OPENAI,
}
"""Whose state a provider of each format sends."""
SPOKEN = frozenset({"text", "tools", "reasoning"})
TARGET: Target = TABLE["TARGET"]


def understood(dialect: str, body: dict[str, Any]) -> Chat:
    """What a request of this format asks."""
    return _understood(dialect, json.dumps(body).encode())


def _understood(dialect: str, body: bytes) -> Chat:
    request = gemini.parse(body, model="m") if dialect == "gemini" else INBOUND[dialect].parse(body)
    return INBOUND[dialect].understand(request)


def facts(dialect: str) -> CallFacts:
    """A call by a caller of this format, who asked for usage."""
    body = json.dumps(TABLE["BASES"][dialect]).encode()
    request = gemini.parse(body, model="m") if dialect == "gemini" else INBOUND[dialect].parse(body)
    return CallFacts(id="call-1", created=7, model="m", include_usage=True, request=request)


def streamed(events: list[Event], caller: str, provider: str) -> tuple[bytes, TranslatingTap]:
    """What a caller gets of a provider's stream that says these events."""
    said = INBOUND[provider].encoder(facts(provider))
    data = said.feed(events) + said.close()
    tap = TranslatingTap(OUTBOUND[provider].decoder(), INBOUND[caller].encoder(facts(caller)))
    return tap.feed(data) + tap.close(), tap


def whole(events: list[Event], caller: str, provider: str) -> bytes:
    """What a caller gets of a provider's whole reply that says these events."""
    reply = INBOUND[provider].render_reply(events, facts(provider))
    return INBOUND[caller].render_reply(OUTBOUND[provider].parse_reply(reply), facts(caller))


def heard(dialect: str, data: bytes) -> Answer:
    """A stream of this format, folded."""
    decoder = OUTBOUND[dialect].decoder()
    return fold(decoder.feed(data) + decoder.close())


def said(answer: Answer) -> dict[str, object]:
    """What an answer says, as far as every format can say it."""
    choice = answer.choices[0]
    return {
        "text": choice.text,
        "reasoning": choice.reasoning,
        "calls": [(part.name, json.loads(part.arguments)) for part in choice.calls.values()],
        "reason": choice.reason,
    }


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
@given(data=st.data())
def test_a_stream_and_a_whole_reply_say_the_same(
    caller: str, provider: str, data: st.DataObject
) -> None:
    """And what the provider said: words, thoughts, calls, and why it ended."""
    drawn = answers(kinds=SPOKEN, families=("", ORIGINS[provider]))
    events = data.draw(drawn)
    by_stream = heard(caller, streamed(events, caller, provider)[0])
    at_once = fold(OUTBOUND[caller].parse_reply(whole(events, caller, provider)))

    assert said(by_stream) == said(at_once) == said(fold(events))


@pytest.mark.parametrize("provider", BOTH)
@given(usage=counts("cache_read"))
def test_usage_is_the_same_through_every_pair(provider: str, usage: Usage) -> None:
    """Whatever the caller speaks, streamed or not: a call costs what it costs."""
    assume(usage.input and usage.output)
    events: list[Event] = [
        STARTED,
        Text(text="a"),
        Finished(reason="stop"),
        UsageReported(usage=usage),
    ]
    reply = INBOUND[provider].render_reply(events, facts(provider))
    expected = fold(OUTBOUND[provider].parse_reply(reply)).usage

    assert expected == usage
    for caller in sorted(INBOUND):
        if caller != provider:
            out, tap = streamed(events, caller, provider)
            assert tap.usage == usage
            if caller in OUTBOUND:
                assert heard(caller, out).usage == usage
                body = whole(events, caller, provider)
                assert fold(OUTBOUND[caller].parse_reply(body)).usage == usage


# Two turns: what a caller sends back of a reply that it was given.


def second_turn(dialect: str, reply: bytes) -> dict[str, Any]:
    """A caller's next request: the reply as it came, and what the tools answered."""
    found = json.loads(reply)
    body = dict(TABLE["BASES"][dialect])
    return {**body, **HISTORIES[dialect](body, found)}


def _chat_history(body: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    message = reply["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "42"}
        for call in message.get("tool_calls", [])
    ]
    return {"messages": [*body["messages"], message, *results]}


def _messages_history(body: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "42"}
        for block in reply["content"]
        if block["type"] == "tool_use"
    ]
    said = {"role": "assistant", "content": reply["content"]}
    return {"messages": [*body["messages"], said, {"role": "user", "content": results}]}


def _responses_history(_: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "42"}
        for item in reply["output"]
        if item["type"] == "function_call"
    ]
    return {"input": [{"role": "user", "content": "hi"}, *reply["output"], *results]}


def _gemini_history(body: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    content = reply["candidates"][0]["content"]
    calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
    answers = [
        {"functionResponse": {**_named(call), "response": {"result": "42"}}} for call in calls
    ]
    return {"contents": [*body["contents"], content, {"role": "user", "parts": answers}]}


def _named(call: dict[str, Any]) -> dict[str, Any]:
    return {name: call[name] for name in ("id", "name") if name in call}


HISTORIES = {
    "anthropic_messages": _messages_history,
    "gemini": _gemini_history,
    "openai_chat": _chat_history,
    "openai_responses": _responses_history,
}


def history(chat: Chat) -> list[Part]:
    """All that the model said before."""
    return [part for turn in chat.turns if turn.role == "assistant" for part in turn.parts]


def order(parts: list[Part]) -> list[tuple[str, str]]:
    """States and calls, in their order; what a format shows of thoughts is its own affair."""
    found: list[tuple[str, str]] = []
    for part in parts:
        if isinstance(part, ReasoningPart) and part.state:
            found.append((part.origin, _canonical(part.state)))
        elif isinstance(part, CallPart):
            found.append(("call", part.name))
    return found


def _canonical(text: str) -> str:
    """State byte for byte; JSON that was in a body of JSON, by its content."""
    return json.dumps(json.loads(text), sort_keys=True) if text.startswith("{") else text


_ENTRY = '{"format":"xai-responses-v1","signature":"%s","type":"reasoning.text"}'
_EXTRA = '{"extra_content":{"google":{"thought_signature":"%s"}}}'
THOUGHTS: dict[str, list[list[tuple[str, str]]]] = {
    "anthropic_messages": [
        [(state.ANTHROPIC, "SigA+/=="), (state.ANTHROPIC, "SigB==")],
        [(state.ANTHROPIC_REDACTED, "Data=="), (state.ANTHROPIC, "Sig==")],
    ],
    "gemini": [[(state.GEMINI, "U2lnQQ=="), (state.GEMINI, "U2lnQg==")]],
    "openai_chat": [
        [(state.OPENAI_CHAT, _ENTRY % "SigE+/=="), (state.OPENAI_CHAT, _ENTRY % "SigF==")],
        [(state.OPENAI_CHAT, _EXTRA % "SigG+/=="), (state.OPENAI_CHAT, _EXTRA % "SigH==")],
    ],
    "openai_responses": [[(state.OPENAI, "rs_1:Enc+/=="), (state.OPENAI, "rs_2:Enc2==")]],
}
"""The states of two thoughts, as providers of each format send them."""


def conversation(provider: str, states: list[tuple[str, str]]) -> list[Event]:
    """A thought, a call, a second thought, a second call."""
    events: list[Event] = [STARTED]
    for index, (origin, found) in enumerate(states):
        if origin != state.ANTHROPIC_REDACTED:
            events.append(Reasoning(text=f"musing {index}", origin=origin))
        events.append(Reasoning(state=found, origin=origin))
        if index == 0 and provider == "anthropic_messages":
            events.append(Text(text="Let me see. "))
        arguments = '{"city":"Kraków"}'
        call = ToolCall(index=index, id=f"call_{index}", name=f"f{index}", arguments=arguments)
        events.append(call)
    return [*events, Finished(reason="tool_calls"), UsageReported(usage=Usage(input=1, output=1))]


SECRETS = re.compile(r"[A-Za-z0-9+/]+==")
"""What is opaque in a state."""
TWO_TURNS = [
    (caller, provider, states) for caller, provider in PAIRS for states in THOUGHTS[provider]
]


@pytest.mark.parametrize(("caller", "provider", "states"), TWO_TURNS)
def test_a_providers_state_comes_back_byte_for_byte_where_it_stood(
    caller: str, provider: str, states: list[tuple[str, str]]
) -> None:
    """Just as if the caller spoke the provider's format and had sent the reply back themselves."""
    events = conversation(provider, states)
    native = INBOUND[provider].render_reply(events, facts(provider))
    expected = history(understood(provider, second_turn(provider, native)))

    given_back = understood(caller, second_turn(caller, whole(events, caller, provider)))
    sent = OUTBOUND[provider].express(given_back, TARGET).body
    found = history(_understood(provider, sent))

    assert order(found) == order(expected)
    assert len(order(found)) == 2 * len(states)


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
@given(data=st.data())
def test_no_state_of_any_answer_is_lost(caller: str, provider: str, data: st.DataObject) -> None:
    """However many thoughts there are, and between whatever they stand."""
    events = data.draw(answers(kinds=SPOKEN, families=(ORIGINS[provider],)))
    parts = fold(events).choices[0].parts
    assume(parts and isinstance(parts[-1], CallPart))
    given_back = understood(caller, second_turn(caller, whole(events, caller, provider)))
    found = history(_understood(provider, OUTBOUND[provider].express(given_back, TARGET).body))

    assert sorted(opaque(found)) == sorted(opaque(list(parts)))


def opaque(parts: list[Part]) -> list[tuple[str, str]]:
    """The states among these parts; entries that hold text alone are none."""
    return [found for found in order(parts) if found[0] != "call" and '"text"' not in found[1]]


def test_a_provider_that_no_caller_speaks_like_gets_its_state_back() -> None:
    """Converse has Anthropic's, in a place of its own."""
    states = THOUGHTS["anthropic_messages"][0]
    events = conversation("anthropic_messages", states)
    for caller in BOTH:
        reply = INBOUND[caller].render_reply(events, facts(caller))
        chat = understood(caller, second_turn(caller, reply))
        sent = OUTBOUND["bedrock_converse"].express(chat, TARGET).body.decode()
        marks = [sent.index(mark) for mark in ("SigA+/==", '"f0"', "SigB==", '"f1"')]
        assert marks == sorted(marks)


@pytest.mark.parametrize(("caller", "provider", "states"), TWO_TURNS)
def test_state_is_never_shown_to_another_provider(
    caller: str, provider: str, states: list[tuple[str, str]]
) -> None:
    """A conversation that another offer takes over goes on without it."""
    reply = whole(conversation(provider, states), caller, provider)
    given_back = understood(caller, second_turn(caller, reply))
    for other in BOTH:
        if other != provider:
            sent = OUTBOUND[other].express(given_back, TARGET).body.decode()
            assert "musing" not in sent
            for _, found in states:
                for secret in SECRETS.findall(found):
                    assert secret not in sent


@pytest.mark.parametrize(("caller", "provider"), ALL_PAIRS)
def test_no_parameter_is_lost_in_silence(caller: str, provider: str) -> None:
    """Each is said to the provider, refused by the caller's own name for it, or listed by it."""
    plain = OUTBOUND[provider].express(understood(caller, TABLE["BASES"][caller]), TARGET).body
    for field, members in BODIES[caller].items():
        chat = understood(caller, {**TABLE["BASES"][caller], **members})
        assert getattr(chat, field) is not None, field
        outcome = TABLE["outcome"](chat, field, provider)
        fate = TABLE["fates_of"](provider)[field]
        assert fate in (outcome, "mapped"), field
        if outcome == "mapped":
            assert OUTBOUND[provider].express(chat, TARGET).body != plain, field


@pytest.mark.parametrize(("caller", "provider"), ALL_PAIRS)
def test_a_member_that_only_the_callers_format_knows_is_listed(caller: str, provider: str) -> None:
    """By its own name, whatever it is."""
    body = {**TABLE["BASES"][caller], "unheard_of": {"a": 1}}

    assert "unheard_of" in OUTBOUND[provider].express(understood(caller, body), TARGET).dropped


def test_what_is_said_is_said_of_every_format() -> None:
    """No format that callers or providers speak is missing in the tables of this page."""
    assert set(BODIES) == set(TABLE["BASES"]) == set(INBOUND)
    assert set(HISTORIES) == set(THOUGHTS) == set(BOTH)
    assert isinstance(history(understood("openai_chat", TABLE["BASES"]["openai_chat"])), list)
    assert TextPart(text="hi") in understood("gemini", TABLE["BASES"]["gemini"]).turns[0].parts


def document(data: str) -> dict[str, dict[str, Any]]:
    """A request of each format whose user sends a text, as the base64 that this is not."""
    url = f"data:text/plain;base64,{data}"
    source = {"type": "base64", "media_type": "text/plain", "data": data}
    file = {"file_data": url, "filename": "a.txt"}
    contents: dict[str, list[dict[str, Any]]] = {
        "anthropic_messages": [{"type": "document", "source": source}],
        "openai_chat": [{"type": "file", "file": file}],
        "openai_responses": [{"type": "input_file", **file}],
    }
    said = {name: [{"role": "user", "content": content}] for name, content in contents.items()}
    parts = [{"inlineData": {"mimeType": "text/plain", "data": data}}]
    return {
        "anthropic_messages": {"messages": said["anthropic_messages"]},
        "gemini": {"contents": [{"role": "user", "parts": parts}]},
        "openai_chat": {"messages": said["openai_chat"]},
        "openai_responses": {"input": said["openai_responses"]},
    }


@pytest.mark.parametrize("data", ["é", "QUJDé===", "%%", "/w=="])
@pytest.mark.parametrize("caller", BOTH)
def test_a_document_that_is_not_base64_of_text_is_refused_or_sent(caller: str, data: str) -> None:
    """Never another exception than the caller's fault, whoever is asked."""
    chat = understood(caller, {**TABLE["BASES"][caller], **document(data)[caller]})
    for express in (OUTBOUND[name].express for name in sorted(OUTBOUND)):
        with suppress(BadRequest):
            json.loads(express(chat, TARGET).body)
