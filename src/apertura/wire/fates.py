"""What becomes of a parameter that the provider's format may not know.

Each format that providers speak has a table: for every field of `chat.Chat` whether it is mapped,
dropped (and then listed for the caller), or refused by name. Dropping is for what only shades an
answer; refusing is for what would change its meaning or its price. What it is not: the mapping
itself.

The rule that keeps it honest: a table without a fate for each field does not load, and a field is
given up only here, so that nothing is lost in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from apertura.wire import faults
from apertura.wire.chat import PARAMETERS, Chat

Fate = Literal["mapped", "dropped", "refused"]
Fates = Mapping[str, Fate]


def table(*, mapped: str, dropped: str = "", refused: str = "") -> Fates:
    """The fates of all fields, from names between spaces. Raises: ValueError, where one is missing,
    unknown, or has two.
    """
    fates: dict[str, Fate] = {}
    given: tuple[tuple[Fate, str], ...] = (
        ("mapped", mapped),
        ("dropped", dropped),
        ("refused", refused),
    )
    names = [name for _, listed in given for name in listed.split()]
    if sorted(names) != sorted(PARAMETERS):
        wrong = set(names) ^ set(PARAMETERS) or {name for name in names if names.count(name) > 1}
        raise ValueError(f"fates missing, unknown or doubled: {', '.join(sorted(wrong))}")
    for fate, listed in given:
        fates |= dict.fromkeys(listed.split(), fate)
    return fates


def name_of(chat: Chat, field: str) -> str:
    """What the caller calls a field."""
    return chat.names.get(field, field)


def dropped(chat: Chat, fates: Fates, format_title: str) -> tuple[str, ...]:
    """The caller's names of what is given up. Raises: BadRequest, for what must not be."""
    names: list[str] = []
    for field, fate in fates.items():
        if fate == "mapped" or _is_unsaid(getattr(chat, field)):
            continue
        name = name_of(chat, field)
        if fate == "refused":
            raise faults.invalid(name, f"cannot be asked of this model ({format_title})")
        names.append(name)
    return (*names, *chat.others)


def _is_unsaid(value: object) -> bool:
    """Whether a field asks for nothing; None, or the only value that every format has."""
    return value is None or value == () or value is False
