"""OpenAI's chat completions: this dialect's verbs, in one place (`dialect.Dialect`).

The work is done beside it: `openai_request` (what callers ask), `openai_understand` and
`openai_express` (the same, translated), `openai_listen` (answers that pass), `openai_reply` and
`openai_encoder` (answers that are translated), `provider_errors` (failures). What it is not: bound
to one company; nearly every provider speaks this format, each a little differently.

The rule that keeps it honest: no verb is missing and none has a second home; who speaks this format
imports this module and nothing beside it.
"""

from __future__ import annotations

from apertura.wire.openai_encoder import encoder, render_reply
from apertura.wire.openai_errors import render_error, render_stream_error
from apertura.wire.openai_express import express
from apertura.wire.openai_listen import check_reply, listen
from apertura.wire.openai_reply import decoder, parse_reply
from apertura.wire.openai_request import parse, render
from apertura.wire.openai_understand import understand
from apertura.wire.provider_errors import read_error

__all__ = [
    "check_reply",
    "decoder",
    "encoder",
    "express",
    "listen",
    "parse",
    "parse_reply",
    "read_error",
    "render",
    "render_error",
    "render_reply",
    "render_stream_error",
    "understand",
]
