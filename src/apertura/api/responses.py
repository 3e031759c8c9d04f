"""POST /v1/responses, and what is kept of it: GET and DELETE /v1/responses/{id}.

A response is kept only where its caller said `store: true`, for a number of days that is a setting;
a later request may go on from it by `previous_response_id`, and may refer to items in it. What it
is not: the format (`wire.openai_responses`).

The rule that keeps it honest: what is kept is found by its organization alone, and it is kept
before the last byte of its reply leaves, so that who has read it can go on from it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from msgspec import Raw

from apertura.api.calls import answer
from apertura.api.parts import Parts
from apertura.api.reply import enter, reply_json
from apertura.domain.identity import Caller
from apertura.errors import NotFound
from apertura.relay.call import Call
from apertura.relay.exchange import Exchange
from apertura.relay.question import Keep
from apertura.relay.questions import ResponsesQuestion
from apertura.relay.relay import JSON
from apertura.store import responses
from apertura.store.responses import Kept
from apertura.wire import openai_responses, responses_history
from apertura.wire.chat import ChatRequest

DAY_MS = 86_400_000


async def create(parts: Parts, exchange: Exchange) -> None:
    """POST /v1/responses."""
    await answer(parts, exchange, "chat", _read, _prepare)


async def _prepare(parts: Parts, call: Call, question: ResponsesQuestion) -> None:
    """Before it runs: what it goes on from, and what is to be kept of it."""
    request = question.request
    referred = await _go_on(parts, call.caller, question)
    kept = responses_history.wants_keeping(request)
    # A provider knows nothing of what is kept here; the reply is to say it, under an id of ours.
    question.anew = kept or responses_history.previous_id(request) is not None
    if kept:
        question.keep = _keeper(parts, call.caller, request, referred)


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/responses/{id}."""
    caller, head = await enter(parts, exchange)
    kept = await _find(parts, caller, _id(exchange))
    exchange.respond(200, JSON + head, kept.response)


async def show_input(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/responses/{id}/input_items."""
    caller, head = await enter(parts, exchange)
    kept = await _find(parts, caller, _id(exchange))
    exchange.respond(200, JSON + head, responses_history.listed(kept.input, kept.id))


async def delete(parts: Parts, exchange: Exchange) -> None:
    """DELETE /v1/responses/{id}."""
    caller, head = await enter(parts, exchange)
    response_id = _id(exchange)
    if not await responses.delete(parts.database, caller.org_id, response_id):
        raise _not_found(response_id)
    deleted = {"id": response_id, "object": "response", "deleted": True}
    reply_json(exchange, deleted, head)


def _read(exchange: Exchange) -> ResponsesQuestion:
    request = openai_responses.parse(exchange.body)
    return ResponsesQuestion("openai_responses", openai_responses, request, exchange.id)


async def _go_on(parts: Parts, caller: Caller, question: ResponsesQuestion) -> Mapping[str, Raw]:
    """Put what the request goes on from into it; the items that it refers to, by id."""
    request, now_ms = question.request, _now_ms()
    before = responses_history.previous_id(request)
    named = responses_history.references(request)
    if before is None and not named:
        return {}
    referred = await responses.find_items(parts.database, caller.org_id, named, now_ms=now_ms)
    items: Sequence[Raw] = ()
    if before is not None:
        found = await responses.history(parts.database, caller.org_id, before, now_ms=now_ms)
        if found is None:
            raise _not_found(before, param="previous_response_id")
        items = found
    _ = question.facts  # from here on kept: replies repeat what was asked, not what is put in
    question.request = responses_history.with_history(request, items, referred)
    return referred


def _keeper(
    parts: Parts, caller: Caller, request: ChatRequest, referred: Mapping[str, Raw]
) -> Keep:
    """Keeps the reply to this request."""

    async def keep(reply: bytes) -> None:
        found = responses_history.kept_items(request, reply, referred)
        now_ms = _now_ms()
        await responses.purge(parts.database, now_ms=now_ms)
        kept = Kept(
            id=found.id,
            org_id=caller.org_id,
            key_id=caller.key_id,
            model=found.model,
            previous_id=found.previous_id,
            input=found.input,
            response=found.response,
            created_at=now_ms,
            expires_at=now_ms + parts.settings.responses_days * DAY_MS,
        )
        await responses.keep(parts.database, kept)

    return keep


async def _find(parts: Parts, caller: Caller, response_id: str) -> Kept:
    kept = await responses.find(parts.database, caller.org_id, response_id, now_ms=_now_ms())
    if kept is None:
        raise _not_found(response_id)
    return kept


def _not_found(response_id: str, param: str | None = None) -> NotFound:
    message = (
        f"There is no response {response_id!r} here. Only those that were asked for with "
        "`store: true` are kept, and not for ever."
    )
    return NotFound(message, code="response_not_found", param=param)


def _id(exchange: Exchange) -> str:
    return exchange.path.partition("/responses/")[2].removesuffix("/input_items")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
