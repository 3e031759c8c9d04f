"""Makes mutants of modules of `apertura.domain` and runs their tests against each: by mutmut, and
for what mutmut passes over with its operators in processes of our own.

What it is not: what is said of them (`mutants`). The rule that keeps it honest: where the tests do
not pass with the code as it is, or end in any other way than by passing or failing, nothing counts.
"""

from __future__ import annotations

import ast
import difflib
import importlib.abc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import libcst as cst
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).resolve().parent.parent
DOMAIN = Path("src/apertura/domain")
TESTS = {
    "money": ["money"],
    "pricing": ["pricing"],
    "funds": ["funds", "leases"],
    "ledger": ["ledger"],
    "plans": ["plans", "plan_proportions", "plan_rows"],
    "tariffs": ["tariffs", "catalog"],
    "ceiling": ["ceiling"],
    "payers": ["payers"],
    "cycles": ["cycles"],
    "payments": ["payments", "payment_events"],
    "statements": ["statements"],
}
"""By module, the files of tests/domain that are about it: each module is judged by its own."""
SECONDS = 60
"""That the tests of one module may take."""


class Mutant(NamedTuple):
    """One change: what stood there, and what stands there instead."""

    module: str
    function: str
    line: int
    was: str
    now: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is called in tools/mutants.toml, wherever its line has moved to."""
        return self.module, self.function, self.was, self.now


class Judged(NamedTuple):
    """A mutant, and whether a test failed."""

    mutant: Mutant
    is_killed: bool


# By mutmut.


def by_mutmut(modules: Sequence[str]) -> list[Judged]:
    """What becomes of the mutants of functions and methods without a decorator."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for folder in ("src", "tests"):
            shutil.copytree(ROOT / folder, place / folder, ignore=_LEFT_OUT)
        shutil.copy(ROOT / "pyproject.toml", place)
        sources = "\n  ".join(f"{DOMAIN / name}.py" for name in modules)
        tests = "\n  ".join(dict.fromkeys(test for name in modules for test in _tests(name)))
        (place / "setup.cfg").write_text(
            f"[mutmut]\nsource_paths=\n  {sources}\nalso_copy=\n  src\n"
            f"pytest_add_cli_args_test_selection=\n  {tests}\n"
        )
        ran = subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", "2"],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(place / "src"), "HYPOTHESIS_PROFILE": "mutants"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if ran.returncode:
            raise SystemExit(ran.stdout.decode()[-3_000:])
        made = place / "mutants" / DOMAIN
        return [one for name in modules for one in _verdicts(name, made / f"{name}.py")]


def _tests(module: str) -> list[str]:
    return [f"tests/domain/test_{name}.py" for name in TESTS[module]]


_LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules", "clients", ".*")


def _verdicts(module: str, made: Path) -> Iterator[Judged]:
    """Out of the files that mutmut leaves: exit codes by mutant, and where each one's lines are."""
    codes = json.loads(made.with_suffix(".py.meta").read_text())["exit_code_by_key"]
    spans = json.loads(made.with_suffix(".py.spans").read_text())["spans"]
    lines = made.read_text().splitlines()
    source = source_of(module)
    for key, code in codes.items():
        short = key.rpartition(".")[2]
        mangled = short.rpartition("__mutmut_")[0]
        assert code is not None, f"{key} was not run"
        (start, end), (first, last) = spans[f"{mangled}__mutmut_orig"], spans[short]
        function = mangled.removeprefix("xǁ").removeprefix("x_").replace("ǁ", ".")
        name = function.rpartition(".")[2]
        was = [line.replace(f"{mangled}__mutmut_orig", name) for line in lines[start - 1 : end]]
        now = [line.replace(short, name) for line in lines[first - 1 : last]]
        offset = _first_line(source, function) - _index_of_def(was)
        yield Judged(_difference(module, was, now, offset, function), code not in (0, 5, 33))


def _index_of_def(lines: Sequence[str]) -> int:
    return next(n for n, line in enumerate(lines, 1) if line.strip().startswith("def "))


def _first_line(source: str, function: str) -> int:
    return next(line for line, _, name in _functions(source) if name == function)


def _functions(source: str) -> Iterator[tuple[int, int, str]]:
    """First and last line of each function, and its name."""
    for node in ast.parse(source).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for one in inner:
            if isinstance(one, ast.FunctionDef):
                yield one.lineno, one.end_lineno or 0, prefix + one.name


def _difference(
    module: str, was: Sequence[str], now: Sequence[str], offset: int, function: str | None = None
) -> Mutant:
    parts = difflib.SequenceMatcher(None, was, now, autojunk=False).get_opcodes()
    changed = [part for part in parts if part[0] != "equal"]
    out = " ".join(line.strip() for _, i, j, _, _ in changed for line in was[i:j])
    put = " ".join(line.strip() for _, _, _, i, j in changed for line in now[i:j])
    line = changed[0][1] + 1 + offset
    if function is None:
        spans = _functions("\n".join(was))
        function = next((name for first, last, name in spans if first <= line <= last), "")
    return Mutant(module, function, line, out, put)


# What mutmut passes over.


def by_hand(modules: Sequence[str]) -> list[Judged]:
    """What becomes of the mutants of constants, defaults and decorated functions."""
    rest = [
        (name, change())
        for name in modules
        for is_mutmuts, change in changes(source_of(name))
        if not is_mutmuts
    ]
    return judge(rest)


def changes(source: str) -> list[tuple[bool, Callable[[], str]]]:
    """Every mutant of a module, as a function to its text, and whether mutmut makes it too."""
    finder = _Finder()
    tree = cst.parse_module(source)
    tree.visit(finder)

    def put(old: cst.CSTNode, new: cst.CSTNode) -> Callable[[], str]:
        return lambda: cst.ensure_type(tree.deep_replace(old, new), cst.Module).code

    return [(is_mutmuts, put(old, new)) for is_mutmuts, old, new in finder.found]


class _Finder(cst.CSTVisitor):
    """Finds what mutmut's operators change, but in what has no meaning when the program runs."""

    def __init__(self) -> None:
        self.found: list[tuple[bool, cst.CSTNode, cst.CSTNode]] = []
        self.within: list[bool] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.ClassDef):  # its header states what it is
            node.body.visit(self)
            return False
        if isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom):
            return False
        if isinstance(node, cst.Call) and _name(node.func) in ("len", "isinstance"):
            return False
        if isinstance(node, cst.Assign | cst.AnnAssign) and _is_type(node.value):
            return False
        if isinstance(node, cst.FunctionDef):
            self.within.append(not node.decorators)
        is_mutmuts = bool(self.within) and self.within[0]
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                self.found += [(is_mutmuts, node, new) for new in operator(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef):
            self.within.pop()


def _is_type(value: cst.BaseExpression | None) -> bool:
    if isinstance(value, cst.BinaryOperation):
        return isinstance(value.operator, cst.BitOr)
    called = value.func if isinstance(value, cst.Call) else getattr(value, "value", None)
    return _name(called) in ("NewType", "Literal")


def _name(node: object) -> str:
    return node.value if isinstance(node, cst.Name) else ""


def judge(mutants: Sequence[tuple[str, str]]) -> list[Judged]:
    """By the tests of their modules, two at a time; each is the name of a module and its new text.
    One is killed where a test fails, or where they do not end.
    """
    import hypothesis  # noqa: F401  # before the processes are forked, or each would do it
    import pytest  # noqa: F401

    clean = [(name, source_of(name)) for name in sorted({name for name, _ in mutants})]
    assert not any(_fails(clean)), "the tests pass as long as nothing is changed"
    return [
        Judged(_difference(module, source_of(module).splitlines(), text.splitlines(), 0), failed)
        for (module, text), failed in zip(mutants, _fails(mutants), strict=True)
    ]


def _fails(texts: Sequence[tuple[str, str]]) -> list[bool]:
    running: dict[int, int] = {}
    failed: dict[int, bool] = {}
    waiting = list(enumerate(texts))
    while waiting or running:
        while waiting and len(running) < 2:
            number, (module, text) = waiting.pop()
            running[_fork(module, text)] = number
        process, status = os.wait()
        number, code = running.pop(process), os.waitstatus_to_exitcode(status)
        assert code in (0, 1, 2, -signal.SIGALRM), f"{texts[number][0]}: pytest ended with {code}"
        failed[number] = code != 0
    return [failed[number] for number in range(len(texts))]


def source_of(module: str) -> str:
    """The text of a module."""
    return (ROOT / DOMAIN / f"{module}.py").read_text(encoding="utf-8")


def _fork(module: str, text: str) -> int:
    process = os.fork()
    if not process:
        try:
            os._exit(_try(module, text))
        finally:
            os._exit(70)
    return process


def _try(module: str, text: str) -> int:
    import pytest

    signal.alarm(SECONDS)
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    sink = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(sink, stream)
    sys.meta_path.insert(0, _Instead(f"apertura.domain.{module}", text))
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    return int(pytest.main([*options, *_tests(module)]))


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a text in the place of a module."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.text, self.name, "exec"), module.__dict__)
