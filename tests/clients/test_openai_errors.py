"""The unmodified `openai` SDK where something is wrong: each error has its class and code."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.gateway import STOP_SECONDS, Gateway, running

LONG = {"max_tokens": 4_000, "extra_body": {"ignore_eos": True}}
"""An answer that takes far longer than any test waits."""
TRIES = 20
PATIENCE = 20


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """An SDK that tries once."""
    with OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


@pytest.mark.parametrize(
    "key", ["sk-wrong", "sk-" + "a" * 48, "nonsense", "sk-ключ".encode().hex()]
)
def test_wrong_key(client: OpenAI, gateway: Gateway, question, key: str) -> None:
    """An unknown key is told apart from all else, on every endpoint."""
    stranger = client.with_options(api_key=key)
    calls = [
        lambda: stranger.chat.completions.create(model=gateway.model, messages=question),
        lambda: stranger.chat.completions.create(
            model=gateway.model, messages=question, stream=True
        ),
        lambda: stranger.embeddings.create(model=gateway.model, input="A cat."),
        stranger.models.list,
        lambda: stranger.models.retrieve(gateway.model),
    ]

    for call in calls:
        with pytest.raises(openai.AuthenticationError) as caught:
            call()
        assert ("invalid_api_key", "authentication_error") == (caught.value.code, caught.value.type)
        assert key not in caught.value.message
        assert caught.value.request_id


def test_no_key(client: OpenAI) -> None:
    """No key at all has a code of its own."""
    with pytest.raises(openai.AuthenticationError) as caught:
        client.models.list(extra_headers={"Authorization": openai.Omit()})

    assert "missing_api_key" == caught.value.code


async def test_errors_async(gateway: Gateway, question) -> None:
    """The async client raises the same classes."""
    async with AsyncOpenAI(
        base_url=gateway.base_url, api_key="sk-wrong", max_retries=0
    ) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(model=gateway.model, messages=question)
        known = stranger.with_options(api_key=gateway.key)
        with pytest.raises(openai.NotFoundError):
            await known.chat.completions.create(model="none", messages=question, stream=True)


def test_unknown_model(client: OpenAI, question) -> None:
    """A model that is not there: for chat, streams, embeddings and by its name."""
    calls = [
        lambda: client.chat.completions.create(model="no/such:model", messages=question),
        lambda: client.chat.completions.create(
            model="no/such:model", messages=question, stream=True
        ),
        lambda: client.embeddings.create(model="no/such:model", input="A cat."),
        lambda: client.models.retrieve("no/such:model"),
    ]

    for call in calls:
        with pytest.raises(openai.NotFoundError) as caught:
            call()
        assert ("model_not_found", "invalid_request_error") == (
            caught.value.code,
            caught.value.type,
        )


def test_unknown_endpoint(client: OpenAI) -> None:
    """What is not offered says so in the same envelope."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.moderations.create(input="A cat.")

    assert "endpoint_not_found" == caught.value.code


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("temperature", 3),
        ("temperature", "warm"),
        ("top_p", -1),
        ("max_tokens", 0),
        ("n", 129),
        ("messages", []),
        ("model", 5),
        ("stop", ["a", "b", "c", "d", "e"]),
    ],
)
def test_bad_parameter(client: OpenAI, gateway: Gateway, question, param: str, value) -> None:
    """A value that is not allowed is named."""
    asked = {"model": gateway.model, "messages": question, param: value}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**asked)

    assert (param, "invalid_parameter") == (caught.value.param, caught.value.code)
    assert f"`{param}`" in caught.value.message


def test_missing_parameter(client: OpenAI, gateway: Gateway) -> None:
    """What is required and absent is named too."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", body={"model": gateway.model}, cast_to=object)

    assert ("messages", "missing_parameter") == (caught.value.param, caught.value.code)


def test_too_long_a_prompt(client: OpenAI, gateway: Gateway) -> None:
    """What the model itself refuses keeps its meaning, and a code that is a string."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=gateway.model, messages=[{"role": "user", "content": "hello " * 6_000}]
        )

    assert "context_length_exceeded" == caught.value.code


def test_a_key_that_is_disabled(client: OpenAI, gateway: Gateway, question) -> None:
    """When the command returns, the running server knows; enabling is as quick."""
    key_id, key = gateway.new_key()
    user = client.with_options(api_key=key)
    ask = {"model": gateway.model, "messages": question, "max_tokens": 2}
    assert user.chat.completions.create(**ask).choices

    gateway.command("keys", "disable", key_id)
    with pytest.raises(openai.AuthenticationError) as caught:
        user.chat.completions.create(**ask)
    gateway.command("keys", "enable", key_id)
    again = user.chat.completions.create(**ask)
    gateway.command("keys", "delete", key_id)
    with pytest.raises(openai.AuthenticationError):
        user.models.list()

    assert "invalid_api_key" == caught.value.code
    assert again.choices


@pytest.mark.parametrize(
    ("option", "error", "code"),
    [
        ("--models=another", openai.PermissionDeniedError, "model_access_denied"),
        ("--ips=192.0.2.0/24", openai.PermissionDeniedError, "ip_not_allowed"),
        ("--expires=2020-01-01", openai.AuthenticationError, "expired_api_key"),
    ],
)
def test_restricted_keys(client: OpenAI, gateway: Gateway, question, option, error, code) -> None:
    """A key may be for other models, other addresses or another time."""
    _, key = gateway.new_key(option)
    with pytest.raises(error) as caught:
        client.with_options(api_key=key).chat.completions.create(
            model=gateway.model, messages=question
        )

    assert code == caught.value.code


def test_a_restricted_key_sees_its_models_only(client: OpenAI, gateway: Gateway) -> None:
    """What a key may not use it does not see."""
    user = client.with_options(api_key=gateway.new_key("--models", "another")[1])

    assert [] == list(user.models.list())
    with pytest.raises(openai.NotFoundError) as caught:
        user.models.retrieve(gateway.model)
    assert "model_not_found" == caught.value.code


def test_rate_limit(limited: Gateway, question) -> None:
    """Past the limit a call is refused with the seconds to wait; the SDK waits them and succeeds
    at its first retry.
    """
    ask = {"model": limited.model, "messages": question, "max_tokens": 1}
    with OpenAI(base_url=limited.base_url, api_key=limited.key, max_retries=0) as client:
        refused = None
        for _ in range(TRIES):
            try:
                client.chat.completions.create(**ask)
            except openai.RateLimitError as error:
                refused = error
                break
        retries = 0
        for _ in range(TRIES):
            patient = client.with_options(max_retries=2).chat.completions.with_raw_response
            reply = patient.create(**ask)
            assert reply.parse().choices
            if retries := reply.retries_taken:
                break

    assert refused is not None
    assert ("rate_limit_exceeded", "rate_limit_error") == (refused.code, refused.type)
    assert 1 <= int(refused.response.headers["Retry-After"]) <= 2
    assert "1" == refused.response.headers["X-RateLimit-Limit"]
    assert "0" == refused.response.headers["X-RateLimit-Remaining"]
    assert int(refused.response.headers["X-RateLimit-Reset"]) > 1_600_000_000
    assert 1 == retries
    assert "smollm2" in refused.message or "model" in refused.message


def test_the_callers_timeout(client: OpenAI, gateway: Gateway, question) -> None:
    """A caller that does not wait harms nobody: the next call is answered."""
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(
            model=gateway.model, messages=question, **LONG
        )
    answer = client.chat.completions.create(model=gateway.model, messages=question, max_tokens=2)

    assert answer.choices[0].message.content


def test_the_gateways_timeout(client: OpenAI, gateway: Gateway, question) -> None:
    """`X-Timeout` ends a call that takes longer, with its own status."""
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(
            model=gateway.model, messages=question, extra_headers={"X-Timeout": "5000"}, **LONG
        )

    assert (408, "request_timeout") == (caught.value.status_code, caught.value.code)
    assert "1" == caught.value.response.headers["X-Timeout-Attempts"]
    assert int(caught.value.response.headers["X-Timeout-Elapsed-Ms"]) >= 5_000


def test_a_timeout_that_is_none(client: OpenAI, gateway: Gateway, question) -> None:
    """A header that cannot be read is named as a parameter is."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=gateway.model, messages=question, extra_headers={"X-Timeout": "soon"}
        )

    assert ("X-Timeout", "invalid_parameter") == (caught.value.param, caught.value.code)


def test_a_stream_that_is_left(client: OpenAI, gateway: Gateway, question) -> None:
    """A caller that leaves a stream is charged for what was made, and the model is free again."""
    _, key = gateway.new_key()
    user = client.with_options(api_key=key)
    for _ in range(4):  # more than the local model serves at once
        with user.chat.completions.create(
            model=gateway.model, messages=question, stream=True, **LONG
        ) as stream:
            assert next(iter(stream)).choices
    answer = user.chat.completions.create(model=gateway.model, messages=question, max_tokens=2)
    deadline = time.monotonic() + PATIENCE
    while (used := gateway.get("/token/usage", key)["data"])["total_requests"] < 5:
        assert time.monotonic() < deadline, used
        time.sleep(0.1)

    assert answer.choices[0].message.content
    assert used["total_tokens"] > answer.usage.total_tokens


def test_a_stream_outlives_the_signal(tmp_path: Path, question) -> None:
    """A gateway that is stopped lets its running calls end first, and then ends cleanly."""
    settings = {"APERTURA_GRACE": "600"}  # however slowly the model speaks
    with running(tmp_path, settings) as stopped:
        with OpenAI(base_url=stopped.base_url, api_key=stopped.key, max_retries=0) as client:
            stream = client.chat.completions.create(
                model=stopped.model,
                messages=question,
                stream=True,
                max_tokens=60,
                extra_body={"ignore_eos": True},
            )
            next(stream)
            stopped.process.send_signal(signal.SIGTERM)
            rest = list(stream)
        assert 0 == stopped.process.wait(STOP_SECONDS)

    assert "length" == rest[-1].choices[0].finish_reason
