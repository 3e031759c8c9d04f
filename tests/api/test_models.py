"""Behaviour of the list of models."""

from __future__ import annotations

import pytest

from apertura.urls import BASES
from tests.api.client import MODELS, Served


@pytest.mark.parametrize("base", BASES)
async def test_models_are_listed_in_the_public_shape(served: Served, base: str) -> None:
    """Under each base URL that a client may be configured with; by name."""
    answer = await served.get(f"{base}/models", await served.key())

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["object"] == "list"
    assert [model["id"] for model in answer.json["data"]] == sorted(MODELS)
    small = next(model for model in answer.json["data"] if model["id"] == "small")
    assert small == {
        "id": "small",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "acme",
        "root": "small",
        "parent": None,
        "context_length": 8000,
    }


async def test_a_key_sees_only_its_models(served: Served) -> None:
    """In the list, and one by one."""
    key = await served.key(models=("small", "not offered"))

    listed = (await served.get("/v1/models", key)).json["data"]
    hidden = await served.get("/v1/models/large", key)

    assert [model["id"] for model in listed] == ["small"]
    assert (await served.get("/v1/models/small", key)).json["id"] == "small"
    assert (hidden.status, hidden.code) == (404, "model_not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/org/with:tag",
        "/v1/models/org%2Fwith%3Atag",
        "/models/org/with:tag",
        "/v1/chat/completions/models/org/with:tag",
        "/v1/models/apertis/org/with:tag",
    ],
)
async def test_an_id_may_hold_slashes_and_colons(served: Served, path: str) -> None:
    """Written out or encoded; with the public namespace before it too."""
    answer = await served.get(path, await served.key())

    assert answer.status == 200
    assert answer.json["id"] == "org/with:tag"


@pytest.mark.parametrize("name", ["none", "Small", "small/", "small:free", "org", "%00", ""])
async def test_an_unknown_model_is_not_found(served: Served, name: str) -> None:
    """404 with the contract's code; names are exact."""
    answer = await served.get(f"/v1/models/{name}", await served.key())

    assert (answer.status, answer.code) == (404, "model_not_found")
    assert answer.json["error"]["param"] == "model"


async def test_a_variant_is_shown_as_the_model_that_it_stands_for(served: Served) -> None:
    """And one that is not offered does not exist."""
    key = await served.key()

    shown = await served.get("/v1/models/apertis/code:small", key)
    search = await served.get("/v1/models/small:web", key)

    assert shown.json["id"] == "small"
    assert (search.status, search.code) == (404, "model_not_found")


async def test_a_model_that_is_listed_to_a_key_answers_it(served: Served) -> None:
    """Or says why it cannot."""
    key = await served.key()

    assert (await served.chat(key, "org/with:tag")).status == 200
    assert (await served.chat(key, "apertis/small")).status == 200
    assert (await served.chat(key, "unpriced")).status == 503
    assert (await served.chat(key, "none")).code == "model_not_found"


async def test_a_model_list_knows_no_namespace(served: Served) -> None:
    """What a key's list allows, it allows under the public namespace too, and nothing more."""
    key = await served.key(models=("small",))

    assert (await served.chat(key, "apertis/small")).status == 200
    assert (await served.chat(key, "apertis/large")).code == "model_access_denied"
