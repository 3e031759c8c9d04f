"""A renewal told of by webhook: its invoice is collected when it is made."""

from __future__ import annotations

from apertura.payments.demo import billing
from apertura.store import ledger
from tests.api import test_payments
from tests.api.managing import DOLLAR
from tests.api.test_payments import Paying, subscribed

paying = test_payments.paying  # the fixture


async def test_a_renewal_is_collected_at_once(paying: Paying) -> None:
    """The message that its invoice is made is answered once it is paid; told again, nothing is
    charged again. A card that is declined is no fault of the message.
    """
    await subscribed(paying)
    world = paying.demo.world
    billing.pass_time(world, (billing.next_due(world) or 0) - world.now)
    [made] = [event for event in world.events if event["type"] == "invoice.created"]
    world.events.clear()

    for _ in range(2):
        assert (await paying.deliver(made)).status == 200
    assert [event["type"] for event in world.events].count("invoice.paid") == 1
    await paying.hear(copies=2, seed=5)
    assert await ledger.balance(paying.database, "revenue:plans") == 24 * DOLLAR

    [card] = list(world.all("payment_method"))
    card["card"]["last4"] = "0341"
    billing.pass_time(world, (billing.next_due(world) or 0) - world.now)
    assert set(await paying.hear()) == {200}
    last = next(iter(world.all("invoice")))
    assert (last["status"], last["attempt_count"]) == ("open", 1)
    assert await ledger.balance(paying.database, "revenue:plans") == 24 * DOLLAR
