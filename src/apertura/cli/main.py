"""The command `apertura`: the operator's hands.

Each command is a function of a few lines over the same stores that the server uses; it acts on the
database named by the same settings, whether a server runs or not. With `--json` the output is one
JSON object or list for scripts; without it, words and tables for people.

The rule that keeps it honest: an error is one sentence on the error output and exit code 1 (2 for
wrong usage), never a traceback; and when a command returns, what it changed holds in a running
server too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import apertura
from apertura.cli import books, commands, doctor, mail, payments, plans, receipts, serve
from apertura.errors import AperturaError
from apertura.settings import TABLE, Settings, SettingsError, load
from apertura.store.database import Conflict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        settings = _settings(parsed)
        code: int = parsed.run(settings, parsed)
    except (AperturaError, SettingsError, Conflict, ValueError) as error:
        sys.stderr.write(f"apertura: {getattr(error, 'message', error)}\n")
        return 1
    except OSError as error:  # a folder that cannot be made, a file that cannot be read
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"apertura: {place}{error.strerror or error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _settings(parsed: argparse.Namespace) -> Settings:
    flags = {
        setting.name: str(value)
        for setting in TABLE
        if (value := getattr(parsed, f"setting_{setting.name}", None)) is not None
    }
    return load(flags=flags, environment=os.environ, read_file=lambda p: Path(p).read_text())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="apertura", description="A gateway to language models.")
    parser.add_argument("--version", action="version", version=f"apertura {apertura.__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    serve.add(subparsers, _with_settings)
    doctor.add(subparsers, _with_settings)
    commands.add(subparsers, _with_settings)
    books.add(subparsers, _with_settings)
    receipts.add(subparsers, _with_settings)
    mail.add(subparsers, _with_settings)
    plans.add(subparsers, _with_settings)
    payments.add(subparsers, _with_settings)
    return parser


def _with_settings(parser: argparse.ArgumentParser, names: Sequence[str] | None = None) -> None:
    """Give a command a flag for each setting (or for those named)."""
    group = parser.add_argument_group("settings (also APERTURA_… in the environment)")
    for setting in TABLE:
        if names is not None and setting.name not in names:
            continue
        if setting.hidden:
            continue  # a secret on a command line stands in every list of processes
        flag = f"--{setting.name.replace('_', '-')}"
        if setting.default is False:
            group.add_argument(
                flag,
                dest=f"setting_{setting.name}",
                action="store_const",
                const="on",
                help=setting.help,
            )
        else:
            group.add_argument(
                flag, dest=f"setting_{setting.name}", metavar="VALUE", help=setting.help
            )


if __name__ == "__main__":
    sys.exit(main())
