"""Behaviour of requests that are said in the chat format: what a provider gets."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from apertura.errors import BadRequest
from apertura.wire import state
from apertura.wire.chat import (
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
from apertura.wire.dialect import Target
from apertura.wire.openai_chat import express, parse

HI = Turn(role="user", parts=(TextPart(text="hi"),))
TARGET = Target(model="M")
IMAGE = MediaPart(kind="image", data="AAAA", mime="image/png")
TOOL = Tool(name="f", description="d", parameters=msgspec.Raw(b'{"type":"object"}'), strict=True)


def sent(*turns: Turn, target: Target = TARGET, **fields: Any) -> dict[str, Any]:
    """What the provider gets; all of it is a request that we would accept ourselves."""
    said = express(Chat(turns=turns or (HI,), **fields), target).body
    parse(said)
    found: dict[str, Any] = json.loads(said)
    return found


def user(*parts: Part) -> Turn:
    return Turn(role="user", parts=parts)


def assistant(*parts: Part) -> Turn:
    return Turn(role="assistant", parts=parts)


def test_the_smallest_request() -> None:
    """Only what was asked for is said: hosts of this format refuse what they do not know."""
    assert sent(n=1, modalities=("text",), format=Format(kind="text"), reasoning=None) == {
        "model": "M",
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_all_parameters() -> None:
    """Each under the format's name."""
    assert sent(
        stream=True,
        max_output=9,
        temperature=0.5,
        top_p=0.5,
        stop=("a", "b"),
        n=2,
        seed=7,
        presence_penalty=1,
        frequency_penalty=-1,
        logit_bias=msgspec.Raw(b'{"5":1}'),
        format=Format(kind="json_schema", schema=msgspec.Raw(b"{}"), strict=True),
        tools=(TOOL,),
        tool_choice=ToolChoice(mode="named", name="f"),
        parallel_tools=False,
        reasoning=ReasoningWish(effort="low"),
        verbosity="low",
        modalities=("text", "image"),
        audio=msgspec.Raw(b'{"voice":"v"}'),
        user="u",
    ) == {
        "model": "M",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.5,
        "stop": ["a", "b"],
        "n": 2,
        "seed": 7,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "logit_bias": {"5": 1},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {}, "strict": True},
        },
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "d",
                    "parameters": {"type": "object"},
                    "strict": True,
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "verbosity": "low",
        "modalities": ["text", "image"],
        "audio": {"voice": "v"},
        "user": "u",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_a_host_refuses_to_know_is_left_out_and_listed() -> None:
    """By the caller's name; and each is asked for a limit by the name that it knows."""
    target = Target(
        model="M",
        ask_usage=False,
        limit="max_completion_tokens",
        unknown=frozenset({"user", "seed"}),
    )
    chat = Chat(
        turns=(HI,), stream=True, max_output=9, user="u", names={"user": "metadata.user_id"}
    )
    said = express(chat, target)

    assert said.dropped == ("metadata.user_id",)
    assert json.loads(said.body) == {
        "model": "M",
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 9,
        "stream": True,
    }


def test_what_is_given_up_is_listed() -> None:
    """By the caller's names, with what has no place at all."""
    chat = Chat(
        turns=(HI,),
        top_k=5,
        logprobs=True,
        top_logprobs=2,
        metadata=msgspec.Raw(b"{}"),
        cache_key="k",
        stop=("a", "b", "c", "d", "e"),
        others={"x": msgspec.Raw(b"1")},
        names={"stop": "stop_sequences", "top_k": "topK"},
    )
    said = express(chat, TARGET)

    assert set(said.dropped) == {
        *("topK", "logprobs", "top_logprobs", "metadata", "cache_key", "x", "stop_sequences")
    }
    assert json.loads(said.body)["stop"] == ["a", "b", "c", "d"]


def test_tools_and_how_to_use_them_go_together() -> None:
    """Hosts refuse the one without the other; in parallel is what all do unasked."""
    choice = ToolChoice(mode="required")

    assert "tool_choice" not in sent(tool_choice=choice, parallel_tools=False)
    assert "parallel_tool_calls" not in sent(tools=(TOOL,), parallel_tools=True)
    assert sent(tools=(TOOL,), tool_choice=choice)["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("wish", "effort"),
    [
        (ReasoningWish(enabled=False, effort="low"), "none"),
        (ReasoningWish(enabled=True), None),
        (ReasoningWish(budget=1_024), "low"),
        (ReasoningWish(budget=8_192), "medium"),
        (ReasoningWish(budget=32_000), "high"),
        (ReasoningWish(budget=32_000, effort="minimal"), "minimal"),
        (ReasoningWish(show="auto"), None),
    ],
)
def test_how_much_to_think_is_said_in_words(wish: ReasoningWish, effort: str | None) -> None:
    """The format has no numbers for it."""
    assert sent(reasoning=wish).get("reasoning_effort") == effort


def test_instructions() -> None:
    """Those that come first are one message; others keep their place."""
    texts = (TextPart(text="a"), TextPart(text="b"))
    found = sent(HI, Turn(role="system", parts=texts), system=texts)["messages"]

    assert [(message["role"], message["content"]) for message in found] == [
        ("system", "a\n\nb"),
        ("user", "hi"),
        ("system", "a\n\nb"),
    ]


def test_media() -> None:
    """Each in the format's own part; text files as text."""
    (message,) = sent(
        user(
            TextPart(text="see"),
            IMAGE,
            MediaPart(kind="image", url="https://a.example/x", detail="low"),
            MediaPart(kind="audio", data="AAAA", mime="audio/x-wav"),
            MediaPart(kind="video", url="https://a.example/v"),
            MediaPart(kind="document", data="AAAA", mime="application/pdf", name="x.pdf"),
            MediaPart(kind="document", data="aGk=", mime="text/plain"),
        )
    )["messages"]

    assert message["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://a.example/x", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://a.example/v"}},
        {
            "type": "file",
            "file": {"filename": "x.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        },
        {"type": "text", "text": "hi"},
    ]


@pytest.mark.parametrize(
    "medium",
    [
        MediaPart(kind="document", url="https://a.example/x.pdf"),
        MediaPart(kind="audio", url="https://a.example/x.wav"),
        MediaPart(kind="document", data="?", mime="text/plain"),
    ],
)
def test_media_that_the_format_cannot_hold_are_refused(medium: MediaPart) -> None:
    """By the caller's name for the conversation."""
    with pytest.raises(BadRequest) as caught:
        express(Chat(turns=(user(medium),), names={"turns": "contents"}), TARGET)

    assert caught.value.param == "contents"


def test_what_tools_answered_comes_before_what_the_user_says() -> None:
    """One message for each; failures say so; pictures move to the user's turn that follows."""
    call = CallPart(id="c1", name="f", arguments="")
    found = sent(
        assistant(call),
        user(
            TextPart(text="well?"),
            ResultPart(call_id="c1", parts=(TextPart(text="a"), TextPart(text="b"), IMAGE)),
            ResultPart(call_id="c2", parts=(TextPart(text="bad"),), is_error=True),
        ),
    )["messages"]

    assert [message["role"] for message in found] == ["assistant", "tool", "tool", "user"]
    assert found[0] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    }
    assert found[1]["content"].startswith("a\nb\n(")
    assert found[2]["content"] == "Error: bad"
    assert [part["type"] for part in found[3]["content"]] == ["image_url", "text"]


def test_pictures_that_the_model_made_go_with_what_the_user_says_next() -> None:
    """After the results of tools, which nothing may part from their calls."""
    made = assistant(TextPart(text="here"), IMAGE, CallPart(id="c", name="f"))
    found = sent(made, user(ResultPart(call_id="c")))["messages"]

    assert [message["role"] for message in found] == ["assistant", "tool", "user"]
    assert found[0]["content"] == "here"
    assert found[2]["content"][0]["type"] == "image_url"


def test_refusals_and_silence() -> None:
    """Have their places."""
    refused, silent = sent(assistant(RefusalPart(text="no")), assistant())["messages"]

    assert refused == {"role": "assistant", "content": None, "refusal": "no"}
    assert silent == {"role": "assistant", "content": ""}


def test_only_the_formats_own_reasoning_is_sent_back() -> None:
    """What others thought is never shown to this provider."""
    entry = '{"type":"reasoning.text","signature":"S","format":"other-v1","index":0}'
    extra = '{"extra_content":{"google":{"thought_signature":"G"}}}'
    turn = assistant(
        ReasoningPart(text="a", state="SIG", origin=state.ANTHROPIC),
        ReasoningPart(text="b", origin=state.GEMINI),
        ReasoningPart(text="c", origin=state.OPENAI_CHAT),
        ReasoningPart(text="d", state=entry, origin=state.OPENAI_CHAT),
        ReasoningPart(text="e", state="not JSON", origin=state.OPENAI_CHAT),
        ReasoningPart(state=extra, origin=state.OPENAI_CHAT),
        CallPart(id="c1", name="f"),
        CallPart(id="c2", name="f"),
    )
    (message,) = sent(turn)["messages"]

    assert message["reasoning_content"] == "c"
    assert message["reasoning_details"] == [{**json.loads(entry), "text": "d"}]
    first, second = message["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "G"}}
    assert "extra_content" not in second
