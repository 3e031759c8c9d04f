"""Behaviour of a wish for reasoning in the Messages format: budgets, efforts, what they forbid."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from apertura.wire.anthropic_thinking import adapts, generation, samples
from apertura.wire.chat import ReasoningWish, TextPart, ToolChoice, Turn
from apertura.wire.dialect import Target
from tests.wire.anthropic_asked import (
    CALL,
    FOREIGN,
    HI,
    MIDDLE,
    NEW,
    OLD,
    OWN,
    RESULT,
    F,
    model_said,
    said,
)


@pytest.mark.parametrize(
    ("wish", "limit", "budget", "tokens"),
    [
        (ReasoningWish(effort="minimal"), None, 1024, 5120),
        (ReasoningWish(effort="low"), None, 1024, 5120),
        (ReasoningWish(effort="medium"), None, 4096, 8192),
        (ReasoningWish(effort="high"), None, 16_384, 20_480),
        (ReasoningWish(effort="xhigh"), None, 24_576, 28_672),
        (ReasoningWish(effort="max"), None, 32_000, 36_096),
        (ReasoningWish(enabled=True), None, 4096, 8192),
        (ReasoningWish(effort="high"), 4000, 2000, 4000),
        (ReasoningWish(effort="low"), 1500, 1024, 1500),
        (ReasoningWish(effort="low"), 1024, 1024, 2048),
        (ReasoningWish(effort="low"), 10, 1024, 1034),
        (ReasoningWish(budget=3000), 4000, 3000, 4000),
        (ReasoningWish(budget=4000), 4000, 2000, 4000),
        (ReasoningWish(budget=5), 4000, 1024, 4000),
        (ReasoningWish(budget=-1), 100_000, 4096, 100_000),
    ],
)
def test_older_models_think_on_a_budget(
    wish: ReasoningWish, limit: int | None, budget: int, tokens: int
) -> None:
    """At least 1,024 tokens and less than the limit, which is raised only where it must be."""
    body, lost = said(reasoning=wish, max_output=limit)

    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body["max_tokens"] == tokens
    assert lost == (() if limit in (None, tokens) else ("max_output",))


def test_a_model_that_cannot_answer_so_long_does_not_think() -> None:
    """Its own limit stands."""
    target = msgspec.structs.replace(OLD, max_output=1000)
    body, lost = said(target, reasoning=ReasoningWish(effort="low"), max_output=900)

    assert "thinking" not in body
    assert lost == ("reasoning",)
    assert body["max_tokens"] == 900


@pytest.mark.parametrize(
    ("target", "wish", "effort"),
    [
        (MIDDLE, ReasoningWish(enabled=True), None),
        (MIDDLE, ReasoningWish(effort="minimal"), "low"),
        (MIDDLE, ReasoningWish(effort="medium"), "medium"),
        (MIDDLE, ReasoningWish(effort="xhigh"), "high"),
        (NEW, ReasoningWish(effort="xhigh"), "xhigh"),
        (NEW, ReasoningWish(effort="max"), "max"),
        (NEW, ReasoningWish(budget=1024), "low"),
        (NEW, ReasoningWish(budget=5000), "medium"),
        (NEW, ReasoningWish(budget=20_000), "high"),
        (NEW, ReasoningWish(enabled=True, budget=-1), None),
    ],
)
def test_newer_models_adapt(target: Target, wish: ReasoningWish, effort: str | None) -> None:
    """Under an effort; a budget is put into words."""
    body, lost = said(target, reasoning=wish)

    assert body["thinking"] == {"type": "adaptive"}
    assert body.get("output_config") == (None if effort is None else {"effort": effort})
    assert lost == ()


@pytest.mark.parametrize("target", [OLD, NEW])
@pytest.mark.parametrize(
    "wish",
    [ReasoningWish(enabled=False), ReasoningWish(effort="none"), ReasoningWish(budget=0)],
)
def test_thinking_can_be_switched_off(target: Target, wish: ReasoningWish) -> None:
    """Said outright, as newer models think unasked."""
    assert said(target, reasoning=wish)[0]["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize(
    ("show", "display"),
    [("", None), ("omitted", "omitted"), ("summarized", "summarized"), ("detailed", "summarized")],
)
def test_how_thoughts_are_shown(show: str, display: str | None) -> None:
    """In this format's words."""
    wish = ReasoningWish(effort="low", show=show)

    assert said(reasoning=wish)[0]["thinking"].get("display") == display


def test_a_wish_to_see_alone_is_listed() -> None:
    """It is none to think."""
    assert said(reasoning=ReasoningWish(show="auto")) == (said()[0], ("reasoning",))


@pytest.mark.parametrize(
    ("turns", "more", "thinks"),
    [
        ((HI,), {"tool_choice": ToolChoice(mode="required")}, False),
        ((HI,), {"tool_choice": ToolChoice(mode="named", name="f")}, False),
        ((HI,), {"tool_choice": ToolChoice(mode="auto")}, True),
        ((HI, model_said(TextPart(text="The"))), {}, False),
        ((HI, model_said(OWN, CALL), RESULT), {}, True),
        ((HI, model_said(CALL), RESULT), {}, False),
        ((HI, model_said(FOREIGN, CALL), RESULT), {}, False),
        ((HI, model_said(OWN, CALL), RESULT, model_said(CALL), RESULT), {}, True),
        ((HI, model_said(CALL), RESULT, model_said(OWN, CALL), RESULT), {}, False),
        ((HI, model_said(CALL), RESULT, model_said(TextPart(text="x")), HI), {}, True),
        ((HI, model_said(CALL), RESULT, HI), {}, False),
    ],
)
def test_thinking_is_given_up_where_it_would_be_refused(
    turns: tuple[Turn, ...], more: dict[str, Any], thinks: bool
) -> None:
    """Forced calls, an answer to go on with, calls that were begun without own thoughts."""
    wish = ReasoningWish(effort="high")
    body, lost = said(turns=turns, tools=(F,), reasoning=wish, max_output=500, **more)

    assert ("thinking" in body) == thinks
    assert lost == (("max_output",) if thinks else ("reasoning",))
    assert body["max_tokens"] == (1524 if thinks else 500)


def test_newer_models_may_go_on_thinking_amid_calls() -> None:
    """They do not ask for thoughts before them."""
    turns = (HI, model_said(CALL), RESULT)

    assert (
        "thinking" in said(NEW, turns=turns, tools=(F,), reasoning=ReasoningWish(effort="low"))[0]
    )


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-sonnet-4-5-20250929", (4, 5)),
        ("claude-opus-4-20250514", (4, 0)),
        ("claude-3-7-sonnet-20250219", (0, 0)),
        ("claude-3-5-haiku-latest", (0, 0)),
        ("anthropic.claude-opus-4-7-v1:0", (4, 7)),
        ("claude-opus-4-6@20260205", (4, 6)),
        ("anthropic/claude-sonnet-4.6", (4, 6)),
        ("claude-sonnet-5", (5, 0)),
        ("kimi-k2-thinking", (0, 0)),
    ],
)
def test_a_model_s_version_is_in_its_name(model: str, version: tuple[int, int]) -> None:
    """What has no such name is spoken to as an older model."""
    assert generation(model) == version
    assert adapts(model) == (version >= (4, 6))
    assert samples(model) == (version < (4, 7))
