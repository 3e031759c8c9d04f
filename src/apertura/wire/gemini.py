"""The dialect `gemini`: Google's own format for `generateContent`.

The verbs stand in the modules beside it: `gemini_request` (what callers ask), `gemini_understand`
and `gemini_express` (requests that are translated), `gemini_reply` (answers that are read),
`gemini_encoder` (answers that are written), `gemini_errors` (failures), `gemini_array` (streams as
a JSON array). What it is not: the URL, in which this format names the model and the verb.

The rule that keeps it honest: no verb is missing and none has a second home; who speaks this format
imports this module and nothing beside it.
"""

from __future__ import annotations

from apertura.wire.gemini_array import JsonArray
from apertura.wire.gemini_encoder import encoder, render_reply
from apertura.wire.gemini_errors import read_error, render_error, render_stream_error
from apertura.wire.gemini_express import express
from apertura.wire.gemini_reply import check_reply, decoder, listen, parse_reply
from apertura.wire.gemini_request import parse, parse_count, render, render_count
from apertura.wire.gemini_understand import understand

__all__ = [
    "JsonArray",
    "check_reply",
    "decoder",
    "encoder",
    "express",
    "listen",
    "parse",
    "parse_count",
    "parse_reply",
    "read_error",
    "render",
    "render_count",
    "render_error",
    "render_reply",
    "render_stream_error",
    "understand",
]
