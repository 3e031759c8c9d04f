"""GET /api/user/self and /api/user/token: the older endpoints of an account, for any of its keys.

Their amounts are whole quota units, 500,000 to the dollar. What it is not: a person's account or
session; a caller is a key, and these show whose it is. The rule that keeps it honest: the amounts
are those of the credits endpoint, in another unit.
"""

from __future__ import annotations

from apertura.api import manage
from apertura.api.amounts import units_left, units_used
from apertura.api.manage import moment, reply_data
from apertura.api.parts import Parts
from apertura.api.reply import enter
from apertura.relay.exchange import Exchange
from apertura.store import keys as key_store
from apertura.store import standing, usage


async def show_self(parts: Parts, exchange: Exchange) -> None:
    """GET /api/user/self: the organization's balance, and who stands for it."""
    caller, head = await enter(parts, exchange, any_key=True)
    await parts.settlement.flush()
    contact = await standing.contact(parts.database, caller.org_id, caller.key_id)
    money = await standing.money(parts.database, caller.org_id, manage.now_ms())
    used = await usage.org_totals(parts.database, caller.org_id)
    data = {
        "id": caller.org_id,
        "username": contact.username,
        "display_name": contact.username,
        "email": contact.email,
        "quota": units_left(money.credit),
        "used_quota": units_used(used.cost),
        "request_count": used.calls,
        "status": 1,
    }
    reply_data(exchange, data, head)


async def show_token(parts: Parts, exchange: Exchange) -> None:
    """GET /api/user/token: what the key may still use; without a quota, the balance."""
    caller, head = await enter(parts, exchange, any_key=True)
    await parts.settlement.flush()
    use = await standing.key_use(parts.database, caller.key_id)
    if caller.quota is None:
        left = (await standing.money(parts.database, caller.org_id, manage.now_ms())).credit
    else:
        left = max(0, caller.quota - use.cost)
    record = await key_store.find_by_id(parts.database, caller.key_id)
    expires = None if record is None else record.expires_at
    data = {
        "id": caller.key_id,
        "name": caller.key_name,
        "remain_quota": units_left(left),
        "used_quota": units_used(use.cost),
        "unlimited_quota": caller.quota is None,
        "expires_at": None if expires is None else moment(expires),
    }
    reply_data(exchange, data, head)
