"""How the text of a setting becomes its value, and why it may not.

What it is not: which settings there are (`settings`). The rule that keeps it honest: each reader
raises ValueError with a reason that a person can act on, and repeats no text that may hold a
secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit


def text(text: str) -> str:
    return text


def number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def at_least(low: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if (value := number(text)) < low:
            raise ValueError(f"{value} is less than {low}")
        return value

    return read


def port(text: str) -> int:
    if not 0 <= (value := number(text)) <= 65_535:
        raise ValueError(f"{value} is not a port (0 to 65535)")
    return value


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of seconds") from None
    if not 0 < value < 1e6:
        raise ValueError(f"{text} seconds is not between 0 and a million")
    return value


def switch(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{text!r} is neither on nor off")


def limit(text: str) -> str:
    said = text.strip().lower()
    if said != "off" and not re.fullmatch("0*[1-9][0-9]*/0*[1-9][0-9]*", said):
        raise ValueError(f"{text!r} is neither COUNT/SECONDS, such as 1500/180, nor off")
    return said


def secret(text: str) -> str:
    if len(text.encode()) < 32:
        raise ValueError("it is shorter than 32 bytes; `openssl rand -hex 32` makes a good one")
    return text


def address_of_site(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text):
        raise ValueError(f"{text!r} is no URL such as https://api.example.com")
    return text.rstrip("/")


def mail_server(text: str) -> str:
    try:
        url = urlsplit(text)
        fits = url.scheme in ("smtp", "smtps") and bool(url.hostname) and url.port != 0
    except ValueError:
        fits = False
    if not fits:  # without the text, which may hold a password
        raise ValueError("it is no URL such as smtps://user:password@mail.example.com:465")
    return text


def percent(text: str) -> str:
    if not re.fullmatch(r"100|\d{1,2}(\.\d{1,3})?", text.strip(), re.ASCII):
        raise ValueError(f"{text!r} is no percentage such as 19 or 8.25")
    return text.strip()


def public_keys(text: str) -> tuple[str, ...]:
    keys = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for key in keys:
        if not re.fullmatch("[0-9a-f]{64}", key):
            raise ValueError(f"{key!r} is no public key of 64 hex digits")
    return keys


def subnets(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        ipaddress.ip_network(part, strict=False)
    return parts
