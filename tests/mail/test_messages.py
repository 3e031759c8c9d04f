"""Behaviour of the words of mails."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain import alerts
from apertura.mail.base import Message
from apertura.mail.messages import TEMPLATES, Brand, UnknownTemplate, one_line, render
from tests.source import python_files, tree

BRAND = Brand(name="Ours", public_url="https://api.example.com")
NAMES = sorted(TEMPLATES)
FACTS = sorted(
    {fact for one in TEMPLATES.values() for _, fact in one.rows}
    | {
        fact
        for one in TEMPLATES.values()
        for fact in re.findall(r"\{(\w+)\}", one.subject + one.opening + one.closing)
    }
)
HOSTILE = "x\r\nBcc: all@example.org\n\n<script>alert('1')</script>\u202e{amount_usd}\x00\u2028"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen += [tag, *(f"{name}={value}" for name, value in attrs)]


def tags(html: str) -> list[str]:
    parser = _Tags()
    parser.feed(html)
    return parser.seen


def test_a_mail_has_a_subject_a_text_and_the_same_in_html() -> None:
    """As people see it."""
    facts = {"organization": "acme", "state": "low", "left_usd": "9.50"}
    written = render("low_balance", facts, BRAND)

    assert written.subject == "[Ours] Balance low: 9.50 USD left"
    assert written.text == (
        "The prepaid balance of acme is low: 9.50 USD are left.\n"
        "\n"
        "Organization: acme\n"
        "Balance:      9.50 USD\n"
        "\n"
        "Calls are refused once the balance is used up. These messages can be switched off, or "
        "sent at another threshold.\n"
        "\n"
        "-- \nOurs\nhttps://api.example.com\n"
    )
    for part in ("is low: 9.50 USD are left.", "<td>9.50 USD</td>", "https://api.example.com"):
        assert part in written.html


def test_the_subject_names_the_month_of_a_budget_and_the_cycle_of_a_plan() -> None:
    """So that the mails of two months are not taken for one."""
    budget = {"scope": 'the key "ci"', "month": "November 2026", "percent": "80 %"}
    assert (
        render("budget_reached", budget, BRAND).subject
        == '[Ours] Budget of the key "ci", November 2026: 80 % used'
    )
    cycle = {"plan": "pro", "cycle": "2026-11-03", "left": "180", "whole": "900"}
    assert (
        render("cycle_low", cycle, BRAND).subject
        == "[Ours] Plan pro, cycle from 2026-11-03: 180 of 900 credits left"
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_template_stands_without_its_facts(name: str) -> None:
    """A hole is no reason to send nothing."""
    written = render(name, {}, Brand(name="Ours"))

    assert written.subject.startswith("[Ours] ")
    assert "{" not in written.subject + written.text
    assert "http" not in written.text + written.html
    assert "<table" not in written.html


@pytest.mark.parametrize("name", NAMES)
def test_hostile_facts_stay_words(name: str) -> None:
    """No new line, no header, no tag, no field of another fact, in any place."""
    calm = render(name, dict.fromkeys(FACTS, "calm"), BRAND)
    written = render(name, dict.fromkeys(FACTS, HOSTILE), BRAND)

    assert written.subject.isprintable()
    assert written.text.count("\n") == calm.text.count("\n")
    assert tags(written.html) == tags(calm.html)
    for text in (written.subject, written.text, written.html):
        assert not set(text) & set("\r\x00\u202e\u2028")
    Message(id="1", recipient="a@b.example", subject=written.subject, text="", html="", at_ms=0)


def test_the_installation_s_own_name_is_escaped_too() -> None:
    """And its address."""
    written = render("test", {}, Brand(name="A <b> & Co", public_url='https://x.example/"><b>'))

    assert "b" not in tags(written.html)
    assert "A &lt;b&gt; &amp; Co" in written.html


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(FACTS), st.text(max_size=300)))
def test_any_facts_make_a_mail_that_can_be_sent(name: str, facts: dict[str, str]) -> None:
    """Whatever stands in them."""
    written = render(name, facts, BRAND)

    Message(id="1", recipient="a@b.example", subject=written.subject, text="", html="", at_ms=0)
    assert tags(written.html)[:4] == ["html", "lang=en", "head", "meta"]
    assert all(char.isprintable() or char == "\n" for char in written.text)


@given(st.text(max_size=200), st.integers(1, 50))
def test_a_line_is_one_and_short(text: str, most: int) -> None:
    """And making it one again changes nothing."""
    line = one_line(text, most)

    assert len(line) <= most
    assert line.isprintable()
    assert one_line(line, most) == line


def test_a_template_that_is_none_is_named() -> None:
    """The queue shows it."""
    with pytest.raises(UnknownTemplate, match="'nonsense'"):
        render("nonsense", {}, BRAND)


def test_every_mail_that_is_put_has_its_template() -> None:
    """Wherever in the source one is put by name; and none is there for nobody."""
    named = set(alerts.TEMPLATES.values()) | {"test"}
    for path in python_files("src"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.keyword) and node.arg == "template":
                named |= {
                    part.value
                    for part in ast.walk(node.value)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }

    assert named <= set(TEMPLATES)


def test_every_level_has_its_facts() -> None:
    """What an alert says fills its template: no hole, whatever the level."""
    for kind, template in alerts.TEMPLATES.items():
        for level in list(alerts.Level)[1:]:
            seen = alerts.Sighting(
                fund="f",
                kind=kind,
                org_id="o",
                organization="acme",
                name="ci",
                left=7_000_000_000,
                whole=50_000_000_000,
                until_ms=1_798_761_600_000,
                rule=alerts.DEFAULTS[kind],
            )
            written = render(template, alerts.facts_of(seen, level), BRAND)
            assert "…" not in written.subject + written.text
