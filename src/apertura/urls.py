"""Every URL of the product, on one page.

`HOT` are the paths on which calls run: answered without ASGI where the server is ours (the fast
lane), and before Starlette where it is not. `COLD` is everything else. Clients are configured with
one of three base URLs (the root, `/v1`, or the full path of chat completions), so each path stands
under all of them.

What it is not: a handler. The rule that keeps it honest: a path that is not on this page answers
404 with the code `endpoint_not_found`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from apertura.api import chat, health, models, token
from apertura.api.parts import Parts
from apertura.relay.exchange import Exchange

PartsHandler = Callable[[Parts, Exchange], Coroutine[Any, None, None]]

BASES = ("/v1", "", "/v1/chat/completions")
"""What stands before a path of the public API, by how a client was configured."""

HOT: dict[str, PartsHandler] = {
    "/chat/completions": chat.complete,
    "/embeddings": chat.embed,
}
"""POST, by path below a base."""

API: dict[str, PartsHandler] = {
    "/models": models.index,
    "/models/{id:path}": models.show,
    "/token/usage": token.show_usage,
}
"""GET, by path below a base."""

OWN: dict[str, PartsHandler] = {
    "/": health.front,
    "/health/live": health.live,
    "/health/ready": health.ready,
    "/metrics": health.metrics,
}
"""GET, by whole path."""


def hot() -> dict[str, PartsHandler]:
    """The hot table, every base spelled out. `/v1/chat/completions` alone is the endpoint too."""
    return {base + path: handler for base in BASES for path, handler in HOT.items()}


def cold() -> dict[str, PartsHandler]:
    """Whole paths (with Starlette's placeholders) of everything that is asked with GET."""
    return {base + path: handler for base in BASES for path, handler in API.items()} | OWN
