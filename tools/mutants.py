"""Changes the code of money in small ways, one at a time, and sees whether a test notices.

    python tools/mutants.py                      all modules: half an hour
    python tools/mutants.py money pricing        only these
    python tools/mutants.py --report             and write docs/operating/evidence/mutation.md
    python tools/mutants.py --sample 20          twenty mutants, always the same ones: half a minute

Functions and methods are mutated by mutmut, in a copy of the project. What mutmut passes over is
done here with the same operators: constants and tables of modules, defaults of fields, properties
and functions with a decorator; each in a process of its own that imports the changed module. A
mutant is told apart by its function, the lines that it takes out and those that it puts there; the
ones that change nothing that can be observed stand in tools/mutants.toml, with the reason. What it
is not: a check of types, annotations and headers of classes, which stay as they are.

The rule that keeps it honest: a survivor counts as one, also where it is known why it survives;
and a mutant that ends a run by time counts as killed only because the clean code ends in time.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from random import Random

from mutation import (
    DOMAIN,
    ROOT,
    TESTS,
    Judged,
    Mutant,
    by_hand,
    by_mutmut,
    changes,
    judge,
    source_of,
)

REPORT = ROOT / "docs" / "operating" / "evidence" / "mutation.md"
KNOWN = ROOT / "tools" / "mutants.toml"
MUST = ("money", "pricing", "funds", "ledger", "plans")
LEAST = 90
"""Percent of the mutants of these that have to be killed."""


def main(arguments: Sequence[str]) -> int:
    """Runs what is asked for; not 0 where a module has too many survivors, or a sample has one."""
    parser = argparse.ArgumentParser(description="Mutate the code of money.")
    parser.add_argument("modules", nargs="*", choices=[[], *TESTS], help="none is all")
    parser.add_argument("--sample", type=int, help="only so many mutants, chosen by a fixed seed")
    parser.add_argument("--report", action="store_true", help=f"write {REPORT.relative_to(ROOT)}")
    asked = parser.parse_args(arguments)
    modules = asked.modules or list(TESTS)
    if asked.sample:
        return sample(asked.modules or MUST, asked.sample)
    found = [*by_mutmut(modules), *by_hand(modules)]
    if asked.report:
        REPORT.write_text(report(found), encoding="utf-8")
    print(table(found))
    for one in survivors(found):
        print(place(one), f"\n  - {one.was}\n  + {one.now}\n  {known().get(one.key, 'NOT KNOWN')}")
    left = {one.key for one in survivors(found)}
    for key in known():
        if key[0] in modules and key not in left:
            print(f"{KNOWN.name}: there is no such survivor any more: {key}")
    return int(any(percent(found, name) < LEAST for name in MUST if name in modules))


def sample(modules: Sequence[str], count: int) -> int:
    """Whether each of a few mutants is killed, or is known to change nothing."""
    all_of_them = [(name, change) for name in modules for change in changes(source_of(name))]
    chosen = Random(count).sample(all_of_them, count)
    left = 0
    for one, killed in judge([(name, change()) for name, (_, change) in chosen]):
        if not killed and one.key not in known():
            left += 1
            print(f"{place(one)} survives:\n  - {one.was}\n  + {one.now}")
    print(f"{count} of {len(all_of_them)} mutants, {left} not killed and not known")
    return int(left > 0)


# What is said of it.


def known() -> Mapping[tuple[str, str, str, str], str]:
    """Mutants that change nothing that can be observed, and why."""
    rows = tomllib.loads(KNOWN.read_text(encoding="utf-8")).get("mutant", [])
    return {(row["module"], row["function"], row["was"], row["now"]): row["why"] for row in rows}


def place(one: Mutant) -> str:
    return f"{DOMAIN.name}/{one.module}.py:{one.line}"


def survivors(found: Sequence[Judged]) -> list[Mutant]:
    left = {one.mutant for one in found if not one.is_killed}
    return sorted(left, key=lambda one: (list(TESTS).index(one.module), one.line))


def percent(found: Sequence[Judged], module: str) -> float:
    own = [one.is_killed for one in found if one.mutant.module == module]
    return 100 * sum(own) / len(own)


def table(found: Sequence[Judged]) -> str:
    """How many there were and how many were killed, by module."""
    lines = ["| Module | Mutants | Killed | Survived | Killed, % |", "|---|--:|--:|--:|--:|"]
    for module in TESTS:
        own = [one.is_killed for one in found if one.mutant.module == module]
        if own:
            dead = sum(own)
            share = f"{percent(found, module):.1f}"
            lines.append(f"| `{module}` | {len(own)} | {dead} | {len(own) - dead} | {share} |")
    return "\n".join(lines)


def report(found: Sequence[Judged]) -> str:
    """The page of the manual."""
    rows = [
        f"| `{place(one)}` | `{_cell(one.was)}` | `{_cell(one.now)}` | "
        f"{known().get(one.key, 'not known')} |"
        for one in survivors(found)
    ]
    killed = sum(one.is_killed for one in found)
    return TEXT.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        mutmut=version("mutmut"),
        mutants=f"{len(found):,}",
        killed=f"{killed:,}",
        share=f"{100 * killed / len(found):.1f}",
        least=LEAST,
        must=", ".join(f"`{name}`" for name in MUST),
        table=table(found),
        survivors="\n".join(
            ["| Where | Was | Became | Why no test can tell |", "|---|---|---|---|", *rows]
        ),
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")


TEXT = """\
# What mutation testing found

Written by `python tools/mutants.py --report`, which `make soak` runs without `--report`. A *mutant*
is the code of money with one small change: a comparison or a bound off by one, another operator, a
number one higher, an argument gone or `None`, a text in other letters, a condition turned round. It
is *killed* where a test of `tests/domain` fails. One that survives shows a behaviour that no test
looks at, or a change that nobody could observe.

Functions and methods are mutated by [mutmut](https://mutmut.readthedocs.io). What it passes over is
mutated by the same operators and counted with the rest: constants and tables, defaults of fields,
properties, functions with a decorator. Types, annotations and headers of classes stay as they are.

Of {must}
at least {least} % have to be killed. A sample of the mutants is tried by `make test`; each of
those has to be killed or to stand in the list below.

## The last run

{date}, mutmut {mutmut}: {killed} of {mutants} mutants killed, {share} %.

{table}

## Survivors

{survivors}
"""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
