"""What a name that a caller gives stands for: a model, and the variant of it that is asked for.

    id              a model of the catalogue, or another name (an alias) of one
    apertis/…       any of these; the namespace says nothing and is taken off
    code:id         the model `code:id` if there is one, else `id`
    id:free         the model `id:free` if there is one, else `id`, if nobody asks money for it
    id:web          a search of the web before the answer: not offered yet

A name that stands in the catalogue as it is said wins over any reading of it. What it is not: the
rest of what a key allows (`keys`) or who serves a model (`routing`).

The rule that keeps it honest: variants of a model count as that model (`base`), so that none is a
way around its limits, and `:free` never leads to an offer that costs something.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from apertura.domain.catalog import Catalog, Model
from apertura.domain.pricing import is_free
from apertura.errors import BadRequest, NotFound

NAMESPACE = "apertis/"
CODE = "code:"
WEB = ":web"
FREE = ":free"


class ModelName(msgspec.Struct, frozen=True, kw_only=True):
    """A name, read. `base` is what is left without its variant; limits are counted by it."""

    base: str
    asked: str
    code: bool = False
    web: bool = False
    free: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The model that a name stands for. `bucket` is what its limits are counted by."""

    model: Model
    bucket: str


def parse_model(asked: str) -> ModelName:
    """Read a name by its form alone. Raises: BadRequest, for a search with a free variant."""
    bare = name = asked.removeprefix(NAMESPACE)
    name = name.removesuffix(WEB)
    web = name != bare
    rest = name.removesuffix(FREE)
    free = rest != name
    if (web and free) or (free and rest.endswith(WEB)):
        raise _refused(f"The model {asked!r} cannot be: a free variant does not search the web.")
    base = rest.removeprefix(CODE)
    return ModelName(base=base, asked=asked, code=base != rest, web=web, free=free)


def find_model(asked: str, catalog: Catalog) -> Found:
    """The model that a caller asks for.

    Raises:
        NotFound: there is none of that name, or none that is free.
        BadRequest: the variant is not offered, or cannot be.
    """
    model = _literal(asked, catalog) or _literal(asked.removeprefix(NAMESPACE), catalog)
    if model is not None:
        return Found(model=model, bucket=_bucket(model.id, catalog))
    name = parse_model(asked)
    if name.web:
        raise _refused(f"Web search is not offered yet; ask for the model {name.base!r} instead.")
    model = _variant(name, catalog)
    if model is None:
        raise NotFound(
            f"The model {asked!r} does not exist here. GET /v1/models lists those that do.",
            code="model_not_found",
            param="model",
        )
    return Found(model=model, bucket=_bucket(model.id, catalog))


def allows(allowed: Collection[str], model: str, catalog: Catalog) -> bool:
    """Whether a key's list of models has this one, by its id or by another name of it; an empty
    list has all.
    """
    if not allowed or model in allowed:
        return True
    return any(catalog.aliases.get(name) == model for name in allowed)


def _literal(name: str, catalog: Catalog) -> Model | None:
    return catalog.models.get(catalog.aliases.get(name, name))


def _variant(name: ModelName, catalog: Catalog) -> Model | None:
    """The most particular model that there is: with both marks, with one, with none."""
    if name.base.startswith(CODE) or name.base.endswith((WEB, FREE)):
        return None  # each mark stands once
    if name.code and name.free:
        model = _literal(CODE + name.base, catalog)
        if model is not None and _costs_nothing(model, catalog):
            return model
    if name.free:
        model = _literal(name.base + FREE, catalog) or _literal(name.base, catalog)
        return model if model is not None and _costs_nothing(model, catalog) else None
    return _literal(name.base, catalog)


def _costs_nothing(model: Model, catalog: Catalog) -> bool:
    """Whether it has a price, and no price of it asks for anything."""
    prices = [offer.price for offer in catalog.offers[model.id] if offer.price is not None]
    return bool(prices) and all(is_free(price) for price in prices)


def _bucket(model: str, catalog: Catalog) -> str:
    """The id without marks of a variant, as the catalogue knows it."""
    base = model.removeprefix(CODE).removesuffix(WEB).removesuffix(FREE)
    return catalog.aliases.get(base, base)


def _refused(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_parameter", param="model")
