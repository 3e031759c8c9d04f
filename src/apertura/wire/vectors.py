"""Vectors of a reply in OpenAI's format: told apart, put in order, written the other way.

A vector comes as a list of numbers, or as base64 of the same as 32-bit numbers, least byte first;
some providers send the one where the other was asked for. What it is not: arithmetic; no number is
changed, but for the 32 bits that base64 has room for.

The rule that keeps it honest: a vector that is as it was asked for is not read, and one that cannot
be written exactly, or that belongs to no input, is garbled.
"""

from __future__ import annotations

import binascii
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from math import isfinite

import msgspec
from msgspec import Raw, Struct

from apertura.errors import Garbled
from apertura.wire.openai_shapes import Object

_LIST, _STRING = ord("["), ord('"')
_SINGLE = 4
"""Bytes of a number in base64."""
_EMPTY_MOST = 2
"""Bytes of a vector that holds nothing."""

_decode_numbers = msgspec.json.Decoder(list[float]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_rows = msgspec.json.Decoder(list[Object]).decode
_encode = msgspec.json.Encoder().encode


class Row(Struct, gc=False):
    """One vector and the place of its input."""

    embedding: Raw
    index: int | None = None


def are_plain(rows: Sequence[Row], base64: bool) -> bool:
    """Whether these are as asked: in the order of the inputs, all of one kind."""
    kind = _STRING if base64 else _LIST
    for place, row in enumerate(rows):
        vector = memoryview(row.embedding)
        if row.index != place or vector[0] != kind or len(vector) <= _EMPTY_MOST:
            return False
    return True


def check_dimensions(rows: Sequence[Row], dimensions: int) -> None:
    """Raises: Garbled, where vectors are longer or shorter than was asked."""
    if any(_dimensions(row.embedding) != dimensions for row in rows):
        raise Garbled("The provider sent vectors of another length than was asked for.")


def mended(rows: Sequence[Row], data: Raw, *, base64: bool) -> list[Object]:
    """The same vectors in the order of the inputs and of the kind that is asked for, each with
    whatever else stands beside it in `data`. Raises: Garbled.
    """
    said: list[Object | None] = [None] * len(rows)
    for place, row, members in zip(_places(rows), rows, _decode_rows(data), strict=True):
        members["index"] = Raw(_encode(place))
        members["embedding"] = _written(row.embedding, base64=base64)
        said[place] = members
    return [members for members in said if members is not None]


def _places(rows: Sequence[Row]) -> list[int]:
    """Where each vector belongs. One index for all, or none, says nothing: they come in order."""
    places = [row.index for row in rows]
    if len(set(places)) == 1:
        return list(range(len(rows)))
    if {*places} != {*range(len(rows))}:
        raise Garbled("The provider sent a vector that belongs to no input.")
    return [place for place in places if place is not None]


def _written(vector: Raw, *, base64: bool) -> Raw:
    kind = memoryview(vector)[0]
    if kind not in (_LIST, _STRING) or len(memoryview(vector)) <= _EMPTY_MOST:
        raise Garbled("The provider sent something in place of a vector.")
    if kind == (_STRING if base64 else _LIST):
        return vector.copy()
    try:
        return Raw(_encode(_packed(vector) if base64 else _unpacked(vector)))
    except (msgspec.DecodeError, binascii.Error, ValueError, OverflowError):
        raise Garbled("The provider sent a vector that cannot be read.") from None


def _packed(vector: Raw) -> str:
    """Numbers as base64."""
    numbers = array("f", _decode_numbers(vector))
    return b64encode(_little(_checked(numbers)).tobytes()).decode()


def _unpacked(vector: Raw) -> list[float]:
    """Base64 as numbers."""
    numbers = array("f", b64decode(_decode_text(vector), validate=True))
    return _checked(_little(numbers)).tolist()


def _checked(numbers: array[float]) -> array[float]:
    if not numbers or not all(map(isfinite, numbers)):
        raise ValueError("a vector is some numbers, each of them finite")
    return numbers


def _little(numbers: array[float]) -> array[float]:
    """From or to the order of bytes on the wire."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _dimensions(vector: Raw) -> int:
    """How many numbers a vector has, without reading them."""
    data = bytes(vector)
    if data[0] == _LIST:
        return data.count(b",") + 1
    return (len(data) - _EMPTY_MOST - data.count(b"=")) * 3 // 4 // _SINGLE
