"""The unmodified `openai` SDK's Responses API, answered by providers of every format."""

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

TOOLS: Any = [
    {
        "type": "function",
        "name": TOOL,
        "description": ABOUT,
        "parameters": ARGUMENTS,
        "strict": True,
    }
]


UNNUMBERED = "aimock-openai-responses"
"""Its own format passes as it is, and aimock numbers no events."""
PASSING = "openai-responses"
"""The end of the models whose answers pass as they are: they know nothing of what we keep."""


class Mood(BaseModel):
    """What the model is asked for."""

    word: Literal["glad", "sad"]
    sure: bool


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """An SDK that tries once."""
    with OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


def called(items: Any) -> Any:
    """The one call of a tool among the items of an output."""
    [call] = [item for item in items if item.type == "function_call"]
    return call


def test_answer(client: OpenAI, model: str) -> None:
    """An item with words, a status, and the provider's count of tokens."""
    answer = client.responses.create(
        model=model, input=HELLO, instructions="You are helpful.", max_output_tokens=500
    )

    assert ("response", "completed") == (answer.object, answer.status)
    check_model(model, answer.model)
    assert answer.id and answer.created_at > 1_600_000_000
    check_words(model, HELLO, answer.output_text)
    assert all(item.id for item in answer.output)
    check_usage(model, answer.usage.input_tokens, answer.usage.output_tokens)
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_answer_by_the_local_model(client: OpenAI, gateway: Gateway) -> None:
    """The small real model, in several turns."""
    turns: Any = [
        {"role": "developer", "content": "You are helpful."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi."}]},
        {"role": "assistant", "content": "Hi!"},
        {"type": "message", "role": "user", "content": HELLO},
    ]
    answer = client.responses.create(model=gateway.model, input=turns, max_output_tokens=8)

    assert answer.output_text and answer.usage.output_tokens <= 8
    assert answer.status in ("completed", "incomplete")


async def test_stream(gateway: Gateway, model: str) -> None:
    """Numbered events, from the async client: created, deltas, completed with the whole."""
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key) as client:
        stream = await client.responses.create(model=model, input=HELLO, stream=True)
        events = [event async for event in stream]

    numbers = [event.sequence_number for event in events]
    if model != UNNUMBERED:
        assert numbers == sorted(set(numbers))
    first, last = events[0], events[-1]
    assert ("response.created", "response.completed") == (first.type, last.type)
    words = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    check_words(model, HELLO, words)
    assert words == last.response.output_text
    assert first.response.id == last.response.id
    check_model(model, last.response.model)
    check_usage(model, last.response.usage.input_tokens, last.response.usage.output_tokens)


def test_stream_helper(client: OpenAI, model: str) -> None:
    """The accumulating helper, which raises where an event is missing, ends with the same."""
    with client.responses.stream(model=model, input=HELLO) as stream:
        answer = stream.get_final_response()

    check_words(model, HELLO, answer.output_text)


def test_parsed(client: OpenAI, scripted: str) -> None:
    """A schema asks for JSON, and the SDK reads it as an object."""
    answer = client.responses.parse(model=scripted, input=IN_JSON, text_format=Mood)

    assert MOOD == answer.output_parsed.model_dump()


def test_tool_and_its_result(client: OpenAI, model: str) -> None:
    """A call of a tool; its result sent back after the SDK's own items; words about it."""
    turns: Any = [{"role": "user", "content": WEATHER}]
    first = client.responses.create(model=model, input=turns, tools=TOOLS)
    call = called(first.output)
    check_call(model, call.name, json.loads(call.arguments))
    assert "completed" == first.status

    turns += first.output
    turns += [{"type": "function_call_output", "call_id": call.call_id, "output": RESULT}]
    second = client.responses.create(model=model, input=turns, tools=TOOLS)
    check_words(model, WEATHER, second.output_text)


def test_tool_and_its_result_as_streams(client: OpenAI, model: str) -> None:
    """The same with the helper, and with the state kept by the gateway."""
    turn: Any = [{"role": "user", "content": WEATHER}]
    with client.responses.stream(model=model, input=turn, tools=TOOLS, store=True) as stream:
        first = stream.get_final_response()
    call = called(first.output)
    check_call(model, call.name, json.loads(call.arguments))

    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": RESULT}]
    with client.responses.stream(
        model=model, input=result, tools=TOOLS, previous_response_id=first.id
    ) as stream:
        second = stream.get_final_response()
    check_words(model, WEATHER, second.output_text)
    if not model.endswith(PASSING):
        assert first.id == second.previous_response_id


@pytest.mark.parametrize("stream", [False, True])
def test_kept(client: OpenAI, model: str, stream: bool) -> None:
    """What is to be kept can be read, gone on from, and deleted; what is not, is not there."""
    if stream:
        with client.responses.stream(model=model, input=HELLO, store=True) as events:
            first = events.get_final_response()
    else:
        first = client.responses.create(model=model, input=HELLO, store=True)
    kept = client.responses.retrieve(first.id)
    items = client.responses.input_items.list(first.id).data
    second = client.responses.create(model=model, input=HELLO, previous_response_id=first.id)
    client.responses.delete(first.id)

    assert (first.id, first.output_text) == (kept.id, kept.output_text)
    assert [HELLO] == [part.text for item in items for part in item.content]
    assert second.output_text
    for gone in (first.id, second.id):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone)


def test_reasoning(client: OpenAI, scripted: str) -> None:
    """Thoughts are an item of their own, whole and in pieces."""
    reasoning: Any = {"effort": "low", "summary": "auto"}
    answer = client.responses.create(model=scripted, input=THINK, reasoning=reasoning)
    with client.responses.stream(model=scripted, input=THINK, reasoning=reasoning) as stream:
        streamed = stream.get_final_response()

    for response in (answer, streamed):
        [thoughts] = [item for item in response.output if item.type == "reasoning"]
        assert THOUGHT == "".join(part.text for part in thoughts.summary)
        check_words(scripted, THINK, response.output_text)


@pytest.mark.parametrize("stream", [False, True])
def test_failure_of_the_provider(client: OpenAI, scripted: str, stream: bool) -> None:
    """A provider's failure is the SDK's class for one, also before a stream."""
    with pytest.raises(openai.InternalServerError) as caught:
        client.responses.create(model=scripted, input=FAIL, stream=stream)

    assert caught.value.status_code in (502, 503)


@pytest.mark.parametrize("stream", [False, True])
def test_refusals(client: OpenAI, gateway: Gateway, stream: bool) -> None:
    """A wrong key, an unknown model, a bad value and an unknown earlier answer."""
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").responses.create(
            model=gateway.model, input=HELLO, stream=stream
        )
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model="no/such:model", input=HELLO, stream=stream)
    assert "model_not_found" == caught.value.code
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model=gateway.model, input=HELLO, temperature=3, stream=stream)
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
        client.responses.create(
            model=gateway.model, input=HELLO, previous_response_id="resp_none", stream=stream
        )
