"""Behaviour of the command line as such: settings, errors, `serve`, `doctor`, the books."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

CONFIG = """
[[providers]]
name = "acme"
base_url = "http://x.example/v1"
api_key = "env:ACME_KEY"

[[offers]]
model = "small"
provider = "acme"
input_usd_per_million = "1"
output_usd_per_million = "2"

[[offers]]
model = "unpriced"
provider = "acme"

[[offers]]
model = "small"
provider = "acme"
kind = "embeddings"
input_usd_per_million = "1"
"""


@pytest.fixture
def config(folder: Path, monkeypatch) -> Path:
    """A configuration with two models at one provider."""
    path = folder / "apertura.toml"
    path.write_text(CONFIG)
    monkeypatch.setenv("APERTURA_CONFIG", str(path))
    monkeypatch.setenv("ACME_KEY", "canary-of-the-provider")
    return path


def test_the_installed_command_runs(folder: Path) -> None:
    """As a process: the version, and an error as one line."""
    command = [sys.executable, "-m", "apertura"]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    wrong = subprocess.run(
        [*command, "serve", "--port", "http"], capture_output=True, text=True, check=False
    )

    assert version.stdout.startswith("apertura ")
    assert wrong.returncode == 1
    assert wrong.stderr == "apertura: --port: 'http' is not a whole number\n"


def test_serve_refuses_without_a_secret(run: Run, monkeypatch) -> None:
    """It says what is missing, and how to make it."""
    monkeypatch.delenv("APERTURA_SECRET")

    done = run("serve")

    assert done.code == 1
    assert "APERTURA_SECRET is not set" in done.err
    assert "openssl rand -hex 32" in done.err


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("APERTURA_SECRET", "short", "APERTURA_SECRET: it is shorter than 32 bytes"),
        ("APERTURA_WORKERS", "2", "workers=2: rate limits are counted"),
        ("APERTURA_LIMIT_PER_KEY", "0/60", "APERTURA_LIMIT_PER_KEY: '0/60'"),
        ("APERTURA_CONFIG", "/nowhere/apertura.toml", "/nowhere/apertura.toml: cannot be read"),
        ("APERTURA_DATABASE", "mysql://x", "no database for mysql:"),
        ("APERTURA_DATABASE", "postgresql://a:b@127.0.0.1:1/x", "127.0.0.1:1/x cannot be opened"),
        ("APERTURA_DATABASE", "sqlite:/nowhere/x.db", "/nowhere/x.db"),
        ("APERTURA_DATA", "/dev/null/data", "/dev/null/data"),
    ],
)
def test_serve_refuses_settings_that_will_not_do(
    run: Run, monkeypatch, name: str, value: str, words: str
) -> None:
    """Before it listens; in one sentence that names the place."""
    monkeypatch.setenv("APERTURA_PORT", "0")
    monkeypatch.setenv(name, value)

    done = run("serve")

    assert done.code == 1
    assert words in done.err


def test_serve_refuses_a_port_that_is_taken(run: Run) -> None:
    """And says what to do."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        done = run("serve", "--port", str(holder.getsockname()[1]))

    assert done.code == 1
    assert "choose another with --port" in done.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("colour = 1", "there is no setting 'colour'"),
        ('[[offers]]\nmodel = "x"\nprovider = "nobody"', "offer 'x': there is no provider"),
        ('[[providers]]\nname = "odd"\nbase_url = "odd"', "provider 'odd': base_url"),
        ('[[providers]]\nname = "odd"\nbase_url = "http://x"\nauth = "o"', "provider 'odd': auth"),
    ],
)
def test_a_bad_configuration_names_the_entry(run: Run, config: Path, line: str, words: str) -> None:
    """Whatever command reads it."""
    bad = f"{line}\n{CONFIG}" if line[0] != "[" else f"{CONFIG}\n{line}"
    config.write_text(bad)

    for command in (("serve", "--port", "0"), ("route", "explain", "small")):
        done = run(*command)
        assert done.code == 1
        assert words in done.err


def test_migrate_says_what_it_did(run: Run) -> None:
    """And nothing the second time."""
    assert run("migrate").out.startswith("applied 0001")
    assert run("migrate").out == "The database is up to date.\n"


def test_an_audit_says_what_it_checked(run: Run, folder: Path) -> None:
    """Exit code 0 when the books agree, 1 with what is wrong when they do not."""
    run("orgs", "create", "acme")
    run("orgs", "top-up", "acme", "5", "--reference", "r")
    good = run("ledger", "audit", "--json").json
    assert good["findings"] == []
    assert len(good["checked"]) >= 2
    assert run("ledger", "audit").out.endswith("The books agree.\n")

    books = sqlite3.connect(folder / "data" / "apertura.db")
    books.execute("UPDATE accounts SET posted = posted + 1 WHERE id LIKE 'org:%'")
    books.commit()
    books.close()

    bad = run("ledger", "audit", "--json")
    assert bad.code == 1
    rules = {finding["rule"] for finding in json.loads(bad.out)["findings"]}
    assert rules >= {"each account holds the sum of its entries"}, rules
    assert run("ledger", "audit").out.endswith("The books do not agree.\n")


def test_a_route_is_explained(run: Run, config: Path) -> None:
    """Which offers are tried, in order, and why others are not."""
    rows = run("route", "explain", "small", "--json").json

    assert rows[0] == {
        "order": "1",
        "model": "small",
        "offer": "acme/small",
        "tried": "yes",
        "reason": "priority 0, weight 100",
    }
    assert rows[1]["tried"] == "no"
    assert rows[1]["reason"] == "it is for embeddings"
    assert "it is for chat" in run("route", "explain", "small", "--kind", "embeddings").out


def test_a_route_is_explained_as_a_request_would_have_it(run: Run, config: Path) -> None:
    """With what it needs and prefers; what is left out is shown even where nothing is left."""
    wish = json.dumps({"ignore": ["acme"]})
    done = run("route", "explain", "small", "--provider", wish, "--models", "none", "--needs", "")
    assert (done.code, "provider.ignore" in done.out, "'none'" in done.out) == (1, True, True)
    assert "No offer" in done.err
    for given, words in (
        (("--needs", "speed"), "audio, json_schema"),
        (("--provider", "[]"), "`provider`"),
        (("--provider", '{"zdr": true}'), "`provider.zdr`"),
        (("--provider", '{"only": ["nobody"]}'), "'nobody'"),
    ):
        done = run("route", "explain", "small", *given)
        assert (done.code, words in done.err) == (1, True), (given, done.err)


@pytest.mark.parametrize(
    ("model", "words"),
    [("none", "'none' does not exist"), ("unpriced", "'unpriced' cannot be served")],
)
def test_a_model_without_a_route_says_why(run: Run, config: Path, model: str, words: str) -> None:
    """Exit code 1."""
    done = run("route", "explain", model)

    assert done.code == 1
    assert words in done.err


def test_doctor_looks_and_changes_nothing(run: Run, folder: Path) -> None:
    """Before a first start all is well or worth a note, and nothing is made."""
    done = run("doctor")

    assert done.code == 0
    assert "the root secret is set" in done.out
    assert "there is no database yet" in done.out
    assert "no provider is set up" in done.out
    assert list(folder.iterdir()) == []


def test_doctor_knows_an_installation(run: Run, config: Path) -> None:
    """That which is there is named; no secret is shown."""
    run("migrate")

    done = run("doctor")

    assert done.code == 0
    assert "the database answers (SQLite)" in done.out
    assert "2 models at acme" in done.out
    assert "canary-of-the-provider" not in done.out


def test_doctor_finds_what_is_missing(run: Run, config: Path, monkeypatch) -> None:
    """Every fault, and exit code 1."""
    monkeypatch.delenv("APERTURA_SECRET")
    monkeypatch.delenv("ACME_KEY")
    data = Path(os.environ["APERTURA_DATA"])
    data.mkdir()
    (data / "apertura.db").write_bytes(b"no database, but a letter to the reader" * 100)

    done = run("doctor")

    assert done.code == 1
    bad = [line for line in done.out.splitlines() if line.startswith("BAD")]
    assert len(bad) == 3
    assert "APERTURA_SECRET is not set" in bad[0]
    assert "the database cannot be asked" in bad[1]
    assert "provider 'acme': api_key: the environment has no ACME_KEY" in bad[2]
