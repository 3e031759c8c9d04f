"""GET /v1/models and /v1/models/{id}: what a caller may ask for.

The rule that keeps it honest: what a key may not use it does not see.
"""

from __future__ import annotations

import time
from decimal import Decimal

from apertura.api.parts import Parts
from apertura.api.reply import enter, reply_json
from apertura.domain.catalog import Catalog, Model
from apertura.domain.identity import Caller
from apertura.domain.model_ids import allows, find_model
from apertura.domain.plans import CREDIT
from apertura.errors import BadRequest, NotFound
from apertura.relay.exchange import Exchange


async def index(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/models: every model that the key may use."""
    caller, head = await enter(parts, exchange)
    catalog = parts.current.routes.catalog
    now_ms = time.time_ns() // 1_000_000
    models = [
        show_model(model) | _of_plan(caller, model, now_ms)
        for model in catalog.models.values()
        if sees(caller, model, catalog, now_ms)
    ]
    reply_json(exchange, {"object": "list", "data": models}, head)


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/models/{id}: one of them; the id may hold slashes and colons."""
    caller, head = await enter(parts, exchange)
    name = exchange.path.partition("/models/")[2]
    catalog, now_ms = parts.current.routes.catalog, time.time_ns() // 1_000_000
    model = _find(name, catalog)
    if model is None or not sees(caller, model, catalog, now_ms):
        raise NotFound(
            f"The model {name!r} does not exist here. GET /v1/models lists those that do.",
            code="model_not_found",
            param="model",
        )
    reply_json(exchange, show_model(model) | _of_plan(caller, model, now_ms, name), head)


def _find(name: str, catalog: Catalog) -> Model | None:
    try:
        return find_model(name, catalog).model
    except (NotFound, BadRequest):  # a variant that is not offered is no model either
        return None


def sees(caller: Caller, model: Model, catalog: Catalog, now_ms: int = 0) -> bool:
    """Whether a key may use a model: its list has it, and so does its plan, if it is a plan's."""
    if caller.plan is not None and caller.plan.multiplier(model.id, now_ms) is None:
        return False
    return allows(caller.policy.models, model.id, catalog)


def _of_plan(caller: Caller, model: Model, now_ms: int, name: str = "") -> dict[str, object]:
    """What a subscriber is told beside: what a call takes of the plan, and which plan has it. By
    the name that was asked for, as a variant may take something else.
    """
    if caller.plan is None:
        return {}
    multiplier = caller.plan.multiplier(name or model.id, now_ms)
    return {
        "multiplier": Decimal(multiplier or 0) / CREDIT,
        "tier": caller.plan.tier(model.id, now_ms),
    }


def show_model(model: Model) -> dict[str, object]:
    """The public object of a model."""
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
