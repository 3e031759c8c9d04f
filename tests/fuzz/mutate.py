"""Mutations that know JSON and streams of events: how both fuzzers get past the first brace.

Works on bytes, not on trees: one value, member, key or event is replaced, doubled, moved or taken
out, and every other byte stays, so that a case can be odd in one place and legal in all others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

_TOKENS = re.compile(rb'"(?:[^"\\\n]|\\.)*"|[\[\]{}:,]|[-+.\w]+')
_OPEN, _CLOSE = b"[{", b"]}"
_LARGEST = 100_000
"""Bytes of a mutated case."""


def nested(depth: int, kind: int = 0) -> bytes:
    """JSON so deep: of arrays, objects, objects of the names that formats use, or unclosed."""
    begin, end = [
        (b"[", b"]"),
        (b'{"a":', b"}"),
        (b'{"content":[', b"]}"),
        (b'{"properties":{"a":', b"}}"),
        (b'{"type":"array","items":', b"}"),
        (b"[", b""),
    ][kind % 6]
    return begin * depth + b"1" + end * depth


HAZARDS = [
    *(b"null", b"true", b"false", b"[]", b"{}", b'""', b"[null]", b"[[]]", b"[{}]", b'{"":null}'),
    *(b"0", b"-0", b"1", b"-1", b"3", b"0.5", b"-0.0", b"1.0", b"2.5", b"1e2", b"1e-400"),
    *(b"2147483647", b"2147483648", b"9007199254740993", b"4611686018427387904"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809"),
    *(b"18446744073709551615", b"18446744073709551616", b"1" + b"0" * 30, b"1" * 400),
    *(b"7" * 5_000, b"-" + b"7" * 5_000, b"1e308", b"1e309", b"-1e999", b"1e9999999999"),
    *(b"1.7976931348623157e308", b"NaN", b"Infinity", b"-Infinity", b"tru", b"01", b"1.", b".5"),
    *(rb'"\ud800"', rb'"\udc00"', rb'"\ud83d\ude00"', rb'"\udc00\ud800"', rb'"\\ud800"'),
    *(
        b'"\xff\xfe"',
        b'"\xed\xa0\x80"',
        b'"\xc3"',
        rb'"\u0000"',
        b'"\x00"',
        rb'"\x"',
        b'"\xe2\x80\xa8"',
    ),
    *(
        b'" "',
        rb'"\n"',
        rb'"\r\n\r\ndata: x"',
        b'"1"',
        b'"{}"',
        b'"[1"',
        rb'"{\"a\":1}"',
        rb'"{\n\"a\":\r\n\r\n1}"',
        b'"null"',
    ),
    *(b'"' + b"a" * 3_000 + b'"', b'"' + "é😀".encode() * 300 + b'"', rb'"' + rb"\"" * 500 + b'"'),
    *(b'"data:image/png;base64,iVBORw0KGgo="', b'"data:,"', b'"data:image/png;base64,%%"'),
    *('"é"'.encode(), '"QUJDé="'.encode(), '"data:text/plain;base64,é"'.encode()),
    *(b'"https://a.example/x.png"', b'"http://[::1"', b'"https://\xff"', b'"gs://b/c"', b'"file:"'),
    *(b'"stop"', b'"length"', b'"tool_calls"', b'"text"', b'"user"', b'"assistant"', b'"system"'),
    *(b'"tool"', b'"developer"', b'"model"', b'"function"', b'"error"', b'{"error":{}}'),
    *(b'{"message":"no","type":"x","code":9}', b'{"$ref":"#"}', b'{"$ref":"#/$defs/a"}'),
    *(b'{"text":"a"}', b'{"type":"text","text":"a"}', b'["a",{"text":"b"}]', b'[1,2,"a",null]'),
    *(nested(depth, kind) for depth in (90, 300, 980) for kind in range(6)),
    nested(10_000, 0),
    nested(10_000, 1),
    b"[" + b"{}," * 600 + b"{}]",
    b"[" + b"0," * 600 + b"0]",
    b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(300)) + b"}",
]
"""Values that have broken somebody's reader."""

_LINES = [
    *(
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"\r\r",
        b"\xe2\x80\xa8",
        b"\x00",
        b"\x0b",
        b"\xff",
    ),
    *(b"data:", b"data: ", b"data\n", b":\n", b": keep-alive\n\n", b"event: error\n", b"event:\n"),
    *(
        b"id: 1\n",
        b"retry: 5\n",
        b"\xef\xbb\xbf",
        b"data: [DONE]\n\n",
        b"data: {}\n\n",
        b"data: null\n\n",
    ),
    *(
        b"data: []\n\n",
        b"data: 1\n\n",
        b"event: message_stop\ndata: {}\n\n",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(b",", b'"', b"\\", b":", b" ", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc3\xa9"),
]
"""What upsets lines and quotes."""


def mutated(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """Another case: a few changes to this one; `others` of its kind lend their pieces."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        change = random.choice(_CHANGES)
        other = random.choice(others) if others else data
        data = change(data, random, other)
    return data[:_LARGEST]


def _values(data: bytes) -> list[tuple[int, int, bool]]:
    """Where each value stands, and whether it is a member's name."""
    found: list[tuple[int, int, bool]] = []
    opened: list[int] = []
    for token in _TOKENS.finditer(data):
        text = token.group()
        if text in (b"[", b"{"):
            opened.append(token.start())
        elif text in (b"]", b"}"):
            if opened:
                found.append((opened.pop(), token.end(), False))
        elif text not in (b":", b","):
            found.append((token.start(), token.end(), data[token.end() : token.end() + 1] == b":"))
    return found


def _place(data: bytes, random: Random, names: bool = False) -> tuple[int, int]:
    places = [(start, end) for start, end, name in _values(data) if name is names]
    if not places:
        start = random.randint(0, len(data))
        return start, start
    return random.choice(places)


def _hazard(data: bytes, random: Random, _: bytes) -> bytes:
    start, end = _place(data, random)
    return data[:start] + random.choice(HAZARDS) + data[end:]


def _deep(data: bytes, random: Random, _: bytes) -> bytes:
    """Depths about which a reader and the writer behind it may disagree."""
    start, end = _place(data, random)
    return data[:start] + nested(random.randint(1, 1_050), random.randrange(6)) + data[end:]


def _lend(data: bytes, random: Random, other: bytes) -> bytes:
    start, end = _place(data, random)
    first, last = _place(other, random)
    return data[:start] + other[first:last] + data[end:]


def _rename(data: bytes, random: Random, other: bytes) -> bytes:
    start, end = _place(data, random, names=True)
    first, last = _place(other, random, names=True)
    return data[:start] + other[first:last] + data[end:]


def _insert(data: bytes, random: Random, other: bytes) -> bytes:
    """A member more, perhaps one that is there already."""
    places = [match.end() for match in re.finditer(rb"\{", data)]
    at = random.choice(places) if places else 0
    first, last = _place(other, random, names=True)
    value = random.choice(HAZARDS)
    comma = b"" if data[at : at + 1] == b"}" else b","
    return data[:at] + (other[first:last] or b'"a"') + b":" + value + comma + data[at:]


def _drop(data: bytes, random: Random, _: bytes) -> bytes:
    start, end = _place(data, random, names=random.random() < 0.5)
    if data[end : end + 1] == b":":
        value = next((last for first, last, _ in sorted(_values(data)) if first > end), end)
        end = max(value, end)
    end += data[end : end + 1] == b","
    return data[:start] + data[end:]


def _double(data: bytes, random: Random, _: bytes) -> bytes:
    start, end = _place(data, random)
    return data[:end] + b"," + data[start:end] + data[end:]


def _wrap(data: bytes, random: Random, _: bytes) -> bytes:
    start, end = _place(data, random)
    return data[:start] + b"[" + data[start:end] + b"]" + data[end:]


def _spread(data: bytes, random: Random, _: bytes) -> bytes:
    """Space where JSON allows it: as it is when people read it."""
    comma = random.choice((b",\n", b",\r\n\r\n", b", \r ", b",\t"))
    return data.replace(b",", comma) if random.random() < 0.5 else data.replace(b"{", b"{\n\n")


def _noise(data: bytes, random: Random, _: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(_LINES) + data[at + random.choice((0, 0, 1)) :]


def _shorten(data: bytes, random: Random, _: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] if random.random() < 0.5 else data[:at] + data[at + random.randint(1, 40) :]


def _events(data: bytes, random: Random, other: bytes) -> bytes:
    """Events of a stream in another order, twice, left out, or with some of another stream."""
    events, more = data.split(b"\n\n"), other.split(b"\n\n")
    at = random.randrange(len(events))
    match random.randrange(5):
        case 0:
            del events[at]
        case 1:
            events.insert(at, random.choice(events))
        case 2:
            events.insert(at, random.choice(more))
        case 3:
            random.shuffle(events)
        case _:
            events[at:] = more[random.randrange(len(more)) :]
    return b"\n\n".join(events)


def _ends(data: bytes, random: Random, _: bytes) -> bytes:
    return data.replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\n")))


_CHANGES = (
    *(_hazard, _hazard, _hazard, _deep, _lend, _lend, _lend, _rename, _rename, _insert, _insert),
    *(_drop, _drop, _double, _wrap, _spread, _noise, _shorten, _events, _events, _ends),
)
