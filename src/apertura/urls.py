"""Every URL of the product, on one page.

`HOT` are the paths on which calls run: answered without ASGI where the server is ours (the fast
lane), and before Starlette where it is not. `COLD` is everything else. Clients are configured with
one of three base URLs (the root, `/v1`, or the full path of chat completions), so each path stands
under all of them.

What it is not: a handler. The rule that keeps it honest: a path that is not on this page answers
404 with the code `endpoint_not_found`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from apertura.api import (
    alerts,
    billing,
    cards,
    chat,
    count,
    documents,
    embeddings,
    gemini,
    health,
    keys,
    log,
    models,
    payments,
    public_models,
    receipts,
    recommend,
    responses,
    subscription,
    token,
    usage,
    user,
    webhooks,
)
from apertura.api.parts import Parts
from apertura.relay.exchange import Exchange

PartsHandler = Callable[[Parts, Exchange], Coroutine[Any, None, None]]
Methods = dict[str, PartsHandler]

BASES = ("/v1", "", "/v1/chat/completions")
"""What stands before a path of the public API, by how a client was configured."""

HOT: dict[str, PartsHandler] = {
    "/chat/completions": chat.complete,
    "/completions": chat.complete_text,
    "/embeddings": embeddings.embed,
    "/messages": chat.create_message,
    "/messages/count_tokens": count.count_message,
    "/rerank": embeddings.rank,
    "/responses": responses.create,
}
"""POST, by path below a base."""

API: dict[str, Methods] = {
    "/models": {"GET": models.index},
    "/models/{id:path}": {"GET": models.show, "POST": gemini.call},
    "/receipts/{id}": {"GET": receipts.show},
    "/recommend": {"GET": recommend.show},
    "/responses/{id}": {"GET": responses.show, "DELETE": responses.delete},
    "/responses/{id}/input_items": {"GET": responses.show_input},
    "/dashboard/billing/credits": {"GET": billing.show_credits},
    "/token/info": {"GET": token.show_info},
    "/token/keys": {"GET": token.list_keys, "POST": token.create_key},
    "/token/usage": {"GET": token.show_usage},
}
"""By path below a base, and method."""

MANAGEMENT: dict[str, Methods] = {
    "/api/billing/alerts": {"GET": alerts.show, "PUT": alerts.change},
    "/api/billing/contacts": {"GET": alerts.show_contacts, "PUT": alerts.change_contacts},
    "/api/billing/budget": {"GET": billing.show_budget, "PUT": billing.set_budget},
    "/api/billing/details": {"GET": documents.show_details, "PUT": documents.put_details},
    "/api/billing/invoices": {"GET": documents.list_invoices},
    "/api/billing/invoices/{number}.pdf": {"GET": documents.show_invoice_pdf},
    "/api/billing/overview": {"GET": billing.show_overview},
    "/api/billing/auto-top-up": {
        "GET": cards.show_auto_top_up,
        "PUT": cards.set_auto_top_up,
    },
    "/api/billing/codes/redeem": {"POST": payments.redeem},
    "/api/billing/methods": {"GET": cards.list_methods, "POST": cards.add_method},
    "/api/billing/methods/{id}": {"DELETE": cards.remove_method},
    "/api/billing/methods/{id}/default": {"POST": cards.set_default_method},
    "/api/billing/payments": {"GET": payments.list_payments},
    "/api/billing/plans": {"POST": payments.begin_plan},
    "/api/billing/plans/upgrade": {"POST": payments.upgrade_plan},
    "/api/billing/portal": {"POST": payments.open_portal},
    "/api/billing/statements": {"GET": documents.list_statements},
    "/api/billing/statements/{month}.pdf": {"GET": documents.show_statement_pdf},
    "/api/billing/statements/{month}.csv": {"GET": documents.show_statement_csv},
    "/api/billing/statements/{month}": {"GET": documents.show_statement},
    "/api/keys": {"GET": keys.index, "POST": keys.create},
    "/api/keys/{id}": {"GET": keys.show, "PATCH": keys.change, "DELETE": keys.delete},
    "/api/keys/{id}/budget": {"PUT": billing.set_key_budget},
    "/api/log": {"GET": log.index},
    "/api/log/self": {"GET": log.index},
    "/api/log.csv": {"GET": log.export},
    "/api/log/{id}": {"GET": log.show},
    "/api/subscription": {"GET": subscription.show},
    "/api/subscription/cancel": {"POST": subscription.cancel},
    "/api/subscription/change": {"POST": subscription.change_plan},
    "/api/subscription/fallback": {"POST": subscription.set_fallback},
    "/api/subscription/key": {"POST": subscription.renew_key},
    "/api/billing/top-ups": {"GET": payments.show_rules, "POST": payments.begin_top_up},
    "/api/subscription/resume": {"POST": subscription.resume},
    "/api/usage": {"GET": usage.show},
}
"""By whole path, and method: for admin keys, and for nobody else."""

OWN: dict[str, Methods] = {
    "/": {"GET": health.front},
    "/.well-known/apertura-receipts.json": {"GET": receipts.show_keys},
    "/health/live": {"GET": health.live},
    "/health/ready": {"GET": health.ready},
    "/metrics": {"GET": health.metrics},
    "/api/models": {"GET": public_models.index},
    "/api/v2/models": {"GET": public_models.priced},
    "/api/v2/models/": {"GET": public_models.priced},
    "/api/plans": {"GET": subscription.list_plans},
    "/api/user/self": {"GET": user.show_self},
    "/api/user/token": {"GET": user.show_token},
    "/webhooks/stripe": {"POST": webhooks.receive},
    **MANAGEMENT,
    "/v1beta/models/{id:path}": {"POST": gemini.call},
}
"""By whole path, and method."""

SPEAKS: dict[str, str] = {"/messages": "anthropic_messages", "/responses": "openai_responses"}
"""What callers speak below a base, by the path's beginning, where it is not OpenAI's format."""
GEMINI = re.compile(f".*/models/.*:(?:{'|'.join(gemini.VERBS)})")
"""Paths of Gemini's verbs."""


def hot() -> dict[str, PartsHandler]:
    """The hot table, every base spelled out. `/v1/chat/completions` alone is the endpoint too."""
    return {base + path: handler for base in BASES for path, handler in HOT.items()}


def cold() -> dict[str, Methods]:
    """Whole paths (with Starlette's placeholders) of everything else."""
    return {base + path: methods for base in BASES for path, methods in API.items()} | OWN


def speaks(path: str) -> str:
    """The dialect in which a caller at this path wants to be answered."""
    if path.startswith("/v1beta/") or GEMINI.fullmatch(path):
        return "gemini"
    for base in BASES:
        for start, dialect in SPEAKS.items():
            if path.startswith(base + start):
                return dialect
    return "openai_chat"
