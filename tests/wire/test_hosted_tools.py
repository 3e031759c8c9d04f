"""Behaviour towards tools that a provider runs and charges by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from apertura.errors import BadRequest
from apertura.wire.hosted_tools import refuse


def asked(**members: Any) -> None:
    refuse({name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items()})


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "web_search_preview_2025_03_11"},
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "file_search", "vector_store_ids": ["v"]},
        {"type": "mcp", "server_url": "https://x.example"},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
        {"googleSearch": {}},
        {"googleMaps": {}},
    ],
)
def test_what_could_not_be_charged_is_refused_by_its_place(tool: dict[str, Any]) -> None:
    """Whatever stands before it."""
    own = {"type": "function", "function": {"name": "f"}}

    with pytest.raises(BadRequest) as refusal:
        asked(tools=[own, tool])

    assert refusal.value.param == "tools[1]"
    assert refusal.value.code == "invalid_parameter"


@pytest.mark.parametrize("name", ["plugins", "search_parameters", "enable_search"])
def test_hosts_own_ways_to_ask_for_a_search_are_refused(name: str) -> None:
    """By their name; but not where they ask for nothing."""
    asked(**{name: False})
    asked(**{name: None})
    with pytest.raises(BadRequest) as refusal:
        asked(**{name: {"mode": "on"}})

    assert refusal.value.param == name


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "web_search", "description": "mcp"}},
        {"type": "function", "name": "file_search", "parameters": {"type": "object"}},
        {"name": "web_search", "input_schema": {"type": "object"}},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "custom", "name": "code_interpreter"},
        {"functionDeclarations": [{"name": "googleSearch"}]},
        {"codeExecution": {}},
    ],
)
def test_tools_that_the_caller_runs_pass(tool: dict[str, Any]) -> None:
    """Whatever they are called; and those that cost tokens only."""
    asked(tools=[tool])


@pytest.mark.parametrize("tools", [b"null", b"[]", b'"web_search"', b'["mcp"]', b"{"])
def test_another_shape_is_for_the_format_to_judge(tools: bytes) -> None:
    """Nothing is refused here that is not understood."""
    refuse({"tools": msgspec.Raw(tools)})
