"""Pages of A4: the few shapes that our documents are made of, over the one library that makes PDF.

What it is: text in two weights of a font that we bring along, headings, pairs of label and amount,
tables that go on over pages, a foot with page numbers. What it is not: any document's content. The
library takes a second to import, so it is imported when the first page is made.

The rule that keeps it honest: the same content is the same bytes, on any day and any machine; and
no text can break a page: what the font cannot show is shown as a sign for that, and what is too
long for its place is wrapped or cut with an ellipsis.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import as_file, files
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from fpdf import FPDF

Align = Literal["left", "right"]
WIDTH, HEIGHT = 210.0, 297.0
MARGIN, FOOT = 18.0, 16.0
INNER = WIDTH - 2 * MARGIN
LINE = 4.6
"""The height of a line of text, in millimetres as all lengths here."""
MISSING = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"
_SIZE, _SMALL, _LARGE, _LEAST = 9.0, 7.5, 18.0, 4.0
_GREY, _BLACK, _RULE = 105, 20, 205


class Column(NamedTuple):
    """Of a table: its heading, its part of the width (all parts are summed), and where text
    stands.
    """

    heading: str
    width: float
    align: Align = "left"


class Pages:
    """A document while it is written, from top to bottom."""

    def __init__(self, title: str, *, made_ms: int, foot: str) -> None:
        """`made_ms` stands in the file as its date; `foot` on each page beside its number."""
        self._pdf = _document(title, made_ms)
        self._known = _letters(self._pdf)
        self._foot = self.plain(foot)
        self._y = MARGIN
        self._pdf.add_page()

    def plain(self, text: str) -> str:
        """Text as the font can show it: no control signs, one line, a sign for what is missing."""
        shown = unicodedata.normalize("NFC", " ".join(text.split()))
        return "".join(
            letter if ord(letter) in self._known else MISSING
            for letter in shown
            if unicodedata.category(letter) not in {"Cc", "Cf"}
        )

    def gap(self, height: float = LINE) -> None:
        """Leave some room."""
        self._y += height

    def head(self, title: str, left: Sequence[str], right: Sequence[tuple[str, str]]) -> None:
        """The head of a document: who writes, at the left, the first line in bold; at the right
        the title and facts, as label and value.
        """
        top = self._y
        self._font(bold=True, size=_LARGE)
        self._put(WIDTH - MARGIN, top + 5, title, "right", INNER / 2)
        self._y = top + 12
        for label, value in right:
            self._pair(label, value, MARGIN + INNER * 0.52, INNER * 0.48)
        low, self._y = self._y, top + 4
        self._block(left, MARGIN, INNER * 0.48)
        self._y = max(low, self._y) + LINE

    def block(self, heading: str, lines: Sequence[str]) -> None:
        """A small heading and lines under it, the first in bold: an address, say."""
        self._room(LINE * (len(lines) + 1))
        self._font(size=_SMALL, grey=True)
        self._put(MARGIN, self._y, heading, "left", INNER)
        self._y += LINE
        self._block(lines, MARGIN, INNER * 0.6)

    def heading(self, text: str) -> None:
        """Of a section, which begins on the same page."""
        self._room(LINE * 5)
        self._y += LINE
        self._font(bold=True, size=_SIZE + 2)
        self._put(MARGIN, self._y, text, "left", INNER)
        self._y += LINE + 1

    def note(self, text: str) -> None:
        """A paragraph in small letters."""
        self._font(size=_SMALL, grey=True)
        for line in self._wrapped(self.plain(text), INNER):
            self._room(LINE)
            self._font(size=_SMALL, grey=True)
            self._put(MARGIN, self._y, line, "left", INNER)
            self._y += LINE * 0.85

    def sums(self, rows: Iterable[tuple[str, str, bool]]) -> None:
        """Label and amount, under each other; those that are true in bold, with a rule above."""
        for label, amount, is_sum in rows:
            self._room(LINE * 1.4)
            if is_sum:
                self._rule(self._y - LINE + 0.8)
            self._font(bold=is_sum)
            self._put(MARGIN, self._y, label, "left", INNER * 0.6)
            self._put(WIDTH - MARGIN, self._y, amount, "right", INNER * 0.38)
            self._y += LINE * 1.25

    def table(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[str]],
        total: Sequence[str] | None = None,
    ) -> None:
        """Rows under headings, which are repeated on each page; `total` in bold under them."""
        unit = INNER / sum(column.width for column in columns)
        places: list[tuple[float, float, Align]] = []
        at = MARGIN
        for column in columns:
            wide = column.width * unit
            places.append((at if column.align == "left" else at + wide, wide - 2, column.align))
            at += wide
        self._table_head(columns, places)
        for row in rows:
            if self._room(LINE):
                self._table_head(columns, places)
            self._font(size=_SIZE - 0.5)
            self._row(row, places)
        if total is not None:
            if self._room(LINE * 1.4):
                self._table_head(columns, places)
            self._rule(self._y - LINE + 1)
            self._font(bold=True, size=_SIZE - 0.5)
            self._row(total, places)

    def done(self) -> bytes:
        """The file."""
        pages = self._pdf.pages_count
        for number in range(1, pages + 1):
            self._pdf.page = number
            self._font(bold=True)  # else the library thinks that the page's last font is this one
            self._font(size=_SMALL, grey=True)
            at = HEIGHT - FOOT + 4
            self._put(MARGIN, at, self._foot, "left", INNER * 0.8)
            self._put(WIDTH - MARGIN, at, f"{number} / {pages}", "right", INNER * 0.2)
        return bytes(self._pdf.output())

    # How it gets onto the paper.

    def _font(self, *, bold: bool = False, size: float = _SIZE, grey: bool = False) -> None:
        self._pdf.set_font("text", "B" if bold else "", size)
        self._pdf.set_text_color(_GREY if grey else _BLACK)

    def _put(self, x: float, y: float, text: str, align: Align, width: float) -> None:
        """One line, with x at its left or right end, y at its feet. What is too long is cut; but
        at the right, where amounts stand, it is made smaller first.
        """
        shown = self.plain(text)
        size = self._pdf.font_size_pt
        if align == "right" and (wide := self._pdf.get_string_width(shown)) > width:
            self._pdf.set_font_size(max(_LEAST, size * width / wide * 0.99))
        if shown := self._cut(shown, width):
            wide = self._pdf.get_string_width(shown) if align == "right" else 0.0
            self._pdf.text(x - wide, y, shown)
        self._pdf.set_font_size(size)

    def _pair(self, label: str, value: str, x: float, width: float) -> None:
        self._font(size=_SIZE - 0.5, grey=True)
        self._put(x + width * 0.4, self._y, label, "right", width * 0.4)
        self._font(size=_SIZE - 0.5)
        self._put(x + width, self._y, value, "right", width * 0.58)
        self._y += LINE

    def _block(self, lines: Sequence[str], x: float, width: float) -> None:
        for number, line in enumerate(lines):
            self._font(bold=number == 0)
            for part in self._wrapped(self.plain(line), width)[:3]:
                self._room(LINE)
                self._font(bold=number == 0)
                self._put(x, self._y, part, "left", width)
                self._y += LINE

    def _table_head(
        self, columns: Sequence[Column], places: Sequence[tuple[float, float, Align]]
    ) -> None:
        self._room(LINE * 3)
        self._font(size=_SMALL, grey=True)
        self._row([column.heading for column in columns], places)
        self._rule(self._y - LINE + 1.2)
        self._y += 1.2

    def _row(self, cells: Sequence[str], places: Sequence[tuple[float, float, Align]]) -> None:
        for text, (x, width, align) in zip(cells, places, strict=True):
            self._put(x, self._y, text, align, width)
        self._y += LINE

    def _rule(self, y: float) -> None:
        self._pdf.set_draw_color(_RULE)
        self._pdf.set_line_width(0.2)
        self._pdf.line(MARGIN, y, WIDTH - MARGIN, y)

    def _room(self, height: float) -> bool:
        """Go to a new page unless so much fits on this one; says whether it did."""
        if self._y + height <= HEIGHT - FOOT - LINE:
            return False
        self._pdf.add_page()
        self._y = MARGIN + LINE
        return True

    def _cut(self, text: str, width: float) -> str:
        if self._pdf.get_string_width(text) <= width:
            return text
        low, high = 0, min(len(text), 400)
        while low < high:  # the longest beginning that fits
            middle = (low + high + 1) // 2
            if self._pdf.get_string_width(text[:middle] + ELLIPSIS) <= width:
                low = middle
            else:
                high = middle - 1
        return text[:low] + ELLIPSIS

    def _wrapped(self, text: str, width: float) -> list[str]:
        """Lines that fit, broken between words; a word that fits no line is cut later."""
        lines: list[str] = []
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}" if line else word
            if line and self._pdf.get_string_width(longer) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        return [*lines, line] if line else lines


def _document(title: str, made_ms: int) -> FPDF:
    from fpdf import FPDF

    pdf = FPDF(unit="mm", format="A4")
    pdf.set_auto_page_break(auto=False)
    pdf.set_creation_date(datetime.fromtimestamp(made_ms // 1000, UTC))
    pdf.set_producer("Apertura")
    pdf.set_title(title)
    pdf.set_lang("en")
    fonts = files("apertura.documents") / "fonts"
    for style, name in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
        with as_file(fonts / name) as path:
            pdf.add_font("text", style, path)
    for font in pdf.fonts.values():
        _close(font)
    pdf.set_font("text", "", _SIZE)
    return pdf


def _close(font: Any) -> None:
    """The library reads fonts lazily and leaves their files open: it reads from memory then."""
    reader = font.ttfont.reader
    with reader.file as file:
        file.seek(0)
        reader.file = BytesIO(file.read())


def _letters(pdf: FPDF) -> frozenset[int]:
    """What both fonts can show."""
    first, second = (set(font.cmap) for font in pdf.fonts.values())  # type: ignore[union-attr]
    return frozenset(first & second)
