"""Which model to take for a task and a budget, from a curated table.

The table names for each task the models in the order of recommendation, with their power. What can
be chosen is what is offered here at a price and what the key may use. What it is not: a
measurement.

The rule that keeps it honest: nothing is recommended that the next call could not ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from apertura.domain.catalog import Catalog
from apertura.domain.listing import describe, first_offer
from apertura.domain.pricing import Price
from apertura.errors import BadRequest, Unavailable

TASKS = ("coding", "long-context", "fast-chat", "reasoning", "vision")
BUDGETS = ("low", "medium", "high")
ALTERNATIVES = 2


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model of the table."""

    model: str
    power: int
    """How capable it is at the task, against the others."""


Table = Mapping[str, Sequence[Entry]]


class Choice(msgspec.Struct, frozen=True):
    """A model that can be asked for, its price, and what speaks for it."""

    model: str
    price: Price
    power: int
    reason: str


def choose(
    table: Table, catalog: Catalog, *, task: str, budget: str, may_use: Callable[[str], bool]
) -> tuple[Choice, ...]:
    """The choice, and then its alternatives. Raises: BadRequest, Unavailable."""
    check(task, budget)
    found = [choice for entry in table.get(task, ()) if (choice := _choice(entry, catalog))]
    usable = [choice for choice in found if may_use(choice.model)]
    if not usable:
        raise Unavailable(
            f"No model that is recommended for {task} can be asked for with this key now.",
            headers={"Retry-After": "60"},
        )
    if budget == "low":
        usable.sort(key=lambda choice: choice.price.input + choice.price.output)
    elif budget == "high":
        usable.sort(key=lambda choice: -choice.power)
    return tuple(usable[: 1 + ALTERNATIVES])


def check(task: str, budget: str) -> None:
    """Raises: BadRequest, naming what is wrong."""
    if not task:
        raise BadRequest(
            f"task is required: one of {', '.join(TASKS)}.", code="missing_parameter", param="task"
        )
    for param, value, known in (("task", task, TASKS), ("budget", budget, BUDGETS)):
        if value not in known:
            raise BadRequest(
                f"{param} must be one of {', '.join(known)}.", code="invalid_parameter", param=param
            )


def _choice(entry: Entry, catalog: Catalog) -> Choice | None:
    offer = first_offer(catalog, entry.model, "chat")
    if offer is None or offer.price is None:
        return None
    reason = describe(catalog.models[entry.model])
    return Choice(entry.model, offer.price, entry.power, reason)
