"""Groups of processes that the rig starts: their processor time, memory, pausing and ending.

Not a general supervisor: each group is one command started in a session of its own, so that its
process group is its process tree. The rule that keeps it honest: only a group that we started is
ever counted or signalled.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """The rig cannot go on; the message says why, for the reader."""


class Group:
    """A running command with its children."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                start_new_session=True,
            )

    def wait_until_it_listens(self, port: int, seconds: float = 60) -> None:
        """Return when `port` accepts connections; raise Failed if it never does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise Failed(f"{self.name} does not listen on port {port}:\n{self.log_end()}")

    def check_alive(self) -> None:
        """Raise Failed if the command has ended."""
        if self._process.poll() is not None:
            raise Failed(f"{self.name} ended by itself:\n{self.log_end()}")

    def log_end(self) -> str:
        """The last 2,000 bytes of what the command printed."""
        return self.log.read_bytes()[-2000:].decode(errors="replace").strip()

    def pause(self) -> None:
        """Stop every process of the group (SIGSTOP) so that it takes no processor time."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the group run again."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Ask the group to end, and end it if it has not after five seconds."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def processor_ns(self) -> dict[int, int]:
        """User and system time of each process of the group so far, in nanoseconds, by pid."""
        return {pid: _processor_ns(pid) for pid in self._members()}

    def memory_mib(self) -> float:
        """Proportional set size of the whole group, in MiB."""
        return sum(_pss_kib(pid) for pid in self._members()) / 1024

    def _members(self) -> Iterator[int]:
        for entry in PROC.iterdir():
            if entry.name.isdigit():
                stat = _stat(int(entry.name))
                if stat and int(stat[2]) == self._process.pid:
                    yield int(entry.name)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def spent_ns(before: Mapping[int, int], after: Mapping[int, int]) -> int:
    """Processor time between two readings; a process that was not there before counts whole."""
    return sum(ns - before.get(pid, 0) for pid, ns in after.items())


def _read(path: Path) -> str:
    """The text of a file of /proc, empty when its process is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, parent, group, ..."""
    return _read(PROC / str(pid) / "stat").rpartition(")")[2].split()


def _processor_ns(pid: int) -> int:
    """Precise where the kernel has schedstat; its threads that have ended are only in `stat`."""
    stat = _stat(pid)
    if not stat:
        return 0
    in_ticks = (int(stat[11]) + int(stat[12])) * TICK_NS
    precise = 0
    for task in (PROC / str(pid) / "task").glob("*"):
        fields = _read(task / "schedstat").split()
        precise += int(fields[0]) if fields else 0
    return max(in_ticks, precise)


def _pss_kib(pid: int) -> int:
    for line in _read(PROC / str(pid) / "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
