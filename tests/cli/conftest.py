"""The command line, run in this process on a data folder of the test's own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from apertura.cli.main import main
from apertura.store.catalog import shipped_hosts

SECRET = "the root secret of all of these tests"


class Done(NamedTuple):
    """What a command left: its exit code and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder; the environment names it and the secret, and nothing else of ours."""
    hosts = {host["env"] for host in shipped_hosts()}
    for name in list(os.environ):
        if name.startswith("APERTURA_") or name in hosts:
            monkeypatch.delenv(name)
    monkeypatch.setenv("APERTURA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("APERTURA_SECRET", SECRET)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; an error is one sentence, and goes where errors go."""

    def command(*arguments: str) -> Done:
        capsys.readouterr()
        done = Done(main(arguments), *capsys.readouterr())
        assert "Traceback" not in done.err
        if done.code == 1 and done.err:
            assert done.err.startswith("apertura: ")
            assert done.err.count("\n") == 1
        return done

    return command
