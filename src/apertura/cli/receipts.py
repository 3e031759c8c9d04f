"""`apertura receipts show | verify | public-key`: receipts of calls, and whether one is genuine.

The rule that keeps it honest: `verify` with a public key touches neither the database nor the root
secret, so that whoever doubts a receipt need not trust this installation.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from apertura.cli import dev
from apertura.cli.shared import STORE, AddSettings, Subparsers, say, show_json, within
from apertura.domain import receipts as form
from apertura.domain.money import Nano, format_usd
from apertura.domain.receipts import NotGenuine, Verify
from apertura.errors import BadRequest, NotFound
from apertura.settings import Settings, SettingsError
from apertura.store import receipts

KEYS = (*STORE, "receipt_keys")


def add(subparsers: Subparsers, add_settings: AddSettings) -> None:
    """The verbs."""
    verbs = subparsers.add_parser("receipts", help="signed receipts of calls").add_subparsers(
        required=True, metavar="VERB"
    )
    show = verbs.add_parser("show", help="the receipt of a call, signed")
    show.add_argument("call", help="the call's id, such as req_01a2…")
    show.add_argument("--json", action="store_true", help="the signed receipt itself")
    add_settings(show, STORE)
    show.set_defaults(run=run_show)
    verify = verbs.add_parser("verify", help="say whether a receipt is genuine")
    verify.add_argument("file", help="the signed receipt; - is the standard input")
    verify.add_argument(
        "--key", metavar="HEX|FILE", help="a public key in hex, or a file of public keys"
    )
    verify.add_argument("--json", action="store_true", help="output for scripts")
    add_settings(verify, KEYS)
    verify.set_defaults(run=run_verify)
    public = verbs.add_parser("public-key", help="the key by which receipts are verified")
    public.add_argument("--json", action="store_true", help="output for scripts")
    add_settings(public, KEYS)
    public.set_defaults(run=run_public_key)


def run_show(settings: Settings, parsed: argparse.Namespace) -> int:
    """The receipt of any call, for people or as it is signed."""
    from apertura.documents.signing import Signer, key_id

    row = within(settings, lambda db: receipts.find(db, parsed.call), changes=False)
    if row is None:
        raise NotFound(f"there is no call {parsed.call!r} in the books")
    receipt = form.receipt_of(row)
    if parsed.json:
        signer = Signer(_secret(settings))
        say(form.signed(receipt, key_id(signer.public), signer.sign).decode())
    else:
        _say_receipt(form.as_said(receipt))
    return 0


def run_verify(settings: Settings, parsed: argparse.Namespace) -> int:
    """Exit code 0 for a genuine receipt, 1 with the reason for anything else."""
    keys = _given_keys(parsed.key) if parsed.key else _own_keys(settings)
    data = sys.stdin.buffer.read() if parsed.file == "-" else Path(parsed.file).read_bytes()
    try:
        said = form.opened(data, keys)
    except NotGenuine as error:
        raise BadRequest(f"not genuine: {error}") from None
    if parsed.json:
        show_json({"genuine": True, "receipt": said})
    else:
        say("The receipt is genuine.")
        _say_receipt(said)
    return 0


def run_public_key(settings: Settings, parsed: argparse.Namespace) -> int:
    """The present public key, in hex."""
    from apertura.documents.signing import Signer, key_id

    public = Signer(_secret(settings)).public
    if parsed.json:
        show_json({"id": key_id(public), "public_key": public.hex()})
    else:
        say(public.hex())
    return 0


def _own_keys(settings: Settings) -> Mapping[str, Verify]:
    from apertura.documents.signing import Signer

    present = Signer(_secret(settings)).public
    return _by_id([present, *(bytes.fromhex(text) for text in settings.receipt_keys)])


def _given_keys(given: str) -> Mapping[str, Verify]:
    """A key in hex, or a file: hex in lines, or what /.well-known/apertura-receipts.json said."""
    text = given if _is_key(given) else Path(given).read_text()
    try:
        words = [row["public_key"] for row in json.loads(text)["keys"]]
    except (ValueError, KeyError, TypeError):
        words = text.split()
    wrong = [word for word in words if not (isinstance(word, str) and _is_key(word))]
    if wrong or not words:
        raise BadRequest(f"{given!r} holds no public key of 64 hex digits")
    return _by_id([bytes.fromhex(word) for word in words])


def _secret(settings: Settings) -> str:
    if settings.dev:
        settings = dev.with_secret(settings)
    if not settings.secret:
        raise SettingsError(
            "APERTURA_SECRET is not set; receipts are signed with a key that comes from the "
            "server's (to verify one without it, give --key)"
        )
    return settings.secret


def _is_key(text: str) -> bool:
    return len(text) == 64 and set(text.lower()) <= set("0123456789abcdef")


def _by_id(publics: list[bytes]) -> Mapping[str, Verify]:
    from apertura.documents.signing import is_genuine, key_id

    return {key_id(public): partial(is_genuine, public) for public in publics}


def _say_receipt(said: Mapping[str, Any]) -> None:
    for name in sorted(said):
        value = said[name]
        if name == "usage":
            value = ", ".join(f"{count} {of}" for of, count in value.items() if count)
        elif name == "cost":
            value = f"{format_usd(Nano(value))} USD"
        text = json.dumps(value)  # in plain letters: a name must not act on a terminal
        say(f"{name:13} {text[1:-1] if isinstance(value, str) else text}")
