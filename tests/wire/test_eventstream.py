"""Behaviour of Amazon's binary streams, read."""

from __future__ import annotations

import zlib
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import Garbled
from apertura.wire import eventstream
from apertura.wire.eventstream import Frame, Reader
from tests.wire.said import CUTS, pieces

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
frames = st.lists(
    st.builds(Frame, headers=st.dictionaries(texts, texts, max_size=3), payload=st.binary()),
    max_size=4,
)


def header(name: str, kind: int, value: bytes) -> bytes:
    return pack(">B", len(name.encode())) + name.encode() + pack(">B", kind) + value


def string(value: str) -> bytes:
    return pack(">H", len(value.encode())) + value.encode()


def framed(payload: bytes, headers: bytes = b"") -> bytes:
    """One frame, with whatever headers."""
    start = pack(">II", 16 + len(headers) + len(payload), len(headers))
    data = start + pack(">I", zlib.crc32(start)) + headers + payload
    return data + pack(">I", zlib.crc32(data))


def written(frame: Frame) -> bytes:
    """One frame, as a provider writes it."""
    headers = (header(name, 7, string(value)) for name, value in frame.headers.items())
    return framed(frame.payload, b"".join(headers))


def read(*reads: bytes) -> list[Frame]:
    reader = Reader()
    found = [frame for data in reads for frame in reader.feed(data)]
    assert reader.idle
    return found


def until_broken(data: bytes) -> tuple[list[Frame], bool]:
    """The frames that come out, and whether an error came after them."""
    found: list[Frame] = []
    try:
        for frame in Reader().feed(data):
            found.append(frame)  # noqa: PERF402
    except Garbled:
        return found, True
    return found, False


@given(frames, CUTS)
def test_any_cut_yields_the_same_frames(sent: list[Frame], cuts: list[int]) -> None:
    data = b"".join(map(written, sent))

    assert sent == read(*pieces(data, cuts)) == read(*(bytes([byte]) for byte in data))


def test_headers_of_all_types_are_read_over() -> None:
    """Only strings say something to us."""
    sizes = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
    others = b"".join(header(f"h{kind}", kind, bytes(size)) for kind, size in sizes.items())
    raw = header("raw", 6, pack(">H", 3) + b"abc")
    data = framed(b"{}", others + raw + header("name", 7, string("é")))

    assert [Frame(headers={"name": "é"}, payload=b"{}")] == read(data)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_damage_is_seen(at: int, flip: int) -> None:
    """Any byte changed anywhere: no frame comes out changed."""
    first = written(Frame(headers={":event-type": "a"}, payload=b'{"x":1}'))
    data = bytearray(first * 2)
    at %= len(data)
    data[at] ^= flip

    found, broken = until_broken(bytes(data))

    assert broken
    assert all(written(frame) == first for frame in found)


def test_frames_before_the_damage_come_out() -> None:
    good = written(Frame(headers={}, payload=b"one"))

    assert ([Frame(headers={}, payload=b"one")], True) == until_broken(good + b"\0" * 20)


def test_a_frame_past_all_bounds_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its bytes are waited for."""
    monkeypatch.setattr(eventstream, "FRAME_MAX", 100)
    for total, headers in ((101, 0), (15, 0), (40, 25), (2**32 - 1, 0)):
        start = pack(">II", total, headers)
        with pytest.raises(Garbled):
            list(Reader().feed(start + pack(">I", zlib.crc32(start))))


@pytest.mark.parametrize(
    "headers",
    [b"\x05ab", b"\x01a", b"\x01a\x07\x00\x09abc", b"\x01a\x63", b"\x01\xff\x00", b"\x01a\x07\x00"],
)
def test_headers_that_are_none_are_refused(headers: bytes) -> None:
    """The checksums may be right all the same."""
    with pytest.raises(Garbled):
        list(Reader().feed(framed(b"", headers)))


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_yield_frames_or_an_error(reads: list[bytes]) -> None:
    reader = Reader()
    try:
        for data in reads:
            list(reader.feed(data))
    except Garbled:
        return
