"""Behaviour of answers in the Messages format that break: cut, garbled, or an error within."""

from __future__ import annotations

import pytest

from apertura.errors import AperturaError, BadRequest, Cut, Garbled, Overloaded, RateLimited
from apertura.wire import anthropic_blocks
from apertura.wire.anthropic_messages import check_reply, listen, parse_reply
from apertura.wire.events import (
    Failed,
    Started,
    Text,
)
from tests.wire.anthropic_said import (
    STREAMS,
    begun,
    comparable,
    decoded,
    ended,
    event,
    started,
    text,
    transcript,
)

STARTED = Started(id="msg_1", created=0, model="m-1")


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_without_its_end_is_cut(name: str) -> None:
    """Wherever it breaks off, also just before its last event."""
    whole = transcript(f"{name}.sse")
    last = whole.rindex(b"event: message_stop")
    for size in (0, 5, len(whole) // 2, last, last + 30):
        assert comparable(decoded(whole[:size]))[-1] is Cut
    tap = listen(include_usage=True)
    tap.feed(whole[:last])
    with pytest.raises(Cut):
        tap.close()


def test_the_last_empty_line_may_be_missing() -> None:
    """The end itself was said."""
    whole = transcript("published-text.sse")

    assert decoded(whole.rstrip()) == decoded(whole)


def test_nothing_after_the_end_is_read() -> None:
    """Neither content nor nonsense."""
    whole = transcript("published-text.sse")

    assert decoded(whole + text(0, "more"), b"data: {\n\n") == decoded(whole)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (event("error", error={"type": "overloaded_error", "message": "busy"}), Overloaded),
        (event("error", error={"type": "rate_limit_error", "message": "slow"}), RateLimited),
        (event("error", error={"type": "invalid_request_error", "message": "x"}), BadRequest),
        (event("error", error={"type": "api_error", "message": "x"}), AperturaError),
        (event("error"), AperturaError),
        (b'data: {"error":"broken"}\n\n', AperturaError),
        (b"data: nonsense\n\n", Garbled),
        (b"data: []\n\n", Garbled),
        (b"<html>\n\ndata: <html>\n\n", Garbled),
        (b'data: {"type":"ping","x":"\xff"}\n\n', Garbled),
    ],
)
def test_a_stream_that_breaks_ends_in_one_failure(said: bytes, kind: type[AperturaError]) -> None:
    """After all that was understood, and nothing follows."""
    events = decoded(started() + text(0, "a") + said + text(0, "b") + ended())

    assert events[:2] == [STARTED, Text(text="a")]
    assert len(events) == 3
    assert isinstance(events[2], Failed) and isinstance(events[2].error, kind)


def test_a_reply_that_passes_ends_with_the_provider_s_error() -> None:
    """What came before it may still be sent."""
    tap = listen(include_usage=True)
    good = started() + text(0, "a")
    with pytest.raises(Overloaded):
        tap.feed(good + event("error", error={"type": "overloaded_error", "message": "busy"}))
    assert tap.salvage == good


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"nonsense", Garbled),
        (b"[]", Garbled),
        (b"{}", Garbled),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', Overloaded),
        (b'{"content":5,"error":{"type":"rate_limit_error","message":"x"}}', RateLimited),
    ],
)
def test_a_whole_reply_that_is_none(body: bytes, kind: type[AperturaError]) -> None:
    """Said with our errors."""
    with pytest.raises(kind):
        parse_reply(body)
    with pytest.raises(kind):
        check_reply(body)


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, signatures and citations."""
    monkeypatch.setattr(anthropic_blocks, "BLOCKS_MAX", 3)
    monkeypatch.setattr(anthropic_blocks, "STATE_MAX", 3)
    many = b"".join(begun(n, type="text", text="") for n in range(4))
    long = begun(0, type="thinking", thinking="", signature="abcd")

    for said in (many, long):
        assert comparable(decoded(said))[-1] is Garbled
