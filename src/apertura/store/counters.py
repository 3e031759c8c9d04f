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
"""Windows; past it, those that have emptied are dropped (checked once per that many new ones)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The three limits of an installation; None is off."""

    per_address: Limit | None
    per_key: Limit | None
    per_model: Limit | None


class MemoryCounters:
    """All windows of a process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._windows: dict[tuple[str, str], Window] = {}
        self._purge_at = PURGE_ABOVE

    def of_address(self, address: str, now: float) -> list[Window]:
        """The window of a caller's address; all of one IPv6 /64 share one."""
        limit = self._limits.per_address
        if limit is None:
            return []
        if ":" in address:
            address = _site(address)
        return [self._window("", address, limit, "this address", now)]

    def of_call(self, address: str, key_id: str, model: str, now: float) -> list[Window]:
        """The windows of a call: its address, its key, and its key with its model (if any)."""
        windows = self.of_address(address, now)
        limits = self._limits
        if limits.per_key is not None:
            windows.append(self._window(key_id, "", limits.per_key, "this API key", now))
        if limits.per_model is not None and model:
            scope = f"this API key with the model {model}"
            windows.append(self._window(key_id, model, limits.per_model, scope, now))
        return windows

    def _window(self, first: str, second: str, limit: Limit, scope: str, now: float) -> Window:
        window = self._windows.get((first, second))
        if window is None:
            if len(self._windows) >= self._purge_at:
                self._purge(now)
            window = self._windows[first, second] = Window(limit, scope)
        return window

    def _purge(self, now: float) -> None:
        self._windows = {
            name: window
            for name, window in self._windows.items()
            if window.left(now) < window.limit.count
        }
        self._purge_at = len(self._windows) + PURGE_ABOVE


def _site(address: str) -> str:
    try:
        ip = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))
