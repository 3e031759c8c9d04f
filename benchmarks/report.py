"""From measured rows to medians, the table, and whether each target is reached.

Pure: it measures nothing. The rule that keeps it honest: a ratio is taken within one round, between
figures measured seconds apart, and only then is the median over the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Row:
    """One test of one gateway in one round. A unit is a call, or an event of a stream."""

    round: int
    test: str
    name: str
    units: int
    per_s: float
    cpu_us: float  # per unit
    core: float  # share of one core while the load ran
    p50_ms: float
    p99_ms: float
    mib: float  # the peak
    bad: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One test of one gateway over the rounds: medians, but the highest peak and all bad calls."""

    test: str
    name: str
    per_s: float
    cpu_us: float
    core: float
    p50_ms: float
    p99_ms: float
    mib: float
    bad: int
    cpu_ratio: float  # processor time per unit, x nginx
    rate_ratio: float  # units per second, x nginx


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a gateway reaches one target; `reached` is None when it was not measured."""

    name: str
    target: str
    measured: str
    reached: bool | None


@dataclass(frozen=True, kw_only=True)
class Target:
    """A figure to reach: at most (or at least) `bound`."""

    says: str
    test: str
    figure: Callable[[Summary], float]
    bound: float
    unit: str
    at_least: bool = False


TARGETS = (
    Target(
        says="unary, 64 at once: processor time per call at most 3 x nginx",
        test="unary64",
        figure=lambda s: s.cpu_ratio,
        bound=3,
        unit="x",
    ),
    Target(
        says="200 paced streams: processor time per chunk at most 2.2 x nginx",
        test="paced200",
        figure=lambda s: s.cpu_ratio,
        bound=2.2,
        unit="x",
    ),
    Target(
        says="saturated streams: chunks per second at least 1 x nginx",
        test="burst64",
        figure=lambda s: s.rate_ratio,
        bound=1,
        unit="x",
        at_least=True,
    ),
    Target(
        says="1,000 slow streams: at most 100 MiB",
        test="slow1000",
        figure=lambda s: s.mib,
        bound=100,
        unit="MiB",
    ),
)


def summarize(rows: Sequence[Row]) -> list[Summary]:
    """One summary for each test and gateway, in the order of the rows."""
    found = dict.fromkeys((row.test, row.name) for row in rows)
    return [_summary(test, name, rows) for test, name in found]


def _summary(test: str, name: str, rows: Sequence[Row]) -> Summary:
    mine = [row for row in rows if (row.test, row.name) == (test, name)]
    nginx = {row.round: row for row in rows if (row.test, row.name) == (test, "nginx")}

    def middle(figure: Callable[[Row], float]) -> float:
        return median(figure(row) for row in mine)

    def ratio(figure: Callable[[Row], float]) -> float:
        return median(_divide(figure(row), figure(nginx[row.round])) for row in mine)

    return Summary(
        test=test,
        name=name,
        per_s=middle(lambda r: r.per_s),
        cpu_us=middle(lambda r: r.cpu_us),
        core=middle(lambda r: r.core),
        p50_ms=middle(lambda r: r.p50_ms),
        p99_ms=middle(lambda r: r.p99_ms),
        mib=max(row.mib for row in mine),
        bad=sum(row.bad for row in mine),
        cpu_ratio=ratio(lambda r: r.cpu_us),
        rate_ratio=ratio(lambda r: r.per_s),
    )


def _divide(figure: float, by: float) -> float:
    return figure / by if by else float("nan")


def table(summaries: Iterable[Summary]) -> str:
    """The figures as text, one line for each test and gateway."""
    head = (
        f"{'test':10}{'name':14}{'per second':>11}{'cpu us/unit':>13}{'x nginx':>9}"
        f"{'core':>7}{'p50 ms':>10}{'p99 ms':>10}{'MiB':>8}{'bad':>6}"
    )
    lines = [head]
    for s in summaries:
        ratio = "" if s.name == "direct" else f"{s.cpu_ratio:.2f}"
        lines.append(
            f"{s.test:10}{s.name:14}{s.per_s:>11,.0f}{s.cpu_us:>13.2f}{ratio:>9}"
            f"{s.core:>7.2f}{s.p50_ms:>10.3f}{s.p99_ms:>10.3f}{s.mib:>8.1f}{s.bad:>6}"
        )
    return "\n".join(lines)


def added_latency(summaries: Sequence[Summary]) -> str:
    """What each gateway adds to one call at a time (test unary1), at the median."""
    p50 = {s.name: s.p50_ms for s in summaries if s.test == "unary1"}
    direct = p50.pop("direct", None)
    if direct is None or "nginx" not in p50:
        return ""
    parts = (f"{name} {(ms - direct) * 1000:.0f} us" for name, ms in p50.items())
    return "Latency added to one call at a time, over the direct line: " + ", ".join(parts)


def verdicts(summaries: Sequence[Summary]) -> list[Verdict]:
    """For each gateway but nginx and the direct line, each target."""
    names = dict.fromkeys(s.name for s in summaries if s.name not in ("direct", "nginx"))
    found: list[Verdict] = []
    for name in names:
        mine = {s.test: s for s in summaries if s.name == name}
        found += [_verdict(name, target, mine.get(target.test)) for target in TARGETS]
        found.append(_translation(name, mine.get("mpaced200"), mine.get("paced200")))
        bad = sum(s.bad for s in mine.values())
        measured = f"{bad} lost"
        found.append(Verdict(name=name, target="no call lost", measured=measured, reached=bad == 0))
    return found


def _verdict(name: str, target: Target, summary: Summary | None) -> Verdict:
    if summary is None:
        return Verdict(name=name, target=target.says, measured="not measured", reached=None)
    figure = target.figure(summary)
    reached = figure >= target.bound if target.at_least else figure <= target.bound
    measured = f"{figure:.2f} {target.unit}"
    return Verdict(name=name, target=target.says, measured=measured, reached=reached)


def _translation(name: str, translated: Summary | None, passed: Summary | None) -> Verdict:
    """What a translated chunk costs, by what one costs that passes through the same gateway."""
    says = "200 paced streams: a translated chunk at most 2 x one that passes"
    if translated is None or passed is None:
        return Verdict(name=name, target=says, measured="not measured", reached=None)
    ratio = _divide(translated.cpu_us, passed.cpu_us)
    return Verdict(name=name, target=says, measured=f"{ratio:.2f} x", reached=ratio <= 2)


def verdict_lines(found: Iterable[Verdict]) -> str:
    """The verdicts as text."""
    words = {True: "reached", False: "MISSED", None: "-"}
    return "\n".join(f"{words[v.reached]:9}{v.name}: {v.target} ({v.measured})" for v in found)
