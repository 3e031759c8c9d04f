"""What happens by itself: jobs, each at its own pace, for as long as the process runs.

A job is a name, a number of seconds and a step. Every worker runs every job, so a step must be one
that several may take at once and that may be cut off anywhere; what it does is kept in the
database, and found there by the next. What it is not: any job's work.

The rule that keeps it honest: a step that fails is logged and taken again at the next turn; it
never stops the others, and one job's steps never overlap.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from apertura.telemetry import log, where


class Job(NamedTuple):
    """`step` is given the time, in ms since 1970."""

    name: str
    seconds: float
    step: Callable[[int], Awaitable[None]]


class Schedule:
    """The jobs of this process."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; each job takes its first step soon, not all of them at once."""
        self._tasks = [
            asyncio.get_running_loop().create_task(self._keep(job, 0.5 + number / 10))
            for number, job in enumerate(self._jobs)
        ]

    async def close(self) -> None:
        """Stop, wherever they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def run_once(self, now_ms: int) -> None:
        """Each job's step, one after the other."""
        for job in self._jobs:
            await _step(job, now_ms)

    async def _keep(self, job: Job, first: float) -> None:
        wait = min(first, job.seconds)
        while True:
            await asyncio.sleep(wait)
            await _step(job, time.time_ns() // 1_000_000)
            wait = job.seconds


async def _step(job: Job, now_ms: int) -> None:
    try:
        await job.step(now_ms)
    except Exception as error:  # noqa: BLE001  # the edge: a job's fault is the job's own
        log("job_failed", job=job.name, error=type(error).__name__, trace=where(error))
