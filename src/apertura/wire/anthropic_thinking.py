"""How a wish for reasoning is said in the Messages format, and what it rules out.

Older models think within a budget of tokens; newer ones adapt (`thinking` adaptive) under an
effort in words, refuse a budget, and the newest take no sampling parameters at all. Which is which
shows in the model's name. What it is not: a list of models; a name of no known form is taken for
an older one, as hosts of other models that copied the format understand that.

The rule that keeps it honest: thinking is given up, and listed, wherever the provider would refuse
the call for it; a caller's limit on output is raised only where it leaves no room to think at all.

Budgets by effort: minimal and low 1,024 tokens, medium 4,096, high 16,384, xhigh 24,576, max
32,000; never more than half of the caller's limit.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from apertura.wire.chat import ReasoningWish

BUDGET_LEAST: Final = 1024
BUDGETS: Final = {
    "minimal": 1024,
    "low": 1024,
    "medium": 4096,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_000,
}
DEFAULT_EFFORT: Final = "medium"
OUTPUT_DEFAULT: Final = 4096
"""The limit on output where neither the caller nor the catalogue knows one."""

_GENERATION = re.compile(r"claude-[a-z]+-(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "max": "max"}
_OFF = ("none",)
_SHOWN = {
    "summarized": "summarized",
    "omitted": "omitted",
    "auto": "summarized",
    "concise": "summarized",
    "detailed": "summarized",
}


def generation(model: str) -> tuple[int, int]:
    """The version in a model's name; (0, 0) where there is none of the known form."""
    found = _GENERATION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def adapts(model: str) -> bool:
    """Whether the model thinks as it sees fit, under an effort, and takes no budget."""
    return generation(model) >= (4, 6)


def samples(model: str) -> bool:
    """Whether the model takes `temperature`, `top_p` and `top_k`."""
    return generation(model) < (4, 7)


class Plan(Struct, frozen=True, kw_only=True):
    """What is said of reasoning: `thinking`, an effort, the limit on output that both allow."""

    max_tokens: int
    thinking: dict[str, object] | None = None
    effort: str = ""
    given_up: bool = False
    """The caller wished for something of which nothing could be said."""

    @property
    def on(self) -> bool:
        """The model thinks."""
        return self.thinking is not None and self.thinking["type"] != "disabled"


def plan(wish: ReasoningWish | None, model: str, limit: int | None, most: int | None) -> Plan:
    """What to say. `limit`: the caller's, on output; `most`: the model's own."""
    tokens = min(limit or most or OUTPUT_DEFAULT, most or 2**31)
    if wish is None:
        return Plan(max_tokens=tokens)
    if wish.enabled is False or wish.effort in _OFF or wish.budget == 0:
        return Plan(max_tokens=tokens, thinking={"type": "disabled"})
    if wish.enabled is None and not wish.effort and wish.budget is None:
        return Plan(max_tokens=tokens, given_up=bool(wish.show))
    shown = {"display": _SHOWN[wish.show]} if wish.show in _SHOWN else {}
    if adapts(model):
        thinking: dict[str, object] = {"type": "adaptive", **shown}
        return Plan(max_tokens=tokens, thinking=thinking, effort=_effort(wish, model))
    asked = wish.budget if wish.budget is not None else BUDGETS.get(wish.effort)
    budget = BUDGETS[DEFAULT_EFFORT] if asked is None or asked < 0 else asked
    if limit is None and most is None:
        return _on(budget=max(budget, BUDGET_LEAST), beside=OUTPUT_DEFAULT, shown=shown)
    if wish.budget is None or not BUDGET_LEAST <= budget < tokens:
        budget = max(BUDGET_LEAST, min(budget, tokens // 2))
    said = _on(budget=budget, beside=max(tokens - budget, 0) or tokens, shown=shown)
    if most is not None and said.max_tokens > most:
        return Plan(max_tokens=tokens, given_up=True)
    return said


def _on(*, budget: int, beside: int, shown: dict[str, str]) -> Plan:
    """Thinking within a budget, and so many tokens for the answer beside it."""
    thinking: dict[str, object] = {"type": "enabled", "budget_tokens": budget, **shown}
    return Plan(max_tokens=budget + beside, thinking=thinking)


def _effort(wish: ReasoningWish, model: str) -> str:
    """The effort in this format's words; "" leaves it to the provider."""
    if wish.effort == "xhigh":
        return "xhigh" if generation(model) >= (4, 7) else "high"
    if wish.effort or wish.budget is None or wish.budget < 0:
        return _EFFORTS.get(wish.effort, "")
    if wish.budget < BUDGETS["medium"]:
        return "low"
    return "medium" if wish.budget < BUDGETS["high"] else "high"
