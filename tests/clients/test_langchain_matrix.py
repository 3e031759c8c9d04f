"""LangChain's unmodified clients of three formats, answered by providers of every format."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.clients.gateway import Gateway
from tests.clients.matrix import HELLO, RESULT, WEATHER, check_call, check_usage, check_words


@tool
def get_weather(city: str, days: int) -> str:
    """The weather of a city for some days."""
    raise AssertionError(f"never called here: {city}, {days}")


def chat(gateway: Gateway, model: str) -> Any:
    """Chat completions."""
    return ChatOpenAI(
        base_url=gateway.base_url,
        api_key=gateway.key,
        model=model,
        max_retries=0,
        stream_usage=True,
        use_responses_api=False,
    )


def responses(gateway: Gateway, model: str) -> Any:
    """The Responses API."""
    return ChatOpenAI(
        base_url=gateway.base_url,
        api_key=gateway.key,
        model=model,
        max_retries=0,
        use_responses_api=True,
    )


def messages(gateway: Gateway, model: str) -> Any:
    """Messages; its base URL is the root."""
    return ChatAnthropic(
        base_url=gateway.root, api_key=gateway.key, model=model, max_tokens=2_000, max_retries=0
    )


@pytest.fixture(params=[chat, responses, messages], ids=lambda made: made.__name__)
def client(request: pytest.FixtureRequest, gateway: Gateway, model: str) -> Any:
    """A client of each format for each model."""
    return request.param(gateway, model)


def test_answer(client: Any, model: str) -> None:
    """Words, and the provider's count of tokens."""
    answer = client.invoke(HELLO)

    check_words(model, HELLO, answer.text)
    usage = answer.usage_metadata
    check_usage(model, usage["input_tokens"], usage["output_tokens"])


def test_stream(client: Any, model: str) -> None:
    """Chunks that add up to the same."""
    first, *rest = client.stream(HELLO)
    for chunk in rest:
        first += chunk

    check_words(model, HELLO, first.text)
    if isinstance(client, ChatAnthropic) and model.endswith("anthropic-messages"):
        return  # it passes as it is, and the simulators count the input at the start alone
    usage = first.usage_metadata
    check_usage(model, usage["input_tokens"], usage["output_tokens"])


@pytest.mark.parametrize("streamed", [False, True])
def test_tool_and_its_result(client: Any, model: str, streamed: bool) -> None:
    """A call of a tool, whole or added up; its result; words about it."""
    able = client.bind_tools([get_weather])
    question = HumanMessage(WEATHER)
    if streamed:
        first, *rest = able.stream([question])
        for chunk in rest:
            first += chunk
    else:
        first = able.invoke([question])
    [call] = first.tool_calls
    check_call(model, call["name"], call["args"])

    second = able.invoke([question, first, ToolMessage(RESULT, tool_call_id=call["id"])])
    check_words(model, WEATHER, second.text)
