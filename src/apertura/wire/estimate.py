"""Token counts where nobody told us: from above for a hold, and for what was relayed when a call
was cut before the provider reported its usage.

What it is not: a tokenizer. English text has about four characters to a token; the figures here are
marked as estimated wherever they are kept. The rule that keeps it honest: only text counts, so that
an image's bytes are never taken for words, and an error's text never for output.
"""

from __future__ import annotations

import msgspec

CHARS_PER_TOKEN = 4
TOKENS_PER_PART = 1_000
"""What an image, a sound or a file counts for: the middle of what vendors charge for an image."""
NOT_TEXT = ("image_url", "video_url", "input_audio", "file")


def tokens_of(chars: int) -> int:
    """Tokens of a text of so many characters, at least one if there are any."""
    return -(-chars // CHARS_PER_TOKEN)


def input_tokens(members: dict[str, msgspec.Raw], names: tuple[str, ...]) -> int:
    """Tokens of the request's members that hold content, such as `messages` and `tools`."""
    return sum(_weigh(msgspec.json.decode(members[name])) for name in names if name in members)


def _weigh(value: object) -> int:
    """The text of a JSON value, wherever it is; names of members weigh nothing."""
    total, todo = 0, [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            total += tokens_of(len(item))
        elif isinstance(item, list):
            todo.extend(item)
        elif isinstance(item, dict):
            if item.get("type") in NOT_TEXT:
                total += TOKENS_PER_PART
            else:
                todo.extend(item.values())
    return total
