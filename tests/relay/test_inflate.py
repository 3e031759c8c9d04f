"""Compressed replies come out in bounded pieces, or as an error; never as a large allocation."""

from __future__ import annotations

import contextlib
import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import Garbled
from apertura.relay.inflate import PIECE, Inflater, inflater

TEXT = b'{"choices":[{"message":{"content":"hello"}}]} ' * 500
WRAPPINGS = {"gzip": gzip.compress, "zlib": zlib.compress}


def opened(packed: bytes, size: int = 1 << 16) -> bytes:
    """All that comes out when it arrives in reads of this size."""
    one = Inflater()
    out = b""
    for at in range(0, len(packed), size):
        for piece in one.feed(packed[at : at + size]):
            assert 0 < len(piece) <= PIECE
            out += piece
    return out


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@given(text=st.binary(max_size=2000), size=st.integers(1, 300))
def test_what_was_packed_comes_out(wrapping: str, text: bytes, size: int) -> None:
    """However it is cut into reads, and whichever of the two wrappings "deflate" is."""
    assert opened(WRAPPINGS[wrapping](text), size) == text


def test_each_flushed_event_comes_out_at_once() -> None:
    """A compressed stream is passed on as it comes."""
    packer, one = zlib.compressobj(wbits=31), Inflater()
    for number in range(50):
        event = b"data: %d\n\n" % number
        packed = packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert b"".join(one.feed(packed)) == event


def test_a_large_reply_comes_in_pieces() -> None:
    """More than one piece from one read, and nothing is lost at their edges."""
    letters = random.Random(1).choices(b"abcdefgh", k=PIECE // 64)
    text = bytes(letters) * 200
    assert len(text) > 3 * PIECE
    assert opened(gzip.compress(text), len(text)) == text


def test_a_bomb_is_an_error_soon() -> None:
    """Before more than a few pieces have come out, of the fifty that it holds."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(PIECE)) for _ in range(50)) + packer.flush()
    out, one = 0, Inflater()

    def read() -> None:
        nonlocal out
        for at in range(0, len(packed), 4096):
            for piece in one.feed(packed[at : at + 4096]):
                assert len(piece) <= PIECE
                out += len(piece)

    with pytest.raises(Garbled, match="larger than can be true"):
        read()
    assert out <= PIECE + 200 * len(packed)
    assert out < 4 * PIECE


def test_a_bomb_in_one_read_is_an_error_too() -> None:
    """However many bytes of it have come."""
    packed = gzip.compress(bytes(20 * PIECE))
    with pytest.raises(Garbled, match="larger than can be true"):
        opened(packed, len(packed))


def test_text_that_packs_well_is_no_bomb() -> None:
    """Repetitive replies of a usual size are far from the bound."""
    text = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' * 20_000
    assert opened(gzip.compress(text)) == text


@pytest.mark.parametrize("kept", [0, 1, 5, 10, 11, 60])
def test_a_cut_reply_says_what_it_had(kept: int) -> None:
    """The beginning comes out, and no more; that it is not whole is for the format to find."""
    packed = gzip.compress(TEXT)[:kept]
    assert TEXT.startswith(opened(packed))


def test_the_checksum_is_held() -> None:
    """A wrong one is an error, although all of the text has come."""
    packed = bytearray(gzip.compress(TEXT))
    packed[-8] ^= 1
    with pytest.raises(Garbled, match="cannot be opened"):
        opened(bytes(packed))


@pytest.mark.parametrize(
    "wrong",
    [b"{}", b"<html>", b"\0" * 40, b"\x1f\x8b\x08\xff" + b"\xff" * 30, b"\x78\x9c\xff\xff\xff"],
    ids=["json", "html", "zeros", "gzip-flags", "zlib-block"],
)
def test_what_is_not_compressed_is_an_error(wrong: bytes) -> None:
    """Plain text under a header that says gzip, and damage after a good beginning."""
    with pytest.raises(Garbled):
        opened(wrong)


@given(st.binary(max_size=300))
def test_any_bytes_give_text_or_the_one_error(data: bytes) -> None:
    """Nothing else is ever raised."""
    with contextlib.suppress(Garbled):
        opened(data, 7)


@pytest.mark.parametrize(
    "more", [b"x" * 1000, bytes(1000), gzip.compress(b"{}")], ids=["trash", "zeros", "member"]
)
def test_what_follows_the_end_is_an_error(more: bytes) -> None:
    """In the same read or a later one: a provider cannot fill our memory with what nobody reads."""
    one, packed = Inflater(), gzip.compress(b"{}")
    assert b"".join(one.feed(packed)) == b"{}"
    with pytest.raises(Garbled):
        list(one.feed(more))
    with pytest.raises(Garbled):
        opened(packed + more)


@pytest.mark.parametrize("name", [b"gzip", b"x-gzip", b"deflate", b"GZIP", b" gzip "])
def test_known_encodings(name: bytes) -> None:
    """In any case, with any space around."""
    assert inflater(name) is not None


@pytest.mark.parametrize("name", [b"", b"identity", b" Identity "])
def test_no_encoding(name: bytes) -> None:
    """Nothing to open."""
    assert inflater(name) is None


@pytest.mark.parametrize("name", [b"br", b"zstd", b"gzip, gzip", b"gzip, br", b"\xff"])
def test_encodings_that_nobody_asked_for(name: bytes) -> None:
    """An error, as what is in them cannot be read."""
    with pytest.raises(Garbled, match="not asked for"):
        inflater(name)
