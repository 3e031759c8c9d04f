"""A disk that takes no more: nothing is lost, nobody is served on credit, and it comes back."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.cli.process import Server
from tests.torture.cycles import opened
from tests.torture.load import Role, until_all_are_told
from tests.torture.place import Place
from tests.wall import Wall

pytestmark = pytest.mark.slow
ROLES = (
    Role("whole", stream=False),
    Role("stream", stream=True),
    Role("poor", org="poor", max_tokens=3),
)
SMALL_LEASES = "apertura.relay.leases:SWEEP_SECONDS=0.2;apertura.domain.funds:SHARE=1000000000"
SMALL_JOURNAL = "apertura.store.journal:SEGMENT_BYTES=32768"
"""Some sixty calls: so that a test sees the end of a file of the journal."""
NO_BOOKS = "apertura.relay.settlement:BATCH_SECONDS=3600"
"""All that is answered is in the journal only."""
DISK = 16 * 2**20


class Disk:
    """A folder, and how to let it be full for a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, running: Server) -> None:
        """Nothing that grows is kept any more."""
        _, hard = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
        self._hard = hard
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (4096, hard))

    def clear(self, running: Server) -> None:
        """There is room again."""
        if running.process.returncode is None:
            limits = (self._hard, self._hard)
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, limits)


class SmallDisk(Disk):
    """A file system of its own, in memory."""

    def fill(self, running: Server) -> None:
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            for size in (2**20, 4096, 1):
                with suppress(OSError):
                    while True:
                        filler.write(b"\0" * size)

    def clear(self, running: Server) -> None:
        (self.folder / "filler").unlink()


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    made = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "apertura-test", str(folder)]
    if os.geteuid() or subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(params=["limit", "full"])
async def disk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Disk]:
    """Full for one process (its files may not grow), or full for everybody."""
    if request.param == "limit":
        yield Disk(tmp_path)
        return
    (tmp_path / "small").mkdir()
    with mounted(tmp_path / "small"):
        yield SmallDisk(tmp_path / "small")


@pytest.mark.parametrize("end", [pytest.param("clear", marks=pytest.mark.soak), "kill"])
async def test_a_full_disk_loses_nothing(disk: Disk, wall: Wall, end: str) -> None:
    """Calls that need a lease are 503 and reach no provider; what was answered is in the books
    when there is room again, also if the server was killed before there was.
    """
    place = Place(disk.folder, f"sqlite:{disk.folder / 'apertura.db'}", random.Random(1))
    async with opened(place, wall) as torture, AsyncExitStack() as stack:
        await torture.hire(ROLES)
        [machine] = torture.machines
        running = await machine.begin(stack, TORTURE_SET=f"{SMALL_LEASES};{SMALL_JOURNAL}")
        assert running is not None
        tasks = [asyncio.create_task(caller.run(running.url)) for caller in machine.callers]
        await until_all_are_told(machine.callers, {200})
        machine.outages += 1

        disk.fill(running)
        await until_all_are_told(machine.callers, {503})
        if end == "kill":
            await machine.end_badly(running, tasks)
        disk.clear(running)
        if end == "clear":
            await until_all_are_told(machine.callers, {200, 402})
            await machine.end_well(running, tasks)
        assert '"event": "bug"' not in "".join(running.said)
        await machine.last_life()
        await torture.last_look()
        assert torture.tally.wrong == []
        assert torture.tally.calls["answered"] > 20


async def test_a_full_journal_refuses_before_it_is_too_late(
    disk: Disk, wall: Wall, postgres_url: str
) -> None:
    """The database is elsewhere and well, but the journal has no room for one more file. Whoever
    was answered until then is safe from a kill; whoever comes after that is 503.
    """
    place = Place(disk.folder, postgres_url, random.Random(1))
    async with opened(place, wall) as torture, AsyncExitStack() as stack:
        await torture.hire(ROLES[:2])
        [machine] = torture.machines
        running = await machine.begin(stack, TORTURE_SET=f"{SMALL_JOURNAL};{NO_BOOKS}")
        assert running is not None
        tasks = [asyncio.create_task(caller.run(running.url)) for caller in machine.callers]
        await until_all_are_told(machine.callers, {200})
        machine.outages += 1

        disk.fill(running)
        await until_all_are_told(machine.callers, {503})
        disk.clear(running)
        await until_all_are_told(machine.callers, {200})
        disk.fill(running)
        await until_all_are_told(machine.callers, {503})
        await machine.end_badly(running, tasks)
        disk.clear(running)
        assert '"event": "bug"' not in "".join(running.said)
        await machine.last_life()
        assert torture.tally.wrong == []
        assert torture.tally.calls["answered"] > 20
