"""Behaviour of the count of tokens: what it finds, what it adds, and that it ends."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from functools import cache
from importlib import resources
from itertools import chain
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from apertura.wire import bpe, tokens
from apertura.wire.tokens import PER_MESSAGE, PER_REPLY, PER_TOOL, count, count_request

SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""Of o200k_base, in the registry of tiktoken."""

# As tiktoken 0.14 counts them.
KNOWN = {
    "": 0,
    "hello world": 2,
    "Hello, World! It's 2026.": 9,
    "We'LL see; they'd've gone.": 9,
    "    def f(self) -> int:\n        return 1_000_000\n": 17,
    "camelCaseWords HTTPServer snake_case_words": 8,
    '{"a": [1, 2.5, true, null], "b": "c\\n"}': 22,
    "こんにちは、世界。今日はいい天気ですね。": 10,
    "人工智能正在改变世界。": 6,
    "Привет, как дела?": 6,
    "مرحبا بالعالم": 4,
    "नमस्ते दुनिया": 5,
    "안녕하세요 세계": 3,
    "สวัสดีชาวโลก": 7,
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f389\U0001f389": 15,
    "naïve café e\u0301": 6,
    "\U0001d49c \U0001d4d1 \U0002000b": 11,
    " \t\n\n  \r\n x": 4,
    "supercalifragilisticexpialidocious": 10,
    "https://example.com/a?b=c&d=%20#e": 14,
    "<|endoftext|>": 7,
    "3.14159265358979": 7,
    "a" * 1000: 125,
    " " * 1000: 9,
    "\x00\x01\x7f": 3,
    "x\xa0y\u2003z": 5,
}


words = cache(bpe.words)


def packed() -> bytes:
    return resources.files("apertura.wire").joinpath("vocabulary", "o200k_base.z").read_bytes()


def members(**values: Any) -> dict[str, Raw]:
    return {name: Raw(json.dumps(value).encode()) for name, value in values.items()}


def test_the_vocabulary_is_that_of_the_registry() -> None:
    """What is shipped, written as tiktoken's file, has the digest that tiktoken asks for."""
    digest = hashlib.sha256()
    for rank, token in enumerate(bpe.unpack(packed())):
        digest.update(base64.b64encode(token) + b" %d\n" % rank)

    assert digest.hexdigest() == SHA256


@pytest.mark.parametrize(("text", "expected"), KNOWN.items(), ids=range(len(KNOWN)))
def test_texts_count_as_the_reference_counts_them(text: str, expected: int) -> None:
    """In several scripts, with signs, numbers, spaces and code."""
    assert count(text) == expected


@given(st.lists(st.sampled_from(sorted(KNOWN)), max_size=5))
def test_a_count_of_several_texts_is_their_sum(texts: list[str]) -> None:
    """Texts of a request are not joined."""
    assert bpe.o200k().count(texts) == sum(map(count, texts))


@given(st.text())
def test_a_text_has_no_more_tokens_than_bytes(text: str) -> None:
    """And none only if it is empty."""
    assert bool(text) <= count(text) <= len(text.encode("utf-8", "replace"))


@given(st.text(alphabet=" \n\r\tab'SA1./é語", min_size=1, max_size=30), st.integers(1, 40))
def test_where_a_slice_ends_changes_nothing(unit: str, size: int) -> None:
    """A long text is cut into the same words, however it is sliced."""
    text = f"{unit}; " * 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpe, "SLICE", 100 + size)
        found = list(chain.from_iterable(bpe.o200k()._cut(text)))

    assert found == words().findall(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10**6,
        " " * 10**6,
        "A" * 10**6,
        "é" * 500_000,
        "1" * 10**6,
        "'s" * 500_000,
        "\n " * 10**5,
        "".join(Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=400_000)),
        "".join(Random(1).choices("一丁七万丈三上下不与", k=130_000)),
    ],
    ids=range(9),
)
def test_what_has_no_breaks_is_counted_all_the_same(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Putting together takes the square of what it is given: that is little, and bounded."""
    vocabulary, work = bpe.o200k(), []
    real = bpe.merged
    monkeypatch.setattr(
        bpe, "merged", lambda data, ranks: work.append(len(data)) or real(data, ranks)
    )

    assert 0 < vocabulary.count([text]) <= len(text.encode())
    assert max(work, default=0) <= bpe.RUN_MOST
    assert sum(work) <= bpe.MERGED_MOST + bpe.RUN_MOST


def test_past_the_bound_the_rest_counts_as_what_came_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the error of a long text of rare words stays small."""
    text = " ".join(f"zq{n:x}xv" for n in range(20_000)).translate(
        {48 + d: 103 + d for d in range(10)}
    )
    exact = count(text)
    monkeypatch.setattr(bpe, "MERGED_MOST", 4_096)

    assert exact * 0.8 < count(text) < exact * 1.2


def test_beyond_what_is_cut_a_text_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token for four bytes."""
    monkeypatch.setattr(tokens, "EXACT_MOST", 11)

    assert count("hello world" + "x" * 400) == 2 + 100


def test_it_is_loaded_once_by_however_many_threads() -> None:
    """All get the same."""
    found: list[bpe.Vocabulary] = []
    threads = [threading.Thread(target=lambda: found.append(bpe.o200k())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4
    assert len(set(map(id, found))) == 1


HI = "hello world"
TALKS = {
    "chat": members(messages=[{"role": "user", "content": HI}]),
    "chat, parts": members(messages=[{"role": "user", "content": [{"type": "text", "text": HI}]}]),
    "responses": members(input=[{"type": "message", "role": "user", "content": HI}]),
    "gemini": members(contents=[{"role": "user", "parts": [{"text": HI}]}]),
}


@pytest.mark.parametrize("said", TALKS.values(), ids=TALKS)
def test_a_message_counts_the_same_in_every_format(said: dict[str, Raw]) -> None:
    """Its text, its role, and what stands around it."""
    assert count_request(said) == PER_REPLY + PER_MESSAGE + 1 + 2


@pytest.mark.parametrize(
    "said",
    [
        members(input=HI),
        members(prompt=HI),
        members(prompt=[15, 16], n=2, model="x" * 99, temperature=0.5, metadata={"a": HI}),
        members(contents=[{"parts": [{"text": HI}]}]),
    ],
    ids=range(4),
)
def test_plain_texts_and_tokens_are_input(said: dict[str, Raw]) -> None:
    """Without a role; and nothing that is not input counts."""
    assert count_request(said) in (PER_REPLY + PER_MESSAGE + 2, PER_REPLY + 2)


def test_orders_count_as_messages() -> None:
    """A system prompt, as text or in blocks."""
    for name in ("system", "instructions"):
        assert count_request(members(**{name: HI})) == PER_REPLY + PER_MESSAGE + 2
    blocks = [{"type": "text", "text": HI, "cache_control": {"type": "ephemeral"}}]
    assert count_request(members(system=blocks)) == PER_REPLY + PER_MESSAGE + 2


def test_tools_count_as_their_json() -> None:
    """Names of parameters are seen by a model; so are the arguments of a call."""
    tool = {"name": "f", "input_schema": {"type": "object", "properties": {"city": {}}}}
    text = '{"name":"f","input_schema":{"type":"object","properties":{"city":{}}}}'
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f"}]}
    call["content"][0]["input"] = {"city": "Rome"}  # type: ignore[index]

    assert count_request(members(tools=[tool])) == PER_REPLY + PER_TOOL + count(text)
    expected = PER_REPLY + PER_MESSAGE + 1 + 1 + count('{"city":"Rome"}')
    assert count_request(members(messages=[call])) == expected


def test_identifiers_and_sealed_reasoning_weigh_nothing() -> None:
    """They are no text to anybody but the provider that made them."""
    parts = [
        {"type": "thinking", "thinking": HI, "signature": "A" * 4_000},
        {"type": "redacted_thinking", "data": "A" * 4_000},
    ]
    said = members(messages=[{"role": "assistant", "content": parts}])

    assert count_request(said) == PER_REPLY + PER_MESSAGE + 1 + 2


def test_other_models_have_a_margin() -> None:
    """By the family's name, wherever it stands in the model's."""
    said = members(messages=[{"role": "user", "content": HI * 100}], tools=[{"name": "f"}])
    plain = count_request(said, "gpt-5")

    assert count_request(said, "code:claude-x") == -(-(plain + 340) * 125 // 100)
    assert count_request(said, "google/Gemini-x") == -(-plain * 110 // 100)


def test_whatever_python_cannot_hold_is_counted_as_text() -> None:
    """A number too large is no reason to fail."""
    assert (
        count_request({"messages": Raw(b'[{"role":"user","content":"x","y":1e999}]')}) > PER_REPLY
    )


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "content", "source", "data", "input", "detail", "image_url"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["messages", "system", "tools", "input"]), NESTED))
def test_any_json_has_a_count(values: dict[str, Any]) -> None:
    """Whatever a member holds; formats have their own checks."""
    try:
        said = members(**values)
    except ValueError:
        return

    assert count_request(said) >= PER_REPLY
