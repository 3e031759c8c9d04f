"""Behaviour of the page of URLs."""

from __future__ import annotations

from starlette.routing import Match, Route

from apertura import urls

METHODS = {"hot": "POST", "cold": "GET"}


def test_each_endpoint_stands_under_each_base() -> None:
    """The root, `/v1`, and the full path of chat completions, as clients are configured."""
    assert len(urls.hot()) == len(urls.BASES) * len(urls.HOT)
    assert len(urls.cold()) == len(urls.BASES) * len(urls.API) + len(urls.OWN)
    for base in urls.BASES:
        assert urls.hot()[base + "/chat/completions"] is urls.HOT["/chat/completions"]
        assert urls.cold()[base + "/models"] is urls.API["/models"]


def test_a_client_with_the_full_path_reaches_chat_at_it() -> None:
    """`/v1/chat/completions` is a base, and the endpoint too."""
    assert "/v1/chat/completions" in urls.hot()
    assert "/v1/chat/completions/chat/completions" in urls.hot()


def test_no_path_is_hot_and_cold() -> None:
    """Each request has one handler, whichever table is asked first."""
    cold = [Route(path, lambda _: None, methods=["GET"]) for path in urls.cold()]
    for path in urls.hot():
        scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
        assert all(route.matches(scope)[0] is Match.NONE for route in cold), path
