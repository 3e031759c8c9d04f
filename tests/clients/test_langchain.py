"""`langchain-openai` with `base_url=`: chat, streams, structured output, embeddings, errors."""

from __future__ import annotations

from typing import Any, Literal

import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from tests.clients.gateway import Gateway

FEW = 8
in_one_loop = pytest.mark.asyncio(loop_scope="module")
"""The library keeps its connections for the whole process, so their loop must last too."""
QUESTION = [("system", "You are a helpful assistant."), ("human", "Say hello.")]


class Mood(BaseModel):
    """What the model is made to answer."""

    word: Literal["glad", "sad"]
    sure: bool


def chat(gateway: Gateway, **changes: Any) -> ChatOpenAI:
    """A chat model as the documentation of LangChain sets it up."""
    usual = {
        "model": gateway.model,
        "base_url": gateway.base_url,
        "api_key": gateway.key,
        "max_tokens": FEW,
        "max_retries": 0,
    }
    return ChatOpenAI(**(usual | changes))


def test_invoke(gateway: Gateway) -> None:
    """An answer, and what it used."""
    answer = chat(gateway).invoke(QUESTION)

    assert answer.content
    assert 0 < answer.usage_metadata["output_tokens"] <= FEW
    assert answer.response_metadata["finish_reason"] in ("stop", "length")
    assert gateway.model == answer.response_metadata["model_name"]


@in_one_loop
async def test_invoke_async(gateway: Gateway) -> None:
    """The same in async."""
    answer = await chat(gateway).ainvoke(QUESTION)

    assert answer.content and answer.usage_metadata["total_tokens"] > 0


@pytest.mark.parametrize("base", ["", "/v1", "/v1/chat/completions"])
def test_base_urls(gateway: Gateway, base: str) -> None:
    """All three base URLs."""
    assert chat(gateway, base_url=gateway.root + base).invoke(QUESTION).content


@pytest.mark.parametrize("asked", [True, False])
def test_stream(gateway: Gateway, asked: bool) -> None:
    """Chunks add up to an answer; its usage is there if it was asked for."""
    chunks = list(chat(gateway).stream(QUESTION, stream_usage=asked))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk

    assert whole.content == "".join(chunk.content for chunk in chunks) != ""
    assert asked == (whole.usage_metadata is not None)
    assert whole.response_metadata["finish_reason"] in ("stop", "length")


@in_one_loop
async def test_stream_async(gateway: Gateway) -> None:
    """The same in async."""
    pieces = [chunk.content async for chunk in chat(gateway).astream(QUESTION)]

    assert "".join(pieces)


def test_batch(gateway: Gateway) -> None:
    """Calls at once do not mix."""
    answers = chat(gateway).batch([QUESTION] * 4)

    assert 4 == len({answer.id for answer in answers})
    assert all(answer.content for answer in answers)


def test_structured_output(gateway: Gateway) -> None:
    """An instance of the caller's own type, by JSON schema."""
    model = chat(gateway, max_tokens=200).with_structured_output(Mood, method="json_schema")

    assert isinstance(model.invoke(QUESTION), Mood)


@in_one_loop
async def test_structured_output_async(gateway: Gateway) -> None:
    """The same in async."""
    model = chat(gateway, max_tokens=200).with_structured_output(Mood, method="json_schema")

    assert isinstance(await model.ainvoke(QUESTION), Mood)


@in_one_loop
async def test_embeddings(gateway: Gateway) -> None:
    """Vectors of texts; without the tokenizer, which would be fetched from the internet."""
    embeddings = OpenAIEmbeddings(
        model=gateway.model,
        base_url=gateway.base_url,
        api_key=gateway.key,
        check_embedding_ctx_length=False,
    )
    rows = embeddings.embed_documents(["A cat.", "A tree."])
    again = await embeddings.aembed_query("A cat.")

    assert 2 == len(rows)
    assert pytest.approx(again, abs=1e-4) == rows[0]


def test_errors(gateway: Gateway) -> None:
    """LangChain hands on the errors of the SDK below it."""
    with pytest.raises(openai.AuthenticationError):
        chat(gateway, api_key="sk-wrong").invoke(QUESTION)
    with pytest.raises(openai.NotFoundError) as missing:
        chat(gateway, model="none").invoke(QUESTION)
    with pytest.raises(openai.BadRequestError) as bad:
        chat(gateway, temperature=3).invoke(QUESTION)
    with pytest.raises(openai.NotFoundError):
        list(chat(gateway, model="none").stream(QUESTION))

    assert "model_not_found" == missing.value.code
    assert "temperature" == bad.value.param
