"""GET /v1/recommend: a model for a task and a budget.

The rule that keeps it honest: what is recommended can be asked for now, with this key, at the price
that is shown.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from apertura.api.models import sees
from apertura.api.parts import Parts
from apertura.api.reply import enter, reply_json
from apertura.domain.listing import per_million
from apertura.domain.recommend import choose
from apertura.relay.exchange import Exchange
from apertura.store.catalog import recommended


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/recommend?task=…[&budget=low|medium|high]."""
    caller, head = await enter(parts, exchange)
    query = dict(parse_qsl(exchange.query.decode("latin-1")))
    task, budget = query.get("task", ""), query.get("budget", "medium")
    catalog = parts.current.routes.catalog
    best, *others = choose(
        recommended(),
        catalog,
        task=task,
        budget=budget,
        may_use=lambda name: sees(caller, catalog.models[name], catalog),
    )
    body = {
        "model": best.model,
        "task": task,
        "budget": budget,
        "input_price_per_1m": per_million(best.price.input),
        "output_price_per_1m": per_million(best.price.output),
        "reason": best.reason,
        "alternatives": [
            {
                "model": other.model,
                "input_price_per_1m": per_million(other.price.input),
                "note": other.reason,
            }
            for other in others
        ],
    }
    reply_json(exchange, body, head)
