"""A body that its format does not allow, said in plain words.

Turns what the JSON decoder found into a `BadRequest` that names the parameter. Used by every
dialect whose requests are declared as types. What it is not: a validator; the types are.

The rule that keeps it honest: nothing that the caller wrote is repeated, only names that we
declared and positions; a prompt must not come back in an error, nor reach a log through one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from apertura.errors import BadRequest

T = TypeVar("T")

NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder of ours raises, whatever bytes it is given."""

_PATH_MOST = 200
"""Characters of a parameter's name; what is nested deeper is named by where it stands."""
_PATH = re.compile(r" - at `(?:key in )?\$\.?(.*?)`$")
_MISSING = re.compile(r"^Object missing required field `(\w+)`")
_BOUND = re.compile(r"^Expected `(?:int|float|decimal)` (<=|>=|<|>) (\S+)$")
_LENGTH = re.compile(r"^Expected `(\w+)` of length (<=|>=) (\d+)$")
_TYPE = re.compile(r"^Expected `([^`]+)`(?:, got `([^`]+)`)?$")
_BYTE = re.compile(r"\(byte (\d+)\)$")

_NOUNS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_BOUNDS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}


def read(body: bytes, decode: Callable[[bytes], T]) -> T:
    """Decodes a caller's body. Raises: BadRequest, naming the parameter."""
    try:
        body.isascii() or body.decode()
        return decode(body)
    except NOT_READ as found:
        raise refusal(found) from None


def refusal(found: Exception) -> BadRequest:
    """One of `NOT_READ`, in plain words."""
    if isinstance(found, msgspec.ValidationError):
        return _refusal(str(found))
    if isinstance(found, UnicodeDecodeError):
        return BadRequest("The request body is not valid UTF-8.")
    if isinstance(found, RecursionError):
        return BadRequest("The request body is nested too deeply.")
    where = _BYTE.search(str(found))
    place = f" (at byte {where[1]})" if where else ""
    return BadRequest(f"The request body is not valid JSON{place}.")


def invalid(param: str, sentence: str) -> BadRequest:
    """A value that is not allowed; the sentence follows the parameter's name."""
    return BadRequest(f"`{param}` {sentence}.", code="invalid_parameter", param=param)


def missing(param: str) -> BadRequest:
    """A required parameter that is not there."""
    return BadRequest(f"`{param}` is required.", code="missing_parameter", param=param)


def _refusal(found: str) -> BadRequest:
    at = _PATH.search(found)
    path = at[1][:_PATH_MOST] if at else ""
    text = found[: at.start()] if at else found
    absent = _MISSING.match(text)
    if absent:
        return missing(f"{path}.{absent[1]}" if path else absent[1])
    if not path:
        return BadRequest("The request body must be a JSON object.")
    return invalid(path, _sentence(text))


def _sentence(text: str) -> str:
    """What the decoder says, without what the caller wrote."""
    if (bound := _BOUND.match(text)) is not None:
        return f"must be {_BOUNDS[bound[1]]} {bound[2].removesuffix('.0')}"
    if (length := _LENGTH.match(text)) is not None:
        if length[2] == ">=" and length[3] == "1":
            return "must not be empty"
        what = "characters" if length[1] == "str" else "items"
        return f"must have {_BOUNDS[length[2]]} {length[3]} {what}"
    if (kind := _TYPE.match(text)) is not None:
        nouns = [_NOUNS.get(noun, noun) for noun in kind[1].split(" | ")]
        said = f", not {_NOUNS.get(kind[2], kind[2])}" if kind[2] else ""
        return f"must be {' or '.join(nouns)}{said}"
    if text.startswith("needs `"):
        return text
    if "out of range" in text:
        return "is out of range"
    return "is not one of the allowed values"
