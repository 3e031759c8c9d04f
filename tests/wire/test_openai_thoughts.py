"""Behaviour of reasoning in the chat format: it survives two turns, byte for byte, in its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from apertura.wire import state
from apertura.wire.chat import CallPart, Chat, Part, ReasoningPart, TextPart, Turn
from apertura.wire.dialect import CallFacts, Target
from apertura.wire.events import Event, Reasoning, ToolCall, fold
from apertura.wire.openai_chat import (
    decoder,
    encoder,
    express,
    parse,
    parse_reply,
    render_reply,
    understand,
)
from tests.wire.answers import FAMILIES, answers
from tests.wire.said import body, chunk, documents, sse

CALL = CallFacts(id="chatcmpl-ours", created=7, model="asked-for")
SPOKEN = frozenset({"text", "reasoning", "tools"})
FOREIGN = tuple(family for family in FAMILIES if family)


def came_back(message: dict[str, Any]) -> tuple[Part, ...]:
    """The parts of an answer, after a caller sent it back as history."""
    chat = understand(parse(body(messages=[message])))
    return chat.turns[0].parts if chat.turns else ()


def whole(events: list[Event]) -> dict[str, Any]:
    """The message of a whole reply."""
    message: dict[str, Any] = json.loads(render_reply(events, CALL))["choices"][0]["message"]
    return message


def collected(events: list[Event]) -> dict[str, Any]:
    """A message as callers of streams put it together: lists are joined, and so are strings."""
    writer = encoder(CALL)
    message: dict[str, Any] = {}
    for found in documents(writer.feed(events)):
        for choice in found["choices"]:
            for name, value in choice["delta"].items():
                old = message.get(name)
                message[name] = value if old is None or value is None else old + value
    message["role"] = "assistant"
    return message


def states(parts: tuple[Part, ...]) -> list[tuple[str, str]]:
    """Origin and state; entries of no known format by their content, those of text alone apart."""
    found = [part for part in parts if isinstance(part, ReasoningPart) and part.state]
    found = [p for p in found if p.origin != state.OPENAI_CHAT or '"data"' in p.state]
    return [(part.origin, _canonical(part)) for part in found]


def _canonical(part: ReasoningPart) -> str:
    if part.origin != state.OPENAI_CHAT:
        return part.state
    return json.dumps(json.loads(part.state), sort_keys=True)


@given(answers(kinds=SPOKEN, families=FOREIGN))
def test_state_survives_two_turns(events: list[Event]) -> None:
    """Whatever its origin, streamed or not; Anthropic's signatures with the text that they sign."""
    before = fold(events).choices[0].parts

    for message in (whole(events), collected(events)):
        after = came_back(message)
        assert sorted(states(after)) == sorted(states(before))
        assert "".join(p.text for p in after if isinstance(p, TextPart)) == "".join(
            p.text for p in before if isinstance(p, TextPart)
        )
        signed = [p for p in before if isinstance(p, ReasoningPart) and p.origin == "anthropic"]
        assert [p for p in signed if p not in after] == []


@given(answers(kinds=SPOKEN, families=FOREIGN))
def test_state_stands_again_before_what_it_stood_before(events: list[Event]) -> None:
    """Right before the call. What stood after all calls comes first; calls end a message."""
    before = fold(events).choices[0].parts

    for message in (whole(events), collected(events)):
        after = came_back(message)
        for part in after:
            if isinstance(part, CallPart):
                stood = _just_before(before, part.id)
                assert _just_before(after, part.id)[-len(stood) :] == stood or not stood


def _just_before(parts: tuple[Part, ...], call_id: str) -> list[tuple[str, str]]:
    """The states that stand right before a call; entries of other formats do not say where."""
    at = next(n for n, p in enumerate(parts) if isinstance(p, CallPart) and p.id == call_id)
    found: list[Part] = []
    while at and isinstance(parts[at - 1], ReasoningPart):
        at -= 1
        found.insert(0, parts[at])
    return [s for s in states(tuple(found)) if s[0] != state.OPENAI_CHAT]


def test_a_thought_between_texts_stands_there_again() -> None:
    """By how much of the text came before it."""
    parts: tuple[Part, ...] = (
        TextPart(text="one "),
        ReasoningPart(text="t", state="S", origin=state.ANTHROPIC),
        TextPart(text="two"),
    )
    entry = {
        "type": "reasoning.text",
        "text": "t",
        "signature": "S",
        "format": "anthropic-claude-v1",
        "index": 0,
        "offset": 4,
    }
    message = {"role": "assistant", "content": "one two", "reasoning_details": [entry]}

    assert came_back(message) == parts


def test_state_has_the_formats_that_callers_know() -> None:
    """One entry for each, complete in itself; Google's also on the call, where its clients look."""
    message = whole(
        [
            *_thought("a", "SIG", state.ANTHROPIC),
            *_thought("", "DATA", state.ANTHROPIC_REDACTED),
            *_thought("b", "rs_1:ENC", state.OPENAI),
            *_thought("", "G", state.GEMINI),
            *_call(),
        ]
    )

    anthropic = {"format": "anthropic-claude-v1", "id": "c1"}
    openai = {"format": "openai-responses-v1", "index": 2, "before": "c1", "id": "rs_1"}
    assert message["reasoning_content"] == "ab"
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "a", "signature": "SIG", "index": 0, **anthropic},
        {"type": "reasoning.encrypted", "data": "DATA", "index": 1, **anthropic},
        {"type": "reasoning.summary", "summary": "b", **openai},
        {"type": "reasoning.encrypted", "data": "ENC", **openai},
        {
            "type": "reasoning.encrypted",
            "data": "G",
            "format": "google-gemini-v1",
            "index": 4,
            "id": "c1",
        },
    ]
    assert message["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "G"}}


def _thought(text: str, opaque: str, origin: str) -> list[Event]:
    shown: list[Event] = [Reasoning(text=text, origin=origin)] if text else []
    return [*shown, Reasoning(state=opaque, origin=origin)]


def _call() -> list[Event]:
    return [ToolCall(index=0, id="c1", name="f", arguments="{}")]


def test_pieces_that_a_caller_collected_become_one_thought() -> None:
    """As the streams of some hosts bring them: text in many entries, the signature in the last."""
    entry = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    details = [{**entry, "text": "a"}, {**entry, "text": "b"}, {**entry, "signature": "S"}]
    message = {"role": "assistant", "content": "x", "reasoning_details": details}

    assert came_back(message) == (
        ReasoningPart(text="ab", state="S", origin=state.ANTHROPIC),
        TextPart(text="x"),
    )


@pytest.mark.parametrize(
    "details",
    [
        [5, None, "x", []],
        [{"type": "reasoning.text", "format": "anthropic-claude-v1", "text": 5, "signature": {}}],
        [{"type": "reasoning.encrypted", "format": "google-gemini-v1", "data": None}],
    ],
)
def test_entries_that_say_nothing_are_read_over(details: Any) -> None:
    """A caller who sends them back was given them somewhere."""
    message = {"role": "assistant", "content": "x", "reasoning_details": details}

    assert came_back(message) == (TextPart(text="x"),)


def test_googles_signature_on_a_call_is_read() -> None:
    """Once, also where an entry says the same."""
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "G"}},
    }
    entry = {
        "type": "reasoning.encrypted",
        "data": "G",
        "format": "google-gemini-v1",
        "id": "c1",
    }
    message = {"role": "assistant", "content": None, "tool_calls": [call]}

    for found in (message, {**message, "reasoning_details": [entry]}):
        assert came_back(found) == (
            ReasoningPart(state="G", origin=state.GEMINI),
            CallPart(id="c1", name="f", arguments="{}"),
        )


ENTRIES: list[dict[str, Any]] = [
    {"type": "reasoning.text", "text": "ab", "signature": "S", "format": "anthropic-claude-v1"},
    {"type": "reasoning.encrypted", "data": "D", "id": "c1", "format": "google-gemini-v1"},
    {"type": "reasoning.other", "data": "E", "format": "unheard-of-v1", "index": 7},
]
CALLED = {
    "id": "c1",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
    "extra_content": {"google": {"thought_signature": "G"}},
}
AT_ONCE = {"choices": [{"message": {"reasoning_details": ENTRIES, "tool_calls": [CALLED]}}]}
STREAMED = sse(
    chunk({"reasoning": "a", "reasoning_details": [{**ENTRIES[0], "text": "a", "signature": ""}]}),
    chunk({"reasoning": "b", "reasoning_details": [{**ENTRIES[0], "text": "b", "signature": ""}]}),
    chunk({"reasoning_details": [{**ENTRIES[0], "text": ""}]}),
    chunk({"reasoning_details": ENTRIES[1:]}),
    chunk({"tool_calls": [{"index": 0, **CALLED}]}, reason="tool_calls"),
)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_provider_gets_its_own_entries_back(streamed: bool) -> None:
    """As they came, with the text that was shown, and what it had on a call on that call."""
    events = decoder().feed(STREAMED) if streamed else parse_reply(json.dumps(AT_ONCE).encode())
    answer = fold(events).choices[0]
    said = express(Chat(turns=(Turn(role="assistant", parts=answer.parts),)), Target(model="M"))
    (message,) = json.loads(said.body)["messages"]

    assert answer.reasoning == "ab"
    assert message["reasoning_details"] == ENTRIES
    assert message["tool_calls"] == [CALLED]


def test_text_that_the_details_repeat_is_shown_once() -> None:
    """Whether in the same delta, alone, or again at the end."""
    entry = {"type": "reasoning.text", "format": "f", "text": "ab"}
    ways: list[list[dict[str, Any]]] = [
        [{"reasoning": "ab", "reasoning_details": [entry]}],
        [{"reasoning_details": [entry]}],
        [{"reasoning": "a"}, {"reasoning": "b"}, {"reasoning_details": [entry]}],
    ]
    for deltas in ways:
        said = sse(*map(chunk, deltas), chunk(reason="stop"))
        assert fold(decoder().feed(said)).choices[0].reasoning == "ab"
