"""Models that only OpenRouter has: they are in the second source alone, so it is the first here.

Taken is what its list had when the second source was last made (an entry that has left the list has
no length of context any more), at the price of its list, and only if no other host offers it.

The rule that keeps it honest: nothing is taken twice, and no model whose maker is asked itself.
"""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from catalogue_names import clean, owner, title
from catalogue_prices import dollars

PROVIDER = "openrouter"
SOURCE = "https://openrouter.ai/models"
LEFT_OUT = re.compile(
    r":|latest|^(openai|anthropic|google|x-ai|amazon|cohere|perplexity|meta|stealth|scaledown|cloudflare"
    r"|typesafe|mancer|undi95|openrouter)/|guard|safety|legal|hy-mt|ui-tars|moondream|-prime$|preview-"
    r"|qwen-2\.5|mistral-large|jamba-1\.[5-6]|deepseek-chat|-image"
)
MAKERS = {
    "aion-labs": "AionLabs",
    "arcee-ai": "Arcee AI",
    "cognitivecomputations": "Cognitive Computations",
    "elorian": "Elorian",
    "inference-net": "Inference.net",
    "fireworks": "Fireworks AI",
    "meituan": "Meituan",
    "nex-agi": "Nex AGI",
    "particle-ai": "Particle AI",
    "perceptron": "Perceptron",
    "poolside": "Poolside",
    "rekaai": "Reka AI",
    "relace": "Relace",
    "ricursiveai": "Ricursive AI",
    "sakana": "Sakana AI",
    "thedrummer": "TheDrummer",
    "anthracite-org": "Anthracite",
    "unbiased": "Unbiased",
    "upstage": "Upstage",
    "prism-ml": "Prism ML",
    "liquid": "Liquid AI",
    "sao10k": "Sao10K",
}


def routed(provider: Any, present: Container[str]) -> list[dict[str, Any]]:
    """The offers of models that nobody else has, by model."""
    rows: dict[str, dict[str, Any]] = {}
    for found in provider.models:
        model = clean(found.id)
        if "/" not in found.id or LEFT_OUT.search(found.id) or not found.context_window:
            continue
        if model not in present and model not in rows and (prices := _prices(found)):
            rows[model] = _row(model, found) | prices
    return [rows[model] for model in sorted(rows)]


def _row(model: str, found: Any) -> dict[str, Any]:
    maker = found.id.partition("/")[0]
    return {
        "model": model,
        "provider": PROVIDER,
        "aliases": [found.id],
        "upstream_model": found.id,
        "title": title(model),
        "owned_by": MAKERS.get(maker) or owner(model),
        "context_length": int(found.context_window),
        "capabilities": [],
    }


def _prices(found: Any) -> dict[str, str]:
    """Empty unless input and output have one price each, whatever their length."""
    price = found.get_prices(datetime.now(UTC))
    classes = {
        "input_usd_per_million": price.input_mtok,
        "output_usd_per_million": price.output_mtok,
        "cache_read_usd_per_million": price.cache_read_mtok,
        "cache_write_usd_per_million": price.cache_write_mtok,
    }
    plain = all(value is None or isinstance(value, Decimal) for value in classes.values())
    if not plain or not price.input_mtok or not price.output_mtok or price.requests_kcount:
        return {}
    return {name: dollars(value, 1) for name, value in classes.items() if value}
