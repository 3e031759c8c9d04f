"""Every state of the lease protocol, found by going through all of its steps."""

from __future__ import annotations

import pytest

from tests.simulation.protocol import State, check, check_end, start, steps


def explore(first: State, balance: int) -> tuple[int, int, set[str]]:
    """Visit every state that can be reached; returns how many, how many ends, and which steps."""
    seen, todo, ends = {first}, [first], 0
    taken: set[str] = set()
    while todo:
        state = todo.pop()
        check(state, balance)
        following = list(steps(state))
        if not [name for name, _ in following if name not in OPTIONAL]:
            check_end(state, balance)
            ends += 1
        for name, after in following:
            taken.add(name)
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return len(seen), ends, taken


# What need not happen: at an end nothing else is left to do.
OPTIONAL = {"a worker is killed", "killed after the commit", "a worker is silent for too long"}


@pytest.mark.parametrize(
    ("balance", "callers", "workers", "kills", "silences"),
    [(5, 3, 2, 0, 0), (5, 2, 2, 1, 0), (3, 2, 1, 1, 1)],
)
def test_no_order_of_events_breaks_the_money(
    balance: int, callers: int, workers: int, kills: int, silences: int
) -> None:
    """In every state the fund is sound; at every end all is returned, and charged once."""
    states, ends, taken = explore(start(balance, callers, workers, kills, silences), balance)

    assert states > 1000
    assert ends > 10
    assert bool(kills) == ("a worker starts again" in taken)


@pytest.mark.slow
@pytest.mark.parametrize(("callers", "workers", "silences"), [(3, 2, 0), (2, 2, 1), (3, 1, 1)])
def test_no_order_of_events_with_a_crash_breaks_the_money(
    callers: int, workers: int, silences: int
) -> None:
    """Three callers, two workers, a crash at any point: all states."""
    states, _, _ = explore(start(5, callers, workers, 1, silences), 5)

    assert states > 10_000
