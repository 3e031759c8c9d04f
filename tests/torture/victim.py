"""`apertura`, run so that it can be hurt: `python victim.py serve …` is `apertura serve …`.

The product knows nothing of this. Before its own `main` runs, three variables are read:

- `TORTURE_SET`: constants of modules, as `apertura.relay.leases:RENEW_SECONDS=0.2;…`, so that a
  test need not wait for a minute;
- `TORTURE_KILL_AT`: `relay/leases.py:123:7` is a SIGKILL to itself just before line 123 of that
  file is run for the 7th time, in whatever thread: between any two steps of the money's path,
  before and after each `await`;
- `TORTURE_SURVEY`: a file into which, at an orderly end, goes how often each line of that path ran.

The rule that keeps it honest: the kill is the kernel's, and nothing of Python's runs after it.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import apertura

SOURCE = str(Path(apertura.__file__).parent)
MONEY = (
    *("relay/purse.py", "relay/leases.py", "relay/settlement.py", "relay/relay.py"),
    *("store/charges.py", "store/funds.py", "store/ledger.py", "store/usage.py"),
    *("store/journal.py", "store/sqlite.py", "store/postgres.py", "domain/funds.py"),
)
"""The way of the money through a call, and to the books."""


def main() -> None:
    for assignment in filter(None, os.environ.get("TORTURE_SET", "").split(";")):
        place, _, value = assignment.partition("=")
        module, _, name = place.partition(":")
        loaded = importlib.import_module(module)
        assert hasattr(loaded, name), assignment
        setattr(loaded, name, json.loads(value))
    cli = importlib.import_module("apertura.cli.main")
    importlib.import_module("apertura.app")  # untraced: no money moves in an import
    if where := os.environ.get("TORTURE_KILL_AT"):
        trace(Kill(where))
    elif file := os.environ.get("TORTURE_SURVEY"):
        survey = Survey()
        atexit.register(survey.write, file)
        trace(survey)
    sys.exit(cli.main())


class Tracer:
    """Told of each line that runs in the files that it wants."""

    def __init__(self) -> None:
        self._wanted: dict[CodeType, bool] = {}

    def wants(self, code: CodeType) -> bool:
        raise NotImplementedError

    def line(self, frame: FrameType) -> None:
        raise NotImplementedError

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        wanted = self._wanted.get(code)
        if wanted is None:
            wanted = self._wanted[code] = self.wants(code)
        return self._inside if wanted else None

    def _inside(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            self.line(frame)
        return self._inside


class Kill(Tracer):
    """SIGKILL at the n-th time of a line."""

    def __init__(self, where: str) -> None:
        super().__init__()
        name, line, times = where.rsplit(":", 2)
        self._file, self._line, self._left = f"{SOURCE}/{name}", int(line), int(times)

    def wants(self, code: CodeType) -> bool:
        return code.co_filename == self._file and any(
            line == self._line for _, _, line in code.co_lines()
        )

    def line(self, frame: FrameType) -> None:
        if frame.f_lineno == self._line:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Survey(Tracer):
    """How often each line ran."""

    def __init__(self) -> None:
        super().__init__()
        self._files = {f"{SOURCE}/{name}": name for name in MONEY}
        self._counts: Counter[tuple[str, int]] = Counter()

    def wants(self, code: CodeType) -> bool:
        # A module's or a class's own body runs once, while it is imported: no money moves there.
        return code.co_filename in self._files and bool(code.co_flags & 0x2)

    def line(self, frame: FrameType) -> None:
        self._counts[self._files[frame.f_code.co_filename], frame.f_lineno] += 1

    def write(self, file: str) -> None:
        sys.settrace(None)
        rows = {f"{name}:{line}": count for (name, line), count in sorted(self._counts.items())}
        Path(file).write_text(json.dumps(rows, indent=0))


def trace(tracer: Tracer) -> None:
    """In this thread and in those to come."""
    threading.settrace(tracer)
    sys.settrace(tracer)


if __name__ == "__main__":
    main()
