"""OpenAI's Responses format: this dialect's verbs, in one place (`dialect.Dialect`).

The work is done beside it: `responses_request` (what callers ask), `responses_understand` and
`responses_express` (requests that are translated), `responses_reading` (answers of providers),
`responses_encoder` (answers to callers). What it is not: the keeping of responses (`store`).

The rule that keeps it honest: no verb is missing and none has a second home; who speaks this format
imports this module and nothing beside it, but `responses_history` for what is kept.
"""

from __future__ import annotations

from apertura.wire.provider_errors import read_error
from apertura.wire.responses_encoder import encoder, render_reply
from apertura.wire.responses_errors import render_error, render_stream_error
from apertura.wire.responses_express import express
from apertura.wire.responses_reading import check_reply, decoder, listen, parse_reply
from apertura.wire.responses_request import parse, render
from apertura.wire.responses_understand import understand

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
