"""Every URL of the product, on one page.

`HOT` are the paths on which calls run: answered without ASGI where the server is ours (the fast
lane), and before Starlette where it is not. `COLD` is everything else. Clients are configured with
one of three base URLs (the root, `/v1`, or the full path of chat completions), so each path stands
under all of them.

What it is not: a handler. The rule that keeps it honest: a path that is not on this page answers
404 with the code `endpoint_not_found`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from apertura.api import (
    chat,
    count,
    embeddings,
    gemini,
    health,
    models,
    public_models,
    recommend,
    responses,
    token,
)
from apertura.api.parts import Parts
from apertura.relay.exchange import Exchange

PartsHandler = Callable[[Parts, Exchange], Coroutine[Any, None, None]]
Methods = dict[str, PartsHandler]

BASES = ("/v1", "", "/v1/chat/completions")
"""What stands before a path of the public API, by how a client was configured."""

HOT: dict[str, PartsHandler] = {
    "/chat/completions": chat.complete,
    "/completions": chat.complete_text,
    "/embeddings": embeddings.embed,
    "/messages": chat.create_message,
    "/messages/count_tokens": count.count_message,
    "/rerank": embeddings.rank,
    "/responses": responses.create,
}
"""POST, by path below a base."""

API: dict[str, Methods] = {
    "/models": {"GET": models.index},
    "/models/{id:path}": {"GET": models.show, "POST": gemini.call},
    "/recommend": {"GET": recommend.show},
    "/responses/{id}": {"GET": responses.show, "DELETE": responses.delete},
    "/responses/{id}/input_items": {"GET": responses.show_input},
    "/token/usage": {"GET": token.show_usage},
}
"""By path below a base, and method."""

OWN: dict[str, Methods] = {
    "/": {"GET": health.front},
    "/health/live": {"GET": health.live},
    "/health/ready": {"GET": health.ready},
    "/metrics": {"GET": health.metrics},
    "/api/models": {"GET": public_models.index},
    "/api/v2/models": {"GET": public_models.priced},
    "/api/v2/models/": {"GET": public_models.priced},
    "/v1beta/models/{id:path}": {"POST": gemini.call},
}
"""By whole path, and method."""

SPEAKS: dict[str, str] = {"/messages": "anthropic_messages", "/responses": "openai_responses"}
"""What callers speak below a base, by the path's beginning, where it is not OpenAI's format."""
GEMINI = re.compile(f".*/models/.*:(?:{'|'.join(gemini.VERBS)})")
"""Paths of Gemini's verbs."""


def hot() -> dict[str, PartsHandler]:
    """The hot table, every base spelled out. `/v1/chat/completions` alone is the endpoint too."""
    return {base + path: handler for base in BASES for path, handler in HOT.items()}


def cold() -> dict[str, Methods]:
    """Whole paths (with Starlette's placeholders) of everything else."""
    return {base + path: methods for base in BASES for path, methods in API.items()} | OWN


def speaks(path: str) -> str:
    """The dialect in which a caller at this path wants to be answered."""
    if path.startswith("/v1beta/") or GEMINI.fullmatch(path):
        return "gemini"
    for base in BASES:
        for start, dialect in SPEAKS.items():
            if path.startswith(base + start):
                return dialect
    return "openai_chat"
