"""The style of the project, held by a test: limits are cheap on day one."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import (
    PACKAGE,
    ROOT,
    at,
    has_code,
    inside,
    python_files,
    tracked_files,
    tree,
    words,
)

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
OURS = python_files("src")
EVERYTHING = python_files("src", "tests")
MONEY = ("money", "pricing", "tariffs", "ceiling", "ledger", "funds", "plans")
# The edges; and those that carry what they catch to whoever asks: the two that write for others,
# and a handler run in steps.
WRITERS = ("store/sqlite.py", "store/postgres.py")
MAY_CATCH_ALL = ("app.py", "relay/reply.py", "relay/steps.py", "jobs/", *WRITERS)

# Words that have a better one in the glossary. Only those that no foreign format forces on us.
NOT_OUR_WORDS = {
    "deposit": "top-up",
    "failover": "fallback",
    "principal": "caller",
    "reservation": "hold",
    "vendor": "provider",
    "workspace": "organization",
}

# Written so that this file does not find itself.
OF_A_MACHINE = re.compile(
    r"(?<![\w.-])/(?:work|root|Users)/\S*"
    r"|/opt/(?:pypi|wheels)\S*"
    r"|(?<!no-emit-)(?:extra-)?index[-]url\b.*"
    r"|https?://\S+/[s]imple\b\S*"
    r"|BEGIN [A-Z ]*PRIVATE[ ]KEY"
)


def test_files_fit_a_reader() -> None:
    """No module is longer than 400 lines."""
    long = {at(path, n) for path in EVERYTHING if (n := lines(path.read_text())) > FILE_LINES_MAX}

    assert set() == long


def test_functions_fit_a_screen() -> None:
    """No function is longer than 60 lines, its docstring and decorators included."""
    long = {
        f"{at(path, node)} {node.name}"
        for path in EVERYTHING
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    }

    assert set() == long


def test_modules_say_what_they_are() -> None:
    """Each module of the product opens with a docstring."""
    silent = {at(path, 1) for path in OURS if not ast.get_docstring(tree(path))}

    assert set() == silent


def test_annotations_are_lazy() -> None:
    """Each module with code starts with `from __future__ import annotations`."""
    eager = {
        at(path, 1)
        for path in EVERYTHING
        if has_code(tree(path)) and "from __future__ import annotations" not in path.read_text()
    }

    assert set() == eager


def test_only_commands_print() -> None:
    """Outside the command line there is no print: what a server says goes to its log."""
    loud = {
        at(path, node)
        for path in OURS
        if not inside(path).startswith("cli/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    }

    assert set() == loud


def test_errors_are_caught_by_name() -> None:
    """`except Exception` stands only at the edges; elsewhere it may at most clean up and raise."""
    blind = {
        at(path, node)
        for path in OURS
        if not inside(path).startswith(MAY_CATCH_ALL)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and catches_all(node)
    }

    assert set() == blind


def test_money_has_no_floats() -> None:
    """Where money is counted there is no float, and no division that could make one."""
    found = {
        at(path, node)
        for path in OURS
        if path.parent == PACKAGE / "domain" and path.stem in MONEY
        for node in ast.walk(tree(path))
        if is_inexact(node)
    }

    assert set() == found


def test_one_noun_has_one_name() -> None:
    """Names in the code use the words of the glossary."""
    found = {
        f"{at(path, line)} {name}: say {NOT_OUR_WORDS[word]}"
        for path in OURS
        if not inside(path).startswith(("wire/", "providers/"))  # foreign formats have their own
        for line, name in defined_names(tree(path))
        for word in {word.removesuffix("s") for word in words(name)} & NOT_OUR_WORDS.keys()
    }

    assert set() == found


def test_providers_are_data() -> None:
    """The name of a provider stands in its own file and in data, never in a condition."""
    names = provider_names()
    found = {
        f"{at(path, node)} {node.value}"
        for path in OURS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.lower() in names
        and inside(path) != f"providers/{node.value.lower()}.py"
    }

    assert set() == found


def test_nothing_of_a_machine_is_kept() -> None:
    """No file of the project names a folder of someone's machine or a package index."""
    found = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked_files()
        if (text := readable(path)) is not None
        for match in OF_A_MACHINE.finditer(text)
    }

    assert set() == found


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="no README yet")
def test_documents_and_makefile_agree() -> None:
    """Each target is explained in the README or the contributor's guide; no other is."""
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"(?:`|^\s*|\$ |&& )make ([a-z]+)\b", text, re.MULTILINE))

    assert targets - {"help"} == named - {"help"}


def lines(text: str) -> int:
    return len(text.splitlines())


def readable(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # a picture
        return None


def catches_all(handler: ast.ExceptHandler) -> bool:
    """A bare except, Exception or BaseException, unless its last act is to raise again."""
    named = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if handler.type
        else set()
    )
    wide = handler.type is None or bool(named & {"Exception", "BaseException"})
    return wide and not isinstance(handler.body[-1], ast.Raise)


def is_inexact(node: ast.AST) -> bool:
    """A float, the name of its type, or a true division of anything but a Decimal."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float)
    if isinstance(node, ast.Name):
        return node.id == "float"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return not (
            isinstance(node.left, ast.Call)
            and isinstance(node.left.func, ast.Name)
            and node.left.func.id == "Decimal"
        )
    return isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div)


def defined_names(module: ast.Module) -> Iterator[tuple[int, str]]:
    """The names that a module gives: of functions, classes, arguments and variables."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def provider_names() -> set[str]:
    """The names of the shipped hosts, without those that are also the name of a format."""
    hosts = PACKAGE / "providers" / "hosts.toml"
    if not hosts.exists():
        return set()
    formats = {path.stem.split("_")[0] for path in (PACKAGE / "wire").glob("*.py")}
    return set(names_in(tomllib.loads(hosts.read_text()))) - formats - {"local"}


def names_in(data: dict[str, object]) -> Iterator[str]:
    """The names of rows, written as [[hosts]] with a `name`, or as [hosts.name]."""
    for rows in data.values():
        if isinstance(rows, list):
            yield from (row["name"] for row in rows if "name" in row)
        elif isinstance(rows, dict):
            yield from rows
