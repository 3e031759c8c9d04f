"""The faults of `test_faults`, for callers of every format: each its own answer or envelope.

The upstream speaks OpenAI's chat, so that all of these are translated; and then each format's own,
which passes through.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.live import MIB, Answer, Live, live
from tests.relay.test_faults import COST, CUT_SHORT, INSIDE, OK, SEEN, SMALL, UPSTREAM, WORDS
from tests.speakers import SPEAKERS, Speaker
from tests.wall import Wall

CALLERS = ["anthropic_messages", "gemini", "openai_responses"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", SEEN)
async def test_a_caller_sees(
    wall: Wall, tmp_path: Path, name: str, caller: str, stream: bool
) -> None:
    """An answer, an error before it, or an error within it, in its own format."""
    await check(wall, tmp_path, name, SPEAKERS[caller], SEEN[name][stream], stream=stream)


# What a provider's own format makes different: streams without `[DONE]`, errors of other shapes.
IN_OTHER_TONGUES: dict[str, tuple[Any, Any]] = {
    name: SEEN[name]
    for name in (
        "ok",
        "reset-after-first-chunk",
        "close-in-the-middle",
        "stall-before-first-token",
        "400",
        "401",
        "404",
        "429",
        "500",
        "503",
        "529",
        "error-200",
        "error-after-content",
        "html-200",
        "empty-200",
        "no-finish",
        "malformed-body",
        "malformed-event",
        "crlf",
        "comments",
        "usage-absent",
        "gzip",
    )
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("through", [True, False], ids=["passed", "translated"])
@pytest.mark.parametrize("dialect", CALLERS)
@pytest.mark.parametrize("name", IN_OTHER_TONGUES)
async def test_a_provider_of_another_format(
    wall: Wall, tmp_path: Path, name: str, dialect: str, through: bool, stream: bool
) -> None:
    """The same from providers who speak it too, and from these to callers of chat."""
    speaker = SPEAKERS[dialect if through else "openai_chat"]
    seen = IN_OTHER_TONGUES[name][stream]
    await check(wall, tmp_path, name, speaker, seen, stream=stream, dialect=dialect)


@pytest.mark.parametrize("dialect", CALLERS)
async def test_a_stream_without_its_end_marker(wall: Wall, tmp_path: Path, dialect: str) -> None:
    """Is cut. (Gemini's has no marker but the reason of its end.)"""
    speaker = SPEAKERS[dialect]
    await check(wall, tmp_path, "no-done", speaker, INSIDE, stream=True, dialect=dialect)


async def check(
    wall: Wall, folder: Path, name: str, speaker: Speaker, seen: Any, *, stream: bool, **how: Any
) -> None:
    async with live(wall, folder, **{**SMALL, **how}) as gateway:
        answer = await speaker.ask(gateway, name, stream=stream)
        check_answer(speaker, answer, seen)
        await check_row(gateway, answer, seen, stream=stream)
        assert len(wall.calls(name)) == len(wall.calls()) == 1
        assert speaker.text(await speaker.ask(gateway, "ok", stream=stream)) == WORDS
        assert len(await gateway.rows()) == 2
        assert gateway.upstream_connections() <= 1


def check_answer(speaker: Speaker, answer: Answer, seen: Any) -> None:
    assert answer.whole
    assert answer.headers["x-request-id"].startswith("req_")
    if seen == INSIDE:
        assert answer.status == 200
        if len(answer.body) < MIB:
            assert not speaker.done(answer)
        _, kind, code = speaker.expected(UPSTREAM)
        assert speaker.error_inside(answer) == (
            "" if speaker.name == "openai_responses" else kind,
            code,
        )
    elif seen in (OK, CUT_SHORT):
        assert answer.status == 200, answer.body
        assert speaker.text(answer) == (WORDS if seen == OK else "w0 w1 ")
        assert speaker.done(answer)
    else:
        assert speaker.error(answer) == speaker.expected(seen)


async def check_row(gateway: Live, answer: Answer, seen: Any, *, stream: bool) -> None:
    [row] = await gateway.rows()
    assert row.call_id == answer.headers["x-request-id"]
    assert (row.operation, bool(row.streamed), row.attempts) == ("chat", stream, 1)
    if seen in (OK, CUT_SHORT):
        assert (row.outcome, row.status, row.error_code) == ("answered", 200, "")
        assert row.cost == row.input * 1000 + row.output * 2000 > 0
        assert row.output == (3 if seen == OK else 2)
        assert row.cost == COST or row.estimated
    else:
        status, _, code = UPSTREAM if seen == INSIDE else seen
        assert (row.outcome, row.status, row.error_code) == ("failed", status, code)
        assert (row.input, row.output, row.cost) == (0, 0, 0)
