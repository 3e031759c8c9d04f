"""Mail addresses: which texts are one that mail is sent to.

What it is: a strict reading of `local@domain` in ASCII (RFC 5321 §4.1.2 without quoted local parts
and address literals), short enough for any server. What it is not: whether anybody reads it.

The rule that keeps it honest: what passes here holds no space, no control character and nothing
that means something to a mail server, so it can stand in a header and in an envelope as it is.
"""

from __future__ import annotations

import re

ADDRESS_MAX = 254
"""Characters of a whole address (RFC 5321 §4.5.3.1.3, less the angle brackets)."""
CONTACTS_MAX = 20
"""Addresses that an organization's mail may go to."""
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def parse_address(text: str) -> str:
    """A mail address with its domain in lower case.

    Raises:
        ValueError: it is none, or one that this installation does not send to.
    """
    local, at, domain = text.rpartition("@")
    fits = at and len(local) <= 64 and _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)
    if not fits or len(text) > ADDRESS_MAX:
        raise ValueError(f"{text[:80]!r} is no mail address such as billing@example.com")
    return f"{local}@{domain.lower()}"
