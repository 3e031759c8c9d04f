"""Reasoning state in Gemini's format: the `thoughtSignature` of a part.

The format's own state stands there as it came. State of other formats stands there wrapped (see
`state`) and then in base64, because clients decode that member. What it is not: the place; which
part a state belongs to is for those who read and write parts.

The rule that keeps it honest: what `sign` makes `unsign` gives back, in whichever of the two
alphabets of base64 a client has sent it; everything else is Google's own, byte for byte.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from apertura.wire.state import GEMINI, unwrap, wrap

SKIP = "skip_thought_signature_validator"
"""What Google documents for calls to tools whose signature is not known: made by another model, or
lost by the client. Models that check signatures take it; without one they refuse the request.
"""

_OTHER_ALPHABET = str.maketrans("-_", "+/")
MARKED = b64encode(b"apertura.").decode()
"""How each signature begins that is not Google's."""


def sign(origin: str, state: str) -> str:
    """The signature that carries a state."""
    return state if origin == GEMINI else b64encode(wrap(origin, state).encode()).decode()


def is_foreign(signature: str) -> bool:
    """Whether it carries a state that is not Google's."""
    return unsign(signature)[0] != GEMINI


def unsign(signature: str) -> tuple[str, str]:
    """Origin and state of a signature."""
    if signature.startswith(MARKED):
        text = signature.translate(_OTHER_ALPHABET)
        try:
            found = unwrap(b64decode(text + "=" * (-len(text) % 4)).decode())
        except ValueError:  # no base64, or of no text
            found = None
        if found is not None:
            return found
    return GEMINI, signature
