"""How an error is said to callers of OpenAI's Responses format.

What it is not: the choice of words; an error brings its own message. The rule that keeps it honest:
a reply's error has the envelope of the public API, a stream's the shape of the format's events.
"""

from __future__ import annotations

import msgspec

from apertura.errors import AperturaError
from apertura.wire import sse
from apertura.wire.openai_errors import render_error

__all__ = ["render_error", "render_stream_error"]

_encode = msgspec.json.Encoder().encode


def render_stream_error(error: AperturaError, number: int = 0) -> bytes:
    """An error inside a stream, as its event `number`; nothing follows it."""
    said = {
        "type": "error",
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "sequence_number": number,
    }
    return sse.frame(_encode(said), b"error")
