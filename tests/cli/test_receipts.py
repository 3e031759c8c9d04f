"""Behaviour of the commands for receipts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from apertura.store.database import open_database
from apertura.store.migrate import migrate
from tests.cli.conftest import Run
from tests.store.examples import record, usage_row

CALL = "req_1"


@pytest.fixture
def call(folder: Path) -> str:
    """The id of a call in the books of the command line's database."""

    async def work() -> None:
        (folder / "data").mkdir()
        database = await open_database(f"sqlite:{folder}/data/apertura.db")
        await migrate(database)
        await record(database, [usage_row(CALL, cost=74_550, model="\x1b[31mred")])
        await database.close()

    asyncio.run(work())
    return CALL


@pytest.fixture
def receipt(run: Run, call: str, tmp_path: Path) -> Path:
    """A file with a signed receipt."""
    path = tmp_path / "receipt.json"
    path.write_text(run("receipts", "show", call, "--json").out)
    return path


def test_a_receipt_is_shown(run: Run, call: str) -> None:
    """For people: each fact a line, and nothing that acts on a terminal."""
    shown = run("receipts", "show", call).out

    assert "call          req_1" in shown
    assert "cost          0.00007455 USD" in shown
    assert "usage         100 input, 20 output" in shown
    assert "\x1b" not in shown


def test_a_genuine_receipt_is_recognized(run: Run, receipt: Path) -> None:
    """By the installation's own key; for scripts too."""
    done = run("receipts", "verify", str(receipt))

    assert done.code == 0
    assert done.out.startswith("The receipt is genuine.\n")
    said = run("receipts", "verify", str(receipt), "--json").json
    assert said["genuine"] is True
    assert said["receipt"]["cost"] == 74_550


def test_a_changed_one_is_not(run: Run, receipt: Path) -> None:
    """One sentence, exit code 1."""
    receipt.write_text(receipt.read_text().replace("74550", "74551"))

    done = run("receipts", "verify", str(receipt))

    assert (done.code, done.out) == (1, "")
    assert "not genuine: the signature is not under what it says" in done.err


def test_a_public_key_is_enough(
    run: Run, receipt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the secret, and without a database: as hex, as a file, as what a server published."""
    key = run("receipts", "public-key").out.strip()
    shown = run("receipts", "public-key", "--json").json
    assert shown["public_key"] == key
    (tmp_path / "key").write_text(f"{key}\n")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [shown]}))
    monkeypatch.delenv("APERTURA_SECRET")
    monkeypatch.setenv("APERTURA_DATA", str(tmp_path / "nowhere"))

    for given in (key, key.upper(), str(tmp_path / "key"), str(tmp_path / "keys.json")):
        assert run("receipts", "verify", str(receipt), "--key", given).code == 0

    assert not (tmp_path / "nowhere").exists()
    other = run("receipts", "verify", str(receipt), "--key", "0" * 64)
    assert (other.code, "not known" in other.err) == (1, True)
    assert "--key" in run("receipts", "verify", str(receipt)).err


def test_a_key_of_earlier_is_remembered(
    run: Run, receipt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the root secret has changed, if it is named."""
    key = run("receipts", "public-key").out.strip()
    monkeypatch.setenv("APERTURA_SECRET", "another root secret of this installation")

    assert run("receipts", "verify", str(receipt)).code == 1
    assert run("receipts", "verify", str(receipt), "--receipt-keys", key).code == 0


@pytest.mark.parametrize("text", ["", "no key", '{"keys": []}', '{"keys": [{"public_key": 1}]}'])
def test_a_file_without_a_key_is_refused(run: Run, receipt: Path, text: str) -> None:
    """In a sentence."""
    path = receipt.parent / "key"
    path.write_text(text)

    assert "no public key" in run("receipts", "verify", str(receipt), "--key", str(path)).err


def test_a_call_that_is_not_there_has_no_receipt(run: Run, call: str) -> None:
    """In a sentence."""
    assert "no call 'req_2'" in run("receipts", "show", "req_2").err
