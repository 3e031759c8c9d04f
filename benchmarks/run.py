#!/usr/bin/env python3
"""Measures Apertura beside nginx `proxy_pass` and the direct line, all in one run.

The gateway has one core to itself, the load and the mock upstream share another. Gateways take
turns in each round, and those not under test are stopped (SIGSTOP). See README.md for the tests and
the columns. Needs Linux and the Debian packages nginx-light, gcc and util-linux; no Python package.

The rule that keeps it honest: only ratios between figures of one run are to be quoted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import report
from gateways import Gateway, free_port, start_apertura, start_nginx, start_other
from processes import Failed, Group, spent_ns

HERE = Path(__file__).resolve().parent
APERTURA = HERE.parent / ".venv" / "bin" / "apertura"
TOOLS = {"nginx": "nginx-light", "gcc": "gcc", "taskset": "util-linux"}
SETTLE_S = 0.3  # what a gateway does after its answers, such as writing the books, counts too


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of test: the load's mode, the mock model, its content chunks, the ramp."""

    mode: str
    model: str
    chunks: int = 0
    ramp_ms: int = 0

    def least_events(self) -> int:
        """Content chunks, the finish, the usage and [DONE]; a gateway may merge the role."""
        return self.chunks + 3 if self.chunks else 0


KINDS = {
    "unary": Kind(mode="unary", model="mock"),
    "paced": Kind(mode="stream", model="mock-d20", chunks=64, ramp_ms=1300),
    "burst": Kind(mode="stream", model="mock", chunks=64),
    # Asked for in another format than the upstream's: nginx passes, a gateway translates.
    "mpaced": Kind(mode="messages", model="mock-d20", chunks=64, ramp_ms=1300),
    "mburst": Kind(mode="messages", model="mock", chunks=64),
    "slow": Kind(mode="once", model="mock-n20-d100", chunks=20, ramp_ms=1500),
}
ONCE_LIMIT_S = 60


@dataclass(frozen=True, kw_only=True)
class Test:
    """A kind with a number of connections, such as unary64."""

    name: str
    kind: Kind
    connections: int

    def seconds(self, asked: float) -> float:
        """How long the load runs: a ramp comes before the time that was asked for."""
        return ONCE_LIMIT_S if self.kind.mode == "once" else asked + self.kind.ramp_ms / 1000


def parse_test(name: str) -> Test:
    """`unary64` as a Test; ArgumentTypeError for anything else."""
    found = re.fullmatch(r"([a-z]+)([1-9]\d*)", name)
    if not found or found[1] not in KINDS:
        known = ", ".join(f"{kind}N" for kind in KINDS)
        raise argparse.ArgumentTypeError(f"{name}: a test is one of {known}")
    return Test(name=name, kind=KINDS[found[1]], connections=int(found[2]))


def parse_tests(names: str) -> list[Test]:
    """A comma-separated list of tests."""
    return [parse_test(name) for name in names.split(",")]


def run_load(
    load: Path, gateway: Gateway, test: Test, seconds: float
) -> tuple[dict[str, Any], float, str]:
    """Run the load; its line, the gateway's peak memory in MiB, and the first bad answer."""
    kind, port = test.kind, str(gateway.port)
    model = gateway.model.replace("{mock}", kind.model)
    command = [str(load), kind.mode, port, str(test.connections), str(seconds), model, gateway.key]
    command += [str(kind.least_events()), str(kind.ramp_ms)]
    peak = gateway.group.memory_mib()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    try:
        while process.poll() is None:
            peak = max(peak, gateway.group.memory_mib())
            time.sleep(0.25)
    finally:
        process.kill()
        out, err = process.communicate()
    if process.returncode:
        raise Failed(f"the load failed: {err.strip()}")
    return json.loads(out), peak, err.strip()


def measure(load: Path, gateway: Gateway, test: Test, seconds: float, turn: int) -> report.Row:
    """One test of one gateway."""
    gateway.group.check_alive()
    before, began = gateway.group.processor_ns(), time.monotonic()
    told, peak, note = run_load(load, gateway, test, test.seconds(seconds))
    elapsed = time.monotonic() - began
    time.sleep(SETTLE_S)
    spent = spent_ns(before, gateway.group.processor_ns())
    gateway.group.check_alive()
    return report.Row(
        round=turn,
        test=test.name,
        name=gateway.name,
        units=told["units"],
        per_s=told["per_s"],
        cpu_us=spent / 1000 / max(told["units"], 1),
        core=spent / 1e9 / elapsed,
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        mib=max(peak, gateway.group.memory_mib()),
        bad=told["bad"],
        note=note,
    )


@contextmanager
def awake(gateway: Gateway) -> Iterator[None]:
    """Let a gateway run for the length of a test."""
    if gateway.is_upstream:
        yield
        return
    gateway.group.resume()
    time.sleep(SETTLE_S)  # timers that fell due while it was stopped are not the test's
    try:
        yield
    finally:
        gateway.group.pause()


def measure_all(
    load: Path, gateways: Sequence[Gateway], args: argparse.Namespace
) -> Iterator[report.Row]:
    """Interleaved: each round runs each test, each test runs each gateway."""
    for turn in range(args.rounds):
        for test in args.tests:
            for gateway in gateways:
                print(f"round {turn + 1}: {test.name} {gateway.name} ...", file=sys.stderr)
                with awake(gateway):
                    row = measure(load, gateway, test, args.secs, turn)
                if row.note:
                    print(f"  {row.bad} bad, the first: {row.note[:700]}", file=sys.stderr)
                yield row


def warm_up(load: Path, gateway: Gateway) -> None:
    """One call that must succeed, then a little of everything; then it waits, stopped."""
    gateway.check()
    for test in parse_tests("unary8,burst8"):
        run_load(load, gateway, test, 1)
    if not gateway.is_upstream:
        gateway.group.pause()


def start_all(
    folder: Path, core: int, args: argparse.Namespace, groups: list[Group]
) -> Iterator[Gateway]:
    """Start the upstream and the gateways, one by one; `groups` gets what has to be ended."""
    port = args.upstream_port or free_port()
    upstream = Group("upstream", [str(folder / "upstream"), str(port)], folder / "upstream.log")
    groups.append(upstream)
    upstream.wait_until_it_listens(port)
    yield Gateway(name="direct", port=port, key="bench", group=upstream, is_upstream=True)
    nginx = start_nginx(folder, core, port)
    groups.append(nginx.group)
    yield nginx
    if not args.no_apertura:
        top_up_usd = int(max(1000, 100 * args.rounds * args.secs))
        apertura = start_apertura(args.apertura, folder, core, port, top_up_usd)
        groups.append(apertura.group)
        yield apertura
    for target in args.target:
        other = start_other(target, folder, core, port)
        groups.append(other.group)
        yield other


def build(folder: Path) -> Path:
    """Compile the upstream and the load into `folder`; the load's path."""
    for name in ("upstream", "load"):
        command = ["gcc", "-O2", "-Wall", "-o", str(folder / name), str(HERE / f"{name}.c")]
        if subprocess.run(command, check=False).returncode:
            raise Failed(f"gcc cannot compile {name}.c")
    return folder / "load"


def run(args: argparse.Namespace) -> list[report.Row]:
    """The whole run, in a folder of its own that is gone afterwards."""
    core, load_core = sorted(os.sched_getaffinity(0))[:2]
    groups: list[Group] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        load = build(folder)
        os.sched_setaffinity(0, {load_core})  # ours, the load's and the upstream's
        try:
            gateways = []
            for gateway in start_all(folder, core, args, groups):
                warm_up(load, gateway)
                gateways.append(gateway)
            return list(measure_all(load, gateways, args))
        finally:
            for group in reversed(groups):
                group.end()


def show(rows: list[report.Row], file: Path | None) -> None:
    """Print the table and the verdicts; write everything to `file`."""
    summaries = report.summarize(rows)
    found = report.verdicts(summaries)
    parts = (report.table(summaries), report.added_latency(summaries), report.verdict_lines(found))
    print("\n" + "\n\n".join(part for part in parts if part))
    if file:
        whole = {
            "rows": [asdict(row) for row in rows],
            "summaries": [asdict(summary) for summary in summaries],
            "verdicts": [asdict(verdict) for verdict in found],
        }
        file.write_text(json.dumps(whole, indent=1) + "\n")


def what_is_missing(args: argparse.Namespace) -> str:
    """A sentence about what this machine lacks, or nothing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian keeps nginx
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        packages = " ".join(TOOLS.values())
        return f"Missing: {', '.join(missing)}. Install the Debian packages: {packages}"
    if len(os.sched_getaffinity(0)) < 2:
        return "The rig needs two processor cores: one for the gateway, one for the load."
    if not args.no_apertura and not args.apertura.exists():
        return f"There is no {args.apertura}: install Apertura there, or give --no-apertura."
    return ""


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    tests = "unary64,unary1,paced200,mpaced200,burst64,mburst64,slow1000"
    parser.add_argument("--tests", type=parse_tests, default=tests, help=f"default: {tests}")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--secs", type=float, default=3, help="of each test; default: 3")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--apertura", type=Path, default=APERTURA, metavar="PROGRAM")
    parser.add_argument("--no-apertura", action="store_true", help="only nginx and --target")
    parser.add_argument("--upstream-port", type=int, default=0, help="default: a free one")
    parser.add_argument(
        "--target",
        nargs=5,
        action="append",
        default=[],
        metavar=("NAME", "PORT", "KEY", "MODEL", "COMMAND"),
        help="another gateway; {mock} in MODEL is the mock model, {upstream} in COMMAND its port",
    )
    return parser.parse_args()


def main() -> int:
    """0 when the figures are there, 1 when the run failed, 2 when something is missing."""
    args = read_arguments()
    lacking = what_is_missing(args)
    if lacking:
        print(lacking, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays stopped
    try:
        show(run(args), args.json)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
