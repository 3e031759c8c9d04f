"""Lowering the most output that a request asks for, in whatever format it is.

What it is not: the decision to (`relay.purse`). The rule that keeps it honest: all names under
which a format knows the limit say the same afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

_NAMES = {
    "anthropic_messages": ("max_tokens",),
    "openai_chat": ("max_tokens", "max_completion_tokens"),
    "openai_completions": ("max_tokens",),
    "openai_responses": ("max_output_tokens", "max_tokens"),
}
_CONFIG = "generationConfig"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Raw] | None).decode


def lowered(dialect: str, members: Mapping[str, Raw], tokens: int, name: str) -> dict[str, Raw]:
    """The members of a request with this limit. Where it has none so far it gets the format's own
    name for it; the chat format has two, of which `name` says the one that the provider knows.
    """
    limit = Raw(_encode(tokens))
    if dialect == "gemini":
        config = dict(_decode(members.get(_CONFIG, Raw(b"null"))) or {})
        config["maxOutputTokens"] = limit
        return {**members, _CONFIG: Raw(_encode(config))}
    names = _NAMES[dialect]
    said = [one for one in names if one in members]
    first = name if name in names else names[0]
    return {**members, **dict.fromkeys(said or [first], limit)}
