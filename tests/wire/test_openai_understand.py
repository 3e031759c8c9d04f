"""Behaviour of chat requests that are translated: each member has its place, or is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertura.errors import BadRequest
from apertura.wire import fates, state
from apertura.wire.chat import (
    PARAMETERS,
    CallPart,
    Chat,
    MediaPart,
    ReasoningPart,
    ReasoningWish,
    RefusalPart,
    ResultPart,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from apertura.wire.dialect import CallFacts
from apertura.wire.events import Event, Finished, ToolCall
from apertura.wire.openai_chat import encoder, parse, render_reply, understand
from apertura.wire.openai_shapes import Body
from apertura.wire.openai_understand import _SETTLED
from tests.wire.said import HI, body, documents

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}


def asked(*messages: Any, **members: Any) -> Chat:
    """What is understood of these messages and members."""
    if messages:
        members["messages"] = list(messages)
    return understand(parse(body(**members)))


def param_of(*messages: Any, **members: Any) -> str | None:
    """What is named where these are refused."""
    with pytest.raises(BadRequest) as caught:
        asked(*messages, **members)
    return caught.value.param


GIVEN: dict[str, tuple[Any, str]] = {
    "max_tokens": (9, "max_output"),
    "max_completion_tokens": (9, "max_output"),
    "temperature": (0.5, "temperature"),
    "top_p": (0.5, "top_p"),
    "top_k": (5, "top_k"),
    "stop": ("x", "stop"),
    "n": (2, "n"),
    "seed": (7, "seed"),
    "presence_penalty": (1, "presence_penalty"),
    "frequency_penalty": (1, "frequency_penalty"),
    "logit_bias": ({"5": 1}, "logit_bias"),
    "logprobs": (True, "logprobs"),
    "top_logprobs": (2, "top_logprobs"),
    "response_format": ({"type": "json_object"}, "format"),
    "tools": ([{"type": "function", "function": FUNCTION}], "tools"),
    "functions": ([FUNCTION], "tools"),
    "tool_choice": ("required", "tool_choice"),
    "function_call": ("none", "tool_choice"),
    "parallel_tool_calls": (False, "parallel_tools"),
    "reasoning_effort": ("low", "reasoning"),
    "reasoning": ({"effort": "low"}, "reasoning"),
    "thinking": ({"type": "enabled", "budget_tokens": 2_000}, "reasoning"),
    "enable_thinking": (True, "reasoning"),
    "google": ({"thinking_config": {"thinking_budget": 5}}, "reasoning"),
    "verbosity": ("low", "verbosity"),
    "modalities": (["text", "audio"], "modalities"),
    "audio": ({"voice": "alloy", "format": "wav"}, "audio"),
    "user": ("u", "user"),
    "safety_identifier": ("u", "user"),
    "metadata": ({"a": "b"}, "metadata"),
    "prompt_cache_key": ("k", "cache_key"),
}


@pytest.mark.parametrize("name", GIVEN)
def test_each_parameter_has_its_place_and_keeps_its_name(name: str) -> None:
    """So that an error or a header can speak of it as the caller does."""
    value, field = GIVEN[name]
    chat = asked(**{name: value})

    assert getattr(chat, field) is not None
    assert fates.name_of(chat, field) == name
    assert chat.others == {}
    assert all(getattr(chat, other) is None for other in PARAMETERS if other != field)


def test_no_declared_parameter_is_forgotten() -> None:
    """Each has a place, or is acted on before a request is translated."""
    own = {"messages", "extra_body", "fallback_models", "fallback_timeout", "fallback_enabled"}
    own |= {"web_results_count", "web_content_length", "web_search_options", "compression"}
    own |= {"usage", "models", "provider"}

    assert set(Body.__struct_fields__) - own - _SETTLED == set(GIVEN) & set(Body.__struct_fields__)
    assert {field for _, field in GIVEN.values()} == set(PARAMETERS)


@pytest.mark.parametrize("name", ["prediction", "top_a", "store", "prompt_cache_retention"])
def test_what_has_no_place_is_kept_under_its_name(name: str) -> None:
    """So that it is listed as dropped; null asks for nothing."""
    assert list(asked(**{name: True}).others) == [name]
    assert asked(**{name: None}).others == {}


def test_what_asks_for_nothing_is_not_kept() -> None:
    """Values that every request has, said or not."""
    assert asked(store=False, service_tier="auto", stream_options={"x": 1}).others == {}


def test_names_of_participants_are_given_up_by_name() -> None:
    """No other format has them."""
    assert list(asked({**HI, "name": "Ann"}).others) == ["messages.name"]


@pytest.mark.parametrize(
    ("members", "wish"),
    [
        ({"reasoning_effort": "high"}, {"effort": "high"}),
        ({"reasoning_effort": "none"}, {"enabled": False}),
        (
            {"reasoning": {"enabled": True, "effort": "low", "summary": "concise"}},
            {"enabled": True, "effort": "low", "show": "concise"},
        ),
        ({"reasoning": {"max_tokens": 99}}, {"budget": 99}),
        ({"reasoning": {"exclude": True}}, {"show": "none"}),
        ({"reasoning": {"enabled": False}}, {"enabled": False}),
        ({"thinking": {"type": "disabled"}}, {"enabled": False}),
        ({"thinking": {"type": "adaptive"}}, {"enabled": True}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
            {"enabled": True, "budget": 2_000},
        ),
        ({"extra_body": {"enable_thinking": False}}, {"enabled": False}),
        (
            {"extra_body": {"google": {"thinking_config": {"include_thoughts": True}}}},
            {"show": "auto"},
        ),
        ({"google": {"thinking_config": {"thinking_budget": 0}}}, {"enabled": False}),
        ({"google": {"thinking_config": {"thinking_level": "LOW"}}}, {"effort": "low"}),
    ],
)
def test_the_many_ways_to_wish_for_reasoning(members: Any, wish: Any) -> None:
    """All become one."""
    assert asked(**members).reasoning == ReasoningWish(**wish)


def test_what_google_means_beside_thinking_is_kept() -> None:
    """Unread, under its name."""
    assert list(asked(google={"cached_content": "c"}).others) == ["google"]


def test_tools_keep_their_schemas_as_they_came() -> None:
    """With strictness and marks of the prompt cache."""
    tool = {"type": "function", "function": FUNCTION, "cache_control": {"type": "ephemeral"}}
    (found,) = asked(tools=[tool]).tools or ()

    assert found.parameters is not None
    assert json.loads(bytes(found.parameters)) == SCHEMA
    assert (found.name, found.description, found.strict, found.cache) == ("f", "d", True, "5m")
    assert asked(functions=[{"name": "g"}]).tools == (Tool(name="g"),)


@pytest.mark.parametrize(
    ("members", "choice"),
    [
        ({"tool_choice": "auto"}, ToolChoice(mode="auto")),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            ToolChoice(mode="named", name="f"),
        ),
        ({"function_call": {"name": "f"}}, ToolChoice(mode="named", name="f")),
    ],
)
def test_how_tools_may_be_used(members: Any, choice: ToolChoice) -> None:
    """In the format's later way and its first."""
    assert asked(**members).tool_choice == choice


def test_instructions_stand_apart_where_they_come_first() -> None:
    """Developers are the system by its later name; in mid-conversation they are turns."""
    chat = asked(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        HI,
        {"role": "system", "content": "c"},
    )

    assert chat.system == (TextPart(text="a"), TextPart(text="b"))
    assert [turn.role for turn in chat.turns] == ["user", "system"]


def test_content_parts() -> None:
    """Each kind, by address or as data."""
    content = [
        {"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "image_url", "image_url": {"url": "https://a.example/x.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/PNG;base64,AAAA"}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "file", "file": {"file_data": "AAAA", "filename": "x.pdf"}},
        {"type": "text", "text": ""},
    ]
    (turn,) = asked({"role": "user", "content": content}).turns

    assert turn.parts == (
        TextPart(text="t", cache="1h"),
        MediaPart(kind="image", url="https://a.example/x.png", detail="low"),
        MediaPart(kind="image", data="AAAA", mime="image/png"),
        MediaPart(kind="video", data="AAAA", mime="video/mp4"),
        MediaPart(kind="audio", data="AAAA", mime="audio/mpeg"),
        MediaPart(kind="document", data="AAAA", mime="application/pdf"),
        MediaPart(kind="document", data="AAAA", mime="application/pdf", name="x.pdf"),
    )


def test_an_assistants_turn_has_its_parts_in_order() -> None:
    """Thoughts, words, pictures, calls."""
    (turn,) = asked(
        {
            "role": "assistant",
            "content": "said",
            "refusal": "no",
            "reasoning_content": "thought",
            "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}],
            "tool_calls": [CALL],
        }
    ).turns

    assert turn.parts == (
        ReasoningPart(text="thought", origin=state.OPENAI_CHAT),
        TextPart(text="said"),
        RefusalPart(text="no"),
        MediaPart(kind="image", data="AA==", mime="image/png"),
        CallPart(id="c1", name="f", arguments='{"x":1}'),
    )


def test_results_of_tools_are_one_turn() -> None:
    """With the names of the tools that were called."""
    chat = asked(
        {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "2"}]},
        HI,
    )

    assert chat.turns[1] == Turn(
        role="user",
        parts=(
            ResultPart(call_id="c1", name="f", parts=(TextPart(text="1"),)),
            ResultPart(call_id="c2", name="f", parts=(TextPart(text="2"),)),
        ),
    )
    assert chat.turns[2].parts == (TextPart(text="hi"),)


def test_the_formats_first_way_to_call() -> None:
    """A result has no id there; it is that of the last call of this name."""
    called, answered = asked(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
        {"role": "function", "name": "f", "content": "1"},
    ).turns
    (call,), (result,) = called.parts, answered.parts

    assert isinstance(call, CallPart)
    assert isinstance(result, ResultPart)
    assert (call.name, call.arguments) == ("f", "{}")
    assert (result.call_id, result.name) == (call.id, "f")


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ([{"type": "audio_url", "x": 1}], "messages[0].content[0].type"),
        (
            [{"type": "image_url", "image_url": {"url": "ftp://x"}}],
            "messages[0].content[0].image_url.url",
        ),
        (
            [{"type": "image_url", "image_url": {"url": "data:image/png,%20"}}],
            "messages[0].content[0].image_url.url",
        ),
        ([{"type": "file", "file": {"file_id": "f"}}], "messages[0].content[0].file.file_id"),
        ([{"type": "file", "file": {}}], "messages[0].content[0].file"),
        (
            [{"type": "file", "file": {"file_data": "data:x,y"}}],
            "messages[0].content[0].file.file_data",
        ),
    ],
)
def test_content_that_cannot_be_said_is_named_by_its_place(message: Any, param: str) -> None:
    """Not by what was written."""
    assert param_of({"role": "user", "content": message}) == param


def test_what_no_other_format_can_say_is_refused() -> None:
    """By its place."""
    assert param_of(tools=[{"type": "web_search"}]) == "tools[0]"
    assert param_of(tools=[{"function": {"name": "f"}}, {"type": "custom"}]) == "tools[1]"
    assert param_of(tool_choice={"type": "allowed_tools"}) == "tool_choice"
    assert param_of({"role": "assistant", "audio": {"id": "a"}}) == "messages[0].audio"
    assert param_of({"role": "function", "name": "f", "content": "x"}) == "messages[0].name"
    image = {"type": "image_url", "image_url": {"url": "https://a.example"}}
    assert param_of({"role": "system", "content": [image]}) == "messages[0].content"
    refused = {"role": "tool", "tool_call_id": "c", "content": [{"type": "refusal", "refusal": ""}]}
    assert param_of(refused) == "messages[0].content"


@pytest.mark.parametrize(
    ("call", "param"),
    [
        ({"id": ""}, "messages[0].tool_calls[0].id"),
        ({"function": {}}, "messages[0].tool_calls[0].function.name"),
        ({"function": 5}, "messages[0].tool_calls[0].function"),
    ],
)
def test_calls_in_the_history_must_be_whole(call: Any, param: str) -> None:
    """A provider could not match their results."""
    assert param_of({"role": "assistant", "tool_calls": [{**CALL, **call}]}) == param


def test_who_asks_in_the_first_way_is_answered_in_it() -> None:
    """With one function call, streamed or whole; a second has no place there."""
    request = parse(body(functions=[{"name": "f"}]))
    call = CallFacts(id="c", created=7, model="m", request=request)
    events: list[Event] = [
        *(ToolCall(index=n, id=f"c{n}", name="f", arguments=f"[{n}]") for n in range(2)),
        Finished(reason="tool_calls"),
    ]
    choice = json.loads(render_reply(events, call))["choices"][0]
    first, last = (found["choices"][0] for found in documents(encoder(call).feed(events)))

    said = {"name": "f", "arguments": "[0]"}
    assert choice["message"]["function_call"] == first["delta"]["function_call"] == said
    assert choice["finish_reason"] == last["finish_reason"] == "function_call"
    assert "tool_calls" not in choice["message"]


def test_what_stands_beside_a_call_with_a_number_that_python_cannot_hold_is_refused() -> None:
    """It would hold the signature of the call."""
    call = json.dumps({**CALL, "extra_content": {"x": 0}}).replace("0}", "7" * 5_000 + "}")
    said = f'{{"role":"assistant","tool_calls":[{call}]}}'

    with pytest.raises(BadRequest):
        understand(parse(f'{{"model":"m","messages":[{said}]}}'.encode()))
