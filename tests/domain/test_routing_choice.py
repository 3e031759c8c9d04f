"""Laws of the choice among offers: what a caller prefers and needs, and models that stand in."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.catalog import Catalog, OfferRow, ProviderRow, assemble
from apertura.domain.preferences import Figures, Preferences, typical_cost
from apertura.domain.routing import CAPABILITIES, Chain, Demand, Routes, is_met, narrowed
from apertura.errors import BadRequest, Forbidden, NotFound, Unavailable

NAMES = ("acme", "best", "cold", "deep", "east")
PROVIDERS = [ProviderRow(name=name, base_url=f"http://{name}.example/v1") for name in NAMES]


def row(provider: str = "acme", model: str = "small", **fields: object) -> OfferRow:
    price = {"input_usd_per_million": "1", "output_usd_per_million": "2"}
    return OfferRow(**{"model": model, "provider": provider, **price, **fields})


def routes(*rows: OfferRow) -> Routes:
    return Routes(assemble(PROVIDERS, rows))


def chosen(found: Routes, **demand: object) -> list[str]:
    """The providers of the route, in order."""
    made = found.choose("small", "chat", Demand(**demand))
    return [offer.provider.name for offer in made.offers]


amounts = st.integers(0, 50).map(str)
rows_of = st.builds(
    row,
    provider=st.sampled_from(NAMES),
    input_usd_per_million=amounts,
    output_usd_per_million=amounts,
    weight=st.integers(0, 3),
    priority=st.integers(-1, 1),
    capabilities=st.lists(st.sampled_from(sorted(CAPABILITIES)), max_size=3),
    context_length=st.none() | st.integers(1, 1_000),
)
catalogs = st.lists(rows_of, min_size=1, max_size=6).map(lambda rows: assemble(PROVIDERS, rows))
named = st.lists(st.sampled_from([*NAMES, "ACME", "Best"]), max_size=3).map(tuple)
wishes = st.builds(
    Preferences,
    order=named,
    only=named,
    ignore=named,
    allow_fallbacks=st.booleans(),
    sort=st.sampled_from(["", "price", "latency", "throughput"]),
    max_prompt=st.none() | st.integers(0, 50 * 10**9),
    max_completion=st.none() | st.integers(0, 50 * 10**9),
)
demands = st.builds(
    Demand,
    needs=st.frozensets(st.sampled_from(sorted(CAPABILITIES)), max_size=2),
    size=st.integers(0, 10_000),
    preferences=wishes,
).map(lambda made: msgspec.structs.replace(made, tokens=lambda: made.size // 4))


@given(catalogs, demands)
def test_nothing_is_dropped_without_a_reason(catalog: Catalog, demand: Demand) -> None:
    """Each offer is on the route or named with what speaks against it, never both nor neither; and
    the same request has the same route.
    """
    try:
        whole = Routes(catalog).route("small", "chat")
    except Unavailable:  # no offer has a weight
        return
    made = narrowed(whole, demand)

    kept, dropped = [o.id for o in made.offers], [d.offer.id for d in made.dropped]
    assert sorted(kept + dropped) == sorted(offer.id for offer in catalog.offers["small"])
    assert all(each.reason for each in made.dropped)
    assert made == narrowed(whole, demand)


@given(catalogs, demands)
def test_what_is_left_is_what_was_asked_for(catalog: Catalog, demand: Demand) -> None:
    """Within `only` and the prices, without `ignore`, in the order; and able, as far as known."""
    try:
        whole = Routes(catalog).route("small", "chat")
    except Unavailable:
        return
    wish = demand.preferences
    offers = narrowed(whole, demand).offers
    low = [name.casefold() for name in wish.order]
    places = [low.index(o.provider.name) if o.provider.name in low else len(low) for o in offers]

    assert places == sorted(places)
    assert wish.allow_fallbacks or wish.order or len(offers) <= 1
    for offer, place in zip(offers, places, strict=True):
        name, price = offer.provider.name, offer.price
        assert not wish.only or name in {each.casefold() for each in wish.only}
        assert name not in {each.casefold() for each in wish.ignore}
        assert wish.allow_fallbacks or not wish.order or place < len(low)
        assert price is not None
        assert wish.max_prompt is None or price.input <= wish.max_prompt
        assert wish.max_completion is None or price.output <= wish.max_completion
        assert not offer.capabilities or demand.needs <= offer.capabilities
    if wish.sort and not wish.order:
        costs = [typical_cost(offer) for offer in offers]
        assert costs == sorted(costs)


@given(catalogs, demands)
def test_a_request_that_each_offer_can_meet_loses_none(catalog: Catalog, demand: Demand) -> None:
    """The look at the route as a whole and the look at each offer agree."""
    try:
        whole = Routes(catalog).route("small", "chat")
    except Unavailable:
        return
    plain = msgspec.structs.replace(demand, preferences=Preferences())
    if is_met(whole, plain.needs, plain.size):
        assert narrowed(whole, plain).offers == whole.offers


def test_priority_goes_before_weight() -> None:
    """The heaviest of the highest first."""
    rows = [row("acme", weight=900), row("best", priority=1, weight=1), row("cold", priority=-1)]

    assert chosen(routes(*rows)) == ["best", "acme", "cold"]


def test_speed_orders_those_that_were_observed() -> None:
    """The others follow by price."""
    rows = [
        row("acme", input_usd_per_million="9"),
        row("best"),
        row("cold", input_usd_per_million="5"),
        row("deep", input_usd_per_million="7"),
    ]
    observed = {"cold/small": Figures(200, 90), "deep/small": Figures(100, 30)}
    found = routes(*rows)

    def by(sort: str) -> list[str]:
        return chosen(found, preferences=Preferences(sort=sort), observed=observed)

    assert by("latency") == ["deep", "cold", "best", "acme"]
    assert by("throughput") == ["cold", "deep", "best", "acme"]
    assert by("price") == ["best", "cold", "deep", "acme"]


def test_what_is_unknown_is_not_missing() -> None:
    """An offer that states nothing is asked for everything."""
    rows = [row("acme", capabilities=["vision"]), row("best"), row("cold", context_length=10)]

    assert chosen(routes(*rows), needs=frozenset({"tools"}), size=61, tokens=lambda: 16) == ["best"]


def test_a_bound_is_held_with_room_for_the_estimate() -> None:
    """An estimate by four bytes to a token may be too high by a half."""
    found = routes(row(context_length=100))

    assert chosen(found, size=601, tokens=lambda: 150) == ["acme"]
    with pytest.raises(BadRequest) as refused:
        chosen(found, size=601, tokens=lambda: 151)
    assert refused.value.code == "context_length_exceeded"
    assert chosen(found, size=600, tokens=lambda: 10**9) == ["acme"]  # not even looked at


def test_what_no_offer_can_do_is_named() -> None:
    """All of it, and nothing that it can."""
    with pytest.raises(BadRequest, match="needs: audio, tools") as refused:
        chosen(routes(row(capabilities=["vision"])), needs=frozenset({"tools", "audio", "vision"}))
    assert refused.value.param == "model"


@pytest.mark.parametrize("member", ["only", "order"])
def test_providers_that_are_none_are_named(member: str) -> None:
    """In `ignore` they do no harm."""
    wish = Preferences(**{member: ("acme", "nobody")})
    with pytest.raises(BadRequest, match="'nobody'") as refused:
        chosen(routes(row()), preferences=wish)
    assert refused.value.param == f"provider.{member}"
    assert chosen(routes(row()), preferences=Preferences(ignore=("nobody",))) == ["acme"]


def test_parameters_that_an_offer_cannot_be_told_count_when_required() -> None:
    """Only then is it even asked."""
    found = routes(row("acme", weight=900), row("best"))

    def unsaid(offer: object) -> tuple[str, ...]:
        return ("seed",) if getattr(offer, "id", "") == "acme/small" else ()

    assert chosen(found, unsaid=unsaid) == ["acme", "best"]
    wish = Preferences(require_parameters=True)
    assert chosen(found, unsaid=unsaid, preferences=wish) == ["best"]


MODELS = routes(
    row(),
    row("best"),
    row("cold", "large", aliases=("big",)),
    row("deep", "other", capabilities=["tools"]),
    row("east", "numbers", kind="embeddings"),
    row("east", "unpriced", input_usd_per_million=None, output_usd_per_million=None),
)


def test_models_that_stand_in_come_after_all_offers_of_the_first() -> None:
    """Each once, by whichever of its names; those that cannot serve are named with a reason."""
    asked = ("big", "large", "small", "none", "numbers", "unpriced", "other")
    made = MODELS.choose("small", "chat", Demand(), Chain(models=asked, patience=15))

    assert [offer.model for offer in made.offers] == ["small", "small", "large", "other"]
    assert made.names == {"small": "small", "large": "big", "other": "other"}
    assert (made.asked, made.model.id, made.bucket, made.patience) == (
        "small",
        "small",
        "small",
        15,
    )
    assert [skipped.name for skipped in made.skipped] == ["none", "numbers", "unpriced"]
    assert all(skipped.reason for skipped in made.skipped)


def test_a_model_alone_is_given_all_the_time() -> None:
    """Where no other is left to ask, nothing is gained by giving up."""
    made = MODELS.choose("small", "chat", Demand(), Chain(models=("none",), patience=15))

    assert (made.patience, made.names) == (0, {"small": "small"})


def test_models_that_a_caller_may_not_use_are_skipped() -> None:
    """But the one that is asked for is refused."""

    def allow(name: str, model: str) -> None:
        if model == "large":
            raise Forbidden("not this one")

    chain = Chain(models=("big", "other"), allow=allow)
    made = MODELS.choose("small", "chat", Demand(), chain)
    assert [skipped.name for skipped in made.skipped] == ["big"]
    assert list(made.names) == ["small", "other"]
    with pytest.raises(Forbidden):
        MODELS.choose("large", "chat", Demand(), chain)


def test_the_first_model_may_be_missing() -> None:
    """Then calls are counted by the one that stands in; if none does, the first one is named."""
    made = MODELS.choose("none", "chat", Demand(), Chain(models=("nor", "big")))
    assert (made.asked, made.model.id, made.bucket) == ("none", "large", "large")
    with pytest.raises(NotFound, match="'none'"):
        MODELS.choose("none", "chat", Demand(), Chain(models=("nor",)))
    with pytest.raises(BadRequest, match="for embeddings"):
        MODELS.choose("numbers", "chat", Demand(), Chain(models=("big",)))


def test_needs_hold_for_models_that_stand_in() -> None:
    """The first model that can is asked; its calls are counted by the one asked for."""
    demand = Demand(needs=frozenset({"vision"}))
    made = MODELS.choose("other", "chat", demand, Chain(models=("big",)))
    assert (made.model.id, made.bucket) == ("large", "other")
    assert [skipped.name for skipped in made.skipped] == ["other"]
    with pytest.raises(BadRequest, match="needs: vision"):
        MODELS.choose("other", "chat", demand, Chain(models=("none",)))
