"""Behaviour of recommendations: what is chosen for a task and a budget."""

from __future__ import annotations

import pytest

from apertura.domain.catalog import Catalog, OfferRow, ProviderRow, assemble
from apertura.domain.recommend import BUDGETS, TASKS, Entry, choose
from apertura.errors import BadRequest, Unavailable

ACME = ProviderRow(name="acme", base_url="https://api.acme.example/v1", title="Acme")
TABLE = {
    "coding": [
        Entry("steady", 80),
        Entry("absent", 99),
        Entry("strong", 95),
        Entry("unpriced", 97),
        Entry("cheap", 50),
        Entry("vectors", 98),
        Entry("odd", 60),
    ],
    "vision": [Entry("absent", 1)],
}


def row(model: str, price: str | None, kind: str = "chat") -> OfferRow:
    return OfferRow(
        model=model,
        provider="acme",
        kind=kind,
        input_usd_per_million=price,
        output_usd_per_million=price,
    )


@pytest.fixture
def catalog() -> Catalog:
    return assemble(
        [ACME],
        [
            row("steady", "2"),
            row("strong", "9"),
            row("cheap", "0.1"),
            row("odd", "3"),
            row("unpriced", None),
            row("vectors", "1", "embeddings"),
        ],
    )


def chosen(catalog: Catalog, budget: str, **rest: object) -> list[str]:
    allowed = rest.get("allowed")
    found = choose(
        TABLE,
        catalog,
        task="coding",
        budget=budget,
        may_use=lambda name: not isinstance(allowed, set) or name in allowed,
    )
    return [choice.model for choice in found]


@pytest.mark.parametrize(
    ("budget", "models"),
    [
        ("low", ["cheap", "steady", "odd"]),
        ("medium", ["steady", "strong", "cheap"]),
        ("high", ["strong", "steady", "odd"]),
    ],
)
def test_a_budget_orders_what_can_be_asked_for(
    catalog: Catalog, budget: str, models: list[str]
) -> None:
    """The cheapest, the first of the table, or the most capable; and two more after it."""
    assert chosen(catalog, budget) == models


def test_a_key_is_recommended_only_what_it_may_use(catalog: Catalog) -> None:
    """Down to nothing, which is no fault of the question."""
    assert chosen(catalog, "high", allowed={"cheap", "odd"}) == ["odd", "cheap"]
    with pytest.raises(Unavailable):
        chosen(catalog, "low", allowed={"vectors"})


def test_a_task_without_candidates_is_unavailable(catalog: Catalog) -> None:
    """Whether its table is empty or names what is not offered."""
    for task in ("vision", "reasoning"):
        with pytest.raises(Unavailable):
            choose(TABLE, catalog, task=task, budget="low", may_use=lambda _: True)


@pytest.mark.parametrize(
    ("task", "budget", "param", "code"),
    [
        ("", "low", "task", "missing_parameter"),
        ("cooking", "low", "task", "invalid_parameter"),
        ("coding", "", "budget", "invalid_parameter"),
        ("coding", "huge", "budget", "invalid_parameter"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    catalog: Catalog, task: str, budget: str, param: str, code: str
) -> None:
    """With the parameter at fault, and what it may be."""
    with pytest.raises(BadRequest) as refused:
        choose(TABLE, catalog, task=task, budget=budget, may_use=lambda _: True)

    assert (refused.value.param, refused.value.code) == (param, code)
    assert any(word in refused.value.message for word in (*TASKS, *BUDGETS))


def test_a_reason_tells_what_the_data_tell(catalog: Catalog) -> None:
    """And the price is the offer's."""
    (first, *_) = choose(TABLE, catalog, task="coding", budget="low", may_use=lambda _: True)

    assert first.reason == "Chat model by Acme."
    assert first.price.input == 100_000_000
