"""docs/operating/evidence/torture.md, out of what ran."""

from __future__ import annotations

import platform
import sqlite3
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.torture.runs import Run
from tests.torture.storm import Storm
from tests.torture.writer import ORGS, ROWS

FATES = {
    "answered": "The caller has the whole answer: in the books, charged in full",
    "booked, not delivered": "In the books and charged in full; the kill came before the last byte",
    "refused": "Refused for want of money, or while the database was away: free",
    "failed": "The provider failed: free",
    "left by the caller": "The caller hung up: charged for what came",
    "died before the provider": "Died with the process before a provider was asked: free",
    "died while the provider answered": "Died with the process in the middle of an answer: free",
    "cut": "The provider had answered and the process died before it was in the journal: free, "
    "and named below",
}
HEAD = """# What torture found

Written by `python tools/torture.py --report`, which `make soak` runs without `--report`. A
supervisor keeps a server under load from eleven callers on one database: whole answers and streams,
streams that outgrow their hold, a key whose quota ends, an organization that is always nearly out
of money, one that has gifts, a subscription whose allowance ends, a monthly budget, callers who
hang up, providers that fail; money and gifts come in meanwhile. Then the server dies by SIGKILL and
is started again, over and over. Half of the kills come at some moment, half just before a chosen
line of the money's path runs for the n-th time (holds, leases, journal, settlement, funds, charges,
ledger, both engines): before and after each `await`, and also while a server starts or ends.
PostgreSQL is killed, stopped at once or paused besides, under load.

After each restart, before anybody calls, three witnesses are laid beside each other, call by call:
what each caller saw, what reached the provider, and the books.

- The audit finds nothing; nothing is lent to a dead server; each wallet holds what was paid in
  less what its calls cost, to the nano-dollar.
- Who has a whole answer is in the books once, charged in full. Who was refused, or whose provider
  failed, pays nothing. Nobody is charged for a call that reached no provider.
- What is in no row was running when the server died. Where the provider had answered it, it is
  *cut*: the provider has done the work, the caller has nothing and pays nothing. Each is named.
- Whoever has money and a good key is told 200, or 503 with `Retry-After` while the database is
  away; never 401, 402 or 403.
"""


def write_report(path: Path, runs: Sequence[Run], storm: Storm | None) -> None:
    """The page, of these runs."""
    path.write_text("\n".join(_page(runs, storm)) + "\n")


def _page(runs: Sequence[Run], storm: Storm | None) -> Iterator[str]:
    yield HEAD
    yield "## The last run\n"
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    kills = sum(_kills(run) for run in runs)
    minutes = round(sum(run.seconds for run in runs) / 60)
    yield f"{datetime.now(UTC):%Y-%m-%d}, {versions}: {kills} kills in {minutes} minutes.\n"
    wrong = [one for run in runs for one in run.tally.wrong] + (storm.wrong if storm else [])
    yield f"Wrong: {'; '.join(wrong) or 'nothing'}.\n"
    yield from _runs(runs)
    yield "\n## What became of the calls\n"
    yield from _fates(runs)
    yield "\n## Cut\n"
    yield "By name: the caller, and the number of its call.\n"
    for run in runs:
        yield from _wrapped(f"- {_what(run)}: {', '.join(run.tally.cut) or 'none'}.")
    if storm:
        yield from _storm(storm)


def _what(run: Run) -> str:
    engine = {"sqlite": "SQLite", "postgres": "PostgreSQL"}[run.plan.engine]
    servers = f"{run.plan.machines} servers" if run.plan.machines > 1 else "one server"
    lines = ", at every line" if run.plan.points == "all" else ""
    return f"{engine}, {servers}{lines}, seed {run.plan.seed}"


def _kills(run: Run) -> int:
    return run.tally.kills["at a moment"] + run.tally.kills["at a line"]


def _runs(runs: Sequence[Run]) -> Iterator[str]:
    yield (
        "| Run | Kills | At a line | Different lines | While starting | Outages of PostgreSQL "
        "| Calls out of journals |"
    )
    yield "|---|--:|--:|--:|--:|---|--:|"
    for run in runs:
        tally = run.tally
        outages = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.outages.items()))
        cells = (
            *(_what(run), _kills(run), tally.kills["at a line"], len(tally.points)),
            *(tally.kills["of these while starting"], outages or "–", f"{tally.recovered:,}"),
        )
        yield f"| {' | '.join(map(str, cells))} |"


def _fates(runs: Sequence[Run]) -> Iterator[str]:
    total = sum((run.tally.calls for run in runs), Counter[str]())
    assert set(total) <= set(FATES), total
    yield "| Calls | What became of them |"
    yield "|--:|---|"
    for fate, meaning in FATES.items():
        yield f"| {total[fate]:,} | {meaning} |"
    payers = sum((run.tally.payers for run in runs), Counter[str]())
    paid = ", ".join(f"{count:,} by {name}" for name, count in sorted(payers.items()))
    yield f"\nPaid for: {paid}."


def _storm(storm: Storm) -> Iterator[str]:
    refused = sum(storm.refused.values())
    yield "\n## Four processes that book at once\n"
    yield from _wrapped(
        f"On PostgreSQL, half of the calls of one hot organization, the others of {ORGS} in "
        f"another order in each process, a fifth of the batches brought by two processes: "
        f"{storm.rows:,} calls in batches of {ROWS}, with their holds, in {storm.seconds:.1f} s. "
        f"Of {storm.attempts:,} transactions PostgreSQL refused {refused:,} "
        f"({', '.join(f'{name} {count}' for name, count in sorted(storm.refused.items()))}); all "
        f"of them ran again, the slowest batch took {storm.slowest:.2f} s in all, and each call "
        "is in the books once."
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, subsequent_indent="  " if text.startswith("- ") else "")
