"""The unmodified `anthropic` SDK, answered by providers of every format.

Its base URL is the root, as its documentation has it, and its key goes into `x-api-key`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests.clients.gateway import Gateway
from tests.clients.matrix import (
    ABOUT,
    ARGUMENTS,
    FAIL,
    HELLO,
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

TOOLS: Any = [{"name": TOOL, "description": ABOUT, "input_schema": ARGUMENTS}]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
ENOUGH = 2_000


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[Anthropic]:
    """An SDK that tries once."""
    with Anthropic(base_url=gateway.root, api_key=gateway.key, max_retries=0) as made:
        yield made


def said(words: str) -> Any:
    """A short conversation that ends with `words`."""
    return [
        {"role": "user", "content": "Good day."},
        {"role": "assistant", "content": [{"type": "text", "text": "Good day!"}]},
        {"role": "user", "content": words},
    ]


def test_answer(client: Anthropic, model: str) -> None:
    """Words, a reason to end, and the provider's count of tokens."""
    answer = client.messages.create(
        model=model,
        max_tokens=ENOUGH,
        system=[{"type": "text", "text": "You are helpful."}],
        messages=said(HELLO),
        metadata={"user_id": "someone"},
        extra_body={"temperature": 0.5},
    )

    assert ("message", "assistant") == (answer.type, answer.role)
    check_model(model, answer.model)
    assert answer.id
    assert ["text"] == [block.type for block in answer.content]
    check_words(model, HELLO, answer.content[0].text)
    assert ("end_turn", None) == (answer.stop_reason, answer.stop_sequence)
    check_usage(model, answer.usage.input_tokens, answer.usage.output_tokens)


def test_answer_by_the_local_model(client: Anthropic, gateway: Gateway) -> None:
    """The small real model."""
    answer = client.messages.create(
        model=gateway.model, max_tokens=8, system="You are helpful.", messages=said(HELLO)
    )

    assert answer.content[0].text and answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.usage.input_tokens > 0 and 0 < answer.usage.output_tokens <= 8


def test_raw_stream(client: Anthropic, model: str) -> None:
    """Events in their order: a start, a block that opens and closes, a delta of the end, a stop."""
    events = list(
        client.messages.create(model=model, max_tokens=ENOUGH, messages=said(HELLO), stream=True)
    )

    kinds = [event.type for event in events]
    assert ["message_start", "content_block_start"] == kinds[:2]
    assert ["content_block_stop", "message_delta", "message_stop"] == kinds[-3:]
    assert {"content_block_delta"} == set(kinds[2:-3])
    check_model(model, events[0].message.model)
    words = "".join(e.delta.text for e in events if e.type == "content_block_delta")
    check_words(model, HELLO, words)
    assert "end_turn" == events[-2].delta.stop_reason


async def test_stream_helper(gateway: Gateway, model: str) -> None:
    """The accumulating helper, async, ends with the same answer and its usage."""
    async with (
        AsyncAnthropic(base_url=gateway.root, api_key=gateway.key) as client,
        client.messages.stream(model=model, max_tokens=ENOUGH, messages=said(HELLO)) as stream,
    ):
        words = "".join([text async for text in stream.text_stream])
        answer = await stream.get_final_message()

    check_words(model, HELLO, words)
    assert words == answer.content[0].text and "end_turn" == answer.stop_reason
    check_usage(model, answer.usage.input_tokens, answer.usage.output_tokens)


def test_stream_of_the_local_model(client: Anthropic, gateway: Gateway) -> None:
    """The small real model."""
    with client.messages.stream(model=gateway.model, max_tokens=8, messages=said(HELLO)) as stream:
        answer = stream.get_final_message()

    assert answer.content and answer.usage.output_tokens > 0


def test_tool_and_its_result(client: Anthropic, model: str) -> None:
    """A call of a tool; its result sent back after the SDK's own blocks; words about it."""
    messages = said(WEATHER)
    first = client.messages.create(
        model=model, max_tokens=ENOUGH, messages=messages, tools=TOOLS, tool_choice={"type": "auto"}
    )
    assert "tool_use" == first.stop_reason
    [call] = [block for block in first.content if block.type == "tool_use"]
    check_call(model, call.name, call.input)
    check_usage(model, first.usage.input_tokens, first.usage.output_tokens)

    second = client.messages.create(
        model=model, max_tokens=ENOUGH, messages=[*messages, *turns(first, call)], tools=TOOLS
    )
    check_words(model, WEATHER, second.content[0].text)
    assert "end_turn" == second.stop_reason


def test_tool_and_its_result_as_streams(client: Anthropic, model: str) -> None:
    """The same with the helper, which joins pieces of JSON."""
    messages = said(WEATHER)
    with client.messages.stream(
        model=model, max_tokens=ENOUGH, messages=messages, tools=TOOLS
    ) as stream:
        pieces = "".join(event.partial_json for event in stream if event.type == "input_json")
        first = stream.get_final_message()
    assert "tool_use" == first.stop_reason and pieces
    [call] = [block for block in first.content if block.type == "tool_use"]
    check_call(model, call.name, call.input)

    with client.messages.stream(
        model=model, max_tokens=ENOUGH, messages=[*messages, *turns(first, call)], tools=TOOLS
    ) as stream:
        check_words(model, WEATHER, stream.get_final_text())


def turns(answer: Any, call: Any) -> list[Any]:
    """The model's turn as the SDK holds it, and the result of its call."""
    result = {"type": "tool_result", "tool_use_id": call.id, "content": RESULT}
    return [
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]


def test_beta(client: Anthropic, model: str) -> None:
    """The SDK's beta half, which asks at `?beta=true` and names betas in a header, as tools that
    write code do.
    """
    asked: Any = {"model": model, "max_tokens": ENOUGH, "messages": said(HELLO)}
    betas: Any = ["interleaved-thinking-2025-05-14"]
    answer = client.beta.messages.create(betas=betas, **asked)
    with client.beta.messages.stream(betas=betas, **asked) as stream:
        streamed = stream.get_final_message()
    counted = client.beta.messages.count_tokens(model=model, messages=said(HELLO))

    check_words(model, HELLO, answer.content[0].text)
    check_words(model, HELLO, streamed.content[0].text)
    assert counted.input_tokens > 0


def test_thinking(client: Anthropic, scripted: str) -> None:
    """Thoughts are a block before the words, whole and in pieces; both may be sent back."""
    asked: Any = {"model": scripted, "max_tokens": ENOUGH, "thinking": THINKING}
    whole = client.messages.create(messages=said(THINK), **asked)
    with client.messages.stream(messages=said(THINK), **asked) as stream:
        streamed = stream.get_final_message()

    for answer in (whole, streamed):
        thoughts, words = answer.content
        assert ("thinking", THOUGHT) == (thoughts.type, thoughts.thinking)
        assert isinstance(thoughts.signature, str)
        check_words(scripted, THINK, words.text)
    again = client.messages.create(
        messages=[
            *said(THINK),
            {"role": "assistant", "content": streamed.content},
            {"role": "user", "content": HELLO},
        ],
        **asked,
    )
    check_words(scripted, HELLO, again.content[-1].text)


@pytest.mark.parametrize("words", ["Hi.", "How is the weather? " * 40])
def test_count_tokens(client: Anthropic, model: str, words: str) -> None:
    """An estimate that grows with the words; the system prompt and the tools count too."""
    bare = client.messages.count_tokens(model=model, messages=said(words))
    more = client.messages.count_tokens(
        model=model, messages=said(words), system="You are helpful.", tools=TOOLS
    )

    assert len(words) / 10 < bare.input_tokens < len(words) + 100
    assert bare.input_tokens < more.input_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_failure_of_the_provider(client: Anthropic, scripted: str, stream: bool) -> None:
    """A provider's failure is the SDK's class for one, also before a stream."""
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(
            model=scripted, max_tokens=ENOUGH, messages=said(FAIL), stream=stream
        )

    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] in ("api_error", "overloaded_error")


@pytest.mark.parametrize("stream", [False, True])
def test_refusals(client: Anthropic, gateway: Gateway, stream: bool) -> None:
    """A wrong key, an unknown model and a bad value, in the envelope that the SDK reads."""
    asked: Any = {"max_tokens": 8, "messages": said(HELLO), "stream": stream}
    with pytest.raises(anthropic.AuthenticationError) as caught:
        client.with_options(api_key="sk-wrong").messages.create(model=gateway.model, **asked)
    assert "authentication_error" == caught.value.body["error"]["type"]
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(model="no/such:model", **asked)
    assert "not_found_error" == caught.value.body["error"]["type"]
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(model=gateway.model, extra_body={"temperature": 1.5}, **asked)
    assert "invalid_request_error" == caught.value.body["error"]["type"]
    assert caught.value.body["request_id"]


@pytest.mark.parametrize("stream", [False, True])
def test_stop_sequences(client: Anthropic, model: str, stream: bool) -> None:
    """They go to every provider whose format has a name for them, and are refused for the one
    that has none: an answer that runs past them would be wrong.
    """
    asked: Any = {"max_tokens": ENOUGH, "messages": said(HELLO), "stop_sequences": ["STOP"]}
    if model.endswith("openai-responses"):
        with pytest.raises(anthropic.BadRequestError, match="stop_sequences"):
            client.messages.create(model=model, stream=stream, **asked)
    else:
        assert client.messages.create(model=model, stream=stream, **asked)


def test_bearer_key(gateway: Gateway) -> None:
    """`auth_token`, which goes into `Authorization`, will do as well."""
    with Anthropic(base_url=gateway.root, auth_token=gateway.key) as client:
        answer = client.messages.create(model=gateway.model, max_tokens=2, messages=said(HELLO))

    assert answer.content
