"""Canaries: keys, prompts and answers that must be found nowhere but on their way."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.api.client import PROVIDER_KEY, SECRET, Answer, Served, gateway, well_formed_stranger
from tests.wall import Call, Talk

PROMPT = "canary-of-the-prompt"
ANSWER = b"w0 w1 w2"
FAULTS = [
    "ok",
    "error-200",
    "error-after-content",
    "html-502",
    "malformed-body",
    "not-http",
    "reset-before-head",
    "reset-after-first-chunk",
    "close-in-the-middle",
    "no-content",
    "empty-200",
]
ECHOES = [f"echo?status={status}" for status in (400, 401, 403, 404, 413, 422, 429, 500)]


async def echo(talk: Talk, call: Call) -> None:
    """A provider that repeats what it was sent: our credential, and the prompt in a 5xx."""
    said = f"Incorrect API key provided: {call.headers['authorization']}. You sent {call.raw!r}"
    body = json.dumps({"error": {"message": said, "type": "x", "code": None}}).encode()
    await talk.whole(int(call.option("status", 401)), body)


async def exercise(served: Served, key: str) -> list[Answer]:
    """Calls of every kind that this wall knows, each whole and streamed; all of their replies."""
    served.wall.behaviours["echo"] = echo
    answers = []
    for behaviour in (*FAULTS, *ECHOES):
        for stream in (False, True):
            served.wall.script("ok", behaviour, behaviour)
            answers.append(await served.chat(key, stream=stream, messages=messages()))
    return answers


def messages() -> list[dict[str, str]]:
    return [{"role": "user", "content": PROMPT}]


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything that is kept: database, write-ahead log, journal and what else there may be."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("level", [logging.WARNING, logging.DEBUG])
async def test_no_key_prompt_or_answer_is_kept_or_told(
    tmp_path: Path, capfdbinary, caplog, level: int
) -> None:
    """Not in the call log, the error output, a metric, or a byte of the data folder; nor do error
    replies hold a key, be it the caller's, another one, or ours at the provider.
    """
    caplog.set_level(level)
    async with gateway(tmp_path, call_log="on") as served:
        key, stranger = await served.key(), well_formed_stranger()
        answers = await exercise(served, key)
        answers += [
            await served.chat(stranger, messages=messages()),
            await served.chat(key + "x", messages=messages()),
            await served.chat(key, model="none", messages=messages()),
            await served.chat(key, temperature=PROMPT, messages=messages()),
            await served.ask("POST", "/v1/chat/completions", key, body=b'{"model": "' + b"x" * 99),
            await served.get(f"/v1/models/{key}x", stranger),
            await served.get("/v1/models", headers={"x-api-key": stranger}),
        ]
        page = (await served.get("/metrics", peer="127.0.0.1")).body
        kept = files_of(tmp_path)
        await served.get("/v1/token/usage", key)
        kept |= {f"{name}, flushed": data for name, data in files_of(tmp_path).items()}
    kept |= {f"{name}, closed": data for name, data in files_of(tmp_path).items()}
    out, err = capfdbinary.readouterr()
    kept |= {"metrics": page, "out": out, "err": err, "log": caplog.text.encode()}

    assert out.count(b"\n") == 2 * len(FAULTS + ECHOES)  # a line for each call
    assert any(name.endswith("apertura.db") for name in kept)
    secrets = [key, stranger, PROVIDER_KEY, SECRET]
    for name, data in kept.items():
        for canary in (*secrets, PROMPT):
            assert canary.encode() not in data, f"{canary} in {name}"
        assert ANSWER not in data, name
    for answer in answers:
        for canary in secrets:
            assert canary.encode() not in answer.body, canary
            assert canary not in str(answer.headers)


async def test_a_providers_address_is_not_told(served: Served) -> None:
    """Neither where it is nor how it is reached."""
    key = await served.key()
    answers = await exercise(served, key)

    for answer in answers:
        assert str(served.wall.port).encode() not in answer.body
        assert b"127.0.0.1" not in answer.body


async def test_a_bug_is_not_told(served: Served, monkeypatch, capfd) -> None:
    """500 with a request id that finds it in the log; what went wrong stays there."""

    async def broken(*_: object) -> None:
        raise RuntimeError("canary of a bug")

    monkeypatch.setattr(served.database, "read", broken)

    answer = await served.get("/v1/models", well_formed_stranger())

    assert (answer.status, answer.code) == (500, "internal_error")
    assert b"canary" not in answer.body
    logged = json.loads(capfd.readouterr().err)
    assert logged["request_id"] == answer.headers["x-request-id"]
    assert logged["error"] == "RuntimeError"
    assert logged["trace"].startswith("test_leaks.py:")
