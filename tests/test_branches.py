"""Every branch of the code of money is taken by the tests that are about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source import PACKAGE, ROOT

MODULES = (
    *("money", "pricing", "tariffs", "ceiling", "funds", "payers", "ledger"),
    *("plans", "cycles", "payments", "statements"),
)


@pytest.mark.slow
def test_every_branch_of_the_code_of_money_is_taken(tmp_path: Path) -> None:
    """By tests/domain alone: what only a test of the whole gateway reaches is not looked at."""
    (tmp_path / "rc").write_text(
        f"[run]\nbranch = True\ndata_file = {tmp_path / 'data'}\ninclude =\n"
        + "".join(f"  {PACKAGE / 'domain' / name}.py\n" for name in MODULES)
        + "[report]\nfail_under = 100\nprecision = 2\nshow_missing = True\nskip_covered = True\n"
    )

    run(tmp_path, "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/domain")
    run(tmp_path, "report")


def run(folder: Path, command: str, *arguments: str) -> None:
    rc = f"--rcfile={folder / 'rc'}"
    done = subprocess.run(
        [sys.executable, "-m", "coverage", command, rc, *arguments],
        cwd=ROOT,
        check=False,
        env={**os.environ, "HYPOTHESIS_PROFILE": "small"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
