"""The state of reasoning in the Messages format: whose it is, and how it is carried for others.

A `thinking` block closes with a signature. What other formats keep of their reasoning travels there
too, wrapped (`state`), so that a caller who sends blocks back as they came brings it all along.
What it is not: a check of a signature; its maker does that.

The rule that keeps it honest: a signature that we made never reaches a provider as if it were one
of its own; and a block is never without one, because SDKs and providers insist on it.
"""

from __future__ import annotations

from typing import Final

from apertura.wire.chat import ReasoningPart
from apertura.wire.state import ANTHROPIC, ANTHROPIC_REDACTED, unwrap, wrap

UNSIGNED: Final = wrap("", "")
"""The signature of thoughts that came without any state or origin."""


def signature_of(state: str, origin: str) -> str:
    """What stands in the signature of a block with this state."""
    if origin == ANTHROPIC and state:
        return state
    return wrap(origin, state)


def is_ours(signature: str) -> bool:
    """Whether we made it, for reasoning that is not of this format's own models."""
    return signature == UNSIGNED or unwrap(signature) is not None


def origin_and_state(signature: str, native: str = ANTHROPIC) -> tuple[str, str]:
    """Whose state a signature (or the data of a redacted block) holds, and the state."""
    if not signature or signature == UNSIGNED:
        return "", ""
    return unwrap(signature) or (native, signature)


def thinking_part(text: str, signature: str) -> ReasoningPart:
    """A `thinking` block."""
    origin, state = origin_and_state(signature)
    return ReasoningPart(text=text, state=state, origin=origin)


def redacted_part(data: str) -> ReasoningPart:
    """A `redacted_thinking` block."""
    origin, state = origin_and_state(data, ANTHROPIC_REDACTED)
    return ReasoningPart(state=state, origin=origin)
