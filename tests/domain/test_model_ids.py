"""Behaviour of model names: what a caller's word for a model stands for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.catalog import Catalog, OfferRow, ProviderRow, assemble
from apertura.domain.model_ids import ModelName, allows, find_model, parse_model
from apertura.domain.pricing import is_free
from apertura.errors import BadRequest, NotFound

ACME = ProviderRow(name="acme", base_url="https://api.acme.example/v1")
OTHER = ProviderRow(name="other", base_url="https://api.other.example/v1")


def row(model: str, price: str | None = "1", provider: str = "acme", **fields: Any) -> OfferRow:
    return OfferRow(
        model=model,
        provider=provider,
        input_usd_per_million=price,
        output_usd_per_million=price,
        **fields,
    )


CATALOG = assemble(
    [ACME, OTHER],
    [
        row("paid", aliases=["paid-latest", "cheap:web"]),
        row("gift", "0"),
        row("half", "0"),
        row("half", "1", "other"),
        row("unpriced", None),
        row("split"),
        row("split:free", "0"),
        row("false:free", "2"),
        row("false", "0"),
        row("code:split"),
        row("code:gift", "0"),
        row("code:half", "2"),
        row("org/with:tag"),
        row("apertis/own"),
        row("own"),
        row("odd:web"),
    ],
)


@pytest.mark.parametrize(
    ("asked", "model", "bucket"),
    [
        ("paid", "paid", "paid"),
        ("apertis/paid", "paid", "paid"),
        ("paid-latest", "paid", "paid"),
        ("apertis/code:paid-latest", "paid", "paid"),
        ("code:paid", "paid", "paid"),
        ("code:split", "code:split", "split"),
        ("apertis/code:split", "code:split", "split"),
        ("split:free", "split:free", "split"),
        ("code:split:free", "split:free", "split"),
        ("gift:free", "gift", "gift"),
        ("code:gift:free", "code:gift", "gift"),
        ("org/with:tag", "org/with:tag", "org/with:tag"),
        ("code:org/with:tag", "org/with:tag", "org/with:tag"),
        ("apertis/own", "apertis/own", "apertis/own"),
        ("own", "own", "own"),
        ("odd:web", "odd:web", "odd"),
        ("cheap:web", "paid", "paid"),
        ("unpriced", "unpriced", "unpriced"),
    ],
)
def test_a_name_stands_for_a_model(asked: str, model: str, bucket: str) -> None:
    """As it is said, if the catalogue has it; else as it reads."""
    found = find_model(asked, CATALOG)

    assert (found.model.id, found.bucket) == (model, bucket)


@pytest.mark.parametrize(
    "asked",
    [
        "none",
        "Paid",
        "paid:free",
        "half:free",
        "code:half:free",
        "unpriced:free",
        "gift:free:free",
        "code:code:gift",
        "split:free:free",
        "apertis/apertis/paid",
        "false:free:free",
        "none:free",
        ":free",
        "code:",
        "apertis/",
        "",
        "paid:",
        "free:paid",
    ],
)
def test_a_name_that_stands_for_nothing_is_not_found(asked: str) -> None:
    """A free variant too, if anybody asks money for the model."""
    with pytest.raises(NotFound) as refused:
        find_model(asked, CATALOG)

    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert repr(asked) in refused.value.message


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("paid:web", "Web search is not offered yet; ask for the model 'paid' instead."),
        ("apertis/code:paid:web", "Web search is not offered yet"),
        ("none:web", "Web search is not offered yet"),
        ("gift:free:web", "a free variant does not search the web"),
        ("gift:web:free", "a free variant does not search the web"),
        ("apertis/code:gift:free:web", "a free variant does not search the web"),
    ],
)
def test_a_search_is_refused_with_its_reason(asked: str, reason: str) -> None:
    """It is no model that is missing, but a variant; and it is never left out in silence."""
    with pytest.raises(BadRequest, match=reason) as refused:
        find_model(asked, CATALOG)

    assert refused.value.param == "model"


words = st.text("abc/:-.4", min_size=1, max_size=12).filter(
    lambda text: not text.startswith(("code:", "apertis/")) and not text.endswith((":web", ":free"))
)


@given(words, st.booleans(), st.booleans(), st.sampled_from(["", ":web", ":free"]))
def test_what_was_put_together_is_taken_apart(
    base: str, spaced: bool, code: bool, suffix: str
) -> None:
    """Namespace, prefix and suffix, in any combination that there is."""
    asked = ("apertis/" if spaced else "") + ("code:" if code else "") + base + suffix

    assert parse_model(asked) == ModelName(
        base=base, asked=asked, code=code, web=suffix == ":web", free=suffix == ":free"
    )


pieces = st.lists(
    st.sampled_from(["apertis/", "code:", ":web", ":free", *CATALOG.models, *CATALOG.aliases, "x"]),
    max_size=5,
).map("".join)


@given(pieces)
def test_any_name_has_a_model_or_a_reason(asked: str) -> None:
    """Free means free, the namespace changes nothing, and nothing else is ever raised."""
    found = found_or_none(asked, CATALOG)

    if found is None:
        return
    if asked.endswith(":free") and asked.removeprefix("apertis/") not in CATALOG.models:
        assert all(is_free(offer.price) for offer in CATALOG.offers[found] if offer.price)
    if not asked.startswith("apertis/") and f"apertis/{asked}" not in CATALOG.models:
        assert found_or_none(f"apertis/{asked}", CATALOG) == found


@pytest.mark.parametrize(
    ("allowed", "may"),
    [
        ((), True),
        (("paid",), True),
        (("own", "paid-latest"), True),
        (("gift",), False),
        (("Paid", "paid:free", "none"), False),
    ],
)
def test_a_keys_list_knows_a_model_by_all_its_names(allowed: tuple[str, ...], may: bool) -> None:
    """And an empty one knows every model."""
    assert allows(frozenset(allowed), "paid", CATALOG) is may


def found_or_none(asked: str, catalog: Catalog) -> str | None:
    try:
        return find_model(asked, catalog).model.id
    except (NotFound, BadRequest):
        return None
