"""Behaviour of `apertura mail`, and of what `doctor` says of the mail server."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.postbox import postbox


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APERTURA_MAIL_FROM", "Bills <bills@ours.example>")
    monkeypatch.setenv("APERTURA_NAME", "Ours")


def test_a_test_message_says_what_the_server_said(run: Run, sender: None, monkeypatch) -> None:
    """Taken or not; for people and for scripts."""
    with postbox() as box:
        monkeypatch.setenv("APERTURA_SMTP_URL", box.url)
        box.on_data = lambda: "250 queued as 4711"
        assert run("mail", "test", "ann@x.example").out == "The server took it: queued as 4711\n"
        box.answers["bob@x.example"] = "550 5.1.1 no such user"
        refused = run("mail", "test", "bob@x.example")
        told = run("mail", "test", "ann@x.example", "--json").json

    assert refused.code == 1
    assert refused.out == "The server did not take it: 550 5.1.1 no such user\n"
    assert told == {"delivered": True, "server": "queued as 4711"}
    assert [letter.recipients for letter in box.letters] == [["ann@x.example"]] * 2
    assert box.letters[0].message["from"] == "Bills <bills@ours.example>"
    assert box.letters[0].message["subject"] == "[Ours] A test of mail"


def test_a_test_wants_a_server_a_sender_and_an_address(run: Run, monkeypatch) -> None:
    """Each missing one in a sentence."""
    assert "APERTURA_SMTP_URL is not set" in run("mail", "test", "ann@x.example").err
    monkeypatch.setenv("APERTURA_SMTP_URL", "smtp://127.0.0.1:9?tls=off")
    assert "mail_from is not" in run("mail", "test", "ann@x.example").err
    monkeypatch.setenv("APERTURA_MAIL_FROM", "nobody")
    assert "'nobody' is no mail address" in run("mail", "test", "ann@x.example").err
    monkeypatch.setenv("APERTURA_MAIL_FROM", "bills@ours.example")
    assert "'nobody' is no mail address" in run("mail", "test", "nobody").err


def test_a_password_has_no_flag_and_is_not_repeated(run: Run, monkeypatch, capsys) -> None:
    """What stands on a command line is there for all to read."""
    with pytest.raises(SystemExit):
        run("mail", "test", "--smtp-url", "smtp://u:canary@h", "ann@x.example")
    monkeypatch.setenv("APERTURA_SMTP_URL", "smpt://u:canary@h")
    assert "APERTURA_SMTP_URL: it is no URL such as" in (said := run("mail", "queue").err)
    assert "canary" not in said


def test_the_queue_shows_what_was_not_sent(run: Run, folder: Path) -> None:
    """And why; an empty one is empty."""
    assert run("mail", "queue", "--json").json == []
    now = time.time_ns() // 1_000_000
    with closing(sqlite3.connect(folder / "data" / "apertura.db")) as file:
        file.execute("INSERT INTO mails VALUES ('k', 'org_1', 'low_balance', '{}', ?)", (now,))
        file.execute(
            "INSERT INTO mail_copies VALUES "
            "('c', 'k', 'ann@x.example', 'given-up', 6, ?, '', '550 no such user', ?)",
            (now, now),
        )
        file.commit()

    (shown,) = run("mail", "queue", "--json").json
    assert shown == {
        "id": "c",
        "key": "k",
        "org_id": "org_1",
        "template": "low_balance",
        "recipient": "ann@x.example",
        "status": "given-up",
        "attempts": 6,
        "created_at": now,
        "due_at": now,
        "error": "550 no such user",
    }
    table = run("mail", "queue").out.splitlines()
    assert table[0].split() == [
        *("written", "organization", "template", "recipient", "status", "tries", "next", "why")
    ]
    assert "given-up" in table[1]
    assert table[1].endswith("550 no such user")


def test_mail_that_was_given_up_is_tried_again(run: Run, folder: Path) -> None:
    """All of it, or one by its id; what is not there is said so."""
    assert run("mail", "retry", "--json").json == {"waiting": 0}
    now = time.time_ns() // 1_000_000
    with closing(sqlite3.connect(folder / "data" / "apertura.db")) as file:
        file.execute("INSERT INTO mails VALUES ('k', 'org_1', 'low_balance', '{}', ?)", (now,))
        for name in ("a", "b"):
            file.execute(
                "INSERT INTO mail_copies VALUES (?, 'k', ?, 'given-up', 6, ?, '', '550 no', ?)",
                (name, f"{name}@x.example", now, now),
            )
        file.commit()

    assert run("mail", "retry", "a").out == "1 is tried again\n"
    assert {one["id"]: one["status"] for one in run("mail", "queue", "--json").json} == {
        "a": "waiting",
        "b": "given-up",
    }
    assert run("mail", "retry", "--json").json == {"waiting": 1}
    unknown = run("mail", "retry", "none")
    assert unknown.code == 1
    assert "no mail 'none' that was given up" in unknown.err


def test_doctor_reaches_the_mail_server(run: Run, sender: None, monkeypatch) -> None:
    """Without a server mail waits, which is no fault; one that cannot be used is."""
    assert "note  no mail server is set up (APERTURA_SMTP_URL): mail waits\n" in run("doctor").out
    with postbox() as box:
        monkeypatch.setenv("APERTURA_SMTP_URL", box.url)
        assert f"ok    the mail server 127.0.0.1:{box.port} answers\n" in run("doctor").out

    down = run("doctor")

    assert down.code == 1
    assert "BAD   the mail server cannot be used: " in down.out
    assert box.letters == []
