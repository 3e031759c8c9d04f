"""The official `apertis` SDK 0.4.1 with `base_url=`: strict types, sync and async."""

from __future__ import annotations

import json
from collections.abc import Iterator

import apertis
import pytest
from apertis import Apertis, AsyncApertis

from tests.clients.gateway import Gateway

FEW = 8
ENOUGH = 200
TRIES = 20


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Apertis]:
    """The SDK as its documentation sets it up."""
    with Apertis(api_key=gateway.key, base_url=gateway.base_url) as made:
        yield made


def test_chat(client: Apertis, gateway: Gateway, question) -> None:
    """An answer that its strict types accept, with identity and usage."""
    answer = client.chat.completions.create(model=gateway.model, messages=question, max_tokens=FEW)

    assert (answer.object, answer.model) == ("chat.completion", gateway.model)
    assert answer.id and answer.created
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert 0 < answer.usage.completion_tokens <= FEW
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_chat_async(gateway: Gateway, question) -> None:
    """The async client gets the same."""
    async with AsyncApertis(api_key=gateway.key, base_url=gateway.base_url) as client:
        answer = await client.chat.completions.create(
            model=gateway.model, messages=question, max_completion_tokens=FEW
        )

    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens <= FEW


def test_stream(client: Apertis, gateway: Gateway, question) -> None:
    """Chunks that its strict types accept; no usage unasked."""
    with client.chat.completions.create(
        model=gateway.model, messages=question, max_tokens=FEW, stream=True
    ) as stream:
        chunks = list(stream)

    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


async def test_stream_async(gateway: Gateway, question) -> None:
    """The async client, with the usage that it asked for."""
    async with AsyncApertis(api_key=gateway.key, base_url=gateway.base_url) as client:
        stream = await client.chat.completions.create(
            model=gateway.model,
            messages=question,
            max_tokens=FEW,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert [] == chunks[-1].choices
    assert chunks[-1].usage.total_tokens > 0


def test_json_by_schema(client: Apertis, gateway: Gateway, question, forced) -> None:
    """A schema that leaves one answer gets that answer."""
    response_format, meant = forced
    answer = client.chat.completions.create(
        model=gateway.model, messages=question, max_tokens=ENOUGH, response_format=response_format
    )

    assert meant == json.loads(answer.choices[0].message.content)


def test_stream_of_json_by_schema(client: Apertis, gateway: Gateway, question, forced) -> None:
    """Streamed too; letters of several bytes are not torn."""
    response_format, meant = forced
    chunks = client.chat.completions.create(
        model=gateway.model,
        messages=question,
        max_tokens=ENOUGH,
        response_format=response_format,
        stream=True,
    )

    assert meant == json.loads("".join(c.choices[0].delta.content or "" for c in chunks))


def test_extra_body(client: Apertis, gateway: Gateway, question) -> None:
    """What the SDK merges into the body passes through to the model."""
    answer = client.chat.completions.create(
        model=gateway.model, messages=question, max_tokens=2, extra_body={"a_vendors_own": 1}
    )

    assert answer.choices[0].message.content


def test_embeddings(client: Apertis, gateway: Gateway) -> None:
    """Numbers, because that is all it reads."""
    made = client.embeddings.create(model=gateway.model, input=["A cat.", "A tree."])

    assert "list" == made.object and [0, 1] == [row.index for row in made.data]
    assert all(isinstance(number, float) for number in made.data[0].embedding)
    assert made.usage.prompt_tokens > 0 and made.usage.total_tokens > 0


async def test_embeddings_async(gateway: Gateway) -> None:
    """The async client gets the same."""
    async with AsyncApertis(api_key=gateway.key, base_url=gateway.base_url) as client:
        made = await client.embeddings.create(model=gateway.model, input="A cat.")

    assert made.data[0].embedding


def test_models(client: Apertis, gateway: Gateway) -> None:
    """The list and its member."""
    listed = client.models.list()

    assert "list" == listed.object and gateway.model in [model.id for model in listed.data]
    assert gateway.model == client.models.retrieve(gateway.model).id


async def test_models_async(gateway: Gateway) -> None:
    """The async client gets the same."""
    async with AsyncApertis(api_key=gateway.key, base_url=gateway.base_url) as client:
        listed = await client.models.list()
        shown = await client.models.retrieve(gateway.model)

    assert shown.id in [model.id for model in listed.data]


@pytest.mark.parametrize("base", ["", "/v1", "/v1/chat/completions"])
def test_base_urls(gateway: Gateway, question, base: str) -> None:
    """All three base URLs, with what the SDK appends."""
    with Apertis(api_key=gateway.key, base_url=gateway.root + base) as client:
        answer = client.chat.completions.create(
            model=gateway.model, messages=question, max_tokens=2
        )
        assert gateway.model in [model.id for model in client.models.list().data]
        assert client.embeddings.create(model=gateway.model, input="A cat.").data

    assert answer.choices[0].message.content


def test_x_api_key(gateway: Gateway) -> None:
    """`Authorization` wins, so a wrong one is refused beside a good `x-api-key`."""
    headers = {"x-api-key": gateway.key}
    with (
        Apertis(
            api_key="sk-wrong", base_url=gateway.base_url, default_headers=headers, max_retries=0
        ) as client,
        pytest.raises(apertis.AuthenticationError),
    ):
        client.models.list()


def test_wrong_key(gateway: Gateway, question) -> None:
    """The class of a wrong key, for an answer and for a stream."""
    with Apertis(api_key="sk-wrong", base_url=gateway.base_url) as client:
        for stream in (False, True):
            with pytest.raises(apertis.AuthenticationError) as caught:
                client.chat.completions.create(
                    model=gateway.model, messages=question, stream=stream
                )
            assert "invalid_api_key" == caught.value.body["error"]["code"]
            assert caught.value.message == caught.value.body["error"]["message"]
            assert caught.value.response.headers["X-Request-Id"]


def test_unknown_model(client: Apertis, question) -> None:
    """For chat, embeddings and by name; its ids are not encoded in the path."""
    for call in (
        lambda: client.chat.completions.create(model="no/such:model", messages=question),
        lambda: client.embeddings.create(model="no/such:model", input="A cat."),
        lambda: client.models.retrieve("no/such:model"),
    ):
        with pytest.raises(apertis.NotFoundError) as caught:
            call()
        assert "model_not_found" == caught.value.body["error"]["code"]


def test_bad_temperature(client: Apertis, gateway: Gateway, question) -> None:
    """A value that is not allowed is named."""
    with pytest.raises(apertis.APIError) as caught:
        client.chat.completions.create(model=gateway.model, messages=question, temperature=3)

    assert 400 == caught.value.status_code
    assert "temperature" == caught.value.body["error"]["param"]


async def test_errors_async(gateway: Gateway, question) -> None:
    """The async client raises the same classes."""
    async with AsyncApertis(api_key="sk-wrong", base_url=gateway.base_url) as client:
        with pytest.raises(apertis.AuthenticationError):
            await client.chat.completions.create(model=gateway.model, messages=question)


def test_a_key_without_the_model(gateway: Gateway, question) -> None:
    """The class of a key that is for other models."""
    _, key = gateway.new_key("--models", "another")
    with (
        Apertis(api_key=key, base_url=gateway.base_url) as client,
        pytest.raises(apertis.PermissionDeniedError),
    ):
        client.chat.completions.create(model=gateway.model, messages=question)


def test_rate_limit(limited: Gateway, question) -> None:
    """It retries at once, whatever it is told, and then raises the class of a limit."""
    with Apertis(api_key=limited.key, base_url=limited.base_url) as client:
        refused = None
        for _ in range(TRIES):
            try:
                client.chat.completions.create(model=limited.model, messages=question, max_tokens=1)
            except apertis.RateLimitError as error:
                refused = error
                break

    assert refused is not None
    assert "rate_limit_exceeded" == refused.body["error"]["code"]
    assert int(refused.response.headers["Retry-After"]) >= 1


def test_the_callers_timeout(gateway: Gateway, question) -> None:
    """A caller that does not wait gets its own error, and the next call its answer."""
    ask = {"model": gateway.model, "messages": question}
    with (
        Apertis(
            api_key=gateway.key, base_url=gateway.base_url, timeout=0.2, max_retries=0
        ) as hasty,
        pytest.raises(apertis.APITimeoutError),
    ):
        hasty.chat.completions.create(**ask, max_tokens=4_000, extra_body={"ignore_eos": True})
    with Apertis(api_key=gateway.key, base_url=gateway.base_url) as client:
        assert client.chat.completions.create(**ask, max_tokens=2).choices
