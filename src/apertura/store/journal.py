"""An append-only file of call outcomes: what is not yet in the books survives `kill -9`.

A line is `crc32 in 8 hex digits, space, payload, line feed`, copied into a file that is mapped into
memory: no system call, and the kernel keeps the page when the process dies. Against a loss of
power there is `sync`. Files ("segments") have a fixed size, are given their disk space when they
are made (so that a full disk is an error there and never a signal in the middle of a copy), and are
deleted once all of their lines are in the books. One more is always made ahead: where the disk has
no room for it, `is_ready` says so while there is still a whole file for the calls that run.

What it is not: a log to read, or the books. Lines of an earlier life are `pending` until the owner
has settled them again (which changes nothing for those that were) and calls `forget`.

The rule that keeps it honest: a segment is read up to its first line whose checksum is wrong, and
deleted only by `settled` or `forget`.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import mmap
import os
import re
from collections import deque
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from apertura.errors import Unavailable
from apertura.store.database import out_of_service

SEGMENT_BYTES = 4 * 1024 * 1024
_FRAME = 10  # checksum, space, line feed
_LINE_FEED = 10  # as a number: looking for one is five times as fast as for a bytes object
_NAME = re.compile(r"(\d{12})\.journal")

_log = logging.getLogger(__name__)


class Journal:
    """One folder, one owner. Not for several threads; only `sync` uses another one, by itself."""

    def __init__(self, folder: Path, lock: int, old: list[Path], number: int) -> None:
        self._folder = folder
        self._lock = lock
        self._old = old
        self.pending: list[bytes] = [line for path in old for line in read_segment(path)]
        """Payloads of an earlier life, oldest first."""
        self._full: deque[_Segment] = deque()
        self._settled = 0
        self._current = _Segment(folder, number)
        self._next: _Segment | None = None
        self._try_to_prepare()

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """Take the folder (made if there is none), read what it holds, begin a new segment.

        Raises:
            Unavailable: another process has it, or the disk has no room for a segment.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise out_of_service(f"the journal {folder} cannot be opened: {error}") from error
        try:
            _take(lock, folder)
            old = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
            return cls(folder, lock, old, int(old[-1].name[:12]) + 1 if old else 1)
        except BaseException:
            os.close(lock)
            raise

    def append(self, line: bytes) -> int:
        """Write one payload; it survives the death of the process when this returns.

        Returns its mark: a number that grows from line to line.

        Raises:
            ValueError: it holds a line feed, or is larger than a segment.
            Unavailable: a new segment was needed and the disk has no room.
        """
        if _LINE_FEED in line:
            raise ValueError("a line of the journal cannot hold a line feed")
        current = self._current
        at = current.at
        end = at + len(line) + _FRAME
        if end > SEGMENT_BYTES:
            return self._append_to_next(line)
        current.map[at:end] = b"%08x %b\n" % (crc32(line), line)
        current.at = end
        return current.start + end

    def _append_to_next(self, line: bytes) -> int:
        if len(line) + _FRAME > SEGMENT_BYTES:
            raise ValueError(f"a line of {len(line)} bytes is larger than a journal segment")
        self.prepare()
        assert self._next is not None
        current, self._current, self._next = self._current, self._next, None
        self._current.start = current.start + current.at
        self._full.append(current)
        self._drop_settled()
        self._try_to_prepare()
        return self.append(line)

    @property
    def is_ready(self) -> bool:
        """Another segment is at hand: thousands more lines are safe, whatever the disk says."""
        return self._next is not None

    def prepare(self) -> None:
        """See that there is one. Raises: Unavailable: the disk has no room."""
        if self._next is None:
            self._next = _Segment(self._folder, self._current.number + 1)

    def _try_to_prepare(self) -> None:
        with suppress(Unavailable):  # `is_ready` tells
            self.prepare()

    def settled(self, mark: int) -> None:
        """Say that all lines up to and including `mark` are in the books."""
        self._settled = max(self._settled, mark)
        if self._full:
            self._drop_settled()

    def _drop_settled(self) -> None:
        while self._full and self._full[0].start + self._full[0].at <= self._settled:
            self._full.popleft().close(delete=True)

    def forget(self) -> None:
        """Delete the segments of earlier lives: `pending` is in the books."""
        for path in self._old:
            path.unlink(missing_ok=True)
        self._old, self.pending = [], []

    async def sync(self) -> None:
        """Bring to the disk what was appended before the call, in a thread.

        Raises:
            Unavailable: the disk refuses; the lines are still safe from the process's death.
        """
        behind = [part for part in (*self._full, self._current) if part.synced < part.at]
        if not behind:
            return
        # Duplicates, so that a segment may be dropped while the thread still writes it out.
        targets = [(part, part.at, os.dup(part.descriptor)) for part in behind]
        try:
            await asyncio.to_thread(_flush, self._folder, [number for _, _, number in targets])
        except OSError as error:
            raise out_of_service("the disk of the journal refuses to write") from error
        for part, at, _ in targets:
            part.synced = max(part.synced, at)

    def close(self) -> None:
        """Let the folder go. What is not settled stays in it for the next life."""
        for part in (*self._full, self._current):
            part.close(delete=part.start + part.at <= self._settled or part.at == 0)
        self._full.clear()
        if self._next is not None:
            self._next.close(delete=True)
        os.close(self._lock)


class _Segment:
    """One mapped file. `start` is the mark at its beginning, `at` how much of it is written."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.start = 0
        self.at = 0
        self.synced = 0
        self._path = folder / f"{number:012d}.journal"
        try:
            self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise out_of_service(f"no new file in the journal {folder}: {error}") from error
        try:
            os.posix_fallocate(self.descriptor, 0, SEGMENT_BYTES)
            self.map = mmap.mmap(self.descriptor, SEGMENT_BYTES)
        except OSError as error:
            os.close(self.descriptor)
            self._path.unlink()
            raise out_of_service(f"no room for the journal {folder}: {error}") from error

    def close(self, *, delete: bool) -> None:
        self.map.close()
        os.close(self.descriptor)
        if delete:
            self._path.unlink(missing_ok=True)


def read_segment(path: Path) -> list[bytes]:
    """The payloads of a segment, up to the first line that is not whole."""
    lines: list[bytes] = []
    data, at = path.read_bytes(), 0
    while (end := data.find(b"\n", at)) >= 0:
        frame = data[at:end]
        if frame[:9] != b"%08x " % crc32(frame[9:]):
            break
        lines.append(frame[9:])
        at = end + 1
    if data[at : at + 1] not in (b"", b"\0"):
        _log.warning("the journal %s ends with a torn line after %d whole ones", path, len(lines))
    return lines


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise out_of_service(
            f"the journal {folder} is in use by another process; "
            "two servers cannot share one data folder"
        ) from error


def _flush(folder: Path, descriptors: list[int]) -> None:
    """`fdatasync` also writes out mapped pages and, unlike msync, lets other threads run."""
    try:
        for number in descriptors:
            os.fdatasync(number)
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        for number in descriptors:
            os.close(number)
