"""Behaviour of requests in the Responses format that are understood, to be said in another."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from apertura.errors import BadRequest
from apertura.wire import fates, state
from apertura.wire.chat import (
    PARAMETERS as FIELDS,
)
from apertura.wire.chat import (
    CallPart,
    Chat,
    Citation,
    Format,
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
from apertura.wire.openai_responses import parse, understand
from tests.wire.responses_said import PARAMETERS, body


def understood(**members: Any) -> Chat:
    return understand(parse(body(**members)))


STRICT = {"strict": True}
PICTURE = {"type": "input_image", "image_url": "https://a.example/b"}


def turns(*items: dict[str, Any]) -> tuple[Turn, ...]:
    return understood(input=list(items)).turns


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def test_a_string_is_what_the_user_says() -> None:
    """With the instructions before it."""
    chat = understood(instructions="Be brief.")

    assert (TextPart(text="Be brief."),) == chat.system
    assert (Turn(role="user", parts=(TextPart(text="hi"),)),) == chat.turns


def test_instructions_at_the_beginning_and_in_the_middle() -> None:
    """Before everything else they are the system's; later they stand where they were said."""
    chat = understood(
        instructions="One.",
        input=[
            {"role": "developer", "content": "Two."},
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "3"}]},
            {"role": "user", "content": "a"},
            {"role": "developer", "content": "Four."},
        ],
    )

    assert ["One.", "Two.", "3"] == [part.text for part in chat.system]
    assert ["user", "system"] == [turn.role for turn in chat.turns]


def test_the_items_of_an_answer_are_one_turn() -> None:
    """Thought, words and calls; results side by side are the turn after it, and know their tool."""
    found = turns(
        user({"type": "input_text", "text": "a"}),
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [
            {"type": "output_text", "text": "b", "annotations": [
                {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0,
                 "end_index": 1},
                {"type": "file_citation", "file_id": "f"},
            ]},
            {"type": "refusal", "refusal": "no"},
        ]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "function_call_output", "call_id": "c2", "output": [
            {"type": "input_image", "image_url": "data:image/gif;base64,R0"},
        ]},
        {"role": "user", "content": "c"},
    )  # fmt: skip

    cited = (Citation(url="https://a", title="A", start=0, end=1),)
    picture = MediaPart(kind="image", data="R0", mime="image/gif")
    assert found == (
        Turn(role="user", parts=(TextPart(text="a"),)),
        Turn(
            role="assistant",
            parts=(
                ReasoningPart(state="rs_1:gAAA", origin=state.OPENAI),
                TextPart(text="b", cited=cited),
                RefusalPart(text="no"),
                CallPart(id="c1", name="f", arguments="{}"),
                CallPart(id="c2", name="g", arguments="{}"),
            ),
        ),
        Turn(
            role="user",
            parts=(
                ResultPart(call_id="c1", parts=(TextPart(text="1"),), name="f"),
                ResultPart(call_id="c2", parts=(picture,), name="g"),
            ),
        ),
        Turn(role="user", parts=(TextPart(text="c"),)),
    )


def test_two_answers_in_a_row_stay_two() -> None:
    """Their words do not run together."""
    found = turns({"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"})

    assert ["a", "b"] == [part.text for turn in found for part in turn.parts]  # type: ignore[union-attr]
    assert 2 == len(found)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a"}, TextPart(text="a")),
        (
            {"type": "input_image", "image_url": "https://a.example/b", "detail": "low"},
            MediaPart(kind="image", url="https://a.example/b", detail="low"),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
            MediaPart(kind="image", data="AA==", mime="image/png"),
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "R"}},
            MediaPart(kind="image", data="R", mime="image/gif"),
        ),
        (
            {"type": "input_file", "filename": "a.b", "file_data": "data:application/pdf;base64,J"},
            MediaPart(kind="document", data="J", mime="application/pdf", name="a.b"),
        ),
        (
            {"type": "input_file", "filename": "a.txt", "file_data": "QQ=="},
            MediaPart(kind="document", data="QQ==", mime="text/plain", name="a.txt"),
        ),
        (
            {"type": "input_file", "file_url": "https://a.example/b.pdf"},
            MediaPart(kind="document", url="https://a.example/b.pdf"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
            MediaPart(kind="audio", data="UklGRg==", mime="audio/mpeg"),
        ),
    ],
)  # fmt: skip
def test_parts_of_what_a_caller_says(part: dict[str, Any], expected: Any) -> None:
    """By address or as data, in the newer and the older forms."""
    [turn] = turns(user(part))

    assert (expected,) == turn.parts


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": [user({"type": "input_image", "image_url": "ftp://a"})]},
         "input[0].content[0].image_url"),
        ({"input": [user({"type": "input_file", "file_data": "data:text/plain,a"})]},
         "input[0].content[0].file_data"),
        ({"input": [user({"type": "new_part"})]}, "input[0].content[0]"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "web_search"}]}, "tools[1]"),
        ({"tools": [{"type": "mcp", "server_label": "a"}]}, "tools[0]"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"input": [{"role": "developer", "content": [PICTURE]}]}, "input[0].content"),
    ],
)  # fmt: skip
def test_what_no_other_format_can_say_is_refused_by_name(
    members: dict[str, Any], param: str
) -> None:
    """Tools that run at the provider, and what they left behind; ids that were not resolved."""
    with pytest.raises(BadRequest) as found:
        understood(**members)
    assert param == found.value.param


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "name": "f", "description": "d", "parameters": {"a": 1}},
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"a": 1}}},
    ],
)
def test_tools_flat_and_nested(tool: dict[str, Any]) -> None:
    """Both say the same; strict only if it was said."""
    [found] = understood(tools=[tool]).tools or ()

    plain = msgspec.structs.replace(found, parameters=None)
    assert Tool(name="f", description="d") == plain
    assert {"a": 1} == json.loads(bytes(found.parameters or b""))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice(mode="auto")),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ({"type": "function", "name": "f"}, ToolChoice(mode="named", name="f")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice(mode="named", name="f")),
    ],
)
def test_which_tool_to_call(choice: Any, expected: ToolChoice) -> None:
    assert expected == understood(tool_choice=choice).tool_choice


def test_allowed_tools_are_all_the_tools_there_are() -> None:
    """The others are left out, which says the same in every format."""
    chat = understood(
        tools=[{"type": "function", "name": name} for name in "abc"],
        tool_choice={
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "a"}, {"type": "function", "name": "c"}],
        },
    )

    assert ["a", "c"] == [tool.name for tool in chat.tools or ()]
    assert ToolChoice(mode="required") == chat.tool_choice


@pytest.mark.parametrize(
    ("members", "name"),
    [
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}} | STRICT}},
            "text.format",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {}} | STRICT,
                }
            },
            "response_format",
        ),
    ],
)  # fmt: skip
def test_the_form_of_the_answer(members: dict[str, Any], name: str) -> None:
    """By either name, which errors repeat."""
    chat = understood(**members)

    assert chat.format is not None and b"{}" == bytes(chat.format.schema or b"")
    plain = msgspec.structs.replace(chat.format, schema=None)
    assert Format(kind="json_schema", name="n", strict=True) == plain
    assert name == chat.names["format"]


@pytest.mark.parametrize(
    ("reasoning", "wish"),
    [
        ({"effort": "low"}, ReasoningWish(effort="low")),
        ({"effort": "none"}, ReasoningWish(enabled=False)),
        ({"enabled": False, "effort": "low"}, ReasoningWish(enabled=False)),
        ({"summary": "detailed"}, ReasoningWish(show="detailed")),
        ({"generate_summary": "auto"}, ReasoningWish(show="auto")),
    ],
)
def test_how_much_to_think(reasoning: dict[str, Any], wish: ReasoningWish) -> None:
    assert wish == understood(reasoning=reasoning).reasoning


@pytest.mark.parametrize(
    ("said", "word"), [("concise", "low"), ("normal", "medium"), ("verbose", "high")]
)
def test_verbosity_in_the_public_apis_words(said: str, word: str) -> None:
    assert word == understood(text={"verbosity": said}).verbosity


@pytest.mark.parametrize(
    ("sealed", "expected"),
    [
        ("gAAA==", (state.OPENAI, "rs_1:gAAA==")),
        (state.wrap(state.ANTHROPIC, "sig=="), (state.ANTHROPIC, "sig==")),
        (state.wrap(state.OPENAI, "rs_9:gB=="), (state.OPENAI, "rs_9:gB==")),
        (state.wrap(state.OPENAI_CHAT, ""), (state.OPENAI_CHAT, "")),
        (None, ("", "")),
    ],
)
def test_state_comes_back_as_it_went(sealed: str | None, expected: tuple[str, str]) -> None:
    """The format's own, and what it carried for others."""
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    item = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": sealed}
    [turn] = turns(item)

    origin, opaque = expected
    assert (ReasoningPart(text="a\n\nb", origin=origin, state=opaque),) == turn.parts


MAPPED = {
    "instructions": "system",
    "max_output_tokens": "max_output",
    "text": "format",
    "parallel_tool_calls": "parallel_tools",
    "prompt_cache_key": "cache_key",
    "safety_identifier": "user",
}
SILENT = {"store", "background", "conversation", "prompt", "service_tier"}
"""What the gateway does itself, or every format does."""


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_every_parameter_is_mapped_or_listed(name: str) -> None:
    """None is lost in silence."""
    chat = understood(**{name: PARAMETERS[name]})

    field = MAPPED.get(name, name)
    mapped = field in Chat.__struct_fields__ and bool(
        getattr(chat, field) is not None and getattr(chat, field) != ()
    )
    assert mapped or name in chat.others or name in SILENT
    assert not (mapped and name in chat.others)


def test_what_asks_for_nothing_is_not_listed() -> None:
    """State is shown unasked; no truncation and no padding are what there is."""
    chat = understood(
        include=["reasoning.encrypted_content"],
        truncation="disabled",
        stream_options={"include_obfuscation": False, "include_usage": True},
        top_logprobs=0,
        max_tool_calls=None,
    )

    assert {} == chat.others


def test_names_are_the_callers() -> None:
    """Each that differs from ours is a parameter of the format."""
    chat = understood(max_tokens=9)

    assert "max_tokens" == fates.name_of(chat, "max_output")
    assert set(chat.names) <= {*FIELDS, "turns", "system"}


def test_an_annotation_with_a_number_that_python_cannot_hold_is_refused() -> None:
    """Of an answer that the caller sends back."""
    part = b'{"type":"output_text","text":"a","annotations":[{"x":%b}]}' % (b"7" * 5_000)
    said = b'{"type":"message","role":"assistant","content":[%b]}' % part

    with pytest.raises(BadRequest):
        understand(parse(b'{"model":"m","input":[%b]}' % said))
