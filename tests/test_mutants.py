"""The tests of money notice small changes of its code: a sample; `make soak` tries all of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.source import ROOT


@pytest.mark.slow
def test_each_mutant_of_a_sample_is_killed() -> None:
    """Or is known to change nothing; which ones they are changes with the code only."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "mutants.py"), "--sample", "12"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
