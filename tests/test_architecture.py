"""The walls of the project: who may import what."""

from __future__ import annotations

import subprocess
import sys
import tomllib

from tests.source import ROOT, at, imports, inside, python_files

PURE = ("domain/", "wire/", "providers/")
NOT_PURE = {"asyncio", "logging", "os", "random", "secrets", "time"}

# The library and the places that may import it: a folder, or a file.
PLACES = {
    "aiosmtplib": ("mail/smtp.py",),
    "asyncpg": ("store/postgres_link.py",),
    "cryptography": ("documents/signing.py",),
    "fpdf": ("documents/pages.py",),
    "httptools": ("relay/connection.py", "relay/fastlane.py"),
    "jinja2": ("web/render.py",),
    "prometheus_client": ("telemetry.py",),
    "sqlite3": ("store/sqlite.py",),
    "starlette": ("api/", "app.py", "urls.py", "web/"),
    "stripe": ("payments/stripe.py",),
    "uvicorn": ("cli/", "relay/fastlane.py"),
    "uvloop": ("cli/",),
    "valkey": ("store/counters.py",),
    "xllamacpp": ("jobs/local_server.py",),
}
ANYWHERE = {"apertura", "msgspec"}
FILES = python_files("src")


def test_layers() -> None:
    """A package imports only what stands below it: the contracts in pyproject.toml."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_middle_is_pure() -> None:
    """What is true, what is said and who says it know no loop, clock, chance, system or log."""
    impure = {
        f"{at(path, node)} {name}"
        for path in FILES
        if inside(path).startswith(PURE)
        for node, name in imports(path)
        if name.partition(".")[0] in NOT_PURE
    }

    assert set() == impure


def test_a_library_has_one_place() -> None:
    """Each foreign library is imported where the table says, and no other library at all."""
    astray = {
        f"{at(path, node)} {name}"
        for path in FILES
        for node, name in imports(path)
        if not may_import(inside(path), name.partition(".")[0])
    }

    assert set() == astray


def test_imports_are_absolute() -> None:
    """A module is called by its whole name."""
    relative = {
        at(path, node) for path in FILES for node, _ in imports(path) if getattr(node, "level", 0)
    }

    assert set() == relative


def test_the_table_is_the_contract() -> None:
    """The table here and the contract in pyproject.toml name the same libraries."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    forbidden = [
        set(c["forbidden_modules"]) for c in config["contracts"] if c["type"] == "forbidden"
    ]

    assert [NOT_PURE, set(PLACES)] == forbidden


def test_packages_are_packages() -> None:
    """Each folder with modules has an `__init__.py`, or the contracts would not see it."""
    folders = {path.parent for path in FILES}

    assert set() == {folder for folder in folders if not (folder / "__init__.py").exists()}


def may_import(place: str, library: str) -> bool:
    if library in PLACES:
        return place.startswith(PLACES[library])
    return library in ANYWHERE or library in sys.stdlib_module_names
