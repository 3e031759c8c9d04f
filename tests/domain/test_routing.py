"""Behaviour of routes: which offers are tried, and why others are not."""

from __future__ import annotations

import pytest

from apertura.domain.catalog import assemble
from apertura.domain.routing import Routes, route
from apertura.errors import BadRequest, NotFound, Unavailable
from tests.domain.test_catalog import ACME, OTHER, row

UNPRICED = {"input_usd_per_million": None, "output_usd_per_million": None}


def test_offers_are_tried_by_weight() -> None:
    """The heaviest first."""
    catalog = assemble([ACME, OTHER], [row(weight=1), row(provider="other", weight=2)])

    made = route("small", "chat", catalog)

    assert [offer.id for offer in made.offers] == ["other/small", "acme/small"]
    assert made.model.id == "small"
    assert made.dropped == ()


def test_what_is_left_out_is_named_with_its_reason() -> None:
    """Unpriced, weightless, and of another kind: none is tried."""
    third = ACME.__class__(name="third", base_url="http://x.example/v1")
    rows = [
        row(),
        row(kind="embeddings"),
        row(provider="other", **UNPRICED),
        row(provider="third", weight=0),
    ]

    made = route("small", "chat", assemble([ACME, OTHER, third], rows))

    assert [offer.id for offer in made.offers] == ["acme/small"]
    reasons = {(d.offer.id, d.reason) for d in made.dropped}
    assert reasons == {
        ("acme/small", "it is for embeddings"),
        ("other/small", "it has no price"),
        ("third/small", "its weight is 0"),
    }


@pytest.mark.parametrize("fields", [UNPRICED, {"weight": 0}])
def test_a_model_that_nobody_may_serve_is_unavailable(fields: dict[str, object]) -> None:
    """Unpriced is never routable: 503, and when to ask again."""
    with pytest.raises(Unavailable, match="'small' cannot be served") as refused:
        route("small", "chat", assemble([ACME], [row(**fields)]))

    assert int(refused.value.headers["Retry-After"]) > 0


def test_an_unknown_model_is_not_found() -> None:
    """404 with the contract's code; the name is case-sensitive."""
    with pytest.raises(NotFound, match="'Small'") as refused:
        route("Small", "chat", assemble([ACME], [row()]))

    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_a_model_of_another_kind_is_a_bad_request() -> None:
    """The message says what it is for."""
    with pytest.raises(BadRequest, match="for chat, not for embeddings"):
        route("small", "embeddings", assemble([ACME], [row()]))


def test_a_route_is_made_once() -> None:
    """It depends on nothing but the catalogue and the question."""
    routes = Routes(assemble([ACME], [row()]))

    assert routes.route("small", "chat") is routes.route("small", "chat")
    for _ in range(2):
        with pytest.raises(NotFound):
            routes.route("large", "chat")
