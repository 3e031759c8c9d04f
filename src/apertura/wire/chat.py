"""The canonical request: what a caller asks of a chat model, whatever format they speak.

A typed view of the fields that the gateway acts on; every other member of the caller's body stays
raw JSON and travels on unread. What it is not: a full model of any vendor's request.

The rule that keeps it honest: `members` has each top-level name once (of names given twice the last
one counts, for us and for the provider alike), and what goes to a provider is rendered from it,
never from the caller's bytes; so no caller can show us one request and the provider another.
"""

from __future__ import annotations

import msgspec


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One chat request. Token limits in tokens; `size` in bytes of the caller's body."""

    model: str
    members: dict[str, msgspec.Raw]
    stream: bool = False
    include_usage: bool = False
    """The caller of a stream asked for the usage chunk."""
    max_output: int | None = None
    choices: int = 1
    needs: frozenset[str] = frozenset()
    """Capabilities that an offer must have: tools, vision, audio, json_schema."""
    size: int = 0
    as_named: bool = False
    """`members` names the model just as `model` does."""
