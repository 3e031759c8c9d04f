"""Whole runs of torture: an engine, so many kills, with or without an outage now and then."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.torture.cycles import Torture, opened
from tests.torture.load import honest
from tests.torture.place import Place
from tests.torture.postgres import Fragile, outages
from tests.torture.verdict import Tally
from tests.wall import Wall

OUTAGE_SECONDS = (1.5, 6.0)
"""Between two outages of PostgreSQL."""


class Plan(NamedTuple):
    """What to do."""

    engine: str
    cycles: int
    seed: int
    machines: int = 1
    points: str = "some"


class Run(NamedTuple):
    """What came of it."""

    plan: Plan
    tally: Tally
    seconds: float

    def summary(self) -> str:
        """A few lines for a person."""
        plan, tally = self.plan, self.tally
        what = f"{plan.engine}, {plan.machines} at once, seed {plan.seed}"
        lines = [
            f"{what}: {tally.cycles} cycles in {self.seconds:.0f} s",
            f"  kills {dict(tally.kills)}, at {len(tally.points)} different lines",
            f"  outages {dict(tally.outages)}, {tally.recovered} calls out of journals",
            f"  calls {dict(tally.calls)}",
            f"  paid by {dict(tally.payers)}",
            f"  cut: {' '.join(tally.cut) or 'none'}",
            f"  wrong: {'; '.join(tally.wrong) or 'nothing'}",
        ]
        return "\n".join(lines)


async def run(plan: Plan, folder: Path, tell: Callable[[str], None] = lambda _: None) -> Tally:
    """One engine, from an empty database to the last look."""
    if plan.engine == "sqlite":
        return await _run(plan, folder, f"sqlite:{folder / 'apertura.db'}", None, tell)
    postgres = await asyncio.to_thread(Fragile)
    try:
        return await _run(plan, folder, postgres.url("postgres"), postgres, tell)
    finally:
        await asyncio.to_thread(postgres._remove)


async def _run(
    plan: Plan, folder: Path, url: str, postgres: Fragile | None, tell: Callable[[str], None]
) -> Tally:
    place = Place(folder, url, random.Random(plan.seed))
    async with Wall() as wall, opened(place, wall, plan.seed) as torture:
        wall.behaviours["honest"] = honest
        await torture.hire(machines=plan.machines)
        cycles = await _choose_points(plan, torture, folder)
        tell(f"  {len(torture.points)} lines to die at")
        taker = postgres and asyncio.create_task(outages(torture, postgres, OUTAGE_SECONDS))
        teller = asyncio.create_task(_progress(torture, tell))
        try:
            return await torture.run(cycles, before_the_end=lambda: _end(taker))
        finally:
            await _end(teller)
            await _end(taker)


async def _choose_points(plan: Plan, torture: Torture, folder: Path) -> int:
    """Find out which lines there are to die at; returns how many kills there will be."""
    if plan.points == "none":
        return plan.cycles
    machine = torture.machines[0]
    await machine.life("")  # what it leaves in the journal lets the next one recover
    file = folder / "survey.json"
    await machine.last_life(1.5, TORTURE_SURVEY=str(file))
    torture.points = json.loads(file.read_text())
    if plan.points == "all":
        torture.queue = sorted(torture.points)
        torture.chance.shuffle(torture.queue)
        return len(torture.queue)
    return plan.cycles


async def _progress(torture: Torture, tell: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(20)
        tally = torture.tally
        tell(f"  {tally.cycles} cycles, {sum(tally.calls.values())} calls, {tally.wrong}")


async def _end(task: asyncio.Task[None] | None) -> None:
    if task:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
