"""A request of any format, said in Gemini's.

What it is not: the conversation itself (`gemini_contents`); here are the parameters and tools.

The rule that keeps it honest: each field of `Chat` has a fate in `FATES`; and what is not asked for
is not sent, for models refuse parameters that they do not have.
"""

from __future__ import annotations

from typing import Any

import msgspec

from apertura.wire import fates, faults
from apertura.wire.chat import Chat, MediaPart, Part, ResultPart, TextPart, Tool
from apertura.wire.dialect import Expressed, Target
from apertura.wire.gemini_contents import contents

FATES = fates.table(
    mapped="max_output temperature top_p top_k stop n seed presence_penalty frequency_penalty"
    " format tools tool_choice parallel_tools reasoning modalities",
    dropped="logit_bias logprobs top_logprobs verbosity user metadata cache_key",
    refused="audio",
)
"""Log probabilities could be asked for, but the answer's have no place in other formats."""

BUDGETS = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
"""Tokens of thought for an effort in words, as Google's endpoint in OpenAI's format has them."""
_LEFT_TO_MODEL = -1

STOPS_MOST = 5
CHOICES_MOST = 8
_SEEDS = -(2**31), 2**31 - 1
_PENALTIES = -2.0, 1.99
"""The upper end itself is excluded."""
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_HIDDEN = ("none", "omitted", "hidden")
_encode = msgspec.json.Encoder().encode


def express(chat: Chat, target: Target) -> Expressed:
    """The request for a provider. Raises: BadRequest, naming what must not be dropped."""
    del target  # the URL names the model, and usage comes unasked
    dropped = list(fates.dropped(chat, FATES, "Gemini"))
    config = _config(chat, dropped)
    said: dict[str, Any] = {"contents": contents(chat)}
    if system := [{"text": part.text} for part in chat.system if part.text]:
        said["systemInstruction"] = {"parts": system}
    if chat.tools:
        said["tools"] = [{"functionDeclarations": [_tool(tool) for tool in chat.tools]}]
    if chat.tool_choice is not None and chat.tools:
        said["toolConfig"] = {"functionCallingConfig": _calling(chat)}
    if config:
        said["generationConfig"] = config
    dropped += _shades(chat)
    return Expressed(body=_encode(said), dropped=tuple(dict.fromkeys(dropped)))


def _config(chat: Chat, dropped: list[str]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "maxOutputTokens": chat.max_output,
        "temperature": _within(chat, "temperature", 0.0, 2.0, dropped),
        "topP": _within(chat, "top_p", 0.0, 1.0, dropped),
        "topK": chat.top_k if chat.top_k is not None and chat.top_k > 0 else None,
        "candidateCount": _choices(chat),
        "stopSequences": _stops(chat, dropped),
        "seed": _within(chat, "seed", *_SEEDS, dropped),
        "presencePenalty": _within(chat, "presence_penalty", *_PENALTIES, dropped),
        "frequencyPenalty": _within(chat, "frequency_penalty", *_PENALTIES, dropped),
        "responseModalities": _modalities(chat),
        "thinkingConfig": _thinking(chat),
        **_format(chat),
    }
    return {name: value for name, value in config.items() if value is not None}


def _within(
    chat: Chat, field: str, least: float, most: float, dropped: list[str]
) -> float | int | None:
    """A number, brought into what the format allows; if it was not, its name is listed."""
    value: float | int | None = getattr(chat, field)
    if value is None or least <= value <= most:
        return value
    dropped.append(fates.name_of(chat, field))
    return least if value < least else most


def _choices(chat: Chat) -> int | None:
    if chat.n is not None and chat.n > CHOICES_MOST:
        sentence = f"can be at most {CHOICES_MOST} for this model"
        raise faults.invalid(fates.name_of(chat, "n"), sentence)
    return chat.n if chat.n != 1 else None


def _stops(chat: Chat, dropped: list[str]) -> list[str] | None:
    stops = [text for text in chat.stop or () if text]
    if len(stops) > STOPS_MOST:
        dropped.append(fates.name_of(chat, "stop"))
    return stops[:STOPS_MOST] or None


def _modalities(chat: Chat) -> list[str] | None:
    kinds = chat.modalities or ()
    if any(kind not in ("text", "image") for kind in kinds):
        sentence = "can be `text` and `image` for this model"
        raise faults.invalid(fates.name_of(chat, "modalities"), sentence)
    return [kind.upper() for kind in kinds] if "image" in kinds else None


def _thinking(chat: Chat) -> dict[str, Any] | None:
    wish = chat.reasoning
    if wish is None:
        return None
    if wish.enabled is False or wish.effort == "none":
        return {"thinkingBudget": 0}
    if wish.budget is not None:
        budget = wish.budget
    elif wish.effort:
        budget = BUDGETS.get(wish.effort, _LEFT_TO_MODEL)
    elif wish.enabled or wish.show:
        budget = _LEFT_TO_MODEL
    else:
        return None
    return {"includeThoughts": wish.show not in _HIDDEN, "thinkingBudget": budget}


def _format(chat: Chat) -> dict[str, Any]:
    wish = chat.format
    if wish is None or wish.kind == "text":
        return {}
    said: dict[str, Any] = {"responseMimeType": "application/json"}
    if wish.schema is not None:
        said["responseJsonSchema"] = wish.schema
    return said


def _tool(tool: Tool) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if tool.parameters is not None and bytes(tool.parameters) not in (b"null", b"{}"):
        said["parametersJsonSchema"] = tool.parameters
    return said


def _calling(chat: Chat) -> dict[str, Any]:
    choice = chat.tool_choice
    if choice is None:
        return {}
    said: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        said["allowedFunctionNames"] = [choice.name]
    return said


def _shades(chat: Chat) -> list[str]:
    """What stands inside turns and tools and is given up, by the name that most callers know."""
    names: list[str] = []
    if chat.parallel_tools is False:
        names.append(fates.name_of(chat, "parallel_tools"))
    if any(tool.strict for tool in chat.tools or ()):
        names.append(f"{fates.name_of(chat, 'tools')}.strict")
    parts = [part for turn in chat.turns for part in turn.parts]
    if any(map(_cached, (*chat.system, *(chat.tools or ()), *parts))):
        names.append("cache_control")
    if any(map(_detailed, parts)):
        names.append("detail")
    return names


def _cached(part: Part | Tool) -> bool:
    return bool(getattr(part, "cache", ""))


def _detailed(part: Part) -> bool:
    """Whether it says how closely an image shall be looked at."""
    inner: tuple[TextPart | MediaPart, ...] = part.parts if isinstance(part, ResultPart) else ()
    return any(
        isinstance(found, MediaPart) and found.detail not in ("", "auto")
        for found in (part, *inner)
    )
