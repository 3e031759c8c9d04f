"""What tests of requests in the Messages format share: targets, turns, a way to say them."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw

from apertura.wire.anthropic_messages import express, parse
from apertura.wire.chat import CallPart, Chat, Part, ReasoningPart, ResultPart, TextPart, Tool, Turn
from apertura.wire.dialect import Target
from apertura.wire.state import ANTHROPIC, GEMINI

OLD = Target(model="claude-sonnet-4-5-20250929")
MIDDLE = Target(model="claude-opus-4-6")
NEW = Target(model="claude-opus-4-7")
HI = Turn(role="user", parts=(TextPart(text="hi"),))
F = Tool(name="f", parameters=Raw(b'{"type":"object"}'))
CALL = CallPart(id="a", name="f", arguments="{}")
RESULT = Turn(role="user", parts=(ResultPart(call_id="a"),))
OWN = ReasoningPart(text="…", state="Eq==", origin=ANTHROPIC)
FOREIGN = ReasoningPart(text="…", state="x", origin=GEMINI)


def model_said(*parts: Part) -> Turn:
    return Turn(role="assistant", parts=parts)


def said(target: Target = OLD, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body for a provider, and what was dropped. Bodies that we send, we accept."""
    expressed = express(Chat(**{"turns": (HI,), **fields}), target)
    parse(expressed.body)
    return json.loads(expressed.body), expressed.dropped
