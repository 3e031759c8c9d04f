"""Behaviour of the journal, on real files and across the death of a process."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import Unavailable
from apertura.store.journal import SEGMENT_BYTES, Journal, read_segment

BIG = SEGMENT_BYTES // 4  # three fit in a segment

WRITES_UNTIL_KILLED = """
import sys
from pathlib import Path
from apertura.store.journal import Journal
journal = Journal.open(Path(sys.argv[1]))
number = 0
while True:
    journal.append(b"%d " % number + b"x" * 20_000)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.journal"))


def test_lines_come_back_in_the_next_life(tmp_path: Path) -> None:
    """What was not settled is pending after a restart, in order, until it is forgotten."""
    lines = [b"one", b"", b"three \x00\xff", "vier ü".encode()]
    journal = Journal.open(tmp_path)
    for line in lines:
        journal.append(line)
    journal.close()

    second = Journal.open(tmp_path)
    assert second.pending == lines
    second.append(b"five")
    second.close()

    third = Journal.open(tmp_path)
    assert third.pending == [*lines, b"five"]
    third.forget()
    assert third.pending == []
    third.close()
    assert segments(tmp_path) == []


def test_what_is_settled_does_not_come_back(tmp_path: Path) -> None:
    """A journal that is closed with everything in the books leaves no segment behind."""
    journal = Journal.open(tmp_path)
    marks = [journal.append(b"a line") for _ in range(10)]
    assert marks == sorted(set(marks))
    journal.settled(marks[-1])
    journal.close()

    assert segments(tmp_path) == []


def test_full_segments_are_deleted_when_settled(tmp_path: Path) -> None:
    """The journal rotates when full; a segment goes with its last line and not before."""
    journal = Journal.open(tmp_path)
    marks = [journal.append(bytes([number]) * BIG) for number in range(20, 29)]
    ahead = "000000000004.journal"
    assert segments(tmp_path) == [*(f"{number:012d}.journal" for number in (1, 2, 3)), ahead]
    journal.settled(marks[1])
    assert len(segments(tmp_path)) == 4
    journal.settled(marks[4])
    assert segments(tmp_path) == [*(f"{number:012d}.journal" for number in (2, 3)), ahead]
    journal.settled(marks[8])
    assert segments(tmp_path) == ["000000000003.journal", ahead]
    journal.close()
    assert segments(tmp_path) == []


def test_rotation_keeps_all_lines(tmp_path: Path) -> None:
    """Lines over several segments come back in order."""
    lines = [bytes([number]) * BIG for number in range(20, 29)]
    journal = Journal.open(tmp_path)
    for line in lines:
        journal.append(line)
    journal.close()

    again = Journal.open(tmp_path)
    assert again.pending == lines
    again.forget()
    again.close()


def test_a_line_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    """Larger than a segment, or with a line feed: an error of the caller; the largest one fits."""
    journal = Journal.open(tmp_path)
    with pytest.raises(ValueError, match="larger than a journal segment"):
        journal.append(b"x" * (SEGMENT_BYTES - 9))
    with pytest.raises(ValueError, match="line feed"):
        journal.append(b"two\nlines")
    journal.append(b"x" * (SEGMENT_BYTES - 10))
    journal.append(b"small")
    journal.close()

    again = Journal.open(tmp_path)
    assert [len(line) for line in again.pending] == [SEGMENT_BYTES - 10, 5]
    again.close()


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    """A second journal on the same folder is refused with the reason, until the first is closed."""
    journal = Journal.open(tmp_path)
    with pytest.raises(Unavailable, match="in use by another process"):
        Journal.open(tmp_path)
    journal.close()

    Journal.open(tmp_path).close()


def test_kill_9_loses_no_line(tmp_path: Path) -> None:
    """Each line whose append returned is there after SIGKILL, over several segments."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES_UNTIL_KILLED, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if int(line) >= 500:
            break
    os.kill(process.pid, signal.SIGKILL)
    said = [int(line) for line in process.stdout.read().splitlines(keepends=True) if "\n" in line]
    process.stdout.close()
    process.wait()
    last = said[-1] if said else 500

    journal = Journal.open(tmp_path)
    numbers = [int(line.split()[0]) for line in journal.pending]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= last + 1
    journal.forget()
    journal.close()


@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b), max_size=8), st.data())
def test_a_torn_end_costs_only_what_was_torn(lines: list[bytes], data: st.DataObject) -> None:
    """Cut a segment at any byte and spoil what follows: whole lines before it come back."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        journal = Journal.open(folder)
        ends = [0, *[journal.append(line) for line in lines]]
        journal.close()
        if not lines:
            assert segments(folder) == []
            return
        path = folder / segments(folder)[0]
        cut = data.draw(st.integers(0, ends[-1]))
        spoiled = path.read_bytes()[:cut] + data.draw(st.sampled_from([b"", b"\0" * 50, b"?" * 50]))
        path.write_bytes(spoiled)

        whole = sum(1 for end in ends[1:] if end <= cut)
        assert read_segment(path) == lines[:whole]


def test_a_full_disk_is_said_at_the_opening_and_at_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No room for a segment is a 503; nothing is left half made; with room again it goes on."""

    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    real = os.posix_fallocate
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(Unavailable, match="No space left"):
        Journal.open(tmp_path)
    assert segments(tmp_path) == []

    monkeypatch.setattr(os, "posix_fallocate", real)
    journal = Journal.open(tmp_path)
    assert journal.is_ready
    for _ in range(3):
        journal.append(b"x" * BIG)
    monkeypatch.setattr(os, "posix_fallocate", full)
    for _ in range(3):
        journal.append(b"y" * BIG)
        assert not journal.is_ready, "said while there is a whole segment left"
    with pytest.raises(Unavailable, match="No space left"):
        journal.append(b"lost" * (BIG // 4))
    journal.append(b"small ones still fit")
    with pytest.raises(Unavailable, match="No space left"):
        journal.prepare()
    monkeypatch.setattr(os, "posix_fallocate", real)
    journal.prepare()
    assert journal.is_ready
    journal.append(b"z" * BIG)
    journal.close()

    again = Journal.open(tmp_path)
    assert [line[:1] for line in again.pending] == [*[b"x"] * 3, *[b"y"] * 3, b"s", b"z"]
    again.close()


async def test_sync_covers_what_was_appended(tmp_path: Path) -> None:
    """After a sync nothing is behind; a segment settled meanwhile does no harm."""
    journal = Journal.open(tmp_path)
    marks = [journal.append(b"x" * BIG) for _ in range(5)]
    await journal.sync()
    assert all(part.synced == part.at for part in (*journal._full, journal._current))

    journal.append(b"more")
    syncing = asyncio.create_task(journal.sync())
    await asyncio.sleep(0)
    journal.settled(marks[-1])
    await syncing
    await journal.sync()
    journal.close()


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    """Only files that are called like a segment are read or deleted."""
    (tmp_path / "notes.txt").write_text("mine")
    journal = Journal.open(tmp_path)
    journal.forget()
    journal.close()

    assert (tmp_path / "notes.txt").read_text() == "mine"
