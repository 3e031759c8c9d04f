"""A few cycles of what `tools/torture.py` does for hours: kill, start again, compare."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.databases import tampered
from tests.torture.cycles import opened
from tests.torture.place import Place
from tests.torture.runs import Plan, run
from tests.wall import Wall

pytestmark = pytest.mark.slow
CYCLES = 5


@pytest.mark.parametrize(
    "plan",
    [Plan("sqlite", CYCLES, seed=1), Plan("postgres", CYCLES, seed=1, machines=2, points="none")],
    ids=["sqlite", "postgres"],
)
async def test_kills_lose_nothing_and_charge_nothing_twice(tmp_path: Path, plan: Plan) -> None:
    """By SIGKILL, at moments and at lines; PostgreSQL goes away as well."""
    tally = await run(plan, tmp_path)

    assert tally.wrong == []
    assert tally.kills["at a moment"] + tally.kills["at a line"] >= CYCLES
    assert tally.recovered > 0
    assert {"wallet", "promo", "allowance"} <= set(tally.payers)
    assert {"answered", "refused", "failed", "left by the caller"} <= set(tally.calls)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM usage WHERE outcome = 'answered'", "LOST"),
        ("UPDATE usage SET cost = cost - 1 WHERE outcome = 'answered'", "not charged in full"),
        ("UPDATE funds SET posted = posted + 1 WHERE kind = 'wallet'", "in the wallet"),
        ("UPDATE usage SET cost = 7 WHERE outcome = 'failed'", "failed and is charged"),
    ],
)
async def test_torture_sees_what_must_not_be(
    tmp_path: Path, wall: Wall, statement: str, finding: str
) -> None:
    """Books that somebody has tampered with while the server was dead are found out."""
    url = f"sqlite:{tmp_path / 'apertura.db'}"
    async with opened(Place(tmp_path, url, random.Random(1)), wall) as torture:
        await torture.hire()
        [machine] = torture.machines
        await machine.last_life(1.0, look=False)
        await tampered(url, statement)

        await machine.look()
        await torture.last_look()

        assert any(finding in one for one in torture.tally.wrong), torture.tally.wrong
