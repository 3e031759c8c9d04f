"""Behaviour of every reader of bytes, whatever the bytes: see `surfaces` and `oracle`.

A short run for each commit, the same each time; HYPOTHESIS_PROFILE=soak makes it longer, and
tools/fuzz.py goes on where this one ends.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import HAZARDS, mutated, nested
from tests.fuzz.seeds import STEER, seeds
from tests.fuzz.surfaces import SURFACES

NAMES = sorted(SURFACES)
FEW = settings(max_examples=settings().max_examples // 2)
STEERS = st.just(bytes(STEER)) | st.binary(min_size=STEER, max_size=STEER)


@pytest.mark.parametrize("name", NAMES)
def test_what_providers_and_callers_really_send(name: str) -> None:
    """Each seed, whole and byte by byte: an oracle that refuses these is wrong."""
    for seed in seeds(name):
        SURFACES[name](seed)
        SURFACES[name](b"\xff" + seed[1:])


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(number=st.integers(0, 2**32), steer=STEERS)
def test_what_is_odd_in_a_few_places(name: str, number: int, steer: bytes) -> None:
    """Mutations of the seeds."""
    random = Random(number)
    begun = [seed[STEER:] for seed in seeds(name)]
    SURFACES[name](steer + mutated(random.choice(begun), random, begun))


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(
    steer=STEERS, data=st.binary(max_size=200) | st.lists(st.sampled_from(HAZARDS)).map(b",".join)
)
def test_what_is_nothing_at_all(name: str, steer: bytes, data: bytes) -> None:
    """Bytes without sense, alone and as an event."""
    SURFACES[name](steer + data)
    SURFACES[name](steer + b"data: " + data + b"\n\n")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("translate")])
def test_every_depth(name: str) -> None:
    """What is nested so deep that one part can just read it, and the next one cannot say it."""
    seed = min(seeds(name), key=len)
    at = seed.rfind(b":") + 1
    end = min(place for place in (seed.find(b",", at), seed.find(b"}", at), len(seed)) if place > 0)
    for depth in (100, *range(300, 960, 219), *range(960, 1_000, 13), 10_000):
        for kind in range(6):
            SURFACES[name](seed[:at] + nested(depth, kind) + seed[end:])
