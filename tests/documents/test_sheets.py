"""Behaviour of CSV: what is written is read back, and nothing of it is run."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.documents.sheets import lines, safe, sheet

printable = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))


@given(st.lists(st.lists(printable, min_size=2, max_size=2)))
def test_a_sheet_is_read_back(rows: list[list[str]]) -> None:
    """Quotes, commas and line breaks are cells' own; only formulas have changed."""
    data = sheet(["a", "b"], rows)

    read = list(csv.reader(io.StringIO(data.decode(), newline="")))

    assert read == [["a", "b"], *([safe(cell) for cell in row] for row in rows)]
    assert data.endswith(b"\r\n")


@given(printable)
def test_no_cell_is_a_formula(cell: str) -> None:
    """It begins with no sign of one, unless it is a number; and it is as it was but for that."""
    shown = safe(cell)

    assert shown in (cell, f"'{cell}")
    assert not shown.startswith(("=", "+", "@", "\t", "\r", "\n"))
    if shown.startswith("-"):
        float(shown)


@pytest.mark.parametrize("cell", ["-5", "-0.000000001", "0", "12.50"])
def test_numbers_stay_numbers(cell: str) -> None:
    """Negative ones too."""
    assert safe(cell) == cell


@pytest.mark.parametrize("cell", ["-1+1", "-", "-1e9", "--1", "-1.", "=1", "+1", "@x", "-٣"])
def test_what_is_not_quite_a_number_is_text(cell: str) -> None:
    """An apostrophe says so."""
    assert safe(cell) == f"'{cell}"


def test_pieces_are_the_whole() -> None:
    """A sheet may be written row by row."""
    assert lines([["a"]]) + lines([["b,"]]) == sheet(["a"], [["b,"]]) == b'a\r\n"b,"\r\n'
