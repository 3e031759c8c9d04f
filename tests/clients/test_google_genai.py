"""The unmodified `google-genai` SDK, answered by providers of every format.

It is pointed at the root; which version its paths begin with is its own affair, so both are tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.clients.gateway import Gateway
from tests.clients.matrix import (
    ABOUT,
    ARGUMENTS,
    EMBEDDERS,
    FAIL,
    HELLO,
    RESULT,
    THINK,
    THOUGHT,
    TOOL,
    WEATHER,
    check_call,
    check_usage,
    check_words,
)
from tests.simulator.simulators import missing

VERSIONS = [None, "v1beta"]
"""Of the paths; with None the SDK takes its own default, which is `v1` at a place of ours."""
TOOLS: Any = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=TOOL, description=ABOUT, parameters_json_schema=ARGUMENTS
            )
        ]
    )
]


def made(gateway: Gateway, version: str | None = "v1beta", key: str | None = None) -> genai.Client:
    """An SDK pointed at the gateway."""
    place = types.HttpOptions(base_url=gateway.root, api_version=version)
    return genai.Client(api_key=key or gateway.key, http_options=place)


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[genai.Client]:
    """One of the usual version."""
    with made(gateway) as started:
        yield started


def said(words: str) -> list[Any]:
    """A short conversation that ends with `words`."""
    return [
        types.UserContent("Good day."),
        types.ModelContent("Good day!"),
        types.UserContent(words),
    ]


def with_tools() -> types.GenerateContentConfig:
    """The tool is offered, and what is called is ours to run."""
    return types.GenerateContentConfig(
        tools=TOOLS,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_answer(gateway: Gateway, model: str, version: str | None) -> None:
    """Words, a reason to end, and the provider's count of tokens."""
    with made(gateway, version) as client:
        answer = client.models.generate_content(
            model=model,
            contents=said(HELLO),
            config=types.GenerateContentConfig(
                system_instruction="You are helpful.",
                max_output_tokens=500,
                temperature=0.5,
            ),
        )

    check_words(model, HELLO, answer.text)
    assert types.FinishReason.STOP == answer.candidates[0].finish_reason
    assert "model" == answer.candidates[0].content.role
    usage = answer.usage_metadata
    check_usage(model, usage.prompt_token_count, usage.candidates_token_count)
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count


def test_answer_by_the_local_model(client: genai.Client, gateway: Gateway) -> None:
    """The small real model."""
    answer = client.models.generate_content(
        model=gateway.model, contents=HELLO, config={"max_output_tokens": 8}
    )

    assert answer.text and 0 < answer.usage_metadata.candidates_token_count <= 8


@pytest.mark.parametrize("version", VERSIONS)
async def test_stream(gateway: Gateway, model: str, version: str | None) -> None:
    """The same in pieces, from the async client; the last has the reason and the usage."""
    async with made(gateway, version).aio as client:
        stream = await client.models.generate_content_stream(model=model, contents=said(HELLO))
        chunks = [chunk async for chunk in stream]

    check_words(model, HELLO, "".join(chunk.text or "" for chunk in chunks))
    reasons = [c.candidates[0].finish_reason for c in chunks if c.candidates]
    assert [types.FinishReason.STOP] == [reason for reason in reasons if reason]
    usage = chunks[-1].usage_metadata
    check_usage(model, usage.prompt_token_count, usage.candidates_token_count)


def test_tool_and_its_result(client: genai.Client, model: str) -> None:
    """A call of a tool; its result sent back after the SDK's own content; words about it."""
    contents = said(WEATHER)
    first = client.models.generate_content(model=model, contents=contents, config=with_tools())
    [call] = first.function_calls
    check_call(model, call.name, call.args)

    second = client.models.generate_content(
        model=model,
        contents=[*contents, first.candidates[0].content, result_of(call)],
        config=with_tools(),
    )
    check_words(model, WEATHER, second.text)


def test_tool_and_its_result_as_streams(client: genai.Client, model: str) -> None:
    """The same as streams."""
    contents = said(WEATHER)
    chunks = list(
        client.models.generate_content_stream(model=model, contents=contents, config=with_tools())
    )
    [call] = [call for chunk in chunks for call in chunk.function_calls or []]
    check_call(model, call.name, call.args)

    parts = [
        part
        for c in chunks
        for part in (
            c.candidates[0].content.parts if c.candidates and c.candidates[0].content else None
        )
        or []
    ]
    stream = client.models.generate_content_stream(
        model=model,
        contents=[*contents, types.Content(role="model", parts=parts), result_of(call)],
        config=with_tools(),
    )
    check_words(model, WEATHER, "".join(chunk.text or "" for chunk in stream))


def result_of(call: types.FunctionCall) -> types.Content:
    """What our side of the call gave."""
    answer = types.FunctionResponse(id=call.id, name=call.name, response={"result": RESULT})
    return types.Content(role="user", parts=[types.Part(function_response=answer)])


def test_a_python_function(client: genai.Client, model: str) -> None:
    """The SDK calls the function itself, and sends the result back without our help."""
    asked = []

    def get_weather(city: str, days: int) -> str:
        """The weather of a city for some days."""
        asked.append({"city": city, "days": days})
        return RESULT

    answer = client.models.generate_content(
        model=model, contents=WEATHER, config={"tools": [get_weather]}
    )

    [arguments] = asked
    check_call(model, TOOL, arguments)
    check_words(model, WEATHER, answer.text)


def test_thoughts(client: genai.Client, scripted: str) -> None:
    """Thoughts are parts of their own, whole and in pieces."""
    config = {"thinking_config": {"include_thoughts": True, "thinking_budget": 1024}}
    whole = client.models.generate_content(model=scripted, contents=THINK, config=config)
    chunks = list(
        client.models.generate_content_stream(model=scripted, contents=THINK, config=config)
    )

    for answers in ([whole], chunks):
        parts = [
            part
            for answer in answers
            for candidate in answer.candidates or []
            for part in (candidate.content.parts if candidate.content else None) or []
        ]
        assert THOUGHT == "".join(part.text or "" for part in parts if part.thought)
        words = "".join(part.text or "" for part in parts if not part.thought)
        check_words(scripted, THINK, words)


def test_count_tokens(client: genai.Client, model: str) -> None:
    """An estimate that grows with the words."""
    few = client.models.count_tokens(model=model, contents=said("Hi."))
    many = client.models.count_tokens(model=model, contents=said("How is the weather? " * 40))

    assert 0 < few.total_tokens < many.total_tokens


@pytest.mark.parametrize("embedder", EMBEDDERS)
def test_embeddings(client: genai.Client, embedder: str) -> None:
    """One vector for each input."""
    if why := missing(embedder.partition("-")[0]):
        pytest.skip(why)
    answer = client.models.embed_content(model=embedder, contents=["A cat.", "A tree."])

    assert 2 == len(answer.embeddings)
    assert all(vector.values for vector in answer.embeddings)


@pytest.mark.parametrize("stream", [False, True])
def test_failure_of_the_provider(client: genai.Client, scripted: str, stream: bool) -> None:
    """A provider's failure is the SDK's class for one, also before a stream."""
    with pytest.raises(errors.ServerError) as caught:
        ask(client, scripted, FAIL, stream)

    assert caught.value.code in (502, 503)


@pytest.mark.parametrize("stream", [False, True])
def test_refusals(client: genai.Client, gateway: Gateway, stream: bool) -> None:
    """A wrong key and an unknown model, in the envelope that the SDK reads."""
    with (
        made(gateway, key="sk-wrong") as stranger,
        pytest.raises(errors.ClientError) as caught,
    ):
        ask(stranger, gateway.model, HELLO, stream)
    assert (401, "UNAUTHENTICATED") == (caught.value.code, caught.value.status)
    with pytest.raises(errors.ClientError) as caught:
        ask(client, "no-such-model", HELLO, stream)
    assert (404, "NOT_FOUND") == (caught.value.code, caught.value.status)
    assert caught.value.message


def ask(client: genai.Client, model: str, words: str, stream: bool) -> None:
    """One question."""
    if stream:
        list(client.models.generate_content_stream(model=model, contents=words))
    else:
        client.models.generate_content(model=model, contents=words)
