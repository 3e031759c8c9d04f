"""What the demo processor knows: its objects by id, its clock, its cards and its events.

What it is not: what the objects look like (`shapes`), or what becomes of them (`payments`,
`billing`). The rule that keeps it honest: each change of an object that Stripe tells of is an event
here, with the object as it was then.
"""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Thing = dict[str, Any]
TOKEN = {
    "pm_card_visa": ("visa", "4242"),
    "pm_card_mastercard": ("mastercard", "4444"),
    "pm_card_amex": ("amex", "8431"),
    "pm_card_chargeDeclined": ("visa", "0002"),
    "pm_card_chargeDeclinedInsufficientFunds": ("visa", "9995"),
    "pm_card_chargeCustomerFail": ("visa", "0341"),
    "pm_card_authenticationRequired": ("visa", "3184"),
}
"""Cards by the names that Stripe gives them: brand and last digits."""
REFUSES = {
    "0002": ("card_declined", "generic_decline"),
    "9995": ("card_declined", "insufficient_funds"),
    "0341": ("card_declined", "generic_decline"),
    "3184": ("authentication_required", "authentication_required"),
}
"""What cards answer, by their last digits."""
SAVED_BUT_EMPTY = "0341"
"""It can be saved, and pays nothing."""
WANTS_OWNER = "3184"
"""It pays when its owner is there."""


class Problem(Exception):
    """What Stripe answers with an error object."""

    def __init__(self, status: int, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": "invalid_request_error", "message": message, **fields}


class Kept(NamedTuple):
    """The reply under an idempotency key."""

    asked: bytes
    status: int
    body: bytes


class World:
    """Everything that is there. `on_event` hears of each event as it happens."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self.ahead = clock, 0
        self.url = ""
        self.things: dict[str, Thing] = {}
        self.events: list[Thing] = []
        self.replies: dict[str, Kept] = {}
        self.on_event: Callable[[Thing], None] = lambda _: None
        self.refund_status = "succeeded"
        """What becomes of refunds: also `pending` or `failed`."""

    @property
    def now(self) -> int:
        """Seconds since 1970, as far ahead as somebody wished."""
        return int(self._clock()) + self.ahead

    def skip(self, seconds: int) -> None:
        """Let the clock be later."""
        self.ahead += seconds

    def new_id(self, prefix: str) -> str:
        """An id such as `pi_…`."""
        return f"{prefix}_{secrets.token_hex(12)}"

    def keep(self, thing: Thing) -> Thing:
        """A new object, by its id."""
        self.things[thing["id"]] = thing
        return thing

    def get(self, name: object, kind: str) -> Thing:
        """An object of a kind. Raises: Problem, as Stripe."""
        thing = self.things.get(str(name))
        if thing is None or thing["object"] != kind:
            what = kind.replace(".", " ").replace("_", " ")
            raise Problem(404, f"No such {what}: '{name}'", code="resource_missing", param="id")
        return thing

    def all(self, kind: str) -> Iterable[Thing]:
        """The objects of a kind, the newest first."""
        return [one for one in reversed(list(self.things.values())) if one["object"] == kind]

    def tell(self, kind: str, thing: Thing) -> None:
        """Something happened to an object."""
        event = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": None,
            "created": self.now,
            "data": {"object": copy.deepcopy(thing)},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.events.append(event)
        self.on_event(event)
