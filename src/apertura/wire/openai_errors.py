"""How an error is said to callers of OpenAI's formats: chat, embeddings and their kin.

What it is not: the choice of words; an error brings its own message. The rule that keeps it honest:
the envelope of the public API, message, type, code and perhaps the parameter, and nothing besides.
"""

from __future__ import annotations

import msgspec

from apertura.errors import AperturaError
from apertura.wire import sse

_encode = msgspec.json.Encoder().encode


def render_error(error: AperturaError, *, call_id: str = "") -> bytes:
    """The body of an error reply; the call's id has its place in a header, not here."""
    said = {"message": error.message, "type": error.type, "code": error.code}
    if error.param is not None:
        said["param"] = error.param
    return _encode({"error": said})


def render_stream_error(error: AperturaError) -> bytes:
    """An error inside a stream; no end marker follows it."""
    return sse.frame(render_error(error))
