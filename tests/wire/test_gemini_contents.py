"""Behaviour of conversations of any format, said in Gemini's."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import BadRequest
from apertura.wire.chat import (
    CallPart,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    ResultPart,
    TextPart,
    Turn,
)
from apertura.wire.events import Event, fold
from apertura.wire.gemini import parse, parse_reply, render_reply, understand
from apertura.wire.gemini_state import SKIP
from apertura.wire.state import ANTHROPIC, ANTHROPIC_REDACTED, GEMINI, OPENAI
from tests.wire.answers import FAMILIES, KINDS, answers
from tests.wire.test_gemini_encoder import CALL
from tests.wire.test_gemini_express import HI, contents, expressed, model, user


def test_the_user_speaks_first_and_the_sides_take_turns() -> None:
    said = contents(
        model(TextPart(text="a")),
        model(TextPart(text=""), RefusalPart(text="no")),
        Turn(role="system", parts=(TextPart(text="be brief"),)),
        user(TextPart(text="b")),
        user(),
    )

    assert [
        {"role": "user", "parts": [{"text": " "}]},
        {"role": "model", "parts": [{"text": "a"}, {"text": "no"}]},
        {"role": "user", "parts": [{"text": "be brief"}, {"text": "b"}]},
    ] == said


def test_only_a_system_prompt() -> None:
    """Google wants contents."""
    body, _ = expressed(user(), system=(TextPart(text="a"), TextPart(text="")))

    assert {"parts": [{"text": "a"}]} == body["systemInstruction"]
    assert [{"role": "user", "parts": [{"text": " "}]}] == body["contents"]


def test_media() -> None:
    image = MediaPart(kind="image", data="AA==", mime="image/png")
    film = MediaPart(kind="video", data="BB==", mime="video/mp4")
    said = contents(user(image, film))[0]["parts"]

    assert [
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"inlineData": {"mimeType": "video/mp4", "data": "BB=="}},
    ] == said


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ("sunny", False, {"output": "sunny"}),
        ("", False, {"output": ""}),
        ('{"a": {"b":1}}', False, {"a": {"b": 1}}),
        ("[1]", False, {"output": "[1]"}),
        ("{broken", False, {"output": "{broken"}),
        ("gone", True, {"error": "gone"}),
        ('{"a":1}', True, {"error": '{"a":1}'}),
    ],
)
def test_answers_of_tools(text: str, is_error: bool, response: dict[str, Any]) -> None:
    """An object is the answer itself; words stand where Google wants words."""
    call = CallPart(id="c1", name="f", arguments='{"x":1}')
    result = ResultPart(call_id="c1", parts=(TextPart(text=text),), is_error=is_error)
    said = contents(HI, model(call), user(result))

    assert {"id": "c1", "name": "f", "args": {"x": 1}} == said[1]["parts"][0]["functionCall"]
    assert {"id": "c1", "name": "f", "response": response} == (
        said[2]["parts"][0]["functionResponse"]
    )


def test_a_picture_in_an_answer_of_a_tool() -> None:
    image = MediaPart(kind="image", data="AA==", mime="image/png")
    call = CallPart(id="c1", name="f")
    said = contents(HI, model(call), user(ResultPart(call_id="c1", parts=(image,))))

    assert [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}] == (
        said[2]["parts"][0]["functionResponse"]["parts"]
    )


@pytest.mark.parametrize(
    "turn",
    [
        user(ResultPart(call_id="nobody")),
        user(MediaPart(kind="image", data="AA==")),
    ],
)
def test_a_conversation_that_cannot_be_said_is_refused(turn: Turn) -> None:
    with pytest.raises(BadRequest) as refused:
        expressed(HI, turn)

    assert "turns" == refused.value.param


def test_arguments_that_are_no_object_are_said_as_they_are() -> None:
    """A model failed once; the conversation goes on."""
    said = contents(HI, model(CallPart(id="c", name="f", arguments='{"a": ')))

    assert {"INVALID_JSON": '{"a": '} == said[1]["parts"][0]["functionCall"]["args"]


def test_only_googles_state_reaches_google() -> None:
    """On the part after it; what others thought is left out, words and all."""
    said = contents(
        HI,
        model(
            ReasoningPart(text="secret", state="sig", origin=ANTHROPIC),
            ReasoningPart(state="blob", origin=ANTHROPIC_REDACTED),
            ReasoningPart(text="plan", state="rs_1:x", origin=OPENAI),
            ReasoningPart(text="shown"),
            ReasoningPart(text="hm", state="one==", origin=GEMINI),
            TextPart(text="a"),
            ReasoningPart(state="two", origin=GEMINI),
            ReasoningPart(state="three", origin=GEMINI),
            CallPart(id="c", name="f"),
            ReasoningPart(state="four", origin=GEMINI),
        ),
    )

    call = {"functionCall": {"id": "c", "name": "f", "args": {}}}
    assert [
        {"text": "a", "thoughtSignature": "one=="},
        {"text": "", "thoughtSignature": "two"},
        {**call, "thoughtSignature": "three"},
        {"text": "", "thoughtSignature": "four"},
    ] == said[1]["parts"]


def test_calls_without_a_signature_ask_not_to_be_checked() -> None:
    """The first of each step; those of one step are checked together."""
    calls = (CallPart(id="a", name="f"), CallPart(id="b", name="f"))
    results = tuple(ResultPart(call_id=call.id) for call in calls)
    said = contents(HI, model(*calls), user(*results), model(CallPart(id="c", name="f")))
    signatures = [[part.get("thoughtSignature") for part in said[turn]["parts"]] for turn in (1, 3)]

    assert [[SKIP, None], [SKIP]] == signatures


@given(answers(kinds=KINDS - {"refusal", "cited"}, families=(GEMINI,)))
def test_googles_state_survives_two_turns(events: list[Event]) -> None:
    """Answered to a caller of this format, sent back by them, said to Google again."""
    back = understood_again(events)

    # State belongs to its part; so a second way round changes nothing any more.
    assert said_again(back) == said_again(understood_turn(said_again(back)))
    assert [part["thoughtSignature"] for part in said_again(back) if own(part)] == [
        part.state for part in fold(events).choices[0].parts if is_state(part)
    ]


@given(answers(kinds=KINDS - {"refusal", "cited"}, families=tuple(filter(None, FAMILIES))))
def test_any_state_survives_a_caller_of_this_format(events: list[Event]) -> None:
    """Byte for byte, under its own origin, in its order."""
    given_out = [part for part in fold(events).choices[0].parts if is_state(part)]
    back = understood_again(events)

    assert [(part.origin, part.state) for part in given_out] == [  # type: ignore[union-attr]
        (part.origin, part.state)
        for part in back.parts
        if is_state(part)  # type: ignore[union-attr]
    ]


def is_state(part: Part) -> bool:
    return isinstance(part, ReasoningPart) and bool(part.state)


def own(part: dict[str, Any]) -> bool:
    return part.get("thoughtSignature", SKIP) != SKIP


def understood_again(events: list[Event]) -> Turn:
    """The turn that a caller sends back after this answer."""
    content = json.loads(render_reply(events, CALL))["candidates"][0]["content"]
    return understood_turn(content["parts"])


def understood_turn(parts: list[dict[str, Any]]) -> Turn:
    body = {"contents": [{"role": "model", "parts": parts}]}
    turns = understand(parse(json.dumps(body).encode(), model="m")).turns
    return turns[0] if turns else model()


def said_again(turn: Turn) -> list[dict[str, Any]]:
    """The parts that Google gets for it."""
    said = contents(HI, turn)
    return said[1]["parts"] if len(said) > 1 else []


@given(st.lists(st.sampled_from(["user", "assistant", "system"]), max_size=6))
def test_any_order_of_turns_becomes_legal(roles: list[Any]) -> None:
    said = contents(*(Turn(role=role, parts=(TextPart(text="x"),)) for role in roles))
    sides = [content["role"] for content in said]

    assert "user" == sides[0]
    assert all(one != other for one, other in pairwise(sides))


def test_a_reply_of_ours_is_a_reply_of_googles() -> None:
    """The shape that clients check: role, parts, reason, counts as whole numbers."""
    body = json.loads(render_reply(parse_reply(render_reply([], CALL)), CALL))

    assert {"candidates", "modelVersion", "responseId", "createTime"} == body.keys()
    assert "model" == body["candidates"][0]["content"]["role"]
