"""The turns of a request that passes to Google, without what other models thought.

A caller of this format whose last answer came from another provider brings that one's state back in
signatures of ours (`gemini_state`). Google would refuse them, and they are not for its eyes: they
and the thoughts that they close are taken out. What it is not: a translation; all other turns and
parts stay as they came.

The rule that keeps it honest: a request without such a signature is not touched, to the byte.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from apertura.wire.gemini_state import MARKED, SKIP, is_foreign
from apertura.wire.openai_shapes import Object

_decode_object = msgspec.json.Decoder(Object).decode
_decode_turns = msgspec.json.Decoder(list[Object] | Object).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_MARK = MARKED.encode()
_SKIP = Raw(_encode(SKIP))


def without_foreign_state(members: Object) -> Object:
    """The members of a request that `parse` has accepted, fit for Google."""
    contents = members.get("contents")
    if contents is None or _MARK not in bytes(contents):
        return members
    said = [_cleaned(turn) for turn in _listed(contents)]
    kept = [turn for turn in said if turn is not None]
    return {**members, "contents": Raw(_encode(kept))}


def _listed(value: Raw) -> list[Object]:
    """Turns or parts; one without brackets is a list of one."""
    found = _decode_turns(value)
    return found if isinstance(found, list) else [found]


def _cleaned(turn: Object) -> Object | None:
    """A turn without foreign state; None if nothing else was in it."""
    found = turn.get("parts")
    parts = [] if found is None or bytes(found) == b"null" else _listed(found)
    if not any(map(_is_foreign, parts)):
        return turn
    kept: list[Object] = []
    for part in parts:
        foreign = _is_foreign(part)
        rest = {name: value for name, value in part.items() if name != "thoughtSignature"}
        if bytes(part.get("thought", b"")) == b"true":
            continue
        if not foreign:
            kept.append(part)
        elif "functionCall" in part:
            kept.append({**rest, "thoughtSignature": _SKIP})
        elif rest.keys() - {"text"} or bytes(rest.get("text", b'""')) != b'""':
            kept.append(rest)
    return {**turn, "parts": Raw(_encode(kept))} if kept else None


def _is_foreign(part: Object) -> bool:
    signature = bytes(part.get("thoughtSignature", b"null"))
    return signature[:1] == b'"' and is_foreign(_decode_text(signature))
