"""Behaviour of pages: the same bytes, within their bounds, whatever the text."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertura.documents.pages import MISSING, Column, Pages
from tests.documents.reading import pages_of, text_of

HOSTILE = {
    "controls": "a\x00b\x1b[31m\x07c\x7f\x85d",
    "a line break": "first\r\nsecond\u2028third",
    "from the right": "\u202eevil\u2066 \u202dtxt",
    "Hebrew and Arabic": "שלום مرحبا",
    "Han": "株式会社",
    "an emoji": "👩‍👩‍👧‍👦",
    "beyond": "\U0010ffff\ue000\ufffe",
    "PDF's own": r"(unbalanced \) \\ ) Tj ET endstream endobj <</S /JavaScript>>",
    "marks": "a" + "\u0301" * 500,
    "one word": "x" * 5_000,
    "words": "word " * 1_000,
    "the number of pages": "{nb}",
    "nothing": "",
    "space": " \t\n ",
}


def pages() -> Pages:
    return Pages("Title", made_ms=1_795_306_384_542, foot="foot")


def everywhere(text: str) -> bytes:
    """A text in each place in which text can stand."""
    made = Pages(text, made_ms=0, foot=text)
    made.head(text, [text, text], [(text, text)])
    made.block(text, [text, text])
    made.heading(text)
    made.table([Column(text, 1), Column(text, 1, "right")], [[text, text]], [text, text])
    made.sums([(text, text, False), (text, text, True)])
    made.note(text)
    return made.done()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_breaks_a_page(name: str) -> None:
    """Wherever it stands: all of it lies within the margins, and none below the foot."""
    made = everywhere(HOSTILE[name])

    read = pages_of(made)
    assert read
    for shown in (shown for page in read for shown in page):
        assert 50 <= shown.x <= 545
        assert 0 < shown.y < 830
        assert not any(ord(letter) < 32 for letter in shown.text)
    assert made.endswith(b"%%EOF\n")


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_written(text: str) -> None:
    """And what the font has is read back as it was."""
    made = pages()
    made.sums([(text, "", False)])

    shown = " ".join(one.text for one in pages_of(made.done())[0][:1] if one.y < 100)

    assert shown == made.plain(text)


def test_what_the_font_lacks_is_seen_to_be_missing() -> None:
    """A sign for each letter; what it has stands as it is, composed."""
    made = pages()

    assert made.plain("Ωμέγα Київ Łódź €₴ ქართული") == "Ωμέγα Київ Łódź €₴ ქართული"
    assert made.plain("株式") == MISSING * 2
    assert made.plain("e\u0301") == "é"
    assert made.plain(" two \n\t words\x00 ") == "two words"


def test_long_tables_go_on_with_their_headings() -> None:
    """Every row once and in order, the headings on each page, pages counted."""
    made = pages()
    rows = [[f"row {n}", str(n)] for n in range(200)]
    made.table([Column("Name", 1), Column("Number", 1, "right")], rows, ["In all", "200"])

    read = pages_of(made.done())

    assert len(read) == 4
    words = [[shown.text for shown in page] for page in read]
    assert [page.count("Name") for page in words] == [1] * 4
    assert [w for page in words for w in page if w.startswith("row ")] == [r[0] for r in rows]
    assert [page[-2:] for page in words] == [["foot", f"{n} / 4"] for n in range(1, 5)]
    sizes = {shown.size for page in read for shown in page[-2:]}
    assert len(sizes) == 1
    assert "In all" in words[-1]


def test_what_is_too_long_for_its_column_is_cut() -> None:
    """With an ellipsis; its neighbour stands free."""
    made = pages()
    made.table([Column("Name", 1), Column("Number", 1, "right")], [["m" * 300, "7"]])

    text = text_of(made.done())

    assert "mmm…  7" in text


def test_an_amount_is_never_cut() -> None:
    """What is too long for its place at the right is smaller there, and whole."""
    amount = "−1,234,567,890.123456789 USD"
    made = pages()
    columns = [Column(str(n), 1, "right") for n in range(6)]
    made.table(columns, [[amount] * 6])

    (page,) = pages_of(made.done())

    amounts = [shown for shown in page if shown.text.startswith("−")]
    assert [shown.text for shown in amounts] == [amount] * 6
    assert {shown.size < 8 for shown in amounts} == {True}


def test_the_same_content_is_the_same_bytes() -> None:
    """In another process as well, with other seeds for hashes."""
    program = (
        "import sys; from tests.documents.test_pages import everywhere; "
        "sys.stdout.buffer.write(everywhere('Ω 株 text'))"
    )
    made = everywhere("Ω 株 text")

    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        assert done.stdout == made


def test_no_library_is_imported_before_it_is_used() -> None:
    """It takes a second."""
    program = (
        "import sys; import apertura.documents.invoices, apertura.documents.statements; "
        "assert 'fpdf' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", program], check=True)
