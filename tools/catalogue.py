"""Writes the shipped catalogue, `src/apertura/catalogue/*.toml`, from public price data.

    python tools/catalogue.py model_prices_and_context_window_backup.json [--check]

The JSON comes in litellm's wheel (MIT): `pip download --no-deps litellm`, unzip, take it out. The
package genai-prices (MIT) must be installed: it is the second source. Beside the offers the script
writes `docs/operating/catalogue-differences.md`: where the two disagree, and which was taken.
`--check` writes nothing and fails if a file would change. Nothing of this is needed at run time.

What it is not: which entries are taken (`catalogue_sources`), what they are called
(`catalogue_names`) or what they cost (`catalogue_prices`).

The rule that keeps it honest: a price comes from the data or the offer is left out. After a run,
read the difference before you commit it, and set `CHECKED` to the day.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from catalogue_facts import ALIASES, KNOWLEDGE, RELEASED
from catalogue_names import clean, owner, title
from catalogue_prices import CannotSay, corrected, differences, prices_of, second
from catalogue_report import Difference, report
from catalogue_routed import PROVIDER, SOURCE, routed
from catalogue_sources import DISPUTED, EXPLAINED, FREE, HOSTS, SECOND_RIGHT, TRUSTED, wanted

CHECKED = "2026-11-22"
ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "src" / "apertura" / "catalogue"
REPORT = ROOT / "docs" / "operating" / "catalogue-differences.md"
CAPABILITIES = {
    "tools": "supports_function_calling",
    "vision": "supports_vision",
    "audio": "supports_audio_input",
    "video": "supports_video_input",
    "pdf": "supports_pdf_input",
    "json_schema": "supports_response_schema",
    "reasoning": "supports_reasoning",
    "prompt_cache": "supports_prompt_caching",
}
KINDS = {"chat": "chat", "responses": "chat", "embedding": "embeddings", "rerank": "rerank"}
BEDROCK_PROFILES = ("global.", "us.", "")
"""From the profile that serves most regions to none."""
CONTEXTS = (400_000, 1_050_000)
"""Known windows of models whose data give what is left of them for input."""


class Run:
    """One run: the data, and what is noted on the way."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        module = importlib.import_module("genai_prices.data")
        self.seconds = {item.id: item for item in module.providers}
        self.differences: list[Difference] = []
        self.left_out: Counter[str] = Counter()
        self.compared = 0

    def rows(self, provider: str) -> list[dict[str, Any]]:
        """The offers of a provider, by model; of several for one model the best name at it."""
        chosen: dict[tuple[str, str], dict[str, Any]] = {}
        for upstream, entry in self._entries(provider):
            row = self._row(provider, upstream, entry)
            if row is None:
                continue
            at = (row["model"], row.get("kind", "chat"))
            if at not in chosen or _rank(upstream) < _rank(_upstream(chosen[at])):
                chosen[at] = row
        return [chosen[at] for at in sorted(chosen)]

    def _entries(self, provider: str) -> Iterator[tuple[str, dict[str, Any]]]:
        host = HOSTS[provider]
        for key, entry in self.data.items():
            if entry.get("litellm_provider") not in host.theirs:
                continue
            kind = KINDS.get(entry.get("mode", ""))
            upstream = key.removeprefix(host.prefix)
            if kind in host.kinds and wanted(provider, upstream):
                if entry.get("deprecation_date", "9") > CHECKED:
                    yield upstream, entry
                else:
                    self.left_out["switched off"] += 1

    def _row(self, provider: str, upstream: str, entry: dict[str, Any]) -> dict[str, Any] | None:
        """One offer, or None and a note of why not."""
        model = clean(upstream, bedrock=provider == "bedrock")
        host = HOSTS[provider]
        theirs = second([self.seconds[name] for name in host.second.split()], upstream)
        place = f"{provider}:{upstream}".lower()
        if not entry.get("source") and theirs is None and not TRUSTED.fullmatch(place):
            self.left_out["no page and no second source"] += 1
            return None
        if provider in SECOND_RIGHT and theirs is None:
            self.left_out[f"{EXPLAINED[provider]}, and the second source lacks it"] += 1
            return None
        try:
            prices = prices_of(entry)
        except CannotSay as reason:
            self.left_out[f"an offer cannot say: {reason}"] += 1
            return None
        if not any(float(prices.get(name, 0)) for name in _PAID) and place not in FREE:
            self.left_out["no price"] += 1
            return None
        row = row_of(model, provider, upstream, entry) | prices
        return row if theirs is None else self._compared(row, theirs, entry)

    def _compared(
        self, row: dict[str, Any], theirs: dict[str, Decimal], entry: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Notes in what the sources differ; None if nothing speaks for either."""
        self.compared += 1
        found = list(differences(row, theirs))
        if not found:
            return row
        taken = "first" if entry.get("source") else "none"
        if row["provider"] in SECOND_RIGHT:
            taken, row = "second", corrected(row, theirs)
        if DISPUTED.fullmatch(f"{row['provider']}:{_upstream(row)}".lower()):
            taken = "none"
        for label, ours, other in found:
            self.differences.append(
                Difference(row["model"], row["provider"], label, ours, other, taken)
            )
        self.left_out["the sources differ, and nothing speaks for one"] += taken == "none"
        return None if taken == "none" else row


_PAID = ("input_usd_per_million", "output_usd_per_million", "usd_per_call")


def _upstream(row: dict[str, Any]) -> str:
    return str(row.get("upstream_model", row["model"]))


def _rank(upstream: str) -> tuple[int, int, str]:
    """Of several names for a model at one place: the widest profile, the shortest name."""
    profile = next(n for n, p in enumerate(BEDROCK_PROFILES) if upstream.startswith(p))
    return profile, len(upstream), upstream


def row_of(model: str, provider: str, upstream: str, entry: dict[str, Any]) -> dict[str, Any]:
    """One offer without its price."""
    kind = KINDS[entry["mode"]]
    row: dict[str, Any] = {"model": model, "provider": provider}
    if aliases := _aliases(model, upstream):
        row["aliases"] = aliases
    if upstream != model:
        row["upstream_model"] = upstream
    if dialect := _dialect(provider, entry):
        row["dialect"] = dialect
    if kind != "chat":
        row["kind"] = kind
    return row | _facts(model, entry, kind)


def _facts(model: str, entry: dict[str, Any], kind: str) -> dict[str, Any]:
    """What is true of the model wherever it is."""
    row: dict[str, Any] = {}
    row |= {"title": title(model), "owned_by": owner(model)}
    if created := _created(model):
        row["created"] = created
    row |= _lengths(entry, kind)
    row["capabilities"] = _capabilities(entry) if kind == "chat" else []
    if entry.get("supports_audio_output") or "audio" in entry.get(
        "supported_output_modalities", ()
    ):
        row["output_modalities"] = ["text", "audio"]
    if model in KNOWLEDGE:
        row["knowledge"] = KNOWLEDGE[model]
    if day := entry.get("deprecation_date"):
        row["deprecated"] = day
    if page := entry.get("source"):
        row["source"] = page.split("?")[0].partition(" ")[0]
    return row


def _aliases(model: str, upstream: str) -> list[str]:
    """Other names that callers may know: with the maker, with dots for dashes, dated."""
    names = {*ALIASES.get(model, ())}
    if "/" in upstream and not upstream.startswith("accounts/"):
        names |= {upstream, upstream.lower()}
    if model.startswith("claude-"):
        names.add(re.sub(r"(?<=-\d)-(?=\d$)", ".", model))
    return sorted(names - {model})


def _dialect(provider: str, entry: dict[str, Any]) -> str:
    """Where a model does not speak all that its provider does."""
    endpoints = entry.get("supported_endpoints")
    if entry["mode"] == "responses" or (endpoints and "/v1/chat/completions" not in endpoints):
        return "openai_responses" if entry["mode"] in ("chat", "responses") else ""
    both = provider in ("openai", "azure-openai")
    return "openai_chat" if both and endpoints and "/v1/responses" not in endpoints else ""


def _created(model: str) -> int | None:
    day = RELEASED.get(model)
    if day is None and (found := re.search(r"-(20\d\d)-?([01]\d)-?([0-3]\d)$", model)):
        day = "-".join(found.groups())
    return int(datetime.fromisoformat(f"{day}T00:00Z").timestamp()) if day else None


def _lengths(entry: dict[str, Any], kind: str) -> dict[str, int]:
    context, longest = (int(entry.get(f"max_{way}_tokens") or 0) for way in ("input", "output"))
    context = context or int(entry.get("max_tokens") or 0)
    if context + longest in CONTEXTS:
        context += longest
    lengths = {"context_length": context} if context else {}
    if kind == "chat" and 0 < longest < context:
        lengths["max_output"] = longest  # else the context is the only limit
    return lengths


def _capabilities(entry: dict[str, Any]) -> list[str]:
    said = set(entry.get("supported_modalities", ()))
    cached = entry.get("cache_read_input_token_cost")
    also = {"vision": "image" in said, "audio": "audio" in said, "video": "video" in said}
    also["prompt_cache"] = bool(cached)
    return [name for name, flag in CAPABILITIES.items() if entry.get(flag) or also.get(name)]


def rendered(provider: str, rows: list[dict[str, Any]]) -> str:
    """The TOML; JSON's strings, integers and lists of strings are TOML's, too."""
    source = SOURCE if provider == PROVIDER else HOSTS[provider].source
    common = {"provider": provider, "source": source, "checked": CHECKED}
    head = f"# Offers of {provider}. Generated by tools/catalogue.py: change it there.\n"
    if provider == "deepseek":
        head += "# The prices are those of peak hours; outside of them DeepSeek asks half.\n"
    text = [head, "\n[common]\n", _table(common)]
    for row in rows:
        shown = {name: value for name, value in row.items() if value != common.get(name)}
        tiers = shown.pop("tiers", ())
        text += ["\n[[offers]]\n", _table(shown)]
        text += [f"[[offers.tiers]]\n{_table(tier)}" for tier in tiers]
    return "".join(text)


def _table(row: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in row.items())


def main() -> int:
    """Writes or checks every file; 1 if `--check` found a difference."""
    parser = argparse.ArgumentParser()
    parser.add_argument("json", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    # Numbers as Decimal: "7.5e-08" is exactly that, and no binary fraction near it.
    run = Run(json.loads(options.json.read_text(), parse_float=Decimal, parse_int=Decimal))
    offers = {provider: run.rows(provider) for provider in HOSTS}
    present = {row["model"] for rows in offers.values() for row in rows}
    offers[PROVIDER] = routed(run.seconds[PROVIDER], present)
    offers = {provider: rows for provider, rows in offers.items() if rows}
    texts = {FOLDER / f"{name}.toml": rendered(name, rows) for name, rows in offers.items()}
    texts[REPORT] = report(CHECKED, offers, run.differences, run.left_out, run.compared)
    changed = 0
    for file, text in texts.items():
        if not options.check:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            print(f"{file.name} differs")
            changed = 1
    models = {row["model"] for rows in offers.values() for row in rows}
    print(f"{sum(map(len, offers.values()))} offers of {len(models)} models")
    return changed


if __name__ == "__main__":
    sys.exit(main())
