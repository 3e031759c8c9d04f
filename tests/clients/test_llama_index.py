"""`llama-index-llms-openai-like` with `api_base=`: complete, chat, streams, structured output."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from tests.clients.gateway import Gateway

in_one_loop = pytest.mark.asyncio(loop_scope="module")
"""The library keeps its connections for the whole process, so their loop must last too."""
QUESTION = [
    ChatMessage(role="system", content="You are a helpful assistant."),
    ChatMessage(role="user", content="Say hello."),
]


class Mood(BaseModel):
    """What the model is made to answer."""

    word: Literal["glad", "sad"]
    sure: bool


def llm(gateway: Gateway, **changes: Any) -> OpenAILike:
    """A model as the documentation of LlamaIndex sets it up."""
    usual = {
        "model": gateway.model,
        "api_base": gateway.base_url,
        "api_key": gateway.key,
        "is_chat_model": True,
        "max_tokens": 8,
        "max_retries": 0,
    }
    return OpenAILike(**(usual | changes))


def test_complete(gateway: Gateway) -> None:
    """A completion goes through chat."""
    answer = llm(gateway).complete("Say hello.")

    assert answer.text
    assert answer.raw.usage.completion_tokens > 0


def test_chat(gateway: Gateway) -> None:
    """A conversation."""
    answer = llm(gateway).chat(QUESTION)

    assert answer.message.content
    assert "assistant" == answer.message.role.value


@in_one_loop
async def test_async(gateway: Gateway) -> None:
    """Both in async."""
    model = llm(gateway)

    assert (await model.acomplete("Say hello.")).text
    assert (await model.achat(QUESTION)).message.content


@pytest.mark.parametrize("base", ["", "/v1", "/v1/chat/completions"])
def test_base_urls(gateway: Gateway, base: str) -> None:
    """All three base URLs."""
    assert llm(gateway, api_base=gateway.root + base).chat(QUESTION).message.content


def test_stream(gateway: Gateway) -> None:
    """The deltas join to the last text."""
    pieces = list(llm(gateway).stream_chat(QUESTION))

    assert "".join(piece.delta or "" for piece in pieces) == pieces[-1].message.content != ""


@in_one_loop
async def test_stream_async(gateway: Gateway) -> None:
    """The same in async."""
    stream = await llm(gateway).astream_chat(QUESTION)
    pieces = [piece async for piece in stream]

    assert "".join(piece.delta or "" for piece in pieces) == pieces[-1].message.content != ""


def test_stream_of_a_completion(gateway: Gateway) -> None:
    """The deltas of a completion too."""
    pieces = list(llm(gateway).stream_complete("Say hello."))

    assert "".join(piece.delta or "" for piece in pieces) == pieces[-1].text != ""


def test_json_by_schema(gateway: Gateway, forced) -> None:
    """A schema that leaves one answer gets that answer."""
    response_format, meant = forced
    model = llm(gateway, max_tokens=200, additional_kwargs={"response_format": response_format})

    assert meant == json.loads(model.chat(QUESTION).message.content)


def test_structured_output(gateway: Gateway) -> None:
    """An instance of the caller's own type."""
    model = llm(gateway, max_tokens=200, should_use_structured_outputs=True)

    assert isinstance(model.as_structured_llm(Mood).chat(QUESTION).raw, Mood)


def test_errors(gateway: Gateway) -> None:
    """LlamaIndex hands on the errors of the SDK below it."""
    with pytest.raises(openai.AuthenticationError):
        llm(gateway, api_key="sk-wrong").chat(QUESTION)
    with pytest.raises(openai.NotFoundError) as missing:
        llm(gateway, model="none").chat(QUESTION)
    with pytest.raises(openai.BadRequestError) as bad:
        llm(gateway, additional_kwargs={"top_p": 3}).chat(QUESTION)

    assert "model_not_found" == missing.value.code
    assert "top_p" == bad.value.param
