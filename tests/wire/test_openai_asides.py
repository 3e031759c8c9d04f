"""Behaviour of sources, pictures and sounds in answers of the chat format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertura.errors import Garbled
from apertura.wire import openai_asides
from apertura.wire.chat import Citation, MediaPart, RefusalPart, TextPart
from apertura.wire.dialect import CallFacts
from apertura.wire.events import Cited, Event, Failed, Finished, Media, Text, fold
from apertura.wire.openai_chat import decoder, encoder, parse_reply, render_reply
from tests.wire.answers import STARTED
from tests.wire.said import chunk, documents, sse

CALL = CallFacts(id="chatcmpl-ours", created=7, model="asked-for")
PLACE = {"url": "https://a.example", "title": "A", "start_index": 1, "end_index": 2}
NESTED = {"type": "url_citation", "url_citation": PLACE}
FLAT = {"type": "url_citation", **PLACE}
CITED = Citation(url="https://a.example", title="A", start=1, end=2)
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
IMAGE = MediaPart(kind="image", data="AAAA", mime="image/png")


def parts(*deltas: dict[str, Any]) -> tuple[object, ...]:
    """What a stream of these deltas adds up to; a whole reply of the one delta says the same."""
    streamed = fold(decoder().feed(sse(*map(chunk, deltas), chunk(reason="stop"))))
    if len(deltas) == 1:
        whole = {"choices": [{"message": deltas[0], "finish_reason": "stop"}]}
        assert fold(parse_reply(json.dumps(whole).encode())).choices == streamed.choices
    return streamed.choices[0].parts


@pytest.mark.parametrize("note", [NESTED, FLAT, {**NESTED, **FLAT}])
def test_sources_are_read_in_both_forms(note: dict[str, Any]) -> None:
    """The nested one and the flat one."""
    assert parts({"content": "abc", "annotations": [note]}) == (
        TextPart(text="abc", cited=(CITED,)),
    )
    assert parts({"content": "abc"}, {"annotations": [note]}) == (
        TextPart(text="abc", cited=(CITED,)),
    )


def test_the_place_of_a_source_counts_from_its_own_text() -> None:
    """The format counts from the beginning of all content; where a text is apart, we do not."""
    note = {**FLAT, "start_index": 3, "end_index": 4}

    assert parts({"content": "ab"}, {"reasoning": "t"}, {"content": "cde", "annotations": [note]})[
        -1
    ] == TextPart(text="cde", cited=(CITED,))


@pytest.mark.parametrize(
    "found",
    [
        5,
        {},
        [5],
        [{}],
        [{"type": "file_citation", "url": "x"}],
        [{"type": "url_citation"}],
        [{"type": "url_citation", "url_citation": {"url": 5}}],
    ],
)
def test_what_is_no_source_or_picture_is_read_over(found: Any) -> None:
    """It is no reason to fall."""
    assert parts({"content": "x", "annotations": found, "images": found}) == (TextPart(text="x"),)


def test_sources_are_written_in_both_forms() -> None:
    """Each client finds the one that it knows, streamed or not."""
    events: list[Event] = [
        STARTED,
        Text(text="abc"),
        Cited(citation=CITED),
        Finished(reason="stop"),
    ]
    both = {"type": "url_citation", "url_citation": PLACE, **PLACE}
    whole = json.loads(render_reply(events, CALL))["choices"][0]["message"]
    deltas = [c["choices"][0]["delta"] for c in documents(encoder(CALL).feed(events))]

    assert whole["annotations"] == [both]
    assert [delta["annotations"] for delta in deltas if "annotations" in delta] == [[both]]


def test_pictures_are_read_wherever_they_are() -> None:
    """Beside the content, or as a part of it; by address, or as data."""
    url = {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}

    assert parts({"images": [PICTURE, url]}) == (
        IMAGE,
        MediaPart(kind="image", url="https://a.example/x.png"),
    )
    assert parts({"content": [{"type": "text", "text": "a"}, PICTURE]}) == (
        TextPart(text="a"),
        IMAGE,
    )
    assert parts({"refusal": "no", "images": [PICTURE]}) == (RefusalPart(text="no"), IMAGE)


def test_pictures_are_written_beside_the_content() -> None:
    """Nothing but the address, streamed or not."""
    events: list[Event] = [STARTED, Media(part=IMAGE), Finished(reason="stop")]
    whole = json.loads(render_reply(events, CALL))["choices"][0]["message"]
    first = documents(encoder(CALL).feed(events))[0]["choices"][0]["delta"]

    assert whole == {"role": "assistant", "content": "", "refusal": None, "images": [PICTURE]}
    assert first == {"role": "assistant", "content": None, "images": [PICTURE]}


def test_a_sound_comes_whole_with_its_words() -> None:
    """However many pieces it was in; its kind shows in how it begins."""
    first, second = {"data": "UklG", "transcript": "a"}, {"data": "RgAA", "transcript": "b"}
    sound = MediaPart(kind="audio", data="UklGRgAA", mime="audio/wav")

    assert parts({"audio": first}, {"audio": second}) == (TextPart(text="ab"), sound)
    assert parts({"content": None, "audio": {**first, "id": "a"}}) == (
        TextPart(text="a"),
        MediaPart(kind="audio", data="UklG", mime="audio/pcm"),
    )


def test_a_sound_is_written_as_clients_read_it() -> None:
    """With an id and a time until which it can be spoken of."""
    sound = MediaPart(kind="audio", data="UklGRgAA", mime="audio/wav")
    events: list[Event] = [STARTED, Text(text="a"), Media(part=sound), Finished(reason="stop")]
    message = json.loads(render_reply(events, CALL))["choices"][0]["message"]

    assert message["content"] == "a"
    assert message["audio"]["data"] == "UklGRgAA"
    assert isinstance(message["audio"]["expires_at"], int)


def test_what_a_sound_can_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like everything that waits."""
    monkeypatch.setattr(openai_asides, "AUDIO_MAX", 100)
    last = decoder().feed(sse(*[chunk({"audio": {"data": "A" * 60}})] * 2))[-1]

    assert isinstance(last, Failed)
    assert isinstance(last.error, Garbled)
