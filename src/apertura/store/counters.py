"""Rate-limit windows, in this process's memory.

What it is: which windows a call falls under, made when first needed and dropped when they have been
empty for a while, so that a flood of addresses cannot fill the memory. What it is not: their
arithmetic (`domain.limits`).

The rule that keeps it honest: these windows are exact for one process and only for one; several
workers need shared counters, and `settings` refuses to start them without.
"""

from __future__ import annotations

import ipaddress

import msgspec

from apertura.domain.limits import Limit, Window

PURGE_ABOVE = 50_000
"""Groups of windows; past it, windows that have emptied are dropped."""
QUERIES = "?"
"""In the place of a model: calls that ask for rows or sums of usage. No model is called so."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an installation; None is off."""

    per_address: Limit | None
    per_key: Limit | None
    per_model: Limit | None
    queries: Limit | None = None
    """Per key, of questions about usage."""


class MemoryCounters:
    """All windows of a process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._windows: dict[tuple[str, str], Window] = {}
        self._groups: dict[tuple[str, str, str, int], list[Window]] = {}
        self._purge_at = PURGE_ABOVE

    def windows(
        self, address: str, key_id: str, model: str, now: float, per_minute: int = 0
    ) -> list[Window]:
        """The windows of a call: its address (all of one IPv6 /64 share one), its key, and its key
        with its model. An empty key or model has none. `per_minute` is a plan's own limit per
        model; 0 is the installation's.
        """
        name = (address, key_id, model, per_minute)
        windows = self._groups.get(name)
        if windows is None:
            if len(self._groups) >= self._purge_at:
                self._purge(now)
            per_model = Limit(per_minute, 60) if per_minute else self._limits.per_model
            windows = self._groups[name] = self._make(address, key_id, model, per_model)
        return windows

    def _make(self, address: str, key_id: str, model: str, per_model: Limit | None) -> list[Window]:
        limits, windows = self._limits, []
        if limits.per_address is not None:
            site = _site(address) if ":" in address else address
            windows.append(self._window(("address", site), limits.per_address, "this address"))
        if limits.per_key is not None and key_id:
            windows.append(self._window(("key", key_id), limits.per_key, "this API key"))
        if model == QUERIES:
            if limits.queries is not None:
                scope = "this API key, asking for usage,"
                windows.append(self._window((key_id, QUERIES), limits.queries, scope))
        elif per_model is not None and model:
            scope = f"this API key with the model {model}"
            windows.append(self._window((key_id, model), per_model, scope))
        return windows

    def _window(self, name: tuple[str, str], limit: Limit, scope: str) -> Window:
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = Window(limit, scope)
        window.limit = limit  # a plan that was changed changes it; what was counted stays
        return window

    def _purge(self, now: float) -> None:
        """Keep what counts something; groups are found again when next asked for."""
        self._windows = {
            name: window
            for name, window in self._windows.items()
            if window.left(now) < window.limit.count
        }
        self._groups = {}
        self._purge_at = len(self._windows) + PURGE_ABOVE


def _site(address: str) -> str:
    try:
        ip = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))
