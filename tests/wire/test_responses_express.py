"""Behaviour of canonical requests that are said to a provider in the Responses format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire import state
from apertura.wire.chat import (
    PARAMETERS,
    CallPart,
    Chat,
    Format,
    MediaPart,
    Part,
    ReasoningPart,
    ReasoningWish,
    RefusalPart,
    ResultPart,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from apertura.wire.dialect import Expressed, Target
from apertura.wire.events import fold
from apertura.wire.openai_responses import decoder, encoder, express, parse, understand
from apertura.wire.responses_express import FATES
from tests.wire.responses_said import body, decoded, transcript
from tests.wire.test_responses_encoder import CALL

TARGET = Target(model="theirs")
HI = Turn(role="user", parts=(TextPart(text="hi"),))


def said(*turns: Turn, **fields: Any) -> dict[str, Any]:
    """The body that a provider gets."""
    found: dict[str, Any] = json.loads(expressed(*turns, **fields).body)
    return found


def expressed(*turns: Turn, **fields: Any) -> Expressed:
    return express(Chat(turns=turns or (HI,), **fields), TARGET)


def item(*parts: Part, role: Any = "user") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = said(Turn(role=role, parts=parts))["input"]
    return found


def test_the_smallest_request() -> None:
    """Nothing that was not asked for, and nothing is kept."""
    content = [{"type": "input_text", "text": "hi"}]
    expected = [{"type": "message", "role": "user", "content": content}]

    assert {"model": "theirs", "input": expected, "store": False} == said()
    assert () == expressed().dropped


def test_instructions() -> None:
    """What comes before everything else is one text; later the developer says it."""
    later = Turn(role="system", parts=(TextPart(text="c"),))
    found = said(HI, later, system=(TextPart(text="a"), TextPart(text="b")))

    assert "a\n\nb" == found["instructions"]
    assert ["user", "developer"] == [one["role"] for one in found["input"]]


def test_a_whole_turn_of_tools() -> None:
    """Words, calls and results are items in their order, and words after results a message."""
    answer = (
        TextPart(text="a"),
        RefusalPart(text="no"),
        CallPart(id="c1", name="f", arguments='{"x":1}'),
        CallPart(id="c2", name="g"),
        TextPart(text="b"),
    )
    results = (
        ResultPart(call_id="c1", parts=(TextPart(text="1"), TextPart(text="2"))),
        ResultPart(call_id="c2"),
        TextPart(text="c"),
    )
    found = said(Turn(role="assistant", parts=answer), Turn(role="user", parts=results))["input"]

    assert found == [
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "a", "annotations": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x":1}'},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "b", "annotations": []}],
        },
        {"type": "function_call_output", "call_id": "c1", "output": "1\n2"},
        {"type": "function_call_output", "call_id": "c2", "output": ""},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "c"}]},
    ]


def test_a_tool_that_failed_says_so() -> None:
    """In words, for want of another place."""
    image = MediaPart(kind="image", url="https://a.example/b")
    plain = item(ResultPart(call_id="c", parts=(TextPart(text="no"),), is_error=True))
    shown = item(ResultPart(call_id="c", parts=(image,), is_error=True))

    assert "Error: no" == plain[0]["output"]
    assert {"type": "input_text", "text": "Error: "} == shown[0]["output"][0]


def test_what_an_offer_refuses_is_not_sent() -> None:
    """And is listed by the caller's name, but for what was our own wish."""
    chat = Chat(
        turns=(HI,),
        max_output=100,
        temperature=0.5,
        reasoning=ReasoningWish(effort="low"),
        names={"max_output": "max_tokens"},
    )
    unknown = frozenset({"include", "max_output_tokens", "temperature", "top_p"})
    found = express(chat, Target(model="theirs", unknown=unknown))

    assert {"model", "input", "store", "reasoning"} == set(json.loads(found.body))
    assert ("max_tokens", "temperature") == found.dropped


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (
            MediaPart(kind="image", url="https://a.example/b", detail="low"),
            {"type": "input_image", "image_url": "https://a.example/b", "detail": "low"},
        ),
        (
            MediaPart(kind="image", data="AA==", mime="image/png"),
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
        ),
        (
            MediaPart(kind="document", data="JV", mime="application/pdf", name="a.pdf"),
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,JV",
            },
        ),
        (
            MediaPart(kind="document", url="https://a.example/b.pdf"),
            {"type": "input_file", "file_url": "https://a.example/b.pdf"},
        ),
    ],
)
def test_images_and_documents(media: MediaPart, expected: dict[str, Any]) -> None:
    """In a message, and in what a tool answered."""
    assert [expected] == item(media)[0]["content"]
    assert [expected] == item(ResultPart(call_id="c", parts=(media,)))[0]["output"]


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_media_without_a_place_is_refused(kind: Any) -> None:
    """By the name that the caller has for the conversation."""
    turn = Turn(role="user", parts=(MediaPart(kind=kind, data="A", mime="a/b"),))

    with pytest.raises(BadRequest) as found:
        express(Chat(turns=(turn,), names={"turns": "messages"}), TARGET)
    assert "messages" == found.value.param


def test_a_models_own_picture_is_listed() -> None:
    """It has no way back."""
    turn = Turn(role="assistant", parts=(MediaPart(kind="image", data="A", mime="image/png"),))

    assert ("turns",) == expressed(HI, turn).dropped


def test_tools() -> None:
    """Flat; strict only when it was asked for, because absent it would mean yes."""
    schema = Raw(b'{"type":"object"}')
    found = said(
        tools=(Tool(name="f", description="d", parameters=schema, strict=True), Tool(name="g")),
        tool_choice=ToolChoice(mode="named", name="f"),
        parallel_tools=False,
    )

    empty = {"type": "object", "properties": {}}
    assert found["tools"] == [
        {
            "type": "function",
            "name": "f",
            "description": "d",
            "parameters": {"type": "object"},
            "strict": True,
        },
        {"type": "function", "name": "g", "parameters": empty, "strict": False},
    ]
    assert {"type": "function", "name": "f"} == found["tool_choice"]
    assert found["parallel_tool_calls"] is False
    assert "required" == said(
        tools=(Tool(name="f"),), tool_choice=ToolChoice(mode="required")
    )["tool_choice"]  # fmt: skip


def test_the_form_of_the_answer() -> None:
    """A schema always has its name here."""
    schema = Format(kind="json_schema", schema=Raw(b'{"a":1}'), description="d")

    assert {"format": {"type": "json_object"}} == said(format=Format(kind="json_object"))["text"]
    assert {
        "verbosity": "low",
        "format": {
            "type": "json_schema",
            "name": "answer",
            "description": "d",
            "schema": {"a": 1},
            "strict": False,
        },
    } == said(format=schema, verbosity="low")["text"]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (ReasoningWish(effort="low"), {"effort": "low"}),
        (ReasoningWish(effort="max"), {"effort": "xhigh"}),
        (ReasoningWish(enabled=False, effort="low", show="auto"), {"effort": "none"}),
        (ReasoningWish(enabled=True), None),
        (ReasoningWish(budget=1024), {"effort": "low"}),
        (ReasoningWish(budget=8192), {"effort": "medium"}),
        (ReasoningWish(budget=32000, show="summarized"), {"effort": "high", "summary": "auto"}),
        (ReasoningWish(budget=0), {"effort": "none"}),
        (ReasoningWish(show="detailed"), {"summary": "detailed"}),
        (ReasoningWish(effort="low", show="omitted"), {"effort": "low"}),
    ],
)
def test_how_much_to_think(wish: ReasoningWish, expected: dict[str, Any] | None) -> None:
    """State is asked for where there is thought."""
    found = said(reasoning=wish)

    assert expected == found.get("reasoning")
    thinks = expected != {"effort": "none"}
    assert (["reasoning.encrypted_content"] if thinks else None) == found.get("include")


def test_only_the_formats_own_state_goes_back() -> None:
    """With the id it was made under; other thoughts are shown to no one."""
    found = said(
        Turn(
            role="assistant",
            parts=(
                ReasoningPart(text="hm", state="rs_1:gA:A==", origin=state.OPENAI),
                ReasoningPart(text="hm", state="sig", origin=state.ANTHROPIC),
                ReasoningPart(text="hm", origin=state.OPENAI_CHAT),
                ReasoningPart(text="hm"),
                TextPart(text="a"),
            ),
        )
    )

    sealed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA:A=="}
    assert ["reasoning", "message"] == [one["type"] for one in found["input"]]
    assert sealed == found["input"][0]
    assert ["reasoning.encrypted_content"] == found["include"]


@pytest.mark.parametrize(
    ("fields", "sent", "dropped"),
    [
        ({"max_output": 100}, {"max_output_tokens": 100}, ()),
        ({"max_output": 1}, {"max_output_tokens": 16}, ("max_output",)),
        ({"temperature": 1.5, "top_p": 0.5}, {"temperature": 1.5, "top_p": 0.5}, ()),
        ({"temperature": 2.5}, {"temperature": 2.0}, ("temperature",)),
        ({"n": 1, "modalities": ("text",)}, {}, ()),
        ({"user": "u"}, {"user": "u"}, ()),
        ({"metadata": Raw(b'{"a":"b"}')}, {"metadata": {"a": "b"}}, ()),
        ({"cache_key": "k"}, {"prompt_cache_key": "k"}, ()),
        ({"seed": 1, "top_k": 5}, {}, ("top_k", "seed")),
        ({"others": {"new": Raw(b"1")}}, {}, ("new",)),
        ({"stream": True}, {"stream": True}, ()),
        ({"logit_bias": Raw(b"{}"), "logprobs": True}, {}, ("logit_bias", "logprobs")),
    ],
)
def test_parameters(fields: dict[str, Any], sent: dict[str, Any], dropped: tuple[str, ...]) -> None:
    """Mapped, brought into the format's range, or listed."""
    found = expressed(**fields)

    plain = {"model", "input", "store"}
    assert sent == {k: v for k, v in json.loads(found.body).items() if k not in plain}
    assert dropped == found.dropped


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"stop": ("a",)}, "stop_sequences"),
        ({"audio": Raw(b"{}")}, "audio"),
        ({"modalities": ("text", "audio")}, "modalities"),
    ],
)
def test_what_would_change_the_meaning_is_refused(fields: dict[str, Any], param: str) -> None:
    """By the caller's own name for it."""
    with pytest.raises(BadRequest) as found:
        expressed(names={"stop": "stop_sequences"}, **fields)
    assert param == found.value.param


def test_every_field_has_a_fate() -> None:
    assert set(FATES) == set(PARAMETERS)


def test_own_state_survives_two_turns() -> None:
    """From a provider's stream, through a caller of this format, back to the provider."""
    events = decoded(transcript("published-tool-calls.sse"))
    writer = encoder(CALL)
    writer.feed(events)
    writer.close()
    output = json.loads(writer.response)["output"]
    results = [
        {"type": "function_call_output", "call_id": name, "output": "x"}
        for name in ("call_A1", "call_B2")
    ]
    chat = understand(parse(body(input=[{"role": "user", "content": "hi"}, *output, *results])))
    found = json.loads(express(chat, TARGET).body)["input"]

    assert {
        "type": "reasoning",
        "id": "rs_0b2",
        "summary": [],
        "encrypted_content": "gAAAAABp+sealed/state==",
    } == found[1]
    calls = [one["call_id"] for one in found if one["type"] == "function_call"]
    assert ["call_A1", "call_B2"] == calls


@pytest.mark.parametrize("origin", [one for one in state.ORIGINS if one != state.OPENAI])
def test_foreign_state_survives_two_turns(origin: str) -> None:
    """Out to a caller of this format, wrapped, and in again, to the byte."""
    part = ReasoningPart(text="hm", state='sig:"é"==', origin=origin)
    call = CallPart(id="c", name="f", arguments="{}")
    written = _written(part, call)
    chat = understand(parse(body(input=[{"role": "user", "content": "a"}, *written])))

    assert (part, call) == chat.turns[1].parts


def _written(part: ReasoningPart, call: CallPart) -> list[dict[str, Any]]:
    from apertura.wire.events import Finished, Reasoning, ToolCall

    writer = encoder(CALL)
    data = writer.feed(
        [
            Reasoning(text=part.text, origin=part.origin),
            Reasoning(state=part.state, origin=part.origin),
            ToolCall(index=0, id=call.id, name=call.name, arguments=call.arguments),
            Finished(reason="tool_calls"),
        ]
    )
    reader = decoder()
    assert fold(reader.feed(data + writer.close()) + reader.close()).choices[0].calls
    found: list[dict[str, Any]] = json.loads(writer.response)["output"]
    return found
