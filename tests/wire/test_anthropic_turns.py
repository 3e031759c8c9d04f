"""Behaviour of turns that are said in the Messages format: its rules of order, and state."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire import state
from apertura.wire.anthropic_messages import (
    decoder,
    encoder,
    express,
    parse,
    render_reply,
    understand,
)
from apertura.wire.chat import (
    CallPart,
    Chat,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    ResultPart,
    TextPart,
    Tool,
    Turn,
)
from apertura.wire.dialect import Target
from apertura.wire.events import Answer, Event, Finished, Reasoning, Started, Text, ToolCall, fold
from tests.wire.answers import answers
from tests.wire.anthropic_said import CALL, body

TARGET = Target(model="claude-sonnet-4-5")


def user(*parts: Part) -> Turn:
    return Turn(role="user", parts=parts)


def model(*parts: Part) -> Turn:
    return Turn(role="assistant", parts=parts)


def system(*parts: Part) -> Turn:
    return Turn(role="system", parts=parts)


def words(text: str) -> TextPart:
    return TextPart(text=text)


def block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def messages(*turns: Turn, dropped: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What a provider gets of these turns."""
    expressed = express(Chat(turns=turns), TARGET)
    parse(expressed.body)
    assert expressed.dropped == dropped
    found: list[dict[str, Any]] = json.loads(expressed.body)["messages"]
    return found


def content(*parts: Part, dropped: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = messages(user(*parts), dropped=dropped)[0]["content"]
    return found


HI = user(words("hi"))
ASKED = {"role": "user", "content": [block("hi")]}


def test_neighbours_of_one_side_are_joined() -> None:
    """Sides alternate."""
    assert messages(HI, HI, model(words("a")), model(RefusalPart(text="b")), HI) == [
        {"role": "user", "content": [block("hi"), block("hi")]},
        {"role": "assistant", "content": [block("a"), block("b")]},
        ASKED,
    ]


@pytest.mark.parametrize("turns", [(), (model(words("a")),), (user(words(" ")), model(words("a")))])
def test_the_user_speaks_first(turns: tuple[Turn, ...]) -> None:
    """If need be, with as little as can be said."""
    assert messages(*turns)[0] == {"role": "user", "content": [block(".")]}


def test_nothing_is_empty() -> None:
    """Texts without letters and turns without blocks are left out."""
    assert messages(HI, model(words("")), user(words("\n")), model(words("a")), HI) == [
        ASKED,
        {"role": "assistant", "content": [block("a")]},
        ASKED,
    ]


def test_an_instruction_in_mid_conversation_is_text_of_the_user_s() -> None:
    """In tags, at its place."""
    assert messages(HI, system(words("Mind the gap.")), model(words("a")), HI)[0] == {
        "role": "user",
        "content": [block("hi"), block("<system>\nMind the gap.\n</system>")],
    }


def test_the_answers_of_tools_come_first() -> None:
    """In one turn, in their order."""
    calls = model(CallPart(id="a", name="f"), CallPart(id="b", name="g", arguments='{"x":1.0}'))
    results = (
        system(words("Mind.")),
        user(ResultPart(call_id="a", parts=(words("1"),))),
        user(words("and?"), ResultPart(call_id="b", is_error=True)),
    )

    assert messages(HI, calls, *results)[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {"x": 1.0}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [block("1")]},
                {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                block("<system>\nMind.\n</system>"),
                block("and?"),
            ],
        },
    ]


def test_an_answer_to_go_on_with_is_passed() -> None:
    """Without white space at its end, which the format refuses."""
    assert messages(HI, model(words("The answer is \n")))[-1] == {
        "role": "assistant",
        "content": [block("The answer is")],
    }


@pytest.mark.parametrize("arguments", ['{"x":', "[]", "5", "nonsense"])
def test_arguments_that_are_no_object_are_kept_in_one(arguments: str) -> None:
    """A model's slip in an earlier turn must not end the conversation."""
    said = messages(HI, model(CallPart(id="a", name="f", arguments=arguments)))

    assert said[1]["content"][0]["input"] == {"INVALID_JSON": arguments}


@given(st.text(max_size=80), st.text(max_size=80))
def test_ids_of_calls_are_legal_and_stay_apart(first: str, second: str) -> None:
    """Legal ones are passed as they are; a result finds its call."""
    calls = model(CallPart(id=first, name="f"), CallPart(id=second, name="f"))
    said = messages(HI, calls, user(ResultPart(call_id=second)))
    ids = [call["id"] for call in said[1]["content"]]

    assert all(set(one) <= LEGAL and one for one in ids)
    assert (ids[0] == ids[1]) == (first == second)
    assert said[2]["content"][0]["tool_use_id"] == ids[1]
    if first and set(first) <= LEGAL:
        assert ids[0] == first


LEGAL = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


# --- Media -----------------------------------------------------------------------------------


def test_images_and_documents() -> None:
    """By https address, as data, as data URIs; a text as text."""
    text = b64encode("é".encode()).decode()

    assert content(
        MediaPart(kind="image", url="https://a.example/x.png"),
        MediaPart(kind="image", data="iV", mime="image/png", cache="1h"),
        MediaPart(kind="image", url="data:image/jpg;base64,/9j"),
        MediaPart(kind="document", data="JV", mime="application/pdf", name="t"),
        MediaPart(kind="document", url=f"data:text/csv;charset=utf-8;base64,{text}"),
    ) == [
        {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iV"},
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j"},
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JV"},
            "title": "t",
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "é"},
        },
    ]


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (MediaPart(kind="audio", data="x", mime="audio/wav"), "invalid_parameter"),
        (MediaPart(kind="video", url="https://a.example"), "invalid_parameter"),
        (MediaPart(kind="image", url="http://a.example"), "invalid_parameter"),
        (MediaPart(kind="image", url="file:///etc/passwd"), "invalid_parameter"),
        (MediaPart(kind="image", data="x", mime="image/tiff"), "invalid_image"),
        (MediaPart(kind="image", data="x"), "invalid_image"),
        (MediaPart(kind="document", data="/9j/", mime="application/zip"), "invalid_parameter"),
    ],
)
def test_media_that_this_format_cannot_take_are_refused(part: MediaPart, code: str) -> None:
    """By the member that they stand in."""
    with pytest.raises(BadRequest) as caught:
        messages(user(part))
    assert (caught.value.param, caught.value.code) == ("messages", code)


def test_tools_may_answer_with_images() -> None:
    """Of sound and film a note remains, and is listed; so of what a model drew."""
    image = MediaPart(kind="image", data="iV", mime="image/png")
    result = ResultPart(call_id="a", parts=(image, MediaPart(kind="audio", data="x")))

    assert content(result, dropped=("messages.audio",))[0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iV"}},
        block("[audio left out]"),
    ]
    assert messages(HI, model(image), HI, dropped=("messages.image",))[1]["content"] == [
        block("[image left out]")
    ]


# --- Marks -----------------------------------------------------------------------------------


def test_marks_for_the_cache_are_the_last_four() -> None:
    """Tools come before the system prompt, that before the turns; more is listed."""
    tool = Tool(name="f", parameters=Raw(b'{"type":"object"}'), cache="5m")
    result = ResultPart(call_id="a", parts=(TextPart(text="x", cache="5m"),), cache="1h")
    chat = Chat(
        system=(TextPart(text="s", cache="5m"),),
        turns=(user(TextPart(text="a", cache="5m"), result, TextPart(text="b")),),
        tools=(tool,),
    )
    expressed = express(chat, TARGET)
    said = json.loads(expressed.body)

    assert "cache_control" not in said["tools"][0]
    assert said["system"][0]["cache_control"] == {"type": "ephemeral"}
    answer, first, second = said["messages"][0]["content"]
    assert answer["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert "cache_control" in answer["content"][0] and "cache_control" in first
    assert "cache_control" not in second
    assert expressed.dropped == ("cache_control",)


# --- State -----------------------------------------------------------------------------------


def test_only_own_reasoning_goes_out() -> None:
    """With its signature as it came; nothing of what other formats' models thought."""
    turn = model(
        ReasoningPart(text="a", state="Eq+/==", origin=state.ANTHROPIC),
        ReasoningPart(state="R==", origin=state.ANTHROPIC_REDACTED),
        ReasoningPart(text="b", state="x", origin=state.GEMINI),
        ReasoningPart(text="c", origin=state.OPENAI_CHAT),
        ReasoningPart(text="d", origin=state.ANTHROPIC),
        ReasoningPart(text="e"),
        words("f"),
    )

    assert messages(HI, turn, HI)[1]["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "Eq+/=="},
        {"type": "redacted_thinking", "data": "R=="},
        block("f"),
    ]


def test_an_answer_to_go_on_with_has_no_thoughts() -> None:
    """They are refused there."""
    own = ReasoningPart(text="a", state="Eq==", origin=state.ANTHROPIC)

    assert messages(HI, model(own, words("f")))[1]["content"] == [block("f")]
    assert messages(HI, model(own)) == [ASKED]


@given(answers(kinds=frozenset({"text", "reasoning", "tools"})))
def test_state_survives_two_turns(events: list[Event]) -> None:
    """What was answered is sent back as it was written, streamed or whole, and understood as it
    was; then it goes out to this format's own providers, byte for byte.
    """
    writer = encoder(CALL)
    out = writer.feed(events) + writer.close()
    reader = decoder()
    streamed = fold(reader.feed(out) + reader.close())
    for whole in (
        render_reply(events, CALL),
        render_reply([Started(id="", created=0, model=""), *_again(streamed)], CALL),
    ):
        sent = {"role": "assistant", "content": json.loads(whole)["content"]}
        ask = {"role": "user", "content": "and?"}
        chat = understand(parse(body(messages=[ask, sent, ask])))
        told = [part for part in fold(events).choices[0].parts if isinstance(part, ReasoningPart)]

        assert [p for p in chat.turns[1].parts if isinstance(p, ReasoningPart)] == told
        own = [(p.text, p.state) for p in told if p.state and p.origin == state.ANTHROPIC]
        assert [
            (one["thinking"], one["signature"])
            for message in messages(*chat.turns)
            for one in message["content"]
            if one["type"] == "thinking"
        ] == own


def _again(answer: Answer) -> list[Event]:
    """The events of a folded answer."""
    said: list[Event] = []
    for index, part in enumerate(answer.choices[0].parts):
        match part:
            case TextPart(text=text):
                said.append(Text(text=text))
            case ReasoningPart(text=text, state=found, origin=origin):
                said.append(Reasoning(text=text, state=found, origin=origin))
            case CallPart(id=call_id, name=name, arguments=arguments):
                said.append(ToolCall(index=index, id=call_id, name=name, arguments=arguments))
    return [*said, Finished(reason=answer.choices[0].reason)]
