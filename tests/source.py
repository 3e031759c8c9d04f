"""The project's own files as text and as syntax trees, for the tests that read them.

It imports nothing of the product, so that these tests run while a module is broken.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "apertura"


def python_files(*folders: str) -> list[Path]:
    """Every module below these folders of the project."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def inside(path: Path) -> str:
    """A module's place within the package: "relay/transport.py"."""
    return path.relative_to(PACKAGE).as_posix()


def at(path: Path, node: ast.AST | int) -> str:
    """Where to look: "src/apertura/app.py:12"."""
    line = node if isinstance(node, int) else getattr(node, "lineno", 1)
    return f"{path.relative_to(ROOT).as_posix()}:{line}"


def imports(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """Each import of a module, also the ones inside functions, as a dotted name."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node, node.module or "."


def has_code(module: ast.Module) -> bool:
    """Whether a module holds more than its docstring."""
    return len(module.body) > (ast.get_docstring(module) is not None)


def words(identifier: str) -> set[str]:
    """The words of a name in either case style: `ApiKeys`, `api_keys` -> api, keys."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", identifier)}


def tracked_files() -> list[Path]:
    """The files that belong to the project: what git knows or would add."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, or no git here
        hidden = re.compile(r"/(\.|__pycache__)")
        found = (
            path for path in ROOT.rglob("*") if not hidden.search(f"/{path.relative_to(ROOT)}")
        )
    else:
        found = (ROOT / name for name in done.stdout.decode().split("\0") if name)
    return sorted(path for path in found if path.is_file())
