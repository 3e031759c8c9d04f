"""What a call consumed.

`input` and `output` are inclusive totals; the other fields are parts of one of them, disjoint from
each other, each priced once. Providers disagree on this: OpenAI counts cached tokens inside the
prompt, Anthropic beside it. The dialects in `wire` bring every report into this one shape, so that
pricing never asks where a number came from.

The rule that keeps it honest: parts never exceed their total (`tidy` enforces it on what a provider
says, because a provider's numbers are outside input like any other).
"""

from __future__ import annotations

import msgspec

TOKENS_MAX = 2**40
"""No honest report is larger; what is, is cut to this, so that a cost always fits 64 bits."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Token counts of one call. Input = plain + cache_read + cache_write + cache_write_1h +
    audio_input; output = plain + reasoning + audio_output + image_output.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    """Written to the provider's prompt cache for its usual (five minute) life."""
    cache_write_1h: int = 0
    audio_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0
    """Pictures put out in a chat, counted in tokens."""
    estimated: bool = False
    """True when we counted, because the provider did not get to say."""

    @property
    def plain_input(self) -> int:
        """Input tokens of no special class."""
        parts = self.cache_read + self.cache_write + self.cache_write_1h + self.audio_input
        return self.input - parts

    @property
    def plain_output(self) -> int:
        """Output tokens of no special class."""
        return self.output - self.reasoning - self.audio_output - self.image_output


NOTHING = Usage()


def tidy(usage: Usage) -> Usage:
    """The nearest usage whose parts are disjoint and within their totals, all in bounds."""
    parts_in = usage.cache_read + usage.cache_write + usage.cache_write_1h + usage.audio_input
    parts_out = usage.reasoning + usage.audio_output + usage.image_output
    least_in = min(usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.audio_input)
    least_out = min(usage.reasoning, usage.audio_output, usage.image_output)
    fits = parts_in <= usage.input <= TOKENS_MAX and parts_out <= usage.output <= TOKENS_MAX
    return usage if fits and least_in >= 0 and least_out >= 0 else _tidied(usage)


def _tidied(usage: Usage) -> Usage:
    left = total_in = _bounded(usage.input)
    parts: dict[str, int] = {}
    for name in ("cache_read", "cache_write", "cache_write_1h", "audio_input"):
        parts[name] = min(_bounded(getattr(usage, name)), left)
        left -= parts[name]
    left = total_out = _bounded(usage.output)
    for name in ("reasoning", "audio_output", "image_output"):
        parts[name] = min(_bounded(getattr(usage, name)), left)
        left -= parts[name]
    return Usage(input=total_in, output=total_out, estimated=usage.estimated, **parts)


def _bounded(count: int) -> int:
    return max(0, min(count, TOKENS_MAX))
