"""Opaque reasoning state on its way through a format that is not its own.

Models keep what they thought in state that only their provider can read (a signature, encrypted
content), and want it back, byte for byte, in the next turn. A caller who speaks another format
carries it for us: in that format's own place for such state, wrapped so that we know whose it is.
What it is not: secret or trusted; the provider that made it checks it.

The rule that keeps it honest: state reaches only the format that it came from; what is wrapped here
unwraps to the same bytes, and native state is never taken for wrapped.
"""

from __future__ import annotations

from typing import Final

ANTHROPIC: Final = "anthropic"
"""The signature of a `thinking` block (the same at every host of these models)."""
ANTHROPIC_REDACTED: Final = "anthropic_redacted"
"""The data of a `redacted_thinking` block."""
GEMINI: Final = "gemini"
"""The `thoughtSignature` of the part that comes next."""
OPENAI: Final = "openai"
"""A reasoning item of the Responses format: its id, a colon, its encrypted content."""
OPENAI_CHAT: Final = "openai_chat"
"""Reasoning in the chat format: text that its provider wants back, state only as one entry of
`reasoning_details`, as JSON."""

ORIGINS: Final = (ANTHROPIC, ANTHROPIC_REDACTED, GEMINI, OPENAI, OPENAI_CHAT)
_MARK = "apertura."


def wrap(origin: str, state: str) -> str:
    """State as a foreign format carries it; also for reasoning that has an origin and no state."""
    return f"{_MARK}{origin}.{state}"


def unwrap(text: str) -> tuple[str, str] | None:
    """Origin and state of what `wrap` made; None for anything else."""
    if not text.startswith(_MARK):
        return None
    origin, dot, state = text[len(_MARK) :].partition(".")
    return (origin, state) if dot and origin in ORIGINS else None
