"""Kills a server under load, again and again, and lays callers, provider and books side by side.

    python tools/torture.py                     200 kills on each engine, and what else there is
    python tools/torture.py --cycles 40 --seed 7 --database postgres --machines 2
    python tools/torture.py --points all        die once at every line of the money's path
    python tools/torture.py --report            and write docs/operating/evidence/torture.md

What happens in a cycle, and what must hold after it, is told in `tests/torture`. With
PostgreSQL the database is taken away as well: its postmaster killed, stopped at once, or paused.
What it is not: the check of each commit; that is tests/torture/test_torture.py.

The rule that keeps it honest: the report says what ran in this very run, whatever it found; and a
kill is SIGKILL.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.databases import migrated_postgres  # noqa: E402
from tests.torture.report import write_report  # noqa: E402
from tests.torture.runs import Plan, Run, run  # noqa: E402
from tests.torture.storm import Storm, storm  # noqa: E402

REPORT = ROOT / "docs" / "operating" / "evidence" / "torture.md"


def main(arguments: Sequence[str]) -> int:
    """Runs what is asked for, one engine after the other."""
    parser = argparse.ArgumentParser(description="Kill servers under load and compare the books.")
    parser.add_argument("--cycles", type=int, default=200, help="kills on each engine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--machines", type=int, help="servers at once on the one database")
    parser.add_argument(
        "--points",
        choices=("some", "all", "none"),
        default="some",
        help="lines at which to die: half of the kills, one kill for each line, or never",
    )
    parser.add_argument("--report", action="store_true", help=f"write {REPORT.relative_to(ROOT)}")
    parsed = parser.parse_args(arguments)
    runs = [_run(plan) for plan in _plans(parsed)]
    storm = None
    if parsed.database != "sqlite" and parsed.points == "some":
        storm = _storm()
    if parsed.report:
        write_report(REPORT, runs, storm)
    wrong = [one for run in runs for one in run.tally.wrong] + (storm.wrong if storm else [])
    return 1 if wrong else 0


def _plans(parsed: argparse.Namespace) -> list[Plan]:
    """One server on each engine; then several, for a part of the time."""
    engines = ("sqlite", "postgres") if parsed.database == "both" else (parsed.database,)
    cycles, machines, points = parsed.cycles, parsed.machines, parsed.points
    if machines:
        return [Plan(engine, cycles, parsed.seed, machines, points) for engine in engines]
    alone = [Plan(engine, cycles, parsed.seed, 1, points) for engine in engines]
    if points == "all":
        return alone
    return alone + [Plan(engine, cycles // 4, parsed.seed + 1, 2, points) for engine in engines]


def _run(plan: Plan) -> Run:
    print(plan, flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="apertura-torture-") as folder:
        tally = asyncio.run(run(plan, Path(folder), tell=_tell))
    done = Run(plan, tally, time.monotonic() - begun)
    _tell(done.summary())
    return done


def _storm() -> Storm:
    with migrated_postgres() as url:
        came = asyncio.run(storm(url, batches=100))
    _tell(f"{came}")
    return came


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
