"""Behaviour of the commands for plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from apertura.domain.keys import is_well_formed
from tests.cli.conftest import Run


@pytest.fixture
def org(run: Run) -> str:
    """The id of an organization called acme."""
    return str(run("orgs", "create", "acme", "--json").json["id"])


def started(run: Run, plan: str = "lite", *more: str) -> dict[str, str]:
    begun = run("plans", "start", "acme", plan, "--reference", "invoice 1", *more, "--json").json
    assert begun.keys() == {"subscription", "id", "key"}
    return dict(begun)


def test_the_shipped_plans_are_listed(run: Run, folder: Path) -> None:
    """With what they cost and include."""
    listed = run("plans", "list", "--json").json

    assert [plan["id"] for plan in listed] == ["lite", "pro", "plus", "max"]
    assert [plan["monthly_usd"] for plan in listed] == ["12.00", "25.00", "60.00", "200.00"]
    assert [plan["credits"] for plan in listed] == [600, 900, 1500, 5000]
    assert [plan["calls_per_minute"] for plan in listed] == [15, 20, 25, 30]
    assert [plan["quarterly_usd"] for plan in listed][:2] == ["32.40", "67.50"]
    assert [plan["yearly_usd"] for plan in listed][:2] == ["115.20", "240.00"]
    assert run("plans", "list").out.splitlines()[1].split()[:2] == ["lite", "Lite"]


def test_a_plan_is_started_and_shown(run: Run, org: str) -> None:
    """Its key is told once; its payment is in the books."""
    begun = started(run, "pro", "--period", "quarterly")

    assert begun["key"].startswith("sk-sub-")
    assert is_well_formed(begun["key"])
    shown = run("plans", "show", "acme", "--json").json
    assert (shown["id"], shown["org"]) == (begun["subscription"], org)
    assert (shown["plan"], shown["period"], shown["status"]) == ("pro", "quarterly", "active")
    assert (shown["credits"], shown["used"], shown["remaining"]) == (900, 0, 900)
    assert shown["price_usd"] == "67.50"
    assert shown["key"] == f"sk-sub-{begun['id'][:4]}…{begun['key'][-4:]}"
    assert begun["key"] not in run("plans", "show", org).out
    assert run("ledger", "audit").code == 0
    again = run("plans", "start", "acme", "lite", "--reference", "invoice 2")
    assert "change or end that" in again.err


def test_a_reference_pays_one_period(run: Run, org: str) -> None:
    """The same one again changes nothing; one of another payment is refused."""
    started(run)
    renew = ("plans", "renew", "acme", "--json", "--reference")

    once = run(*renew, "invoice 2").json["paid_until"]
    assert run(*renew, "invoice 2").json["paid_until"] == once
    assert run(*renew, "invoice 3").json["paid_until"] > once

    run("orgs", "create", "other")
    refused = run("plans", "start", "other", "pro", "--reference", "invoice 2")
    assert "invoice 2" in refused.err
    assert "no subscription" in run("plans", "show", "other").err
    assert run("ledger", "audit").code == 0


def test_an_upgrade_is_booked_and_holds_at_once(run: Run, org: str) -> None:
    """For what it costs, which is said."""
    started(run)
    refused = run("plans", "change", "acme", "pro")
    assert "13.00 USD now" in refused.err or "12.99 USD now" in refused.err

    for _ in range(2):
        shown = run("plans", "change", "acme", "pro", "--reference", "upgrade", "--json").json
        assert (shown["plan"], shown["next_plan"]) == ("pro", None)
        assert 899 <= shown["credits"] <= 900
    lower = run("plans", "change", "acme", "lite", "--period", "yearly", "--json").json
    assert (lower["plan"], lower["next_plan"]) == ("pro", "lite yearly")
    assert run("ledger", "audit").code == 0


def test_a_plan_is_cancelled_and_resumed(run: Run, org: str) -> None:
    """With what is paid; or ended at once."""
    started(run)

    assert run("plans", "cancel", "acme", "--json").json["status"] == "cancelled"
    assert run("plans", "resume", "acme", "--json").json["status"] == "active"
    ended = run("plans", "cancel", "acme", "--now", "--json").json
    assert ended["status"] == "expired"
    assert [line.split(" ", 1)[1] for line in ended["history"]][-3:] == [
        "cancelled",
        "resumed",
        "ended",
    ]
    assert "has ended" in run("plans", "resume", "acme").err


def test_fallback_is_switched(run: Run, org: str) -> None:
    """With a cap, without, and off."""
    started(run)

    def switched(*words: str) -> tuple[str, str | None]:
        shown = run("plans", "fallback", "acme", *words, "--json").json
        return shown["fallback"], shown["fallback_cap_usd"]

    assert switched("on", "--cap", "50") == ("on", "50.00")
    assert switched("on") == ("on", None)
    assert switched("on", "--cap", "0") == ("off", "0.00")
    assert switched("off") == ("off", None)
    assert "less than nothing" in run("plans", "fallback", "acme", "on", "--cap=-1").err


def test_a_key_is_replaced(run: Run, org: str) -> None:
    """By one of the same id."""
    first = started(run)

    second = run("plans", "key", "acme", "--json").json

    assert second["id"] == first["id"]
    assert second["key"] != first["key"]
    assert is_well_formed(second["key"])
    assert "not shown again" in run("plans", "key", "acme").out


def test_own_plans_change_and_add(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Field by field; what they say wrongly is refused with the entry and the field."""
    file = folder / "apertura.toml"
    monkeypatch.setenv("APERTURA_CONFIG", str(file))
    file.write_text(
        '[[plans]]\nid = "lite"\nusd_per_month = "9"\n\n'
        '[[plans]]\nid = "team"\ntitle = "Team"\nusd_per_month = "500"\n'
        "allowance = 20000\ncalls_per_minute = 60\n"
    )

    listed = {plan["id"]: plan for plan in run("plans", "list", "--json").json}
    assert list(listed) == ["lite", "pro", "plus", "max", "team"]
    assert (listed["lite"]["monthly_usd"], listed["lite"]["credits"]) == ("9.00", 600)

    file.write_text('[[plans]]\nid = "lite"\nallowance = "many"\n')
    assert "plan 'lite'" in run("plans", "list").err
    assert "allowance" in run("plans", "list").err
    file.write_text('plans = "lite"\n')
    assert "[[plans]]" in run("plans", "list").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plans", "show", "nobody"), "no organization 'nobody'"),
        (("plans", "show", "acme"), "no subscription"),
        (("plans", "start", "acme", "gold", "--reference", "r"), "no plan 'gold'"),
        (("plans", "start", "acme", "lite", "--reference", " "), "has a reference"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, org: str, words: tuple[str, ...], said: str) -> None:
    """In a sentence."""
    assert said in run(*words).err
