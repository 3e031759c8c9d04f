"""Behaviour of the commands for budgets and gifts."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def org(run: Run) -> str:
    """The id of an organization called acme."""
    return str(run("orgs", "create", "acme", "--json").json["id"])


def test_a_budget_is_set_and_taken_away(run: Run, org: str) -> None:
    """Of an organization, by name, and of a key, by id."""
    key = run("keys", "create", "--org", org, "--name", "k", "--json").json["id"]

    done = run("orgs", "budget", "acme", "50", "--reset-day", "15", "--json").json
    assert done == {"owner": org, "budget_usd": "50.00", "reset_day": 15}
    assert run("keys", "budget", key, "2.5").out == f"{key} may spend 2.50 USD a month from day 1\n"
    assert run("keys", "budget", key, "off").out == f"{key} has no budget\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("keys", "budget", "nobody", "1"), "no key with the id 'nobody'"),
        (("orgs", "budget", "nobody", "1"), "no organization 'nobody'"),
        (("orgs", "budget", "acme", "-1"), "less than nothing"),
        (("orgs", "budget", "acme", "1", "--reset-day", "29"), "from 1 to 28, not 29"),
        (("orgs", "give", "acme", "1", "--expires", "2020-01-01"), "is over already"),
        (("orgs", "give", "acme", "0", "--expires", "2220-01-01"), "nothing is no gift"),
        (("orgs", "give", "acme", "1", "--expires", "soon"), "'soon' is no date"),
    ],
)
def test_what_cannot_be_is_refused(
    run: Run, org: str, arguments: tuple[str, ...], words: str
) -> None:
    """In a sentence that names it."""
    done = run(*arguments)
    assert done.code != 0
    assert words in done.err


def test_a_gift_is_listed_with_what_is_left(run: Run, org: str) -> None:
    """And it stands in the books."""
    given = run("orgs", "give", "acme", "5", "--expires", "2220-01-01", "--note", "hi", "--json")
    assert given.json["amount_usd"] == "5.00"

    [row] = run("orgs", "promos", org, "--json").json
    assert (row["left_usd"], row["note"], row["id"]) == ("5.00", "hi", given.json["id"])
    assert run("orgs", "promos", org).out.splitlines()[1].split()[1:3] == ["5.00", "5.00"]
    assert run("ledger", "audit").code == 0
