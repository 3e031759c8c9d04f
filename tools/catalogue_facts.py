"""What is known of models beside the price data: days of release, ends of training data, names.

The rule that keeps it honest: what is not known for certain is not here; a model then has no date.
"""

from __future__ import annotations

_DAYS = {
    "2022-12-15": "text-embedding-ada-002",
    "2023-12-11": "mistral-embed",
    "2024-01-25": "text-embedding-3-large text-embedding-3-small",
    "2024-05-13": "gpt-4o",
    "2024-07-18": "gpt-4o-mini",
    "2024-07-23": "llama-3.1-8b-instruct llama-3.1-70b-instruct llama-3.1-405b-instruct",
    "2024-12-06": "llama-3.3-70b-instruct",
    "2025-01-20": "deepseek-r1",
    "2025-04-05": "llama-4-maverick-17b-128e-instruct llama-4-scout-17b-16e-instruct",
    "2025-04-14": "gpt-4.1 gpt-4.1-mini gpt-4.1-nano",
    "2025-04-16": "o3",
    "2025-04-28": "qwen3-32b qwen3-14b qwen3-30b-a3b qwen3-235b-a22b",
    "2025-05-28": "codestral-embed deepseek-r1-0528",
    "2025-06-05": "qwen3-embedding-8b",
    "2025-06-10": "o3-pro",
    "2025-06-17": "gemini-2.5-pro gemini-2.5-flash",
    "2025-07-22": "gemini-2.5-flash-lite",
    "2025-07-30": "codestral-2508",
    "2025-08-05": "gpt-oss-120b gpt-oss-20b",
    "2025-08-07": "gpt-5 gpt-5-mini gpt-5-nano",
    "2025-09-29": "claude-sonnet-4-5",
    "2025-10-06": "gpt-5-pro",
    "2025-10-15": "claude-haiku-4-5",
    "2025-11-13": "gpt-5.1",
    "2025-11-24": "claude-opus-4-5",
    "2025-12-02": "mistral-large-2512 ministral-14b-2512 ministral-8b-2512 ministral-3b-2512",
    "2025-12-11": "gpt-5.2 gpt-5.2-pro",
    "2026-02-05": "claude-opus-4-6",
    "2026-03-05": "gpt-5.4 gpt-5.4-pro",
    "2026-03-17": "gpt-5.4-mini gpt-5.4-nano",
    "2026-04-16": "claude-opus-4-7",
    "2026-04-23": "gpt-5.5 gpt-5.5-pro",
}
RELEASED = {model: day for day, models in _DAYS.items() for model in models.split()}

_KNOWLEDGE = {
    "2023-10": "gpt-4o gpt-4o-mini gpt-4o-2024-08-06 gpt-4o-2024-11-20 gpt-4o-mini-2024-07-18",
    "2023-12": "llama-3.1-8b-instruct llama-3.1-70b-instruct llama-3.3-70b-instruct",
    "2024-05": "gpt-5-mini gpt-5-nano",
    "2024-06": "gpt-4.1 gpt-4.1-mini gpt-4.1-nano o3 gpt-oss-120b gpt-oss-20b",
    "2024-08": "llama-4-maverick-17b-128e-instruct llama-4-scout-17b-16e-instruct",
    "2024-09": "gpt-5 gpt-5-pro gpt-5.1",
    "2025-01": "gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-lite",
    "2025-08": "gpt-5.2 gpt-5.2-pro",
}
KNOWLEDGE = {model: month for month, models in _KNOWLEDGE.items() for model in models.split()}

ALIASES = {
    "claude-haiku-4-5": ("claude-haiku-4-5-20251001",),
    "claude-sonnet-4-5": ("claude-sonnet-4-5-20250929",),
    "claude-opus-4-5": ("claude-opus-4-5-20251101",),
    "claude-opus-4-6": ("claude-opus-4-6-20260205",),
    "claude-opus-4-7": ("claude-opus-4-7-20260416",),
    "gemma-4-31b-it": ("gemma-4-31b",),
    "bge-reranker-v2-m3": ("BAAI/bge-reranker-v2-m3",),
    "bge-m3": ("BAAI/bge-m3",),
    "qwen3-reranker-8b": ("Qwen/Qwen3-Reranker-8B", "Qwen3-Reranker-8B"),
    "llama-3.3-70b-instruct": ("llama-3.3-70b",),
    "mistral-large-2512": ("mistral-large-3",),
    "mistral-medium-3.5": ("mistral-medium-3-5", "mistral-medium-2604"),
    "llama-4-maverick-17b-128e-instruct": ("llama-4-maverick",),
    "llama-4-scout-17b-16e-instruct": ("llama-4-scout",),
    "nova-pro": ("amazon.nova-pro-v1:0",),
    "nova-lite": ("amazon.nova-lite-v1:0",),
    "nova-micro": ("amazon.nova-micro-v1:0",),
}
"""Other names of a model that are in use: dated ones of a fixed version, shorter ones."""
