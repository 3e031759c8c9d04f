"""Behaviour of requests in the Messages format that are put into the canonical form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertura.errors import BadRequest
from apertura.wire.anthropic_messages import parse, parse_count, understand
from apertura.wire.anthropic_shapes import Body
from apertura.wire.anthropic_state import UNSIGNED
from apertura.wire.chat import (
    CallPart,
    Chat,
    Citation,
    MediaPart,
    Part,
    ReasoningPart,
    ReasoningWish,
    ResultPart,
    TextPart,
    ToolChoice,
    Turn,
)
from apertura.wire.route_wish import OWN
from apertura.wire.state import ANTHROPIC, ANTHROPIC_REDACTED, GEMINI, OPENAI_CHAT, wrap
from tests.wire.anthropic_said import assistant, body, understood, user

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def parts(*blocks: Any) -> tuple[Part, ...]:
    """What one turn of the user's with these blocks holds."""
    return understood(messages=[user(*blocks)]).turns[0].parts


def answered(*blocks: Any) -> tuple[Part, ...]:
    return understood(messages=[assistant(*blocks)]).turns[0].parts


def refused(**members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        understood(**members)
    return caught.value


def test_the_system_prompt_in_all_its_forms() -> None:
    """A text, blocks with marks, and messages that come before everything else."""
    blocks = [{"type": "text", "text": "a", "cache_control": HOUR}, {"type": "text", "text": ""}]
    later = [{"role": "system", "content": "b"}, {"role": "user", "content": "hi"}]

    assert understood(system="a").system == (TextPart(text="a"),)
    assert understood(system="").system == ()
    chat = understood(system=blocks, messages=[*later, {"role": "system", "content": "c"}])
    assert chat.system == (TextPart(text="a", cache="1h"), TextPart(text="b"))
    assert chat.turns == (
        Turn(role="user", parts=(TextPart(text="hi"),)),
        Turn(role="system", parts=(TextPart(text="c"),)),
    )


def test_what_a_user_sends() -> None:
    """Texts, images and documents by address and as data, with their marks."""
    assert parts(
        {"type": "text", "text": "a", "cache_control": MARK},
        {"type": "text", "text": ""},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iV"}},
        {"type": "image", "source": {"type": "url", "url": "https://a.example"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JV"},
            "title": "t",
            "cache_control": MARK,
        },
    ) == (
        TextPart(text="a", cache="5m"),
        MediaPart(kind="image", data="iV", mime="image/png"),
        MediaPart(kind="image", url="https://a.example"),
        MediaPart(kind="document", data="JV", mime="application/pdf", name="t", cache="5m"),
    )


def test_documents_of_text_are_text() -> None:
    """Under their title and context; those made of blocks are these blocks."""
    plain = {"type": "text", "media_type": "text/plain", "data": "words"}
    inner = {"type": "content", "content": [{"type": "text", "text": "inner"}]}

    assert parts(
        {"type": "document", "source": plain, "title": "t", "context": "c"},
        {"type": "document", "source": inner},
        {"type": "document", "source": {"type": "content", "content": "bare"}},
        {
            "type": "search_result",
            "source": "https://a.example",
            "title": "t",
            "content": [{"type": "text", "text": "found"}],
        },
    ) == (
        TextPart(text="t\nc\nwords"),
        TextPart(text="inner"),
        TextPart(text="bare"),
        TextPart(text="t\nhttps://a.example\nfound"),
    )


def test_what_the_model_said() -> None:
    """Its thoughts with their state, its words with what they rest on, its calls."""
    cite = {"type": "web_search_result_location", "url": "https://a.example", "title": "t"}

    assert answered(
        {"type": "thinking", "thinking": "a", "signature": "Eq=="},
        {"type": "redacted_thinking", "data": "R=="},
        {"type": "text", "text": "hi", "citations": [cite, {"type": "char_location"}]},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1.0}},
    ) == (
        ReasoningPart(text="a", state="Eq==", origin=ANTHROPIC),
        ReasoningPart(state="R==", origin=ANTHROPIC_REDACTED),
        TextPart(text="hi", cited=(Citation(url="https://a.example", title="t", end=2),)),
        CallPart(id="c", name="f", arguments='{"x":1.0}'),
    )


@pytest.mark.parametrize(
    ("signature", "state", "origin"),
    [
        (wrap(GEMINI, "Eq=="), "Eq==", GEMINI),
        (wrap(OPENAI_CHAT, ""), "", OPENAI_CHAT),
        (UNSIGNED, "", ""),
        ("", "", ""),
        ("Eq==", "Eq==", ANTHROPIC),
    ],
)
def test_carried_state_is_unwrapped(signature: str, state: str, origin: str) -> None:
    """Whose it is, and byte for byte what it was."""
    block = {"type": "thinking", "thinking": "a", "signature": signature}

    assert answered(block) == (ReasoningPart(text="a", state=state, origin=origin),)


def test_what_tools_answer() -> None:
    """As text or blocks, with the tool's name where its call is known."""
    call = assistant({"type": "tool_use", "id": "a", "name": "f", "input": {}})
    image = {"type": "image", "source": {"type": "url", "url": "https://a.example"}}
    results = user(
        {"type": "tool_result", "tool_use_id": "a", "content": "42", "is_error": True},
        {"type": "tool_result", "tool_use_id": "b", "content": [image], "cache_control": MARK},
        {"type": "tool_result", "tool_use_id": "c"},
    )

    assert understood(messages=[call, results]).turns[1].parts == (
        ResultPart(call_id="a", name="f", parts=(TextPart(text="42"),), is_error=True),
        ResultPart(
            call_id="b", parts=(MediaPart(kind="image", url="https://a.example"),), cache="5m"
        ),
        ResultPart(call_id="c"),
    )


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0]"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        (
            {"messages": [user({"type": "document", "source": {"type": "file", "file_id": "f"}})]},
            "messages[0].content[0].source",
        ),
        (
            {"messages": [assistant({"type": "server_tool_use", "id": "x"})]},
            "messages[0].content[0]",
        ),
        (
            {
                "messages": [
                    user({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "x"}]})
                ]
            },
            "messages[0].content[0].content[0]",
        ),
    ],
)
def test_what_no_other_format_can_say_is_refused_by_name(
    members: dict[str, Any], param: str
) -> None:
    """Tools that a provider runs, files that it keeps."""
    assert refused(**members).param == param


def test_tools_are_the_caller_s_own() -> None:
    """With their schema as it came."""
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    (tool,) = (
        understood(
            tools=[
                {
                    "type": "custom",
                    "name": "f",
                    "description": "d",
                    "input_schema": schema,
                    "strict": True,
                    "cache_control": MARK,
                }
            ]
        ).tools
        or ()
    )

    assert (tool.name, tool.description, tool.strict, tool.cache) == ("f", "d", True, "5m")
    assert json.loads(bytes(tool.parameters or b"")) == schema
    assert understood(tools=[]).tools == ()
    assert understood().tools is None


@pytest.mark.parametrize(
    ("said", "choice", "parallel"),
    [
        ({"type": "auto"}, ToolChoice(mode="auto"), None),
        ({"type": "any"}, ToolChoice(mode="required"), None),
        ({"type": "none"}, ToolChoice(mode="none"), None),
        ({"type": "tool", "name": "f"}, ToolChoice(mode="named", name="f"), None),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice(mode="auto"), False),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice(mode="auto"), True),
    ],
)
def test_which_tools_may_be_called(
    said: dict[str, Any], choice: ToolChoice, parallel: bool | None
) -> None:
    """And whether several at once."""
    chat = understood(tool_choice=said)

    assert (chat.tool_choice, chat.parallel_tools) == (choice, parallel)


@pytest.mark.parametrize(
    ("members", "wish"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, ReasoningWish(enabled=False)),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}},
            ReasoningWish(enabled=True, budget=2000, show="omitted"),
        ),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            ReasoningWish(enabled=True, effort="max"),
        ),
        ({"output_config": {"effort": "low"}}, ReasoningWish(effort="low")),
    ],
)
def test_how_much_to_think(members: dict[str, Any], wish: ReasoningWish | None) -> None:
    """By budget or by effort."""
    assert understood(**members).reasoning == wish


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}}}, "json_schema"),
        ({"output_format": {"type": "json_schema", "schema": {"a": 1}}}, "json_schema"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"a": 1}},
                }
            },
            "json_schema",
        ),
        ({"response_format": {"type": "json_object"}}, "json_object"),
        ({"response_format": {"type": "text"}}, "text"),
    ],
)
def test_the_form_of_the_answer(members: dict[str, Any], kind: str) -> None:
    """In this format's words or OpenAI's."""
    form = understood(**members).format

    assert form is not None and form.kind == kind
    if kind == "json_schema":
        assert json.loads(bytes(form.schema or b"")) == {"a": 1}


def test_a_mark_for_the_whole_request_is_on_its_last_part() -> None:
    """Where the format says that it counts."""
    chat = understood(
        cache_control=HOUR, messages=[user({"type": "text", "text": "a"}), assistant()]
    )

    assert chat.turns[0].parts == (TextPart(text="a", cache="1h"),)


def test_parameters_keep_their_values_and_names() -> None:
    """Those of this format and OpenAI's."""
    chat = understood(
        stream=True,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["a"],
        stop="b",
        metadata={"user_id": "u"},
        n=1,
        seed=3,
        presence_penalty=1,
        frequency_penalty=2,
        logit_bias={"5": 1},
    )

    assert (chat.stream, chat.max_output, chat.temperature) == (True, 100, 0.5)
    assert (chat.top_p, chat.top_k, chat.stop, chat.user) == (0.9, 5, ("a", "b"), "u")
    assert (chat.n, chat.seed, chat.presence_penalty, chat.frequency_penalty) == (1, 3, 1, 2)
    assert chat.names["max_output"] == "max_tokens"
    assert chat.names["stop"] == "stop_sequences"
    assert chat.names["user"] == "metadata.user_id"
    assert understood(stop="b").names["stop"] == "stop"
    assert "user" not in understood(user="b").names


@pytest.mark.parametrize(
    ("members", "others"),
    [
        ({"context_management": {"edits": []}, "a": 1, "b": None}, {"context_management", "a"}),
        ({"service_tier": "standard_only"}, {"service_tier"}),
        ({"service_tier": "auto", "speed": "standard", "compression": {"enabled": False}}, set()),
    ],
)
def test_members_without_a_place_are_named(members: dict[str, Any], others: set[str]) -> None:
    """So that they can be listed as dropped; those that ask for nothing are not."""
    assert set(understood(**members).others) == others


def test_a_wish_for_quotations_is_named() -> None:
    """Only this format's own models point into a document."""
    source = {"type": "text", "media_type": "text/plain", "data": "words"}
    for wanted in (True, False):
        paper = {"type": "document", "source": source, "citations": {"enabled": wanted}}
        found = set(understood(messages=[user(paper)]).others)
        assert found == ({"messages.citations"} if wanted else set())


def test_each_parameter_of_this_format_has_a_place() -> None:
    """Mapped, acted on, or named among the others: the table grows with the shapes."""
    mapped = (
        "model messages max_tokens system stream temperature top_p top_k stop_sequences tools"
        " tool_choice thinking output_config output_format metadata cache_control n stop"
        " presence_penalty frequency_penalty logit_bias user response_format seed"
    )
    acted_on = {"service_tier", "speed", "inference_geo", "mcp_servers", "compression", *OWN}

    assert set(Body.__struct_fields__) == set(mapped.split()) | acted_on


def test_a_count_is_understood_too() -> None:
    """Without a limit on output."""
    chat: Chat = understand(parse_count(body(max_tokens=None)))
    assert chat.max_output is None
    assert understand(parse(body())).max_output == 100
