"""Behaviour of opening a database by its URL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from apertura.errors import Unavailable
from apertura.relay.steps import Steps
from apertura.store.database import Database, open_database, placeholders


@pytest.mark.parametrize("url", ["mysql://somewhere/db", "", "a.db"])
async def test_unknown_scheme_is_refused_with_what_is_known(url: str) -> None:
    """An engine that this version lacks is named, together with those it has."""
    with pytest.raises(ValueError, match=r"sqlite:/path.* and postgresql://"):
        await open_database(url)


@pytest.mark.parametrize("slashes", ["", "//"])
async def test_both_spellings_of_a_path_open_the_file(tmp_path: Path, slashes: str) -> None:
    """sqlite:/path and sqlite:///path are the same, and only the owner may read the file."""
    database = await open_database(f"sqlite:{slashes}{tmp_path}/with space?#.db")

    await database.close()

    assert (tmp_path / "with space?#.db").stat().st_mode & 0o777 == 0o600


async def test_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    """No folder, or a file that is no database, is said at the opening."""
    (tmp_path / "text.db").write_text("this is no database, " * 100)

    for name in ("missing/apertura.db", "text.db"):
        with pytest.raises(Unavailable, match=name) as caught:
            await open_database(f"sqlite:{tmp_path}/{name}")
        assert caught.value.headers == {"Retry-After": "1"}


def test_placeholders_make_one_list_per_row() -> None:
    """Two rows of three columns are two lists of three marks."""
    assert placeholders(3, 2) == "(?,?,?),(?,?,?)"


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_a_handler_that_runs_without_a_task_is_answered(db: Database, kind: str) -> None:
    """As those of calls do: nothing in a database may need the task of its caller."""
    got: list[object] = []
    ended = asyncio.Event()

    async def handler() -> None:
        sql = "SELECT value FROM revision"
        got.append(await (db.read(sql) if kind == "read" else db.write(lambda tx: tx.execute(sql))))

    steps = Steps(handler(), lambda error: (got.append(error), ended.set())[1])
    asyncio.get_running_loop().call_soon(steps.step)
    await asyncio.wait_for(ended.wait(), 10)

    assert got == [[(0,)], None]
