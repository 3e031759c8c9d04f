"""Tools that a provider runs by itself and charges beside the tokens: refused, as long as an offer
cannot state their price.

Looked for where a request passes; where it is translated, no provider's own tool can be said at
all. What it is not: about the caller's tools, or those that a provider explains and the caller runs
(a shell, an editor, a computer), or those that cost tokens only.

The rule that keeps it honest: what the gateway could not charge for is not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire import faults

KINDS = (
    "web_search",
    "file_search",
    "code_interpreter",
    "code_execution_",
    "image_generation",
    "mcp",
    "builtin_function",
)
"""Beginnings of the `type` of a tool, in OpenAI's and Anthropic's formats and their kin."""
GROUPS = (
    "googleSearch",
    "googleSearchRetrieval",
    "googleMaps",
    "enterpriseWebSearch",
    "fileSearch",
    "mcpServers",
)
"""Members of a group of tools, in Gemini's format."""
MEMBERS = ("plugins", "search_parameters", "enable_search", "mcp_servers")
"""Members of a request by which some hosts are asked to search."""

_MEMBERS = frozenset(MEMBERS)
_SIGNS = tuple(name.encode() for name in (*KINDS, *GROUPS))
_UNSAID = frozenset({b"null", b"false", b"[]", b"{}"})
_decode = msgspec.json.Decoder(list[dict[str, Any]] | None).decode


def refuse(members: Mapping[str, Raw]) -> None:
    """Raises: BadRequest, naming the first of them."""
    if "tools" in members and any(sign in bytes(members["tools"]) for sign in _SIGNS):
        for place, kind in _hosted(members["tools"]):
            raise _refusal(f"tools[{place}]", f"`{kind}`")
    if _MEMBERS.isdisjoint(members):
        return
    for name in MEMBERS:
        if name in members and bytes(members[name]) not in _UNSAID:
            raise _refusal(name, "a tool of the provider's own")


def _hosted(tools: Raw) -> Iterator[tuple[int, str]]:
    try:
        found = _decode(tools) or []
    except faults.NOT_READ:
        return  # another shape than a list is for the format to judge
    for place, tool in enumerate(found):
        kind = tool.get("type")
        if isinstance(kind, str) and kind.startswith(KINDS):
            yield place, next(name for name in KINDS if kind.startswith(name)).rstrip("_")
        for name in GROUPS:
            if tool.get(name) is not None:
                yield place, name


def _refusal(param: str, what: str) -> BadRequest:
    return faults.invalid(param, f"asks for {what}, which this installation does not offer yet")
