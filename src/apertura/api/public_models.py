"""GET /api/models and GET /api/v2/models: the models and their prices, for everybody.

They take no key, and count against the limit of the address that asks. What it is not: what one key
may use (`models`).

The rule that keeps it honest: a parameter that is not understood is refused by its name, so that no
page of the list is taken for the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from apertura.api.caller import client_address
from apertura.api.models import show_model
from apertura.api.parts import Parts
from apertura.api.reply import reply_json
from apertura.domain import keys
from apertura.domain.catalog import Catalog, Model
from apertura.domain.listing import first_offer, listed
from apertura.errors import BadRequest
from apertura.relay.exchange import Exchange

DATA_VERSION = "1"
LIMIT = 100
LIMIT_MOST = 1_000
OFFSET_MOST = 1_000_000
ORDERS = ("asc", "desc")


class Page(msgspec.Struct, frozen=True):
    """Which part of the list is asked for."""

    limit: int
    offset: int
    sort: str
    descending: bool


async def index(parts: Parts, exchange: Exchange) -> None:
    """GET /api/models: every model, as in /v1/models."""
    _count(parts, exchange)
    models = [show_model(model) for model in parts.current.routes.catalog.models.values()]
    reply_json(exchange, {"object": "list", "success": True, "data": models})


async def priced(parts: Parts, exchange: Exchange) -> None:
    """GET /api/v2/models[/]: every model with its prices, page by page."""
    _count(parts, exchange)
    page = read_page(dict(parse_qsl(exchange.query.decode("latin-1"), keep_blank_values=True)))
    catalog = parts.current.routes.catalog
    models = _ordered(catalog, page)
    shown = models[page.offset : page.offset + page.limit]
    today = datetime.fromtimestamp(time.time(), UTC).date().isoformat()
    data = {
        "models": [listed(catalog, model, today) for model in shown],
        "pagination": {
            "total": len(models),
            "limit": page.limit,
            "offset": page.offset,
            "has_more": page.offset + len(shown) < len(models),
        },
        "data_version": DATA_VERSION,
        "hidden_model_ids": [],
    }
    reply_json(exchange, {"success": True, "data": data})


def read_page(query: Mapping[str, str]) -> Page:
    """By `limit` and `offset`, or by `page` and `page_size`. Raises: BadRequest."""
    if "page" in query or "page_size" in query:
        limit = _number(query, "page_size", LIMIT, 1, LIMIT_MOST)
        offset = (_number(query, "page", 1, 1, OFFSET_MOST) - 1) * limit
    else:
        limit = _number(query, "limit", LIMIT, 1, LIMIT_MOST)
        offset = _number(query, "offset", 0, 0, OFFSET_MOST)
    sort = _one_of(query, "sort", "newest", tuple(_SORTS))
    order = _one_of(query, "order", "desc", ORDERS)
    return Page(limit=limit, offset=offset, sort=sort, descending=order == "desc")


def _count(parts: Parts, exchange: Exchange) -> None:
    """Against the limit of the address. Raises: RateLimited."""
    proxies = keys.parse_networks(parts.settings.trusted_proxies)
    parts.admission.count_stranger(client_address(exchange, proxies))


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    known = text.isascii() and text.isdigit() and len(text) < 10
    if not known or not least <= int(text) <= most:
        raise BadRequest(
            f"{name} must be a whole number from {least} to {most}.",
            code="invalid_parameter",
            param=name,
        )
    return int(text)


def _one_of(query: Mapping[str, str], name: str, default: str, known: tuple[str, ...]) -> str:
    value = query.get(name, default)
    if value not in known:
        raise BadRequest(
            f"{name} must be one of {', '.join(known)}.", code="invalid_parameter", param=name
        )
    return value


def _ordered(catalog: Catalog, page: Page) -> list[Model]:
    """Sorted by what is asked; models that are alike in it stand by name."""
    key = _SORTS[page.sort]
    models = sorted(catalog.models.values(), key=lambda model: model.id)
    return sorted(models, key=lambda model: key(catalog, model), reverse=page.descending)


def _price(catalog: Catalog, model: Model) -> int:
    offer = first_offer(catalog, model.id)
    return -1 if offer is None or offer.price is None else offer.price.input


_SORTS: dict[str, Callable[[Catalog, Model], Any]] = {
    "newest": lambda _, model: model.created,
    "name": lambda _, model: (model.title or model.id).casefold(),
    "price": _price,
    "context_length": lambda _, model: model.context_length or 0,
}
