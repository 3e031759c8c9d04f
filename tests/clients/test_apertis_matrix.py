"""The official `apertis` SDK 0.4.1, answered by providers of every format.

Its types are strict: each piece of a streamed tool call needs an id, a type, a name and arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import apertis
import pytest
from apertis import Apertis, AsyncApertis

from tests.clients.gateway import Gateway
from tests.clients.matrix import (
    ABOUT,
    ARGUMENTS,
    FAIL,
    HELLO,
    RESULT,
    THINK,
    TOOL,
    WEATHER,
    check_call,
    check_model,
    check_usage,
    check_words,
)
from tests.simulator.simulators import RANKER, missing

FUNCTION = {"name": TOOL, "description": ABOUT, "parameters": ARGUMENTS}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]
FLAT_TOOLS: Any = [{"type": "function", **FUNCTION}]
NATIVE_TOOLS: Any = [{"name": TOOL, "description": ABOUT, "input_schema": ARGUMENTS}]
ENOUGH = 2_000


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[Apertis]:
    """An SDK that tries once."""
    with Apertis(api_key=gateway.key, base_url=gateway.base_url, max_retries=0) as made:
        yield made


def said(words: str) -> Any:
    """One question."""
    return [{"role": "user", "content": words}]


def test_chat(client: Apertis, model: str) -> None:
    """An answer that its strict types accept."""
    answer = client.chat.completions.create(model=model, messages=said(HELLO))

    check_model(model, answer.model)
    check_words(model, HELLO, answer.choices[0].message.content)
    check_usage(model, answer.usage.prompt_tokens, answer.usage.completion_tokens)


async def test_stream(gateway: Gateway, model: str) -> None:
    """Chunks that its strict types accept, from the async client, with the usage last."""
    async with AsyncApertis(api_key=gateway.key, base_url=gateway.base_url) as client:
        stream = await client.chat.completions.create(
            model=model,
            messages=said(HELLO),
            stream=True,
            stream_options={"include_usage": True},
        )
        *chunks, last = [chunk async for chunk in stream]

    check_words(model, HELLO, "".join(c.choices[0].delta.content or "" for c in chunks))
    check_usage(model, last.usage.prompt_tokens, last.usage.completion_tokens)


def test_tool_and_its_result(client: Apertis, model: str) -> None:
    """A call of a tool, its result, and words about it."""
    messages = said(WEATHER)
    first = client.chat.completions.create(model=model, messages=messages, tools=TOOLS)
    [call] = first.choices[0].message.tool_calls
    assert "tool_calls" == first.choices[0].finish_reason
    check_call(model, call.function.name, json.loads(call.function.arguments))

    second = client.chat.completions.create(
        model=model, messages=[*messages, *turns(call)], tools=TOOLS
    )
    check_words(model, WEATHER, second.choices[0].message.content)


def test_tool_and_its_result_as_streams(client: Apertis, model: str) -> None:
    """The same as streams: its chunks refuse a piece without an id or a name."""
    messages = said(WEATHER)
    chunks = client.chat.completions.create(
        model=model, messages=messages, tools=TOOLS, stream=True
    )
    deltas = [delta for c in chunks for delta in c.choices[0].delta.tool_calls or []]
    assert 1 == len({delta.id for delta in deltas})
    arguments = "".join(delta.function.arguments for delta in deltas)
    check_call(model, deltas[0].function.name, json.loads(arguments))

    deltas[0].function.arguments = arguments
    chunks = client.chat.completions.create(
        model=model, messages=[*messages, *turns(deltas[0])], tools=TOOLS, stream=True
    )
    check_words(model, WEATHER, "".join(c.choices[0].delta.content or "" for c in chunks))


def turns(call: Any) -> list[Any]:
    """The model's call as a message, and the result of it."""
    function = {"name": call.function.name, "arguments": call.function.arguments}
    made = {"id": call.id, "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call.id, "content": RESULT},
    ]


def test_reasoning(client: Apertis, scripted: str) -> None:
    """Thoughts, for which it has no type, do not get among the words."""
    answer = client.chat.completions.create(
        model=scripted, messages=said(THINK), reasoning_effort="low"
    )

    check_words(scripted, THINK, answer.choices[0].message.content)


def test_message(client: Apertis, model: str) -> None:
    """The native format of messages, below `/v1` too."""
    answer = client.messages.create(
        model=model, messages=said(HELLO), max_tokens=ENOUGH, system="You are helpful."
    )

    check_words(model, HELLO, answer.content[0].text)
    assert "end_turn" == answer.stop_reason
    check_model(model, answer.model)
    check_usage(model, answer.usage.input_tokens, answer.usage.output_tokens)


def test_stream_of_a_message(client: Apertis, model: str) -> None:
    """No event that its closed list of types does not have."""
    with client.messages.create(
        model=model, messages=said(HELLO), max_tokens=ENOUGH, stream=True
    ) as stream:
        events = list(stream)

    assert ["message_start", "message_stop"] == [events[0].type, events[-1].type]
    words = [e.delta.text for e in events if e.type == "content_block_delta"]
    check_words(model, HELLO, "".join(words))


def test_tool_of_a_message_and_its_result(client: Apertis, model: str) -> None:
    """A call of a tool, its result, and words about it; the call as a stream too."""
    asked: Any = {"model": model, "max_tokens": ENOUGH, "tools": NATIVE_TOOLS}
    with client.messages.create(messages=said(WEATHER), stream=True, **asked) as stream:
        kinds = [event.type for event in stream]
    assert "message_stop" == kinds[-1]
    first = client.messages.create(messages=said(WEATHER), **asked)
    [call] = [block for block in first.content if block.type == "tool_use"]
    check_call(model, call.name, call.input)

    result = {"type": "tool_result", "tool_use_id": call.id, "content": RESULT}
    blocks = [block.model_dump(exclude_none=True) for block in first.content]
    second = client.messages.create(
        messages=[
            *said(WEATHER),
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": [result]},
        ],
        **asked,
    )
    check_words(model, WEATHER, second.content[0].text)


def test_response(client: Apertis, model: str) -> None:
    """The Responses API: items with an id and a status."""
    answer = client.responses.create(model=model, input=HELLO, instructions="You are helpful.")

    assert "completed" == answer.status
    check_model(model, answer.model)
    check_words(model, HELLO, answer.output_text)
    check_usage(model, answer.usage.input_tokens, answer.usage.output_tokens)


def test_stream_of_a_response(client: Apertis, model: str) -> None:
    """Deltas, and the whole at the end."""
    with client.responses.create(model=model, input=HELLO, stream=True) as stream:
        events = list(stream)

    words = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    check_words(model, HELLO, words)
    assert "response.completed" == events[-1].type


@pytest.mark.parametrize("tools", [TOOLS, FLAT_TOOLS], ids=["nested", "flat"])
def test_tool_of_a_response(client: Apertis, model: str, tools: Any) -> None:
    """Tools in the format's own flat form, and in the nested one of the documentation."""
    answer = client.responses.create(model=model, input=WEATHER, tools=tools)
    [call] = [item for item in answer.output if item.type == "function_call"]

    check_call(model, call.name, json.loads(call.arguments))


def test_rerank(client: Apertis) -> None:
    """The best first, no more than asked for, with the documents as they were sent."""
    if why := missing("aimock"):
        pytest.skip(why)
    documents = ["A cat.", "A tree.", "A dog."]
    best = client.rerank.create(
        model=RANKER, query="Pets?", documents=documents, top_n=2, return_documents=True
    )
    bare = client.rerank.create(model=RANKER, query="Pets?", documents=documents)

    assert [(2, "A dog."), (0, "A cat.")] == [(row.index, row.document) for row in best.results]
    assert [2, 0, 1] == [row.index for row in bare.results]
    assert [None] * 3 == [row.document for row in bare.results]
    scores = [row.relevance_score for row in bare.results]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("stream", [False, True])
def test_failures(client: Apertis, gateway: Gateway, scripted: str, stream: bool) -> None:
    """Each resource raises its class for a provider's failure, a wrong key, an unknown model."""
    with Apertis(api_key="sk-wrong", base_url=gateway.base_url, max_retries=0) as stranger:
        for error, user, name, words in (
            (apertis.InternalServerError, client, scripted, FAIL),
            (apertis.AuthenticationError, stranger, scripted, HELLO),
            (apertis.NotFoundError, client, "no/such:model", HELLO),
        ):
            with pytest.raises(error):
                user.chat.completions.create(model=name, messages=said(words), stream=stream)
            with pytest.raises(error):
                user.messages.create(
                    model=name, messages=said(words), max_tokens=ENOUGH, stream=stream
                )
            with pytest.raises(error):
                user.responses.create(model=name, input=words, stream=stream)
