"""Behaviour of rate-limit windows in memory: which calls share one."""

from __future__ import annotations

import pytest

from apertura.domain.limits import Limit, take_all
from apertura.store import counters
from apertura.store.counters import Limits, MemoryCounters

LIMITS = Limits(per_address=Limit(4, 60), per_key=Limit(3, 60), per_model=Limit(2, 60))


def admitted(memory: MemoryCounters, address: str, key: str, model: str, now: float = 0) -> bool:
    standing = take_all(memory.windows(address, key, model, now), now)
    return standing is None or standing.admitted


def shares(first: str, second: str) -> bool:
    """Whether two addresses fall under one window."""
    memory = MemoryCounters(Limits(per_address=Limit(1, 60), per_key=None, per_model=None))
    take_all(memory.windows(first, "", "", 0), 0)
    return not take_all(memory.windows(second, "", "", 0), 0).admitted


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("2001:DB8:1:2::1", "2001:db8:1:2::1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unknown", "unknown", True),
        ("", "10.0.0.1", False),
    ],
)
def test_an_address_has_one_window(first: str, second: str, same: bool) -> None:
    """A whole IPv6 /64 counts as one, as one household has it; IPv4 in IPv6 counts as IPv4."""
    assert shares(first, second) is same
    assert shares(second, first) is same


def test_a_call_falls_under_its_address_its_key_and_its_model() -> None:
    """Each limit bites where it is the lowest."""
    memory = MemoryCounters(LIMITS)

    assert [admitted(memory, "a", "k", "m") for _ in range(3)] == [True, True, False]
    assert admitted(memory, "a", "k", "n")
    assert not admitted(memory, "a", "k", "n")  # the key's limit of three
    assert admitted(memory, "a", "l", "m")
    assert not admitted(memory, "a", "l", "m")  # the address's limit of four
    assert admitted(memory, "b", "l", "m")


def test_a_refused_call_counts_nowhere() -> None:
    """The model's limit refuses; address and key keep what they had."""
    memory = MemoryCounters(LIMITS)
    for _ in range(9):
        admitted(memory, "a", "k", "m")

    assert admitted(memory, "a", "k", "n")
    assert admitted(memory, "a", "l", "n")


def test_a_call_without_a_model_falls_under_no_model() -> None:
    """The list of models, say."""
    memory = MemoryCounters(LIMITS)

    assert [w.scope for w in memory.windows("a", "k", "", 0)] == ["this address", "this API key"]
    assert [w.scope for w in memory.windows("a", "", "", 0)] == ["this address"]


def test_switched_off_limits_have_no_window() -> None:
    """And nothing is refused."""
    memory = MemoryCounters(Limits(per_address=None, per_key=None, per_model=None))

    assert memory.windows("a", "k", "m", 0) == []


def test_keys_and_models_of_equal_names_do_not_mix() -> None:
    """A key or model that is called as an address counts for itself."""
    memory = MemoryCounters(Limits(per_address=Limit(1, 9), per_key=Limit(1, 9), per_model=None))

    assert admitted(memory, "x", "y", "")
    assert admitted(memory, "y", "x", "")


def test_a_flood_of_addresses_is_forgotten_but_counts_are_not(monkeypatch) -> None:
    """Memory stays bounded; a window that still counts something survives the purge."""
    monkeypatch.setattr(counters, "PURGE_ABOVE", 10)
    memory = MemoryCounters(LIMITS)
    assert [admitted(memory, "mine", "k", "m") for _ in range(2)] == [True, True]

    for number in range(100):
        memory.windows(f"10.0.0.{number}", "", "", 0)

    assert len(memory._windows) < 30
    assert len(memory._groups) < 30
    assert not admitted(memory, "mine", "k", "m")
    assert admitted(memory, "mine", "k", "m", now=60)


def test_questions_about_usage_have_a_limit_of_their_own() -> None:
    """Per key, beside the key's; none where it is off, and never a model's."""
    limits = Limits(per_address=None, per_key=None, per_model=Limit(1, 60), queries=Limit(2, 60))
    memory = MemoryCounters(limits)

    assert [admitted(memory, "a", "one", counters.QUERIES) for _ in range(3)] == [True, True, False]
    assert admitted(memory, "b", "two", counters.QUERIES)
    assert admitted(memory, "a", "one", "model")
    off = MemoryCounters(LIMITS)
    assert [len(off.windows("a", "k", model, 0)) for model in ("", counters.QUERIES)] == [2, 2]
