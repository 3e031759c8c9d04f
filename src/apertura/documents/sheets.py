"""Tables as CSV (RFC 4180), which spreadsheets open.

Lines end with CR LF; a cell with a comma, a quote or a line break is quoted. A cell that a
spreadsheet would take for a formula gets an apostrophe before it, which it takes as "this is text";
numbers stay as they are, negative ones too.

The rule that keeps it honest: no cell is ever run by whoever opens the file, whatever a caller
called a key or a reference.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def sheet(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A whole sheet in UTF-8."""
    return lines([headings, *rows])


def lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows of a sheet, for one that is written piece by piece."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([safe(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def safe(cell: str) -> str:
    """A cell that is no formula."""
    harmless = not cell.startswith(_FORMULA) or _NUMBER.fullmatch(cell)
    return cell if harmless else f"'{cell}"
