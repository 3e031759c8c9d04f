"""Workers that meet on the same rows of PostgreSQL: refused, tried again, and nothing twice."""

from __future__ import annotations

import pytest

from tests.torture.storm import storm

pytestmark = pytest.mark.slow


async def test_workers_side_by_side_book_each_call_once(postgres_url: str) -> None:
    """A hot organization and shuffled ones, from four processes; some calls brought twice."""
    came = await storm(postgres_url, batches=15)

    assert came.wrong == []
    assert came.attempts > 4 * 15
    assert set(came.refused) <= {"SerializationError", "DeadlockDetectedError"}
