"""LiteLLM's `apertis/` route with `api_base=`: completion, streams, JSON by schema, errors."""

from __future__ import annotations

import json
from typing import Any

import litellm
import pytest

from tests.clients.gateway import Gateway

FEW = 8
in_one_loop = pytest.mark.asyncio(loop_scope="module")
"""The library keeps its connections for the whole process, so their loop must last too."""


def asked(gateway: Gateway, question: list[dict[str, str]], **changes: Any) -> dict[str, Any]:
    """The arguments of a call as LiteLLM's documentation shows it."""
    usual = {
        "model": f"apertis/{gateway.model}",
        "messages": question,
        "api_base": gateway.base_url,
        "api_key": gateway.key,
        "max_tokens": FEW,
        "num_retries": 0,
        "max_retries": 0,
    }
    return usual | changes


def test_completion(gateway: Gateway, question) -> None:
    """An answer with its usage."""
    answer = litellm.completion(**asked(gateway, question))

    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert 0 < answer.usage.completion_tokens <= FEW
    assert answer.model.endswith(gateway.model)


@in_one_loop
async def test_completion_async(gateway: Gateway, question) -> None:
    """The same in async, with the parameter that LiteLLM renames."""
    arguments = asked(gateway, question, max_completion_tokens=FEW)
    del arguments["max_tokens"]
    answer = await litellm.acompletion(**arguments)

    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens <= FEW


@pytest.mark.parametrize("base", ["", "/v1", "/v1/chat/completions"])
def test_base_urls(gateway: Gateway, question, base: str) -> None:
    """All three base URLs."""
    answer = litellm.completion(**asked(gateway, question, api_base=gateway.root + base))

    assert answer.choices[0].message.content


def test_stream(gateway: Gateway, question) -> None:
    """The pieces of an answer."""
    chunks = list(litellm.completion(**asked(gateway, question, stream=True)))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


@in_one_loop
async def test_stream_async(gateway: Gateway, question) -> None:
    """The same in async, with the usage that it asked for."""
    arguments = asked(gateway, question, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in await litellm.acompletion(**arguments)]
    whole = litellm.stream_chunk_builder(chunks)

    assert whole.choices[0].message.content
    assert whole.usage.prompt_tokens > 0 and 0 < whole.usage.completion_tokens <= FEW


def test_json_by_schema(gateway: Gateway, question, forced) -> None:
    """A schema that leaves one answer gets that answer."""
    response_format, meant = forced
    answer = litellm.completion(
        **asked(
            gateway,
            question,
            max_tokens=200,
            response_format=response_format,
            allowed_openai_params=["response_format"],
        )
    )

    assert meant == json.loads(answer.choices[0].message.content)


def test_embeddings(gateway: Gateway) -> None:
    """The `apertis/` route has no embeddings in LiteLLM; its `openai/` route has."""
    made = litellm.embedding(
        model=f"openai/{gateway.model}",
        input=["A cat.", "A tree."],
        api_base=gateway.base_url,
        api_key=gateway.key,
    )

    assert 2 == len(made.data) and made.data[0]["embedding"]
    assert made.usage.prompt_tokens > 0


@in_one_loop
async def test_router(gateway: Gateway, question) -> None:
    """A deployment of LiteLLM's router, as its proxy is configured."""
    parameters = asked(gateway, question)
    del parameters["messages"]
    router = litellm.Router(model_list=[{"model_name": "small", "litellm_params": parameters}])
    answer = await router.acompletion(model="small", messages=question)

    assert answer.choices[0].message.content


def test_errors(gateway: Gateway, question) -> None:
    """LiteLLM knows our errors by their status."""
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(**asked(gateway, question, api_key="sk-wrong"))
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**asked(gateway, question, model="apertis/none"))
    with pytest.raises(litellm.BadRequestError, match="temperature"):
        litellm.completion(**asked(gateway, question, temperature=3))
    with pytest.raises(litellm.NotFoundError):
        list(litellm.completion(**asked(gateway, question, model="apertis/none", stream=True)))


@in_one_loop
async def test_errors_async(gateway: Gateway, question) -> None:
    """The same in async."""
    with pytest.raises(litellm.AuthenticationError):
        await litellm.acompletion(**asked(gateway, question, api_key="sk-wrong"))
