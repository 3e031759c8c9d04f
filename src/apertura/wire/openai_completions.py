"""OpenAI's first format, the text completion (`POST /v1/completions`): spoken by callers alone.

The work is done beside it: `completions_request` (what callers ask), `completions_reply` (what they
get). What it is not: a format that any provider is asked in; a prompt becomes a conversation of one
turn, so that every chat model can answer it.

The rule that keeps it honest: no verb of `dialect.Inbound` is missing or has a second home.
"""

from __future__ import annotations

from apertura.wire.completions_reply import encoder, render_reply
from apertura.wire.completions_request import parse, understand
from apertura.wire.openai_errors import render_error, render_stream_error

__all__ = [
    "encoder",
    "parse",
    "render_error",
    "render_reply",
    "render_stream_error",
    "understand",
]
