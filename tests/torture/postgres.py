"""A PostgreSQL that is killed, stopped or paused, and a storm that does it while others run."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.databases import PATIENCE, Server
from tests.torture.cycles import Torture


class Fragile(Server):
    """A server of one's own, with its processes."""

    def processes(self) -> list[int]:
        """The postmaster and all of its children."""
        assert self._process is not None
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                    parents[int(entry.name)] = int(stat[1])
        top = self._process.pid
        return [top, *(number for number, parent in parents.items() if parent == top)]

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children notice, and go by themselves."""
        assert self._process is not None
        all_of_them = self.processes()
        self._process.kill()
        self._process.wait(PATIENCE)
        self._process = None
        give_up = time.monotonic() + PATIENCE
        while any(_alive(number) for number in all_of_them):
            assert time.monotonic() < give_up, "the children of PostgreSQL live on"
            time.sleep(0.02)

    def pause(self) -> None:
        """SIGSTOP: connections stand, and nobody answers."""
        for number in self.processes():
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on where it was."""
        for number in reversed(self.processes()):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGCONT)


def _alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def outages(torture: Torture, postgres: Fragile, pause: tuple[float, float]) -> None:
    """Again and again the database is taken away for a moment, until cancelled."""
    while True:
        await asyncio.sleep(torture.chance.uniform(*pause))
        async with torture.whole:
            for machine in torture.machines:
                machine.outages += 1
            kind = torture.chance.choice(("killed", "stopped", "paused"))
            torture.tally.outages[kind] += 1
            await asyncio.shield(asyncio.to_thread(take_away, postgres, kind, 0.4))


def take_away(postgres: Fragile, kind: str, seconds: float) -> None:
    """Blocks until it is back."""
    if kind == "paused":
        postgres.pause()
        time.sleep(seconds)
        postgres.resume()
        return
    postgres.kill() if kind == "killed" else postgres.stop()
    time.sleep(seconds)
    postgres.start()
