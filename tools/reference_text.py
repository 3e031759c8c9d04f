"""What the manual says of names that the code has: one entry for each, in plain words.

`reference.py` puts these beside the names that it reads from the code, and fails where the two
differ. The rule that keeps it honest: nothing stands here that the code could say itself.
"""

from __future__ import annotations

from typing import Any

CODES = {
    "access_denied": "The key is good, but this is not for it: `/metrics` from elsewhere, say.",
    "account_suspended": "The key's organization is suspended.",
    "bad_signature": "A message to a webhook is not the payment processor's, or too old.",
    "caller_hung_up": "Only in the call log: the caller closed the connection. Status 499.",
    "code_not_valid": "The code is not known, was redeemed before, or its time is over.",
    "content_policy_violation": "The provider refused the content of the request.",
    "context_length_exceeded": "The input is longer than the model's context.",
    "endpoint_not_found": "There is no such path.",
    "expired_api_key": "The key's expiry has passed.",
    "idempotency_in_progress": "The first call with this `Idempotency-Key` runs elsewhere, or its "
    "worker has not said how it ended. `Retry-After` says when to ask again.",
    "idempotency_key_reused": "This `Idempotency-Key` was used for another request.",
    "idempotency_result_gone": "The first call with this `Idempotency-Key` was answered, and its "
    "reply is not kept; the headers tell its id and cost. Nothing is charged for asking.",
    "insufficient_balance": "The balance does not cover the call, or the rest of its answer.",
    "internal_error": "A fault of the gateway itself. The request id finds it in the log.",
    "invalid_api_key": "The key is unknown, mistyped, deleted or disabled.",
    "invalid_file_format": "The provider does not take files of this kind.",
    "invalid_image": "The provider cannot use an image of the request.",
    "invalid_parameter": "A value is out of range, of the wrong type or not offered; see `param`.",
    "invalid_request": "The body is no JSON object, or the provider calls the request wrong.",
    "ip_not_allowed": "The caller's address is not in the key's list.",
    "local_model_failed": "Only at start with `--dev`: the embedded model did not start.",
    "local_model_missing": "Only at start with `--dev`: the embedded model is not installed.",
    "method_not_allowed": "The path does not take this HTTP method; `Allow` names those it takes.",
    "missing_api_key": "No key was sent.",
    "missing_parameter": "A required parameter is absent; see `param`.",
    "model_access_denied": "The model is not in the key's list, or not in its plan.",
    "model_not_found": "There is no such model here, or none that this key may see.",
    "model_overloaded": "The provider has no room now. `Retry-After` says when to try again.",
    "not_found": "There is nothing of this id in the key's organization.",
    "payment_failed": "The subscription of the key is not paid for, and the grace is over.",
    "payment_required": "What is asked for is paid first; the message says how.",
    "subscription_expired": "The subscription of the key has ended.",
    "subscription_not_found": "The organization has no subscription, or none of this id.",
    "output_length_exceeded": "The provider refused the length of the output.",
    "payment_declined": "The card was declined. Another one may do.",
    "payment_method_needed": "The card is still needed; choose or add another one first.",
    "payment_not_found": "There is no such payment or transaction.",
    "payment_processor_away": "The payment processor cannot be asked now. Try again.",
    "payment_processor_error": "The payment processor refuses what was asked; see the message.",
    "payments_not_set_up": "This installation takes no cards.",
    "quota_exceeded": "A quota, a budget, a plan's allowance or the limit on paying beside it "
    "is used up; see the message.",
    "rate_limit_exceeded": "A rate limit is reached, here or at the provider. See `Retry-After`.",
    "receipt_not_found": "No call of this id is in the books of the key's organization.",
    "request_timeout": "The time budget ran out before the first content, or the request stalled.",
    "request_too_large": "The body is larger than `max_body_mb`, or than the provider takes.",
    "response_not_found": "No response of this id is kept here for the key's organization.",
    "service_unavailable": "The gateway cannot serve now. `Retry-After` says when to try again.",
    "upstream_error": "The provider failed or could not be reached. Nothing is charged.",
    "voice_not_supported": "The provider does not have this voice.",
}

FIELDS = {
    "call_id": "The request id: the reply's `x-request-id`. It grows with time.",
    "org_id": "The organization.",
    "key_id": "The key's public id.",
    "model": "The model as the caller named it.",
    "provider": "The provider of the last attempt; empty if there was none.",
    "offer": "The offer of the last attempt: provider, slash, the provider's name of the model.",
    "operation": "`chat`, `embeddings` or `rerank`.",
    "streamed": "Whether the caller asked for a stream.",
    "status": "The HTTP status; 499 when the caller hung up; the error's when a stream broke.",
    "outcome": "`answered`, `cut` (by the caller) or `failed`.",
    "error_code": "The code of the error; empty if the call was answered.",
    "started_ms": "When the call began, in milliseconds since 1970.",
    "first_ms": "Milliseconds to the first content of a stream; null without one.",
    "total_ms": "Milliseconds to the end.",
    "attempts": "How many offers were tried.",
    "input": "Input tokens in all.",
    "cache_read": "Of the input: read from the provider's prompt cache.",
    "cache_write": "Of the input: written to that cache for its usual life.",
    "cache_write_1h": "Of the input: written to that cache for an hour.",
    "audio_input": "Of the input: sound.",
    "output": "Output tokens in all.",
    "reasoning": "Of the output: reasoning.",
    "audio_output": "Of the output: sound.",
    "estimated": "Whether the gateway counted because the provider did not say.",
    "cost": "What the call costs its caller, in nano-dollars (billionths of a US dollar).",
    "price_id": "The price that was applied: provider, figures, and the date they were checked.",
    "image_output": "Of the output: pictures.",
    "credits": "What the call takes of a plan's allowance, in thousandths of a credit.",
    "upstream_cost": "What the provider takes for the call, in nano-dollars, as far as known.",
    "payer": "`wallet`, `promo` or `allowance`; empty where nothing was held.",
}

EVENTS = {
    "audit_found": "The books break a rule: which, where, and the two figures that differ.",
    "books_not_written": "A batch of usage rows could not be written; it is tried again.",
    "bug": "A fault of the gateway, with the id of the request.",
    "invoice_not_collected": "A renewal could not be collected at once; the processor tries again.",
    "journal_full": "The journal's disk has no room: new calls are 503 until it has.",
    "key_not_freed": "The database could not be told that a call came to nothing, so its "
    "`Idempotency-Key` is free at this worker alone; it is tried again.",
    "payment_not_asked": "The payment processor could not be asked; it is asked again.",
    "payment_refused": "The payment processor refused something, with its words.",
    "webhook_refused": "A message to the webhook had no good signature.",
    "webhook_waits": "A message tells of a payment that is not known, or not paid, yet.",
    "job_failed": "A job's step failed, at file and line; it is taken again at its next turn.",
    "leases_not_kept": "Leases could not be renewed or given back; it is tried again.",
    "mail_failed": "A mail was not taken; it is tried again. `code` is the server's.",
    "mail_given_up": "A mail is not tried any more: `apertura mail queue` says why.",
    "mail_waits": "A mail waits, as there is no mail server. It holds no address.",
    "local_model": "The embedded model died, and what follows.",
    "reply_not_stored": "A reply that may be stored could not be; it is kept in memory alone.",
    "recovered": "Calls of an earlier life were brought from the journal to the books.",
    "serving": "The server accepts calls.",
    "stopped": "Everything is closed.",
    "stopping": "A signal came; `at_once` is true for the second one.",
}

GEMINI = (
    "Gemini's API: `generateContent`, `streamGenerateContent` (as events with `?alt=sse`, else as "
    "one array), `countTokens`, `embedContent`, `batchEmbedContents`."
)
ENDPOINTS = {
    "POST /chat/completions": "A chat completion, at once or as a stream.",
    "POST /completions": "The older text completion: one prompt, one text.",
    "POST /embeddings": "Vectors for texts.",
    "POST /messages": "A message in Anthropic's format, at once or as a stream, of any chat model.",
    "POST /messages/count_tokens": "How many input tokens such a request has, about. Free.",
    "POST /rerank": "Documents in the order of their relevance to a query.",
    "POST /responses": "A response in OpenAI's newer format, at once or as a stream, of any chat "
    "model. With `store: true` it is kept, and `previous_response_id` goes on from it.",
    "GET /responses/{id}": "A response that was kept.",
    "DELETE /responses/{id}": "Forget it.",
    "GET /responses/{id}/input_items": "What it was asked with.",
    "GET /models": "The models that the key may use.",
    "GET /models/{id}": "One of them; the id may hold slashes and colons.",
    "POST /models/{id}:{verb}": GEMINI,
    "POST /v1beta/models/{id}:{verb}": "The same, at the path that its clients are made for.",
    "GET /receipts/{id}": "The signed [receipt](../guide/statements.md#receipts-of-calls) of a "
    "call of the key's organization, by the call's `x-request-id`.",
    "GET /recommend": "A model for a `task` (`coding`, `long-context`, `fast-chat`, `reasoning`, "
    "`vision`) and a `budget` (`low`, `medium`, `high`), with alternatives.",
    "GET /api/models": "The ids of all models, for anybody.",
    "GET /api/v2/models": "All models with prices (USD per 1,000 tokens) and features, by page: "
    "`limit` and `offset`, or `page` and `page_size`; `sort`, `order`.",
    "GET /api/v2/models/": "The same.",
    "GET /dashboard/billing/credits": "What the organization has, what the key may use of it, and "
    "the plan's cycle. Any key may ask.",
    "GET /token/info": "The key's name, what is left for it, whose it is, and the plan.",
    "GET /token/keys": "The organization's keys, masked, with their quotas in units of which "
    "500,000 are a dollar.",
    "POST /token/keys": "A key that may do what the caller may, at most; its `quota` (in units) is "
    "taken out of the caller's.",
    "GET /token/usage": "What the key has used, up to its last completed call: in all, and by "
    "model and day for `?period=today`, `week` (7 days) or `month` (30 days, the default).",
    "GET /api/billing/alerts": "Of what the organization is told by mail, and from where on.",
    "PUT /api/billing/alerts": "Change that; what is left out stays.",
    "GET /api/billing/contacts": "The addresses to which the organization's mail goes.",
    "PUT /api/billing/contacts": "Name others; with none, mail goes to the owners.",
    "GET /api/user/self": "The organization's balance and use in quota units, and who stands for "
    "it. Any key may ask.",
    "GET /api/user/token": "What is left for the key, in quota units.",
    "GET /api/plans": "The plans that are on sale, with prices and multipliers, for anybody.",
    "GET /api/billing/budget": "The organization's monthly budget; null without one.",
    "PUT /api/billing/budget": "Set it: `cap_usd` (null takes it away) and `reset_day`.",
    "GET /api/billing/auto-top-up": "The wish to be charged when the balance is low, or null.",
    "PUT /api/billing/auto-top-up": "Set it: `enabled`, `threshold_usd`, `amount_usd`, `method`.",
    "POST /api/billing/codes/redeem": "Credit the organization with a `code`.",
    "GET /api/billing/methods": "The saved cards, the default first.",
    "POST /api/billing/methods": "A page on which a card is added.",
    "POST /api/billing/methods/{id}/default": "Charge this card from now on.",
    "DELETE /api/billing/methods/{id}": "Forget a card, unless it is still needed.",
    "GET /api/billing/payments": "What was paid and given back, the newest first; `before`.",
    "POST /api/billing/plans": "A page on which a subscription is begun: `plan`, `period`.",
    "POST /api/billing/plans/upgrade": "A dearer `plan`; the difference is charged now.",
    "POST /api/billing/portal": "The processor's own page about the organization.",
    "GET /api/billing/top-ups": "The bounds of a top-up, and its discounts.",
    "POST /api/billing/top-ups": "A page on which a top-up of `amount_usd` is paid.",
    "POST /webhooks/stripe": "For the payment processor: what it tells of payments.",
    "GET /api/billing/details": "To whom the organization's next invoice is addressed.",
    "PUT /api/billing/details": "Set that: `company`, `tax_id`, `address`, `country`; what is left "
    "out is empty.",
    "GET /api/billing/invoices": "Invoices and credit notes, the last one first; `limit`, "
    "`offset`.",
    "GET /api/billing/invoices/{number}.pdf": "One of them, as a PDF.",
    "GET /api/billing/statements": "The months of which there are "
    "[statements](../guide/statements.md), the last one first.",
    "GET /api/billing/statements/{month}": "The statement of a month such as `2026-11`, so far if "
    "it has not ended.",
    "GET /api/billing/statements/{month}.pdf": "The same, as a PDF.",
    "GET /api/billing/statements/{month}.csv": "The same, as CSV.",
    "GET /api/billing/overview": "Balance, gifts, what is held and available, budget, plan.",
    "GET /api/keys": "The organization's keys, with what each has used.",
    "POST /api/keys": "A new key, shown once: `name`, `models`, `addresses`, `quota_usd`, "
    "`expires_at`.",
    "GET /api/keys/{id}": "One of them.",
    "PATCH /api/keys/{id}": "Change what the body names; `status` is `enabled` or `disabled`.",
    "DELETE /api/keys/{id}": "Refuse it for good.",
    "PUT /api/keys/{id}/budget": "Its monthly budget, as the organization's.",
    "GET /api/log": "The calls, newest first, by page: `key`, `model`, `outcome`, `status`, "
    "`from`, `to`; `limit` and `before`.",
    "GET /api/log/self": "The same.",
    "GET /api/log.csv": "The same as a file, up to 100,000 calls; `x-next-before` says where to go "
    "on.",
    "GET /api/log/{id}": "One call, by the `x-request-id` of its reply.",
    "GET /api/subscription": "The subscription, its cycle and its history; null without one.",
    "POST /api/subscription/cancel": "End it with what is paid.",
    "POST /api/subscription/change": "Another `plan` or `period` after what is paid.",
    "POST /api/subscription/fallback": "Whether the balance pays beside the plan: `enabled`, "
    "`limit_usd`.",
    "POST /api/subscription/key": "A new key in place of its old one, shown once.",
    "POST /api/subscription/resume": "Take back a cancellation.",
    "GET /api/usage": "Sums of calls, tokens, cost, latency and errors by `group` (`day`, `model` "
    "or `key`), `from` and `to`.",
    "GET /": "The installation's name.",
    "GET /.well-known/apertura-receipts.json": "The public keys of receipts, for anybody.",
    "GET /health/live": "200 while the process answers.",
    "GET /health/ready": "200 when a call could be served now; else 503 with what is missing: "
    "`database`, `books` or `models`.",
    "GET /metrics": "[Metrics](metrics.md), for the addresses of the setting `metrics_from`.",
}

ARGUMENTS = {
    "amount": "the amount in US dollars, such as 25 or 2.50",
    "kind": "what the model is asked for; chat if not given",
    "model": "the model, as callers name it",
    "name": "what it is called",
    "org": "the organization, by id or name",
    "count": "how many",
    "period": "how long a payment lasts; for a new subscription monthly, if not given",
    "plan": "the plan's id, as `plans list` shows it",
    "reason": "why; it stands in the books",
    "switch": "on or off",
}
"""For arguments without a help of their own."""

KINDS = {"input": "text, tokens, or a list of them: see below"}
"""Values that take more words than a cell has."""

EXAMPLE: dict[str, Any] = {
    "call_id": "req_01a200996c9de5da43470119294f554e",
    "org_id": "org_obnlxkdxsd4ygnje6tnw",
    "key_id": "BTSnvDPUDmy9",
    "model": "gpt-4o-mini",
    "provider": "openai",
    "offer": "openai/gpt-4o-mini",
    "operation": "chat",
    "streamed": True,
    "status": 200,
    "outcome": "answered",
    "error_code": "",
    "started_ms": 1_795_306_384_542,
    "first_ms": 421,
    "total_ms": 1_904,
    "attempts": 1,
    "input": 33,
    "cache_read": 32,
    "cache_write": 0,
    "cache_write_1h": 0,
    "audio_input": 0,
    "output": 120,
    "reasoning": 0,
    "audio_output": 0,
    "estimated": False,
    "cost": 74_550,
    "price_id": "openai:0.15/0.60@2026-11-21",
}

TREATED = {
    "model": "read; the provider gets the offer's own name for it",
    "stream": "read and passed on",
    "stream_options": "passed on without `include_cost`; a stream's `include_usage` is always set "
    "for the provider",
    "usage": "taken out; with `include` true the reply's usage has the cost of the call",
    "extra_body": "merged into the request, then checked and treated as the rest; not passed on",
}
SAMPLES: dict[str, Any] = {
    "compression": {"enabled": True},
    "extra_body": {},
    "fallback_enabled": True,
    "fallback_models": ["b"],
    "fallback_timeout": 5_000,
    "models": ["b"],
    "provider": {"sort": "price"},
    "usage": {"include": True},
    "web_content_length": "short",
    "web_results_count": 1,
    "web_search_options": {},
}
REFUSED_HOW = {
    "compression": "refused when `enabled` is true; else taken out",
}

REQUEST_HEADERS = (
    ("`Authorization: Bearer sk-…`", "The API key. It wins over `x-api-key`."),
    ("`x-api-key: sk-…`", "The API key, for clients that send it so."),
    ("`x-goog-api-key: sk-…`, `?key=sk-…`", "The same, for Gemini's clients."),
    (
        "`X-Timeout: 60000`",
        (
            "Milliseconds until the answer, or until the first content of a stream, over all "
            "attempts. A value outside 5,000 to 300,000 counts as the nearest bound; what is no "
            "whole number is refused. Without it the setting `timeout_call` holds. Chat and "
            "embeddings only."
        ),
    ),
    (
        "`X-Include-Cost: true`",
        (
            "Puts the cost of the call, in dollars, into the reply: `usage.cost`, in Gemini's "
            "format `usageMetadata.cost`; of a stream into the last report of usage, which then "
            "comes whether or not it was asked for. Anything but `true` and `false` is refused."
        ),
    ),
    (
        "`Idempotency-Key: anything`",
        (
            "1 to 255 printable ASCII characters. Asking again with the same key and body gets the "
            "reply of the first asking, and costs nothing; see the guide. For all that costs."
        ),
    ),
    (
        "`X-Forwarded-For`",
        "Read only from the addresses of `trusted_proxies`, from the right.",
    ),
    ("`Content-Type`, `anthropic-version` and others", "Not needed, and not looked at."),
)
REPLY_HEADERS = (
    ("`x-request-id`", "On every reply of an endpoint: the call's id in the log and the books."),
    ("`x-ratelimit-limit`", "Of the limit with the least left: how many calls it admits."),
    ("`x-ratelimit-remaining`", "How many of them are left."),
    ("`x-ratelimit-reset`", "When that limit lets the next call in, in Unix seconds."),
    ("`retry-after`", "On 429 and 503: how many seconds to wait."),
    ("`x-timeout-attempts`", "On 408 for a spent time budget: how many offers were tried."),
    ("`x-timeout-elapsed-ms`", "On the same: the budget, in milliseconds."),
    ("`x-fallback-used`", "Where models may stand in: whether one did."),
    ("`x-fallback-from`", "Where one did: the model that was asked for."),
    ("`x-actual-model`", "Where models may stand in: the model that answered."),
    ("`x-fallback-reason`", "Where one did: `primary_model_failed`."),
    ("`x-dropped-params`", "Parameters that the provider's format cannot say, by your names."),
    (
        "`x-cost-usd`",
        "On every answered call that is not streamed: what it cost, in dollars, exactly.",
    ),
    (
        "`x-credits`",
        "On the same, where a plan's allowance pays: the credits that the call took.",
    ),
    ("`idempotent-replayed`", "`true` on a reply that is another call's, asked for again."),
    (
        "`x-original-request-id`",
        "On 409: the first call with this `Idempotency-Key`. `x-cost-usd` is its cost, if known.",
    ),
    ("`x-should-retry`", "`false` where SDKs need not try again."),
    ("`allow`", "On 405: the methods that the path takes."),
)
