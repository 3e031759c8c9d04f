"""Behaviour of what a request says about its route."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.preferences import NO_PREFERENCES, Preferences, Wish
from apertura.errors import BadRequest
from apertura.wire import anthropic_messages, openai_chat, openai_completions, openai_responses
from apertura.wire.route_wish import OWN, RouteMembers, parse_preferences

encode = msgspec.json.encode
SAYING: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 5,
}
FORMATS = {
    "openai_chat": (openai_chat, SAYING),
    "openai_completions": (openai_completions, {"prompt": "hi"}),
    "openai_responses": (openai_responses, {"input": "hi"}),
    "anthropic_messages": (anthropic_messages, SAYING),
}


def wish(**more: Any) -> Wish | None:
    return openai_chat.parse(encode({"model": "m", **SAYING, **more})).wish


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_read_in_every_format_and_goes_no_further(name: str) -> None:
    """No provider sees any of it, whatever it says."""
    dialect, said = FORMATS[name]
    asked = {
        "models": ["a"],
        "fallback_models": None,
        "fallback_timeout": 7_000,
        "fallback_enabled": True,
        "provider": {"order": ["x"], "max_price": {"prompt": 0.1, "completion": "2"}},
    }
    assert asked.keys() == OWN == set(RouteMembers.__struct_fields__)
    request = dialect.parse(encode({"model": "m", **said, **asked}))  # type: ignore[attr-defined]

    prices = {"max_prompt": 100_000_000, "max_completion": 2_000_000_000}
    wanted = Preferences(order=("x",), **prices)
    assert request.wish == Wish(preferences=wanted, models=("a",), patience_ms=7_000)
    assert request.members.keys() == {"model", *said}
    assert dialect.parse(encode({"model": "m", **said})).wish is None  # type: ignore[attr-defined]


def test_a_list_is_on_unless_it_is_switched_off() -> None:
    """And the time has a default."""
    on = Wish(models=("a", "b"), patience_ms=15_000)
    assert wish(fallback_models=["a", "b"]) == wish(models=["a", "b"]) == on
    assert wish(fallback_models=["a", "b"], fallback_enabled=True) == on
    assert wish(fallback_models=["a"], fallback_enabled=False) is None
    assert wish(fallback_enabled=True) is None
    assert wish(fallback_timeout=5_000) is None
    assert wish(extra_body={"models": ["a", "b"]}) == on


def test_an_empty_provider_prefers_nothing() -> None:
    """As does one whose members are all null."""
    assert wish(provider=None) is None
    assert parse_preferences(b"null") is NO_PREFERENCES
    nothing = dict.fromkeys(("order", "only", "ignore", "sort", "max_price"))
    assert parse_preferences(encode(nothing)) == parse_preferences(b"{}") == NO_PREFERENCES


@pytest.mark.parametrize(
    ("said", "param"),
    [
        (b"1", "provider"),
        (b"{", None),
        (b'{"order":[""]}', "provider.order[0]"),
        (b'{"only":[1]}', "provider.only[0]"),
        (b'{"ignore":"x"}', "provider.ignore"),
        (b'{"allow_fallbacks":"no"}', "provider.allow_fallbacks"),
        (b'{"require_parameters":1}', "provider.require_parameters"),
        (b'{"sort":"cheap"}', "provider.sort"),
        (b'{"quantizations":["fp8"]}', "provider.quantizations"),
        (b'{"a b\\n":1}', "provider"),
        (b'{"max_price":1}', "provider.max_price"),
        (b'{"max_price":{"prompt":"x"}}', "provider.max_price.prompt"),
        (b'{"max_price":{"prompt":2000.1}}', "provider.max_price.prompt"),
        (b'{"max_price":{"prompt":"NaN"}}', "provider.max_price.prompt"),
        (b'{"max_price":{"completion":"-Infinity"}}', "provider.max_price.completion"),
        (b'{"max_price":{"completion":1e999999999}}', "provider.max_price.completion"),
        (b'{"max_price":{"image":1}}', "provider.max_price.image"),
    ],
)
def test_what_is_wrong_is_named(said: bytes, param: str | None) -> None:
    """With its place in `provider`; and without what the caller wrote."""
    with pytest.raises(BadRequest) as refused:
        parse_preferences(said)
    assert refused.value.param == param


@given(st.integers(0, 2_000 * 10**9))
def test_a_price_is_read_to_the_last_digit(nano: int) -> None:
    """As a number of JSON or as text."""
    text = f"{nano // 10**9}.{nano % 10**9:09d}".encode()
    for said in (text, b'"%b"' % text):
        assert parse_preferences(b'{"max_price":{"prompt":%b}}' % said).max_prompt == nano
