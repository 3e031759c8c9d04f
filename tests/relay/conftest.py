"""The loop that production runs on, a wall, and the two front doors that a gateway can have."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import uvloop

from tests.wall import Wall

UVICORN_SAYS = ("Cancel ", "Exception in ASGI application")
"""When calls are still running after the grace, as they should be in some tests."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], uvloop.Loop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def wall() -> AsyncIterator[Wall]:
    async with Wall() as wall:
        yield wall


@pytest.fixture(params=[True, False], ids=["lane", "asgi"])
def lane(request: pytest.FixtureRequest) -> bool:
    """Through the fast lane, or through uvicorn's own protocol and ASGI."""
    return bool(request.param)


@pytest.fixture(autouse=True)
def nothing_is_a_bug(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Whatever a provider or a caller does, no handler fails and no callback of the loop raises."""
    yield
    assert '"event": "bug"' not in (said := capsys.readouterr().err), said
    records = caplog.get_records("call")
    wrong = {each.getMessage() for each in records if each.levelno >= logging.ERROR}
    assert {each for each in wrong if not each.startswith(UVICORN_SAYS)} == set()
