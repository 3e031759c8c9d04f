"""The unmodified `openai` SDK's chat completions, answered by providers of every format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.clients.gateway import Gateway
from tests.clients.matrix import (
    ABOUT,
    ARGUMENTS,
    EMBEDDERS,
    FAIL,
    HELLO,
    IN_JSON,
    MOOD,
    RESULT,
    THINK,
    THOUGHT,
    TOOL,
    WEATHER,
    check_call,
    check_model,
    check_usage,
    check_words,
)
from tests.simulator.simulators import missing

TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": TOOL, "description": ABOUT, "parameters": ARGUMENTS, "strict": True},
    }
]


class Mood(BaseModel):
    """What the model is asked for."""

    word: Literal["glad", "sad"]
    sure: bool


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """An SDK that tries once."""
    with OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


def said(words: str) -> Any:
    """A short conversation that ends with `words`."""
    return [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "Good day."},
        {"role": "assistant", "content": "Good day!"},
        {"role": "user", "content": [{"type": "text", "text": words}]},
    ]


def test_answer(client: OpenAI, model: str) -> None:
    """Words, a reason to end, and the provider's count of tokens."""
    answer = client.chat.completions.create(
        model=model, messages=said(HELLO), max_completion_tokens=500, temperature=0.5, top_p=0.9
    )

    assert "chat.completion" == answer.object
    check_model(model, answer.model)
    assert answer.id and answer.created > 1_600_000_000
    [choice] = answer.choices
    check_words(model, HELLO, choice.message.content)
    assert ("assistant", "stop") == (choice.message.role, choice.finish_reason)
    assert not choice.message.tool_calls
    check_usage(model, answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_stream(gateway: Gateway, model: str) -> None:
    """The same in pieces, from the async client: one identity, a role first, the usage last."""
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key) as client:
        stream = await client.chat.completions.create(
            model=model, messages=said(HELLO), stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = [chunk async for chunk in stream]

    check_words(model, HELLO, "".join(c.choices[0].delta.content or "" for c in chunks))
    assert "assistant" == chunks[0].choices[0].delta.role
    assert ["stop"] == [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason]
    assert 1 == len({(c.id, c.created, c.model) for c in [*chunks, last]})
    check_model(model, last.model)
    assert [] == last.choices and not any(c.usage for c in chunks)
    check_usage(model, last.usage.prompt_tokens, last.usage.completion_tokens)


def test_stream_without_usage(client: OpenAI, model: str) -> None:
    """Each chunk has its choice, and none has a usage that nobody asked for."""
    chunks = list(client.chat.completions.create(model=model, messages=said(HELLO), stream=True))

    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in chunks)


def test_stream_helper(client: OpenAI, model: str) -> None:
    """The accumulating helper ends with the same answer."""
    with client.chat.completions.stream(model=model, messages=said(HELLO)) as stream:
        answer = stream.get_final_completion()

    check_words(model, HELLO, answer.choices[0].message.content)
    assert "stop" == answer.choices[0].finish_reason


def test_parsed(client: OpenAI, scripted: str) -> None:
    """A schema asks for JSON, and the SDK reads it as an object."""
    answer = client.chat.completions.parse(
        model=scripted, messages=said(IN_JSON), response_format=Mood
    )

    assert MOOD == answer.choices[0].message.parsed.model_dump()


def test_tool_and_its_result(client: OpenAI, model: str) -> None:
    """A call of a tool; its result sent back as the SDK's own message; words about it."""
    messages = said(WEATHER)
    first = client.chat.completions.create(
        model=model, messages=messages, tools=TOOLS, tool_choice="auto"
    )
    assert "tool_calls" == first.choices[0].finish_reason
    [call] = first.choices[0].message.tool_calls
    check_call(model, call.function.name, json.loads(call.function.arguments))
    check_usage(model, first.usage.prompt_tokens, first.usage.completion_tokens)

    result = {"role": "tool", "tool_call_id": call.id, "content": RESULT}
    second = client.chat.completions.create(
        model=model, messages=[*messages, first.choices[0].message, result], tools=TOOLS
    )
    check_words(model, WEATHER, second.choices[0].message.content)
    assert "stop" == second.choices[0].finish_reason


def test_tool_and_its_result_as_streams(client: OpenAI, model: str) -> None:
    """The same with the helper, which joins whatever repeats: no name or id may come twice."""
    messages = said(WEATHER)
    with client.chat.completions.stream(model=model, messages=messages, tools=TOOLS) as stream:
        first = stream.get_final_completion().choices[0]
    assert "tool_calls" == first.finish_reason
    [call] = first.message.tool_calls
    check_call(model, call.function.name, json.loads(call.function.arguments))

    called = {
        "role": "assistant",
        "tool_calls": [
            call.model_dump(include={"id": True, "type": True, "function": {"name", "arguments"}})
        ],
    }
    result = {"role": "tool", "tool_call_id": call.id, "content": RESULT}
    with client.chat.completions.stream(
        model=model, messages=[*messages, called, result], tools=TOOLS
    ) as stream:
        second = stream.get_final_completion().choices[0]
    check_words(model, WEATHER, second.message.content)


def test_raw_tool_stream(client: OpenAI, model: str) -> None:
    """Deltas have an index; the first has id, type and name, and arguments join to JSON."""
    chunks = client.chat.completions.create(
        model=model, messages=said(WEATHER), tools=TOOLS, stream=True
    )
    deltas = [delta for c in chunks for delta in c.choices[0].delta.tool_calls or []]

    assert {0} == {delta.index for delta in deltas}
    assert deltas[0].id and "function" == deltas[0].type
    arguments = "".join(delta.function.arguments or "" for delta in deltas)
    check_call(model, deltas[0].function.name, json.loads(arguments))


def test_reasoning(client: OpenAI, scripted: str) -> None:
    """Thoughts come apart from words, whole and in pieces."""
    answer = client.chat.completions.create(
        model=scripted, messages=said(THINK), reasoning_effort="low"
    )
    chunks = list(
        client.chat.completions.create(
            model=scripted, messages=said(THINK), reasoning_effort="low", stream=True
        )
    )

    check_words(scripted, THINK, answer.choices[0].message.content)
    assert THOUGHT == answer.choices[0].message.reasoning_content
    deltas = [chunk.choices[0].delta for chunk in chunks]
    check_words(scripted, THINK, "".join(delta.content or "" for delta in deltas))
    thoughts = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    assert THOUGHT == "".join(thoughts)


@pytest.mark.parametrize("stream", [False, True])
def test_failure_of_the_provider(client: OpenAI, scripted: str, stream: bool) -> None:
    """A provider's failure is the SDK's class for one, also before a stream."""
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=scripted, messages=said(FAIL), stream=stream)

    assert caught.value.status_code in (502, 503)
    assert caught.value.code


@pytest.mark.parametrize("stream", [False, True])
def test_completion_of_a_text(client: OpenAI, model: str, stream: bool) -> None:
    """The oldest format, which has a prompt and no conversation."""
    options: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    answer = client.completions.create(model=model, prompt=HELLO, max_tokens=500, **options)
    answers = list(answer) if stream else [answer]

    check_words(model, HELLO, "".join(c.text for a in answers for c in a.choices))
    assert {"text_completion"} == {a.object for a in answers}
    reasons = [c.finish_reason for a in answers for c in a.choices if c.finish_reason]
    assert ["stop"] == reasons
    check_usage(model, answers[-1].usage.prompt_tokens, answers[-1].usage.completion_tokens)


@pytest.mark.parametrize("embedder", EMBEDDERS)
def test_embeddings(client: OpenAI, embedder: str) -> None:
    """One vector for each input."""
    if why := missing(embedder.partition("-")[0]):
        pytest.skip(why)
    made = client.embeddings.create(model=embedder, input=["A cat.", "A tree."])

    check_model(embedder, made.model)
    assert [0, 1] == [row.index for row in made.data]
    assert all(isinstance(number, float) for row in made.data for number in row.embedding)
