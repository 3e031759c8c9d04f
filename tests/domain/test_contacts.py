"""Behaviour of mail addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.contacts import parse_address


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ann@example.org", "ann@example.org"),
        ("Ann.Lee+bills@EXAMPLE.Org", "Ann.Lee+bills@example.org"),
        ("root@localhost", "root@localhost"),
        ("o'hara_1/x=y@a-b.example", "o'hara_1/x=y@a-b.example"),
        ("a@xn--mnchen-3ya.example", "a@xn--mnchen-3ya.example"),
        (f"{'l' * 64}@{'d' * 63}.example", f"{'l' * 64}@{'d' * 63}.example"),
    ],
)
def test_an_address_is_read(text: str, read: str) -> None:
    """The domain in lower case; what stands before it is its server's business."""
    assert parse_address(text) == read
    assert parse_address(read) == read


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "a@", "@b", "a", "a@b@", "a b@c", " a@b", "a@b ", "a@b\n", "a\r\n@b"),
        *("a@b,c@d", "a@b>c", "<a@b>", "Ann <a@b>", '"a b"@c', "a(x)@b", "a;b@c", "a:b@c"),
        *(".a@b", "a.@b", "a..b@c", "a@.b", "a@b.", "a@b..c", "a@-b", "a@b-", "a@[127.0.0.1]"),
        *("ä@b", "a@bü.example", "a\u202e@b", "a\x00@b", f"{'l' * 65}@b", f"a@{'d' * 64}"),
        f"{'l' * 60}@{'.'.join(['d' * 60] * 4)}",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Also addresses that some standard allows and that would need quoting."""
    with pytest.raises(ValueError, match="no mail address"):
        parse_address(text)


@given(st.text(max_size=40))
def test_what_passes_is_safe_in_a_header(text: str) -> None:
    """Nothing in it means anything there."""
    try:
        read = parse_address(f"{text}@example.org")
    except ValueError:
        return
    assert read.isascii()
    assert read.isprintable()
    assert not set(read) & set(' "(),:;<>[\\]')
