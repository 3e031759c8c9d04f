"""Behaviour of the cheap count: what weighs, what does not, and that nothing makes it fail."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from apertura.wire.estimate import (
    DOCUMENT,
    DOCUMENT_BYTES,
    IMAGE,
    IMAGE_LOW,
    SOUND_BYTES,
    VIDEO,
    input_tokens,
    tokens_in,
    tokens_of,
)

TEXT = "x" * 400
DATA = base64.b64encode(bytes(3_000)).decode()


def weight(*content: Any) -> int:
    """Of these parts, as one message's content."""
    said = [{"content": list(content)}]
    return input_tokens({"messages": Raw(json.dumps(said).encode())}, ("messages", "tools"))


def test_a_token_is_four_bytes() -> None:
    """Rounded up; other scripts take three bytes to a character, and about as many tokens."""
    assert [tokens_of(chars) for chars in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert tokens_in("hello world") == 3
    assert tokens_in("你好世界") == 3
    assert tokens_in("\ud800") == 1


def test_text_weighs_wherever_it_stands() -> None:
    """Values do, names of members do not; numbers and truth do not either."""
    assert weight({"a" * 99: [[TEXT], {"b": {"c": TEXT}}], "n": 5, "t": True}) == 200


def test_only_what_is_asked_for_weighs() -> None:
    """And what is not there weighs nothing."""
    members = {"messages": Raw(b'["abcd"]'), "metadata": Raw(b'["abcd"]')}

    assert input_tokens(members, ("messages", "tools")) == 1


def test_what_a_caller_has_tokenized_is_counted() -> None:
    """One list of tokens, or rows of them."""
    for value in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
        assert input_tokens({"input": Raw(json.dumps(value).encode())}, ("input",)) == 4


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}, IMAGE),
        ({"type": "image_url", "image_url": {"url": "http://x/y.png", "detail": "low"}}, IMAGE_LOW),
        ({"type": "input_image", "image_url": "http://x/y.png", "detail": "low"}, IMAGE_LOW),
        ({"type": "image", "source": {"type": "base64", "data": DATA}}, IMAGE),
        ({"inlineData": {"mimeType": "image/png", "data": DATA}}, IMAGE),
        ({"fileData": {"mimeType": "image/png", "fileUri": "http://x/y"}}, IMAGE),
        ({"type": "computer_screenshot", "image_url": f"data:image/png;base64,{DATA}"}, IMAGE + 5),
        ({"type": "video_url", "video_url": {"url": "http://x/y.mp4"}}, VIDEO),
        ({"inline_data": {"mime_type": "video/mp4", "data": DATA}}, VIDEO),
        ({"type": "input_audio", "input_audio": {"data": DATA, "format": "mp3"}}, 6),
        ({"inlineData": {"mimeType": "audio/wav", "data": DATA}}, 6),
        ({"type": "file", "file": {"file_data": DATA, "filename": "a.pdf"}}, DOCUMENT),
        ({"type": "input_file", "file_data": DATA * 100}, DOCUMENT * 4),
        ({"type": "document", "source": {"type": "url", "url": "http://x"}}, DOCUMENT),
        ({"inlineData": {"mimeType": "application/pdf", "data": DATA}}, DOCUMENT),
    ],
    ids=range(15),
)
def test_media_weigh_what_they_are_and_not_their_bytes(part: dict[str, Any], expected: int) -> None:
    """In the words of every format."""
    assert (SOUND_BYTES, DOCUMENT_BYTES) == (500, 75_000)
    assert weight(part) == expected


def test_what_is_said_beside_a_picture_weighs_too() -> None:
    """A title or a caption is text."""
    source = {"type": "url", "url": "http://x"}

    assert weight({"type": "document", "source": source, "context": TEXT}) == DOCUMENT + 100


def test_a_document_that_comes_as_text_weighs_as_text() -> None:
    """In Anthropic's format, whole or in parts."""
    text = {"type": "text", "data": TEXT}
    parts = {"type": "content", "content": [{"text": TEXT}]}

    assert 100 <= weight({"type": "document", "source": text}) < 110
    assert 100 <= weight({"type": "document", "source": parts}) < 110


def test_what_python_cannot_hold_is_weighed_as_it_stands() -> None:
    """A number too large is no reason to fail, nor is a deep nesting."""
    assert input_tokens({"messages": Raw(b'[1e999,"abcdefg"]')}, ("messages",)) == 5
    deep = Raw(b"[" * 5_000 + b"]" * 5_000)
    assert input_tokens({"messages": deep}, ("messages",)) == 2_500


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["type", "source", "data", "detail", "mimeType", "image_url"])
                | st.text(max_size=3),
                inner | st.sampled_from(["image_url", "file", "document", "input_audio", "video"]),
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_has_a_weight(value: Any) -> None:
    """Whatever a member holds; formats have their own checks."""
    assert input_tokens({"input": Raw(json.dumps(value).encode())}, ("input",)) >= 0
