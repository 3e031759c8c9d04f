"""Every format by its name: who is spoken to how.

What it is not: a format. The rule that keeps it honest: the names are those of the catalogue
(`domain.catalog.DIALECTS`), and a test holds them equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from apertura.wire import (
    anthropic_messages,
    bedrock_converse,
    gemini,
    openai_chat,
    openai_completions,
    openai_responses,
)
from apertura.wire.chat import ChatRequest
from apertura.wire.dialect import Inbound, Outbound, Passing

OUTBOUND: Final[Mapping[str, Outbound]] = {
    "anthropic_messages": anthropic_messages,
    "bedrock_converse": bedrock_converse,
    "gemini": gemini,
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
}
"""What providers may speak."""

INBOUND: Final[Mapping[str, Inbound]] = {
    "anthropic_messages": anthropic_messages,
    "gemini": gemini,
    "openai_chat": openai_chat,
    "openai_completions": openai_completions,
    "openai_responses": openai_responses,
}
"""What callers may speak."""

PASSING: Final[Mapping[str, Passing]] = {
    "anthropic_messages": anthropic_messages,
    "gemini": gemini,
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
}
"""What both may speak."""

LEFT_OUT: Final[Mapping[str, Callable[[ChatRequest], tuple[str, ...]]]] = {
    "anthropic_messages": anthropic_messages.left_out,
}
"""What a request loses although it passes: callers of this format may say more than it knows."""
