"""GET /v1/models and /v1/models/{id}: what a caller may ask for.

The rule that keeps it honest: what a key may not use it does not see.
"""

from __future__ import annotations

from apertura.api.parts import Parts
from apertura.api.reply import enter, reply_json
from apertura.domain.catalog import Model
from apertura.domain.identity import Caller
from apertura.errors import NotFound
from apertura.relay.exchange import Exchange


async def index(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/models: every model that the key may use."""
    caller, head = await enter(parts, exchange)
    models = [_show(m) for m in parts.current.routes.catalog.models.values() if _sees(caller, m)]
    reply_json(exchange, {"object": "list", "data": models}, head)


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/models/{id}: one of them; the id may hold slashes and colons."""
    caller, head = await enter(parts, exchange)
    name = exchange.path.partition("/models/")[2].removeprefix("apertis/")
    model = parts.current.routes.catalog.models.get(name)
    if model is None or not _sees(caller, model):
        raise NotFound(
            f"The model {name!r} does not exist here. GET /v1/models lists those that do.",
            code="model_not_found",
            param="model",
        )
    reply_json(exchange, _show(model), head)


def _sees(caller: Caller, model: Model) -> bool:
    return not caller.policy.models or model.id in caller.policy.models


def _show(model: Model) -> dict[str, object]:
    shown: dict[str, object] = {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
        "root": model.id,
        "parent": None,
    }
    if model.context_length is not None:
        shown["context_length"] = model.context_length
    return shown
