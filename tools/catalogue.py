"""Writes the shipped catalogue, `src/apertura/catalogue/*.toml`, from public price data.

    python tools/catalogue.py model_prices_and_context_window_backup.json [--check] [--compare]

The JSON comes in litellm's wheel (MIT): `pip download --no-deps litellm`, unzip, take it out. What
is written is decided by `OFFERS` below; the prices, limits and capabilities are the JSON's, exact
to the digit. `--check` writes nothing and fails if a file would change; `--compare` prints where
the package genai-prices (MIT), if it is installed, has other prices. Nothing of this is needed at
run time.

What it is not: complete. A model is left out whose price an offer cannot say: one that is higher
for long prompts (gpt-5.4 and later, all of xAI's), one that is charged by search or by second; and
one about whose price the sources differ (mistral-large-4).

The rule that keeps it honest: a price that cannot be read exactly stops the script; none is
guessed. After a run, read the difference before you commit it, and set `CHECKED` to the day.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

CHECKED = "2026-11-21"
FOLDER = Path(__file__).parents[1] / "src" / "apertura" / "catalogue"

# Provider: the prefix of the JSON's keys, the page of its prices, its name in genai-prices.
PROVIDERS = {
    "cerebras": ("cerebras/", "https://www.cerebras.ai/pricing", "cerebras"),
    "deepinfra": ("deepinfra/", "https://deepinfra.com/pricing", ""),
    "deepseek": ("", "https://api-docs.deepseek.com/quick_start/pricing", "deepseek"),
    "fireworks": ("fireworks_ai/", "https://docs.fireworks.ai/serverless/pricing", "fireworks"),
    "groq": ("groq/", "https://groq.com/pricing", "groq"),
    "mistral": ("mistral/", "https://mistral.ai/pricing", "mistral"),
    "moonshot": ("moonshot/", "https://platform.kimi.ai/docs/pricing/chat", "moonshotai"),
    "openai": ("", "https://developers.openai.com/api/docs/pricing", "openai"),
    "sambanova": ("sambanova/", "https://cloud.sambanova.ai/plans/pricing", ""),
    "together": ("together_ai/", "https://www.together.ai/pricing", "together"),
    "zai": ("zai/", "https://docs.z.ai/guides/overview/pricing", "zai"),
}
# What stands before every name at the provider.
UPSTREAM_PREFIX = {"fireworks": "accounts/fireworks/models/"}

# What callers ask for; `=` the provider's own name where it differs.
OFFERS = {
    "openai": """gpt-5.4-mini gpt-5.4-nano gpt-5.2 gpt-5.1 gpt-4.1 gpt-4.1-mini gpt-4o gpt-4o-mini
        gpt-audio-1.5 text-embedding-3-large text-embedding-3-small text-embedding-ada-002""",
    "deepseek": "deepseek-v4-pro deepseek-v4-flash",
    "mistral": """mistral-large-2512 mistral-medium-3.5 mistral-small-2603 ministral-14b-2512
        ministral-8b-2512 ministral-3b-2512 codestral-2508 mistral-embed codestral-embed
        glm-5.3=zai-glm-5-3""",
    "moonshot": "kimi-k3.1-pro kimi-k3 kimi-k2.7-code kimi-k2.6",
    "zai": "glm-5.3 glm-5.3-flash glm-5.2 glm-5.1 glm-4.7",
    "groq": "gpt-oss-120b=openai/gpt-oss-120b gpt-oss-20b=openai/gpt-oss-20b",
    "cerebras": "gpt-oss-120b qwen3.8-27b=qwen-3.8-27b gemma-4-31b",
    "sambanova": """gpt-oss-120b minimax-m2.7=MiniMax-M2.7 gemma-4-31b=gemma-4-31B-it
        llama-3.3-70b-instruct=Meta-Llama-3.3-70B-Instruct""",
    "together": """gpt-oss-120b=openai/gpt-oss-120b kimi-k3=moonshotai/Kimi-K3
        glm-5.3=zai-org/GLM-5.3 glm-5.3-flash=zai-org/GLM-5.3-Flash glm-5.2=zai-org/GLM-5.2
        deepseek-v4.1-flash=deepseek-ai/DeepSeek-V4.1-Flash minimax-m2.7=MiniMaxAI/MiniMax-M2.7
        muse-spark-open=meta-models/Muse-Spark-Open-816B-A42B""",
    "fireworks": """gpt-oss-20b kimi-k3 glm-5.3=glm-5p3 glm-5.3-flash=glm-5p3-flash minimax-m3
        deepseek-v4.1-flash=deepseek-v4p1-flash qwen3.8-max=qwen3p8-max muse-spark-open
        qwen3-embedding-8b""",
    "deepinfra": """gpt-oss-120b=openai/gpt-oss-120b gpt-oss-20b=openai/gpt-oss-20b
        kimi-k3=moonshotai/Kimi-K3 kimi-k2.7-code=moonshotai/Kimi-K2.7-Code
        kimi-k2.6=moonshotai/Kimi-K2.6 glm-5.2=zai-org/GLM-5.2 glm-5.1=zai-org/GLM-5.1
        glm-4.7=zai-org/GLM-4.7 minimax-m3=MiniMaxAI/MiniMax-M3
        minimax-m2.7=MiniMaxAI/MiniMax-M2.7 deepseek-v4.1-flash=deepseek-ai/DeepSeek-V4.1-Flash
        qwen3.8-max=Qwen/Qwen3.8-Max qwen3.8-27b=Qwen/Qwen3.8-27B
        gemma-4-31b=google/gemma-4-31B-it""",
}

OWNERS = (
    ("gpt-|text-embedding-", "OpenAI"),
    ("deepseek", "DeepSeek"),
    ("[a-z]*stral", "Mistral AI"),
    ("kimi", "Moonshot AI"),
    ("glm", "Z.ai"),
    ("minimax", "MiniMax"),
    ("qwen", "Alibaba"),
    ("gemma", "Google"),
    ("llama|muse", "Meta"),
)
# Days of release that are known for certain; another model's `created` is 0, which is the default.
RELEASED = {
    "2022-12-15": "text-embedding-ada-002",
    "2023-12-11": "mistral-embed",
    "2024-01-25": "text-embedding-3-large text-embedding-3-small",
    "2024-05-13": "gpt-4o",
    "2024-07-18": "gpt-4o-mini",
    "2024-12-06": "llama-3.3-70b-instruct",
    "2025-04-14": "gpt-4.1 gpt-4.1-mini",
    "2025-05-28": "codestral-embed",
    "2025-06-05": "qwen3-embedding-8b",
    "2025-07-30": "codestral-2508",
    "2025-08-05": "gpt-oss-120b gpt-oss-20b",
    "2025-11-13": "gpt-5.1",
    "2025-12-02": "mistral-large-2512 ministral-14b-2512 ministral-8b-2512 ministral-3b-2512",
    "2025-12-11": "gpt-5.2",
    "2026-03-17": "gpt-5.4-mini gpt-5.4-nano",
}
CAPABILITIES = {
    "tools": "supports_function_calling",
    "vision": "supports_vision",
    "audio": "supports_audio_input",
    "json_schema": "supports_response_schema",
    "reasoning": "supports_reasoning",
}
PRICES = {
    "input_usd_per_million": "input_cost_per_token",
    "output_usd_per_million": "output_cost_per_token",
    "cache_read_usd_per_million": "cache_read_input_token_cost",
    "cache_write_usd_per_million": "cache_creation_input_token_cost",
    "cache_write_1h_usd_per_million": "cache_creation_input_token_cost_above_1hr",
    "audio_input_usd_per_million": "input_cost_per_audio_token",
    "audio_output_usd_per_million": "output_cost_per_audio_token",
}
# Prices of another kind of service (`service_tier`, batches, a web search as a tool), or repeated.
OTHER_SERVICE = re.compile(r".*_(priority|flex|batches)|search_context_cost.*|.*_cache_hit")


def main() -> int:
    """Writes or checks every provider's file; 1 if `--check` found a difference."""
    parser = argparse.ArgumentParser()
    parser.add_argument("json", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    # Numbers as Decimal: "7.5e-08" is exactly that, and no binary fraction near it.
    data = json.loads(options.json.read_text(), parse_float=Decimal, parse_int=Decimal)
    changed = 0
    for provider in OFFERS:
        rows = list(rows_of(provider, data))
        if options.compare:
            compare(provider, rows)
        file, text = FOLDER / f"{provider}.toml", rendered(provider, rows)
        if options.check and (not file.exists() or file.read_text() != text):
            print(f"{file.name} differs")
            changed = 1
        elif not options.check:
            file.write_text(text)
    return changed


def rows_of(provider: str, data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The offers of one provider, in the order of the list."""
    prefix, page, _ = PROVIDERS[provider]
    for item in OFFERS[provider].split():
        model, _, own = item.partition("=")
        upstream = UPSTREAM_PREFIX.get(provider, "") + (own or model)
        entry = data.get(prefix + upstream)
        if entry is None:
            sys.exit(f"{provider}: the JSON has no {prefix + upstream}")
        if entry.get("deprecation_date", "9") <= CHECKED:
            sys.exit(f"{provider}: {model} was switched off on {entry['deprecation_date']}")
        yield row_of(model, provider, upstream, entry) | {
            "source": entry.get("source", page),
            "checked": CHECKED,
        }


def row_of(model: str, provider: str, upstream: str, entry: dict[str, Any]) -> dict[str, Any]:
    """One offer without its source."""
    row: dict[str, Any] = {"model": model, "provider": provider}
    if upstream != model:
        row["upstream_model"] = upstream
    if entry["mode"] == "embedding":
        row["kind"] = "embeddings"
    row["owned_by"] = next(name for pattern, name in OWNERS if re.match(pattern, model))
    for day, models in RELEASED.items():
        if model in models.split():
            row["created"] = int(datetime.fromisoformat(f"{day}T00:00Z").timestamp())
    context, longest = (int(entry.get(f"max_{way}_tokens", 0)) for way in ("input", "output"))
    if model.startswith("gpt-5"):
        context += longest  # the JSON has what is left for input
    row["context_length"] = context
    if 0 < longest < context and row.get("kind") is None:
        row["max_output"] = longest  # else the context is the only limit
    row["capabilities"] = [name for name, flag in CAPABILITIES.items() if entry.get(flag)]
    return row | prices_of(f"{model} at {provider}", entry)


def prices_of(place: str, entry: dict[str, Any]) -> dict[str, str]:
    """Dollars per million tokens, as strings. Stops at a price that an offer has no field for."""
    known = {*PRICES.values(), "input_cost_per_image_token"}
    for field, value in entry.items():
        if "_cost" in field and value and field not in known and not OTHER_SERVICE.match(field):
            sys.exit(f"{place}: an offer cannot say {field} = {value}")
    if entry.get("input_cost_per_image_token") not in (None, entry["input_cost_per_token"]):
        sys.exit(f"{place}: an offer cannot say that images cost more than text")
    amounts = {name: entry.get(field) for name, field in PRICES.items()}
    if entry["mode"] == "embedding":
        amounts["output_usd_per_million"] = Decimal(0)  # there is no output
    required = ("input_usd_per_million", "output_usd_per_million")
    return {
        name: dollars(amount)
        for name, amount in amounts.items()
        if amount or (amount is not None and name in required)  # a cache write at 0: plain input
    }


def dollars(per_token: Decimal) -> str:
    """Per million tokens: at least two decimals, no zeros that say nothing after those."""
    whole, _, part = f"{per_token * 1_000_000:f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def rendered(provider: str, rows: list[dict[str, Any]]) -> str:
    """The TOML; JSON's strings, integers and lists of strings are TOML's, too."""
    head = f"# Offers of {provider}, written by tools/catalogue.py: change the list there.\n"
    if provider == "deepseek":
        head += "# The prices are those of peak hours; outside of them DeepSeek asks half.\n"
    tables = (
        "\n[[offers]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in row.items())
        for row in rows
    )
    return head + "".join(tables)


def compare(provider: str, rows: list[dict[str, Any]]) -> None:
    """Prints where genai-prices has another price, now, for a short prompt."""
    module = importlib.import_module("genai_prices.data")
    theirs = {item.id: item for item in module.providers}.get(PROVIDERS[provider][2])
    for row in rows:
        name = row.get("upstream_model", row["model"])
        found = theirs and theirs.find_model(name)
        if not found:
            print(f"{provider} {name}: not in genai-prices")
            continue
        price = found.get_prices(datetime.now(UTC))
        for field in ("input", "output", "cache_read"):
            other = getattr(price, f"{field}_mtok", None)
            other = getattr(other, "base", other)
            ours = row.get(f"{field}_usd_per_million")
            if other is not None and Decimal(ours or 0) != other:
                print(f"{provider} {name}: {field} {ours}, genai-prices has {other}")


if __name__ == "__main__":
    sys.exit(main())
