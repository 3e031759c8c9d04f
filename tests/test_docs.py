"""The manual, held to the code: what is there is written down, and nothing else is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apertura import urls
from apertura.settings import TABLE
from apertura.store.catalog import shipped_hosts
from tests.source import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "benchmarks" / "README.md"])
OURS = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
PARTS_OF_A_DECISION = ["Context", "Decision", "Consequences", "Alternatives"]

# Words that have a better one in the glossary, or promise instead of saying. The glossary may
# name the ones that it replaces, and none of those stands here.
NOT_OUR_WORDS = (
    "blazing",
    "cutting-edge",
    "deposit",
    "easily",
    "effortless",
    "enterprise-grade",
    "failover",
    "leverage",
    "middleman",
    "obviously",
    "powerful",
    "principal",
    "reservation",
    "robust",
    "seamless",
    "simply",
    "state-of-the-art",
    "utilize",
    "vendor",
    "workspace",
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_generated_pages_are_fresh() -> None:
    """docs/reference says what the code says: `python tools/reference.py` has been run.

    The tool itself fails where a setting, command, endpoint, parameter, error code, log field or
    event of the process has no entry.
    """
    command = [sys.executable, "tools/reference.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    """Each link to another page, and to a heading of it, resolves."""
    broken = [link for link in links(path) if not resolves(path, link)]

    assert [] == broken


def test_pages_can_be_found() -> None:
    """Each page of the manual is linked from its index."""
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "index.md")}
    unlinked = {name(path) for path in DOCS.rglob("*.md") if path not in linked}

    assert {"docs/index.md"} == unlinked


@pytest.mark.parametrize("path", OURS, ids=name)
def test_python_in_the_pages_compiles(path: Path) -> None:
    """Code in Python is code in Python."""
    for language, code in FENCE.findall(path.read_text()):
        if language == "python":
            ast.parse(code)


def test_python_in_the_pages_calls_what_we_offer() -> None:
    """Each base URL in the examples is one that the server answers."""
    bases = {base for path in OURS for base in re.findall(r'base_?URL[=:] ?"([^"]+)', code(path))}
    bases |= {base for path in OURS for base in re.findall(r'base_url="([^"]+)', code(path))}
    paths = {"/" + base.partition("://")[2].partition("/")[2] for base in bases}

    assert {"/v1"} <= paths
    assert paths <= {base or "/" for base in urls.BASES}


def test_commands_of_make_exist() -> None:
    """Each `make` command of the manual is a target."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {
        target
        for path in OURS
        for target in re.findall(r"(?:`|^|=… )make ([a-z]+)", path.read_text(), re.MULTILINE)
    }

    assert {"run", "test", "bench"} <= named
    assert named <= targets


def test_commands_of_apertura_exist() -> None:
    """Each `apertura` command of the manual stands in the reference, with its flags."""
    reference = (DOCS / "reference" / "commands.md").read_text()
    known = set(re.findall(r"^## apertura (.+)$", reference, re.MULTILINE))
    flags = set(re.findall(r"--[a-z-]+", reference + (DOCS / "reference/settings.md").read_text()))
    named = {
        (words, tuple(re.findall(r"--[a-z-]+", line)))
        for path in OURS
        for line in shell(path)
        if (words := command(line))
    }

    assert {"serve", "doctor", "keys create"} <= {words for words, _ in named}
    assert set() == {words for words, _ in named if words not in known}
    assert set() == {flag for _, used in named for flag in used} - flags


def test_settings_that_are_named_exist() -> None:
    """Each `APERTURA_…` of the manual is a setting."""
    settings = {f"APERTURA_{setting.name.upper()}" for setting in TABLE}
    named = {
        variable
        for path in [*OURS, ROOT / "SECURITY.md"]
        for variable in re.findall(r"APERTURA_[A-Z_]+", path.read_text())
    }

    assert named <= settings


def test_every_provider_is_listed() -> None:
    """The guide's table has each shipped provider, with its key, and whether offers come along."""
    catalogue = {path.stem for path in (ROOT / "src/apertura/catalogue").glob("*.toml")}
    shipped = {
        (host["title"], host["name"], host["env"], host["name"] in catalogue)
        for host in shipped_hosts()
    }
    guide = (DOCS / "guide" / "providers-and-offers.md").read_text()
    rows = re.findall(r"^\| (.+) \| `(.+)` \| `(.+)` \| ?(yes)? ?\|$", guide, re.MULTILINE)

    assert shipped == {(title, host, env, yes == "yes") for title, host, env, yes in rows}


def test_decisions_are_numbered() -> None:
    """0001, 0002, and so on: no number twice, none left out, each in its title too."""
    numbers = [path.name[:4] for path in DECISIONS]

    assert [f"{n:04d}" for n in range(1, len(numbers) + 1)] == numbers
    assert numbers == [path.read_text()[2:6] for path in DECISIONS]


@pytest.mark.parametrize("path", DECISIONS, ids=name)
def test_decisions_have_their_parts(path: Path) -> None:
    """Context, decision, consequences, alternatives, on half a page."""
    text = path.read_text()

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS_OF_A_DECISION
    assert len(text.split()) < 400


@pytest.mark.parametrize("path", OURS, ids=name)
def test_words_are_ours(path: Path) -> None:
    """The glossary's words, and none that promise instead of saying."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text())).lower()
    found = [word for word in NOT_OUR_WORDS if re.search(rf"\b{re.escape(word)}", text)]

    assert [] == found


@pytest.mark.parametrize("path", OURS, ids=name)
def test_lines_fit(path: Path) -> None:
    """Prose is wrapped at 100 characters; tables and generated pages are not."""
    written = path.parent.name != "reference"
    lines = path.read_text().splitlines() if written else []

    assert [] == [line for line in lines if len(line) > 100 and not line.startswith("|")]


def links(path: Path) -> Iterator[str]:
    """The links of a page, but those to the outside."""
    for link in LINK.findall(FENCE.sub("", path.read_text())):
        if not re.match(r"[a-z]+:", link):
            yield link


def resolves(path: Path, link: str) -> bool:
    place, _, heading = link.partition("#")
    target = (path.parent / place).resolve() if place else path
    if not target.is_file():
        return False
    return not heading or heading in anchors(target)


def anchors(path: Path) -> set[str]:
    """How headings are linked to: in lower case, with hyphens."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code(path: Path) -> str:
    """All code blocks of a page but those in TOML, whose base URLs are providers'."""
    blocks = FENCE.findall(path.read_text())
    return "\n".join(text for language, text in blocks if language != "toml")


def shell(path: Path) -> Iterator[str]:
    """The lines of a page's shell blocks, without comments."""
    for language, text in FENCE.findall(path.read_text()):
        if language == "sh":
            yield from (line.partition(" #")[0] for line in text.splitlines())


def command(line: str) -> str:
    """`keys create` of a line that calls `apertura`; empty for another one."""
    called = re.match(r"(?:\S*/)?apertura ((?:[a-z-]+ ?)+)", line)
    if called is None:
        return ""
    words = called[1].split()
    return " ".join(words[: 1 if words[0] in ("serve", "doctor", "migrate") else 2])
