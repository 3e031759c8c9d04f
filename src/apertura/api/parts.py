"""The parts that handlers work with, put together once by `app`.

What it is not: a container that finds or makes parts. The rule that keeps it honest: parts are made
in `app`, by hand and in order, and handed over; `Current` alone may change while the process runs.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from apertura.api.caller import Callers
from apertura.domain.payments import TopUpRules
from apertura.domain.routing import Routes
from apertura.payments.base import PaymentProcessor
from apertura.relay.admission import Admission
from apertura.relay.idempotency import Replays
from apertura.relay.relay import Relay
from apertura.relay.settlement import Settlement
from apertura.settings import Settings
from apertura.store.database import Database
from apertura.store.plans import Plans
from apertura.telemetry import Meters


class Current:
    """The catalogue's snapshot in use; a change swaps it, running calls keep theirs."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a handler may need."""

    settings: Settings
    database: Database
    callers: Callers
    plans: Plans
    admission: Admission
    relay: Relay
    replays: Replays
    settlement: Settlement
    current: Current
    meters: Meters
    clock: Callable[[], float]
    top_ups: TopUpRules
    payments: PaymentProcessor | None = None
    """Who takes cards; None: nobody does."""
