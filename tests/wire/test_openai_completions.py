"""Behaviour of text completions: what is refused, what a chat model is asked, what is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import BadRequest, RateLimited
from apertura.wire import fates
from apertura.wire.chat import TextPart, Turn
from apertura.wire.dialect import CallFacts, Target
from apertura.wire.events import Event, Failed, Finished, Refusal, Started, Text, UsageReported
from apertura.wire.openai_chat import express
from apertura.wire.openai_completions import encoder, parse, render_reply, understand
from tests.wire.answers import STARTED, answers
from tests.wire.said import documents


def body(**members: Any) -> bytes:
    """The smallest request, and these members."""
    return json.dumps({"model": "m", "prompt": "Once", **members}).encode()


def facts(**members: Any) -> CallFacts:
    """A call with this body."""
    request = parse(body(**members))
    return CallFacts(
        id="cmpl-ours",
        created=7,
        model="asked-for",
        include_usage=request.include_usage,
        request=request,
    )


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ["a", [1]]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"n": 129}, "n"),
        ({"logprobs": 6}, "logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"model": ""}, "model"),
    ],
)
def test_what_no_chat_model_can_be_asked_is_refused_by_name(
    members: dict[str, Any], param: str
) -> None:
    """So are values out of their bounds; nothing that was written is repeated."""
    with pytest.raises(BadRequest) as caught:
        parse(body(**members))

    assert caught.value.param == param


def test_a_prompt_is_required() -> None:
    """Its absence has a code of its own."""
    with pytest.raises(BadRequest) as caught:
        parse(b'{"model":"m"}')

    assert (caught.value.code, caught.value.param) == ("missing_parameter", "prompt")


def test_a_prompt_becomes_a_conversation_of_one_turn() -> None:
    """Also as a list of one; the limit is the format's where none is given."""
    for prompt in ("Once", ["Once"]):
        request = parse(body(prompt=prompt, best_of=1, suffix=""))
        chat = understand(request)
        assert chat.turns == (Turn(role="user", parts=(TextPart(text="Once"),)),)
        assert (request.max_output, chat.max_output, chat.others) == (16, 16, {})


def test_parameters_are_asked_of_the_provider() -> None:
    """Each by its name; those that cannot be are listed."""
    request = parse(
        body(
            max_tokens=9,
            n=2,
            stop="x",
            seed=5,
            temperature=0.5,
            top_p=0.5,
            presence_penalty=1,
            frequency_penalty=-1,
            logit_bias={"5": 1},
            user="u",
            top_k=4,
            logprobs=0,
            echo=True,
            min_p=0.1,
            stream=True,
        )
    )
    said = express(understand(request), Target(model="M"))

    assert json.loads(said.body) == {
        "model": "M",
        "messages": [{"role": "user", "content": "Once"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.5,
        "seed": 5,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "logit_bias": {"5": 1},
        "user": "u",
        "stop": ["x"],
        "n": 2,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert sorted(said.dropped) == ["logprobs", "min_p", "top_k"]


def test_every_field_has_a_name() -> None:
    """Of those that a caller of this format can set."""
    chat = understand(parse(body(n=2, logprobs=1, user="u", seed=1)))

    for field in ("n", "logprobs", "user", "seed", "max_output", "turns"):
        assert fates.name_of(chat, field) in (*parse(body()).members, field, "max_tokens")


@given(answers(choices=3), st.booleans())
def test_a_stream_joined_equals_the_whole_reply(events: list[Event], echo: bool) -> None:
    """Choice by choice, with and without the prompt before it."""
    call = facts(echo=echo, stream_options={"include_usage": True})
    writer = encoder(call)
    found = documents(writer.feed(events) + writer.close())
    whole = json.loads(render_reply(events, call))

    assert found.pop() == b"[DONE]"
    usage = found.pop() if "usage" in whole else {}
    assert usage.get("usage") == whole.get("usage")
    for choice in whole["choices"]:
        own = [c["choices"][0] for c in found if c["choices"][0]["index"] == choice["index"]]
        assert "".join(piece["text"] for piece in own) == choice["text"]
        assert choice["text"].startswith("Once" if echo else "")
        assert own[-1]["finish_reason"] == choice["finish_reason"]
        assert all(piece["finish_reason"] is None for piece in own[:-1])
    assert {c["id"] for c in found} == {whole["id"]} == {STARTED.id}
    assert {c["object"] for c in [*found, whole]} == {"text_completion"}


def test_what_a_reply_looks_like() -> None:
    """Refusals are text; the ids are ours where the provider gave none."""
    events: list[Event] = [
        Started(id="", created=0, model=""),
        Text(text="a"),
        Refusal(text="b"),
        Finished(reason="tool_calls"),
    ]
    choice = {"text": "ab", "index": 0, "logprobs": None, "finish_reason": "stop"}
    assert json.loads(render_reply(events, facts())) == {
        "id": "cmpl-ours",
        "object": "text_completion",
        "created": 7,
        "model": "asked-for",
        "choices": [choice],
    }


def test_usage_is_for_those_who_asked() -> None:
    """As the last chunk, without choices."""
    counted = UsageReported(usage=Usage(input=1, output=2))
    assert encoder(facts()).feed([counted]) == b""
    asked = encoder(facts(stream=True, stream_options={"include_usage": True}))
    (found,) = documents(asked.feed([counted]))
    assert (found["choices"], found["usage"]["total_tokens"]) == ([], 3)


def test_a_failure_ends_the_stream() -> None:
    """In this family's envelope, without the marker of success."""
    writer = encoder(facts())
    out = writer.feed([STARTED, Text(text="a"), Failed(error=RateLimited("Slow down."))])

    assert documents(out + writer.close())[-1]["error"]["message"] == "Slow down."
    with pytest.raises(RateLimited):
        render_reply([STARTED, Failed(error=RateLimited("Slow down."))], facts())
