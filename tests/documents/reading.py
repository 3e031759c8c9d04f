"""What a PDF of ours says, read back from its bytes: pages of words, with where they stand."""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

_OBJECT = re.compile(rb"(?m)^(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_SHOWN = re.compile(
    rb"BT /F(?P<font>\d+) (?P<size>[\d.]+) Tf ET"
    rb"|BT (?P<x>[\d.-]+) (?P<y>[\d.-]+) Td \((?P<text>(?:\\.|[^\\()])*)\) Tj ET",
    re.DOTALL,
)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


class Shown(NamedTuple):
    """A piece of text; x and y in points, from the left and from the top of A4."""

    x: float
    y: float
    size: float
    text: str


def pages_of(pdf: bytes) -> list[list[Shown]]:
    """The text on each page, in the order in which it was put there."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    fonts = _fonts(objects)
    kids = next(
        re.search(rb"/Kids \[(.*?)\]", o, re.DOTALL) for o in objects.values() if b"/Kids" in o
    )
    assert kids is not None
    pages = [objects[int(number)] for number in re.findall(rb"(\d+) 0 R", kids.group(1))]
    return [list(_shown(_stream(objects[_named(page, b"Contents")]), fonts)) for page in pages]


def text_of(pdf: bytes) -> str:
    """All of it, a line for each line on paper, from top to bottom and left to right."""
    lines: list[str] = []
    for page in pages_of(pdf):
        rows: dict[float, list[Shown]] = {}
        for shown in page:
            rows.setdefault(shown.y, []).append(shown)
        lines += ["  ".join(one.text for one in sorted(rows[y])) for y in sorted(rows)]
    return "\n".join(lines)


def _fonts(objects: dict[int, bytes]) -> dict[bytes, dict[int, str]]:
    """By name: what a code of two bytes stands for."""
    names = {
        name: int(number)
        for body in objects.values()
        for fonts in re.findall(rb"/Font <<(.*?)>>", body, re.DOTALL)
        for name, number in re.findall(rb"/F(\d+) (\d+) 0 R", fonts)
    }
    return {name: _letters(objects, objects[number]) for name, number in names.items()}


def _letters(objects: dict[int, bytes], font: bytes) -> dict[int, str]:
    stream = _stream(objects[_named(font, b"ToUnicode")])
    return {
        int(code, 16): bytes.fromhex(text.decode()).decode("utf-16-be")
        for code, text in re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]+)>\n", stream)
    }


def _shown(stream: bytes, fonts: dict[bytes, dict[int, str]]):
    font, size = b"", 0.0
    for match in _SHOWN.finditer(stream):
        if match["font"]:
            font, size = match["font"], float(match["size"])
            continue
        raw = re.sub(rb"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), match["text"], flags=re.DOTALL)
        codes = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
        text = "".join(fonts[font][code] for code in codes)
        yield Shown(float(match["x"]), round(841.89 - float(match["y"]), 2), size, text)


def _named(body: bytes, name: bytes) -> int:
    found = re.search(rb"/%b (\d+) 0 R" % name, body)
    assert found is not None
    return int(found.group(1))


def _stream(body: bytes) -> bytes:
    head, _, rest = body.partition(b"stream\n")
    raw = rest.rpartition(b"\nendstream")[0]
    return zlib.decompress(raw) if b"/FlateDecode" in head else raw
