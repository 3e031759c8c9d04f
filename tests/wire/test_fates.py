"""Behaviour of the fates of parameters, and of reasoning state on its way through other formats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire import fates, state
from apertura.wire.chat import PARAMETERS, Chat

ALL = " ".join(PARAMETERS)
FATES = fates.table(
    mapped=" ".join(name for name in PARAMETERS if name not in ("seed", "n", "logprobs")),
    dropped="seed logprobs",
    refused="n",
)


def chat(**fields: object) -> Chat:
    return Chat(turns=(), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given_names",
    [
        {"mapped": " ".join(PARAMETERS[1:])},
        {"mapped": ALL + " nonsense"},
        {"mapped": ALL, "dropped": PARAMETERS[0]},
    ],
)
def test_a_table_without_a_fate_for_each_field_does_not_load(given_names: dict[str, str]) -> None:
    """Missing, unknown, or given twice."""
    with pytest.raises(ValueError, match="fates missing, unknown or doubled"):
        fates.table(**given_names)


def test_what_is_dropped_is_listed_in_the_callers_words() -> None:
    """And members that have no place at all, by their own names."""
    asked = chat(seed=7, temperature=0.5, others={"x_new": Raw(b"1")}, names={"seed": "random"})

    assert fates.dropped(asked, FATES, "Some format") == ("random", "x_new")


def test_what_was_not_asked_is_not_listed() -> None:
    """None, and the one value that every format has anyway."""
    assert fates.dropped(chat(logprobs=False, seed=None), FATES, "Some format") == ()


def test_what_must_not_be_dropped_is_refused_by_the_callers_name() -> None:
    """The error names the parameter as its caller wrote it."""
    with pytest.raises(BadRequest) as refusal:
        fates.dropped(chat(n=2, names={"n": "candidateCount"}), FATES, "Some format")

    assert refusal.value.param == "candidateCount"
    assert refusal.value.code == "invalid_parameter"


@given(st.sampled_from(state.ORIGINS), st.text())
def test_state_comes_out_as_it_went_in(origin: str, opaque: str) -> None:
    """Byte for byte, whatever it holds."""
    assert state.unwrap(state.wrap(origin, opaque)) == (origin, opaque)


@pytest.mark.parametrize("native", ["", "EqQBCgIYAhIM", "apertura", "apertura.x.y", "gAAAAAB.o"])
def test_native_state_is_never_taken_for_wrapped(native: str) -> None:
    """Nor is anything that names no origin that we know."""
    assert state.unwrap(native) is None
