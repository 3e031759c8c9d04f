"""Behaviour of usage: what a provider says, brought into order."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import NOTHING, TOKENS_MAX, Usage, tidy

INPUT_PARTS = ("cache_read", "cache_write", "cache_write_1h", "audio_input")
OUTPUT_PARTS = ("reasoning", "audio_output", "image_output")
counts = st.one_of(st.integers(-5, 100), st.integers(-(2**70), 2**70))
said = st.builds(
    Usage,
    estimated=st.booleans(),
    **dict.fromkeys(("input", "output", *INPUT_PARTS, *OUTPUT_PARTS), counts),
)


@st.composite
def honest(draw) -> Usage:
    """Usage whose parts are disjoint and within their totals."""
    parts = {name: draw(st.integers(0, 50)) for name in (*INPUT_PARTS, *OUTPUT_PARTS)}
    total_in = sum(parts[name] for name in INPUT_PARTS) + draw(st.integers(0, 50))
    total_out = sum(parts[name] for name in OUTPUT_PARTS) + draw(st.integers(0, 50))
    return Usage(input=total_in, output=total_out, **parts)


@given(said)
def test_parts_end_up_within_their_totals(usage: Usage) -> None:
    """Whatever was said, no class is negative and none is larger than can be."""
    tidied = tidy(usage)

    values = msgspec.structs.asdict(tidied)
    assert all(0 <= values[n] <= TOKENS_MAX for n in ("input", "output"))
    assert all(values[name] >= 0 for name in (*INPUT_PARTS, *OUTPUT_PARTS))
    assert tidied.plain_input >= 0
    assert tidied.plain_output >= 0
    assert tidied.estimated == usage.estimated


@given(said)
def test_tidying_twice_changes_nothing(usage: Usage) -> None:
    """What is in order stays as it is."""
    once = tidy(usage)

    assert tidy(once) == once


@given(honest())
def test_an_honest_report_is_kept(usage: Usage) -> None:
    """The very value, not a copy."""
    assert tidy(usage) is usage


@given(said)
def test_totals_are_believed_where_they_can_be(usage: Usage) -> None:
    """A part never changes its total; only a total out of bounds is cut to them."""
    tidied = tidy(usage)

    assert tidied.input == max(0, min(usage.input, TOKENS_MAX))
    assert tidied.output == max(0, min(usage.output, TOKENS_MAX))


def test_nothing_is_nothing() -> None:
    """The usage of a call that consumed nothing."""
    assert Usage() == NOTHING
    assert tidy(NOTHING) is NOTHING
