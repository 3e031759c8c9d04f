"""What the manual says of names that the code has: one entry for each, in plain words.

`reference.py` puts these beside the names that it reads from the code, and fails where the two
differ. The rule that keeps it honest: nothing stands here that the code could say itself.
"""

from __future__ import annotations

from typing import Any

CODES = {
    "access_denied": "The key is good, but this is not for it: `/metrics` from elsewhere, say.",
    "account_suspended": "The key's organization is suspended.",
    "caller_hung_up": "Only in the call log: the caller closed the connection. Status 499.",
    "content_policy_violation": "The provider refused the content of the request.",
    "context_length_exceeded": "The input is longer than the model's context.",
    "endpoint_not_found": "There is no such path.",
    "expired_api_key": "The key's expiry has passed.",
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
    "model_access_denied": "The model is not in the key's list.",
    "model_not_found": "There is no such model here, or none that this key may see.",
    "model_overloaded": "The provider has no room now. `Retry-After` says when to try again.",
    "output_length_exceeded": "The provider refused the length of the output.",
    "rate_limit_exceeded": "A rate limit is reached, here or at the provider. See `Retry-After`.",
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
    "cost": "What the call costs, in nano-dollars (billionths of a US dollar).",
    "price_id": "The price that was applied: provider, figures, and the date they were checked.",
}

EVENTS = {
    "books_not_written": "A batch of usage rows could not be written; it is tried again.",
    "bug": "A fault of the gateway, with the id of the request.",
    "leases_not_kept": "Leases could not be renewed or given back; it is tried again.",
    "local_model": "The embedded model died, and what follows.",
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
    "GET /recommend": "A model for a `task` (`coding`, `long-context`, `fast-chat`, `reasoning`, "
    "`vision`) and a `budget` (`low`, `medium`, `high`), with alternatives.",
    "GET /api/models": "The ids of all models, for anybody.",
    "GET /api/v2/models": "All models with prices (USD per 1,000 tokens) and features, by page: "
    "`limit` and `offset`, or `page` and `page_size`; `sort`, `order`.",
    "GET /api/v2/models/": "The same.",
    "GET /token/usage": "What the key has used, up to its last completed call: in all, and by "
    "model and day for `?period=today`, `week` (7 days) or `month` (30 days, the default).",
    "GET /": "The installation's name.",
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
    "stream_options": "passed on; a stream's `include_usage` is always set for the provider",
    "extra_body": "merged into the request, then checked and treated as the rest; not passed on",
}
SAMPLES: dict[str, Any] = {
    "compression": {"enabled": True},
    "extra_body": {},
    "fallback_enabled": True,
    "fallback_models": ["b"],
    "fallback_timeout": 5_000,
    "web_content_length": "short",
    "web_results_count": 1,
    "web_search_options": {},
}
REFUSED_HOW = {
    "compression": "refused when `enabled` is true; else taken out",
    "fallback_enabled": "refused when true; else taken out",
    "fallback_models": "refused unless `fallback_enabled` is false; an empty list is taken out",
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
    ("`x-dropped-params`", "Parameters that the provider's format cannot say, by your names."),
    ("`allow`", "On 405: the methods that the path takes."),
)
