"""Anthropic's Messages format: this dialect's verbs, in one place (`dialect.Dialect`).

The work is done beside it: `anthropic_request` and `anthropic_understand` (what callers ask),
`anthropic_express` (what providers are asked), `anthropic_reply` (what they answer),
`anthropic_write` and `anthropic_whole` (what callers get), `provider_errors` (failures). What it is
not: bound to one company; several hosts speak this format, for models of many makers.

The rule that keeps it honest: no verb is missing and none has a second home; who speaks this format
imports this module and nothing beside it.
"""

from __future__ import annotations

from apertura.wire.anthropic_errors import render_error, render_stream_error
from apertura.wire.anthropic_express import express
from apertura.wire.anthropic_reply import check_reply, decoder, listen, parse_reply
from apertura.wire.anthropic_request import left_out, parse, parse_count, render
from apertura.wire.anthropic_understand import understand
from apertura.wire.anthropic_whole import render_reply
from apertura.wire.anthropic_write import encoder
from apertura.wire.provider_errors import read_error

__all__ = [
    "check_reply",
    "decoder",
    "encoder",
    "express",
    "left_out",
    "listen",
    "parse",
    "parse_count",
    "parse_reply",
    "read_error",
    "render",
    "render_error",
    "render_reply",
    "render_stream_error",
    "understand",
]
