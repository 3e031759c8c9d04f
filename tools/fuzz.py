"""Drives what `tests/fuzz` holds against every reader of bytes, with Atheris: minutes, not seconds.

    python tools/fuzz.py                      30 seconds for each surface
    python tools/fuzz.py --seconds 60 ask     60 seconds for each whose name begins with `ask`
    python tools/fuzz.py --report             and write docs/operating/evidence/fuzzing.md

Each surface runs in a process of its own, guided by which lines of `apertura.wire` a case reaches.
The cases that reached something new are kept below .venv/fuzz and are where the next run begins;
one that was too much is kept there as NAME.crash-…, and `--again FILE` runs it once more. What it
is not: the check of each commit; that is tests/fuzz/test_fuzz.py.

The rule that keeps it honest: the report says what ran in this very run, whatever it found.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha1
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".venv" / "fuzz"
FOUND = ROOT / "tests" / "fuzz" / "found.toml"
REPORT = ROOT / "docs" / "operating" / "evidence" / "fuzzing.md"
LONGEST = 100_000
"""Bytes of a case."""
TIMEOUT, MEMORY = 20, 1_024
"""Seconds and megabytes that one case may take."""


class Run(NamedTuple):
    """What came of one surface."""

    name: str
    seconds: int
    cases: int
    points: int
    failure: str


def main(arguments: Sequence[str]) -> int:
    """Runs the surfaces that are asked for, two at a time."""
    parser = argparse.ArgumentParser(description="Fuzz every reader of bytes in apertura.wire.")
    parser.add_argument("names", nargs="*", help="begin the names of the surfaces; none is all")
    parser.add_argument("--seconds", type=int, default=30, help="for each surface")
    parser.add_argument("--report", action="store_true", help=f"write {REPORT.relative_to(ROOT)}")
    parser.add_argument("--again", type=Path, help="a kept case, to be run once")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT))
    if asked.one:
        return one(asked.names[0], asked.seconds)
    if asked.again is not None:
        return again(asked.again)
    try:
        version("atheris")
    except PackageNotFoundError:
        print("Atheris has no wheel for this machine (Linux on x86-64 only): nothing was run")
        return 0
    return everything(asked.names, asked.seconds, report=asked.report)


def everything(names: Sequence[str], seconds: int, *, report: bool) -> int:
    """Runs surfaces and says what came of them."""
    from tests.fuzz.surfaces import SURFACES

    chosen = [name for name in SURFACES if not names or name.startswith(tuple(names))]
    KEPT.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        runs = list(pool.map(lambda name: run(name, seconds), chosen))
    if report:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(page(runs, seconds))
    failed = [found for found in runs if found.failure]
    for found in failed:
        print(f"\n{found.name}: {found.failure}")
    print(f"{sum(found.cases for found in runs):,} cases, {len(failed)} surfaces failed")
    return 1 if failed else 0


def run(name: str, seconds: int) -> Run:
    """One surface, in a process of its own."""
    command = [sys.executable, __file__, "--one", "--seconds", str(seconds), name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace")
    cases = re.search(r"stat::number_of_executed_units: (\d+)|^#(\d+)\s+DONE", said, re.MULTILINE)
    points = re.findall(r" cov: (\d+)", said)
    spent = re.search(r"Done \d+ runs in (\d+) second", said)
    failure = "" if done.returncode == 0 else _failure(said + done.stdout.decode(errors="replace"))
    found = Run(
        name=name,
        seconds=int(spent[1]) if spent else seconds,
        cases=int(cases[1] or cases[2]) if cases else 0,
        points=int(points[-1]) if points else 0,
        failure=failure,
    )
    print(
        f"{found.name:32} {found.cases:>9,} cases  {'FAILED' if failure else 'nothing'}", flush=True
    )
    return found


def _failure(said: str) -> str:
    """The end of a trace, and where the case is."""
    at = said.find("Uncaught Python exception")
    trace = said[at:].partition("\n==")[0] if at >= 0 else said[-1_500:]
    kept = re.search(r"written to (\S+)", said)
    return f"{trace.strip()}\n{kept[1] if kept else ''}"


def one(name: str, seconds: int) -> int:
    """In the process of a surface: it never returns."""
    import atheris

    with atheris.instrument_imports(include=["apertura.wire"]):
        from tests.fuzz.surfaces import SURFACES
    from tests.fuzz.mutate import mutated
    from tests.fuzz.seeds import STEER, seeds

    begun = seeds(name)
    plain = [seed[STEER:] for seed in begun]
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in begun:
        (folder / sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        """By its grammar, or by what libFuzzer knows."""
        random = Random(number)
        if random.random() < 0.2:
            return bytes(atheris.Mutate(data, len(data)))[:most]
        steer = data[:STEER].ljust(STEER, b"\0")
        if random.random() < 0.5:
            steer = bytes(random.choice((0, random.randrange(256))) for _ in range(STEER))
        return (steer + mutated(data[STEER:], random, plain))[:most]

    limits = [f"-max_total_time={seconds}", f"-timeout={TIMEOUT}", f"-rss_limit_mb={MEMORY}"]
    where = [f"-artifact_prefix={KEPT / name}.", f"-max_len={LONGEST}", "-print_final_stats=1"]
    command = [sys.argv[0], *limits, *where, "-len_control=0", str(folder)]
    atheris.Setup(command, SURFACES[name], custom_mutator=mutate)
    atheris.Fuzz()
    return 0


def again(case: Path) -> int:
    """One kept case, without Atheris."""
    from tests.fuzz.surfaces import SURFACES

    name = case.name.partition(".")[0]
    SURFACES[name](case.read_bytes())
    print(f"{name}: nothing was found")
    return 0


def page(runs: Sequence[Run], seconds: int) -> str:
    """The report, as a page of the manual."""
    from tests.fuzz.oracle import FACTOR, REST

    total, spent = sum(found.cases for found in runs), sum(found.seconds for found in runs)
    failed = [found.name for found in runs if found.failure]
    rows = [
        f"| `{found.name}` | {found.seconds} | {found.cases:,} | {found.points:,} "
        f"| {'a failure' if found.failure else 'nothing'} |"
        for found in runs
    ]
    outcome = f"failures in {', '.join(failed)}" if failed else "nothing"
    return HEAD.format(
        date=datetime.now(UTC).date(),
        python=platform.python_version(),
        atheris=version("atheris"),
        seconds=seconds,
        minutes=spent // 60,
        total=total,
        outcome=outcome,
        rows="\n".join(rows),
        found="\n".join(_found()),
        factor=FACTOR,
        rest=REST // 1024,
        timeout=TIMEOUT,
        memory=MEMORY,
    )


def _found() -> list[str]:
    """What runs before found, and where it is tested now."""
    entries = tomllib.loads(FOUND.read_text())["found"]
    return [f"| {entry['where']} | {entry['what']} | `{entry['test']}` |" for entry in entries]


HEAD = """# What fuzzing found

Written by `python tools/fuzz.py --report`, which `make soak` runs without `--report`. Every part of
`apertura.wire` that takes bytes from outside is a *surface*: the readers of lines and frames, each
format's answers streamed and whole, passing and translated, each format's requests from `parse`
to what every provider is sent, errors, vectors, ranks and counts. A *case* begins as a transcript
or a request from the tests and is changed by a mutator that knows JSON and events: numbers of
5,000 digits, `1e999`, halves of characters, 10,000 levels, members twice, of another type or of
another format, events lost, doubled, shuffled, and reads that end anywhere.

What must hold of any bytes:

- nothing leaves but the errors of `apertura.errors`, each with a message that can be shown; a
  decoder does not raise at all;
- events are legal: begun once, calls counted from 0, one end for each choice, usage last, all text
  valid Unicode; and they are the same however the bytes were cut, as are the bytes of a tap;
- all that is written is valid JSON, in whole events; what an encoder writes of them its own
  decoder reads back;
- no input becomes more than {factor} times as many bytes and {rest} KiB; no case takes {timeout}
  seconds or {memory} MB. Steps and memory are held to be linear by `tests/fuzz/test_growth.py`.

## The last run

{date}, Python {python}, Atheris {atheris}: {total:,} cases in {minutes} minutes, {seconds} seconds
for each surface. Points are places in `apertura.wire` that were reached.

Found: {outcome}.

| Surface | Seconds | Cases | Points | Found |
|---|--:|--:|--:|---|
{rows}

## Found so far, and mended

| Where | What | Held by |
|---|---|---|
{found}
"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
