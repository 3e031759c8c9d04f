"""Behaviour of the commands for organizations and keys."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from apertura.domain.keys import is_well_formed
from tests.cli.conftest import Run


@pytest.fixture
def org(run: Run) -> str:
    """The id of an organization called acme."""
    return run("orgs", "create", "acme", "--json").json["id"]


def test_an_organization_is_made_and_listed(run: Run) -> None:
    """Its id and name, as scripts rely on; a new one has nothing."""
    made = run("orgs", "create", "acme", "--json").json

    assert made.keys() == {"id", "name"}
    assert re.fullmatch(r"org_[a-z2-7]{20}", made["id"])
    (listed,) = run("orgs", "list", "--json").json
    assert listed == {**made, "status": "active", "balance_usd": "0.00"}
    table = run("orgs", "list").out.splitlines()
    assert table[0].split() == ["id", "name", "status", "balance_usd"]
    assert table[1].split() == [made["id"], "acme", "active", "0.00"]


@pytest.mark.parametrize("by", ["acme", "its id"])
def test_an_organization_is_suspended_and_resumed(run: Run, org: str, by: str) -> None:
    """By its name or its id."""
    named = org if by == "its id" else by

    assert run("orgs", "suspend", named, "--json").json == {"id": org, "status": "suspended"}
    assert run("orgs", "list", "--json").json[0]["status"] == "suspended"
    assert run("orgs", "resume", named, "--json").json == {"id": org, "status": "active"}
    assert run("orgs", "resume", named).out == f"{org} active\n"


def test_a_top_up_is_booked_once_for_its_reference(run: Run, org: str) -> None:
    """A repetition answers as the first one did; the books agree."""
    first = run("orgs", "top-up", "acme", "12.50", "--reference", "invoice 7", "--json").json
    again = run("orgs", "top-up", org, "12.5", "--reference", "invoice 7", "--json").json
    other = run("orgs", "top-up", "acme", "0.000000001", "--reference", "invoice 8", "--json").json

    assert first.keys() == {"transaction", "balance_usd"}
    assert first["balance_usd"] == "12.50"
    assert again == first
    assert other["balance_usd"] == "12.500000001"
    assert other["transaction"] != first["transaction"]
    assert run("orgs", "list", "--json").json[0]["balance_usd"] == "12.500000001"
    assert run("ledger", "audit").code == 0


def test_a_reference_of_another_amount_is_refused(run: Run, org: str) -> None:
    """Nothing is booked."""
    run("orgs", "top-up", org, "1", "--reference", "r")

    assert "reference 'r'" in run("orgs", "top-up", org, "2", "--reference", "r").err
    assert run("orgs", "list", "--json").json[0]["balance_usd"] == "1.00"


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "more than nothing"),
        ("-5", "less than nothing"),
        ("five", "'five' is not an amount"),
        ("0.0000000001", "finer than a billionth"),
        ("1e400", "too large"),
        ("1e999999", "too large"),
    ],
)
def test_an_amount_that_is_none_is_refused(run: Run, org: str, amount: str, words: str) -> None:
    """In a sentence."""
    done = run("orgs", "top-up", org, amount, "--reference", "r")

    assert done.code == 1
    assert words in done.err


def test_a_key_is_made_and_shown_once(run: Run, org: str) -> None:
    """Its id and itself; no list shows it again."""
    made = run("keys", "create", "--org", "acme", "--name", "first", "--json").json

    assert made.keys() == {"id", "key"}
    assert is_well_formed(made["key"])
    assert made["key"].startswith("sk-" + made["id"])
    listing = run("keys", "list", "--org", org, "--json")
    assert made["key"] not in listing.out
    (listed,) = listing.json
    assert listed == {
        "id": made["id"],
        "kind": "standard",
        "name": "first",
        "key": f"sk-{made['id'][:4]}…{made['key'][-4:]}",
        "status": "enabled",
        "quota_usd": None,
        "used_usd": "0.00",
        "calls": 0,
        "expires": None,
        "models": "",
        "ips": "",
        "scopes": "",
    }


def test_a_key_keeps_its_settings(run: Run, org: str) -> None:
    """Quota, models, addresses and expiry, in the forms that people write."""
    run(
        *("keys", "create", "--org", org, "--name", "narrow", "--quota", "2.5"),
        *("--models", "small, org/with:tag", "--ips", "10.0.0.1, 192.168.1.5/24"),
        *("--expires", "2030-01-31"),
    )

    (listed,) = run("keys", "list", "--org", org, "--json").json

    assert listed["quota_usd"] == "2.50"
    assert listed["models"] == "small,org/with:tag"
    assert listed["ips"] == "10.0.0.1/32,192.168.1.0/24"
    assert listed["expires"].startswith("2030-01-31 00:00:00")
    row = run("keys", "list", "--org", org).out.splitlines()[1]
    assert "narrow" in row
    assert "2.50" in row


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--quota", "much", "'much' is not an amount"),
        ("--quota", "-1", "less than nothing"),
        ("--ips", "10.0.0.0/8,here", "'here' is neither an address nor a subnet"),
        ("--expires", "tomorrow", "'tomorrow' is no date"),
        ("--org", "nobody", "there is no organization 'nobody'"),
    ],
)
def test_a_key_that_cannot_be_made_says_why(
    run: Run, org: str, flag: str, value: str, words: str
) -> None:
    """In a sentence, and no key is made."""
    done = run("keys", "create", "--org", org, "--name", "x", f"{flag}={value}")

    assert done.code == 1
    assert words in done.err
    assert run("keys", "list", "--org", org, "--json").json == []


def test_a_key_is_disabled_enabled_and_deleted(run: Run, org: str) -> None:
    """By its id; a deleted one is gone."""
    key_id = run("keys", "create", "--org", org, "--name", "x", "--json").json["id"]

    def status() -> list[str]:
        return [row["status"] for row in run("keys", "list", "--org", org, "--json").json]

    assert run("keys", "disable", key_id, "--json").json["id"] == key_id
    assert status() == ["disabled"]
    assert run("keys", "enable", key_id).out == f"{key_id} enabled\n"
    assert status() == ["enabled"]
    assert run("keys", "delete", key_id).out == f"{key_id} deleted\n"
    assert status() == []
    assert "there is no key with the id" in run("keys", "delete", key_id).err


def test_a_key_needs_the_servers_secret(run: Run, org: str, monkeypatch) -> None:
    """Without one, no key is made that no server would know."""
    monkeypatch.delenv("APERTURA_SECRET")

    done = run("keys", "create", "--org", org, "--name", "x")

    assert done.code == 1
    assert "APERTURA_SECRET is not set" in done.err


def test_names_that_are_not_unique_want_an_id(run: Run, org: str) -> None:
    """Both ids are told."""
    other = run("orgs", "create", "acme", "--json").json["id"]

    done = run("orgs", "suspend", "acme")

    assert done.code == 1
    assert org in done.err
    assert other in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("orgs", "suspend", "nobody"),
        ("orgs", "top-up", "nobody", "5", "--reference", "r"),
        ("keys", "list", "--org", "nobody"),
        ("keys", "disable", "nothing"),
    ],
)
def test_what_is_not_there_is_said(run: Run, arguments: tuple[str, ...]) -> None:
    """One sentence and exit code 1."""
    done = run(*arguments)

    assert done.code == 1
    assert re.search(r"there is no (organization|key)", done.err)


@pytest.mark.parametrize(
    "arguments",
    [(), ("orgs",), ("orgs", "create"), ("keys", "create", "--name", "x"), ("fly",)],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    """With how to use it, on the error output."""
    with pytest.raises(SystemExit) as left:
        run(*arguments)

    assert left.value.code == 2


def test_a_secret_is_no_flag(run: Run) -> None:
    """It would stand in every list of processes."""
    with pytest.raises(SystemExit):
        run("orgs", "list", "--secret", "x" * 32)


def test_the_database_is_for_its_owner_only(run: Run, org: str, folder: Path) -> None:
    """The folder and the file."""
    assert (folder / "data").stat().st_mode & 0o077 == 0
    assert (folder / "data" / "apertura.db").stat().st_mode & 0o077 == 0


def test_flags_name_another_installation(run: Run, org: str, folder: Path) -> None:
    """They win over the environment."""
    done = run("orgs", "list", "--json", "--data", str(folder / "other"))

    assert json.loads(done.out) == []


def test_an_admin_key_is_made_and_listed(run: Run, org: str) -> None:
    """Of its kind, told from others by its look; restricted where that is asked for."""
    boss = run("keys", "create", "--org", org, "--name", "boss", "--admin", "--json").json
    run("keys", "create", "--org", org, "--name", "viewer", "--admin", "--read-only")
    run("keys", "create", "--org", org, "--name", "some", "--admin", "--scopes", "keys, usage:read")

    assert boss["key"].startswith("sk-admin_" + boss["id"])
    assert is_well_formed(boss["key"])
    rows = run("keys", "list", "--org", org, "--json").json
    assert {row["kind"] for row in rows} == {"admin"}
    shown = {row["name"]: row["scopes"] for row in rows}
    assert shown == {"boss": "", "viewer": "read", "some": "keys,usage:read"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--read-only",), "give --admin too"),
        (("--scopes", "keys"), "give --admin too"),
        (("--admin", "--scopes", "root"), "'root' is no scope"),
        (("--admin", "--quota", "5"), "makes no calls"),
        (("--admin", "--models", "small"), "makes no calls"),
    ],
)
def test_options_of_keys_that_do_not_go_together(
    run: Run, org: str, options: tuple[str, ...], words: str
) -> None:
    """One sentence, and no key."""
    done = run("keys", "create", "--org", org, "--name", "x", *options)

    assert done.code == 1
    assert words in done.err
    assert run("keys", "list", "--org", org, "--json").json == []
