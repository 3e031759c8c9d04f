"""Behaviour of the lists of models that take no key."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apertura.api import public_models
from apertura.api.public_models import read_page
from apertura.errors import BadRequest, RateLimited
from tests.api.asked import asked
from tests.api.client import MODELS, Served, gateway

PATH = "/api/v2/models"


async def priced(served: Served, query: str = "") -> Any:
    answer = await asked(public_models.priced, served.app.parts, f"{PATH}?{query}")
    assert answer["success"] is True
    return answer["data"]


async def test_the_plain_list_serves_both_known_readers(served: Served) -> None:
    """Those who want objects, and those who want to be told that all is well."""
    answer = await asked(public_models.index, served.app.parts, "/api/models")

    assert (answer["object"], answer["success"]) == ("list", True)
    assert [model["id"] for model in answer["data"]] == sorted(MODELS)
    assert {"id", "object", "created", "owned_by"} <= answer["data"][0].keys()


async def test_the_priced_list_is_exact(served: Served) -> None:
    """Dollars per 1,000 tokens, as numbers without a binary fraction between."""
    data = await priced(served, "sort=name&order=asc")

    rows = {row["model_id"]: row for row in data["models"]}
    assert list(rows) == sorted(MODELS)
    assert rows["small"]["input_price"] == Decimal("0.0025")
    assert rows["small"]["output_price"] == Decimal("0.01")
    assert rows["small"]["context_length"] == 8000
    assert rows["embed"]["category"] == "embedding"
    assert rows["unpriced"]["is_enabled"] is False
    assert data["pagination"] == {"total": 5, "limit": 100, "offset": 0, "has_more": False}
    assert (data["data_version"], data["hidden_model_ids"]) == ("1", [])


@pytest.mark.parametrize(
    ("query", "models", "more"),
    [
        ("limit=2&sort=name&order=asc", ["embed", "large"], True),
        ("limit=2&offset=4&sort=name&order=asc", ["unpriced"], False),
        ("limit=2&offset=3&sort=name&order=asc", ["small", "unpriced"], False),
        ("page=2&page_size=2&sort=name&order=asc", ["org/with:tag", "small"], True),
        ("page=4&page_size=2&sort=name", [], False),
        ("limit=1", ["small"], True),
        ("limit=1&sort=price&order=asc", ["unpriced"], True),
        ("limit=2&sort=price&order=desc", ["large", "org/with:tag"], True),
        ("limit=1&sort=context_length", ["small"], True),
    ],
)
async def test_the_priced_list_comes_in_pages(
    served: Served, query: str, models: list[str], more: bool
) -> None:
    """By limit and offset, or by page; what is alike stands by name; newest first unasked."""
    data = await priced(served, query)

    assert [row["model_id"] for row in data["models"]] == models
    assert data["pagination"]["has_more"] is more
    assert data["pagination"]["total"] == len(MODELS)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "1" * 5000}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "1e3"}, "offset"),
        ({"page": "0"}, "page"),
        ({"page": "1", "page_size": "ten"}, "page_size"),
        ({"sort": "colour"}, "sort"),
        ({"order": "up"}, "order"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(query: Mapping[str, str], param: str) -> None:
    """400, so that no page is taken for the whole list."""
    with pytest.raises(BadRequest) as refused:
        read_page(query)

    assert (refused.value.param, refused.value.code) == (param, "invalid_parameter")


async def test_those_without_a_key_count_against_their_address(tmp_path: Path) -> None:
    """Each address by itself."""
    async with gateway(tmp_path, limit_per_address="2/60") as served:
        for handler in (public_models.index, public_models.priced):
            await asked(handler, served.app.parts, PATH)
        with pytest.raises(RateLimited):
            await asked(public_models.priced, served.app.parts, PATH)
        await asked(public_models.priced, served.app.parts, PATH, peer="203.0.113.10")
