"""The keys of an organization, for its admin keys: /api/keys.

    GET, POST /api/keys               all of them; a new one, which is shown once
    GET, PATCH, DELETE /api/keys/{id}

What it is not: minting or judging (`domain.keys`), a key's budget (`billing`), or admin keys, which
are seen here and changed by the command line only: who may manage keys is not thereby to give
themselves more. The rule that keeps it honest: a body may name what stands in its struct and
nothing else; whose key it is, of what kind, and its digest come from nowhere but here.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from apertura.api import manage
from apertura.api.amounts import dollars, dollars_or_none, read_usd
from apertura.api.manage import moment, read_body, reply_data
from apertura.api.parts import Parts
from apertura.domain import keys, model_ids, secrets
from apertura.errors import BadRequest, Forbidden, NotFound
from apertura.relay.exchange import Exchange
from apertura.store import keys as key_store
from apertura.store import standing
from apertura.store.keys import KeyChange, KeyRecord, Status
from apertura.store.standing import KeyUse

NAME_MOST = 100
LIST_MOST = 500
"""Models or addresses of one key."""


class NewKey(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /api/keys. Empty lists mean all; null is no bound."""

    name: str
    models: list[str] = []
    addresses: list[str] = []
    quota_usd: Decimal | None = None
    expires_at: str | None = None


class Change(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of PATCH /api/keys/{id}: what is left out stays."""

    name: str | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
    addresses: list[str] | UnsetType = UNSET
    quota_usd: Decimal | UnsetType | None = UNSET
    expires_at: str | UnsetType | None = UNSET


async def index(parts: Parts, exchange: Exchange) -> None:
    """GET /api/keys: all of them, the oldest first."""
    caller, head = await manage.enter(parts, exchange)
    await parts.settlement.flush()
    records = await key_store.listing(parts.database, caller.org_id)
    uses = await standing.key_uses(parts.database, caller.org_id)
    budgets = await standing.budgets_of_keys(parts.database, caller.org_id)
    data = [
        show_key(record, uses.get(record.id, KeyUse()), budgets.get(record.id))
        for record in records
    ]
    reply_data(exchange, data, head)


async def create(parts: Parts, exchange: Exchange) -> None:
    """POST /api/keys."""
    caller, head = await manage.enter(parts, exchange, write=True)
    body = read_body(parts, exchange, NewKey)
    now_ms = manage.now_ms()
    quota = None if body.quota_usd is None else read_usd(body.quota_usd, "quota_usd")
    key, record = mint(
        parts,
        org_id=caller.org_id,
        name=read_name(body.name),
        models=read_models(parts, body.models),
        addresses=read_addresses(body.addresses),
        quota_nano=quota,
        expires_at=None if body.expires_at is None else read_expiry(body.expires_at, now_ms),
        created_at=now_ms,
    )
    await key_store.create(parts.database, record)
    data = {**show_key(record, KeyUse(), None), "key": key}
    reply_data(exchange, data, head, status=201)


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /api/keys/{id}."""
    caller, head = await manage.enter(parts, exchange)
    await parts.settlement.flush()
    record = await _find(parts, caller.org_id, manage.last_part(exchange, "/api/keys/"))
    reply_data(exchange, await _shown(parts, record), head)


async def change(parts: Parts, exchange: Exchange) -> None:
    """PATCH /api/keys/{id}."""
    caller, head = await manage.enter(parts, exchange, write=True)
    key_id = manage.last_part(exchange, "/api/keys/")
    body = read_body(parts, exchange, Change)
    fields = _change(parts, body)
    record = await _find(parts, caller.org_id, key_id)
    _check_changeable(record, body)
    await parts.settlement.flush()
    await key_store.change(parts.database, caller.org_id, key_id, fields)
    parts.callers.forget()  # at once here; other workers hear of it
    reply_data(exchange, await _shown(parts, await _find(parts, caller.org_id, key_id)), head)


async def delete(parts: Parts, exchange: Exchange) -> None:
    """DELETE /api/keys/{id}: for good, and at once."""
    caller, head = await manage.enter(parts, exchange, write=True)
    record = await _find(parts, caller.org_id, manage.last_part(exchange, "/api/keys/"))
    _check_changeable(record, None)
    await key_store.delete(parts.database, caller.org_id, record.id)
    parts.callers.forget()
    reply_data(exchange, {"id": record.id, "deleted": True}, head)


def _change(parts: Parts, body: Change) -> KeyChange:
    """What a body changes, as it is kept. Raises: BadRequest."""
    given = {
        name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET
    }
    read: dict[str, Any] = {
        "name": read_name,
        "status": lambda status: status,
        "models": lambda models: read_models(parts, models),
        "addresses": read_addresses,
        "quota_usd": lambda quota: None if quota is None else read_usd(quota, "quota_usd"),
        "expires_at": lambda at: None if at is None else read_expiry(at, manage.now_ms()),
    }
    values = {name: read[name](value) for name, value in given.items()}
    if "quota_usd" in values:
        values["quota_nano"] = values.pop("quota_usd")
    return KeyChange(**values)


def _check_changeable(record: KeyRecord, body: Change | None) -> None:
    """Raises: Forbidden: an admin key, or what of a subscription's key goes with its plan."""
    if record.kind == "admin":
        raise Forbidden("Admin keys are changed on the command line only: `apertura keys …`.")
    if record.kind != "subscription":
        return
    if body is None:
        raise Forbidden("This key belongs to a subscription and ends with it.")
    if body.quota_usd is not UNSET or body.expires_at is not UNSET:
        raise Forbidden("What this key may use, and until when, is its subscription's.")


async def _find(parts: Parts, org_id: str, key_id: str) -> KeyRecord:
    record = await key_store.find_by_id(parts.database, key_id)
    if record is None or record.org_id != org_id:
        raise manage.not_found("key", key_id)
    return record


async def _shown(parts: Parts, record: KeyRecord) -> dict[str, object]:
    use = await standing.key_use(parts.database, record.id)
    budgets = await standing.budgets_of_keys(parts.database, record.org_id)
    return show_key(record, use, budgets.get(record.id))


def show_key(record: KeyRecord, use: KeyUse, budget: tuple[int, int] | None) -> dict[str, object]:
    """A key as JSON has it; never the key itself."""
    quota = record.quota_nano
    return {
        "id": record.id,
        "name": record.name,
        "kind": record.kind,
        "key": keys.masked(record.kind, record.id, record.last4),
        "status": record.status,
        "models": record.models,
        "addresses": record.addresses,
        "scopes": record.scopes,
        "quota_usd": dollars_or_none(quota),
        "used_usd": dollars(use.cost),
        "left_usd": None if quota is None else dollars(max(0, quota - use.cost)),
        "calls": use.calls,
        "tokens": use.tokens,
        "last_used": use.last_day or None,
        "budget": budget and {"cap_usd": dollars(budget[0]), "reset_day": budget[1]},
        "expires_at": None if record.expires_at is None else moment(record.expires_at),
        "created_at": moment(record.created_at),
    }


# What `token` makes keys with too.


def mint(parts: Parts, **fields: Any) -> tuple[str, KeyRecord]:
    """A new standard key, to be shown once, and its record, to be kept."""
    minted = keys.mint(os.urandom(keys.RANDOM_BYTES))
    pepper = secrets.derive(parts.settings.secret, secrets.KEY_DIGEST)
    digest = keys.Digester(pepper).digest(minted.key.encode()).hex()
    return minted.key, KeyRecord(id=minted.id, digest=digest, last4=minted.last4, **fields)


def read_name(name: str) -> str:
    """A name for people. Raises: BadRequest: empty, too long, or not printable."""
    name = name.strip()
    if not 1 <= len(name) <= NAME_MOST or not name.isprintable():
        raise BadRequest(
            f"name must have 1 to {NAME_MOST} printable characters.",
            code="invalid_parameter",
            param="name",
        )
    return name


def read_models(parts: Parts, names: list[str]) -> tuple[str, ...]:
    """The models of these names, by their ids. Raises: BadRequest, where there is none."""
    _check_length(names, "models")
    catalog, found = parts.current.routes.catalog, []
    for name in names:
        try:
            found.append(model_ids.find_model(name, catalog).model.id)
        except (NotFound, BadRequest):
            raise BadRequest(
                f"There is no model {name[:200]!r} here. GET /v1/models lists those there are.",
                code="invalid_parameter",
                param="models",
            ) from None
    return tuple(dict.fromkeys(found))


def read_addresses(texts: list[str]) -> tuple[str, ...]:
    """Addresses and subnets. Raises: BadRequest."""
    _check_length(texts, "addresses")
    try:
        return tuple(map(str, keys.parse_networks(texts)))
    except BadRequest as error:
        raise BadRequest(error.message, code=error.code, param="addresses") from None


def read_expiry(text: str, now_ms: int) -> int:
    """A date or a time (UTC where it says no zone) to come. Raises: BadRequest."""
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        expires_at = int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        expires_at = 0
    if expires_at <= now_ms:
        raise BadRequest(
            "expires_at must be a time to come, such as 2030-01-31 or 2030-01-31T12:00:00Z.",
            code="invalid_parameter",
            param="expires_at",
        )
    return expires_at


def _check_length(texts: list[str], param: str) -> None:
    if len(texts) > LIST_MOST:
        raise BadRequest(
            f"{param} may have at most {LIST_MOST} entries.", code="invalid_parameter", param=param
        )
