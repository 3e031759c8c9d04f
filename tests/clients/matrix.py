"""What every client asks of every provider, and what is right to hear: the matrix's two sides.

Four formats at two simulators make eight models. aimock's words are in its fixtures and are held to
the letter; llmock's are its own, so only their shape is.
"""

from __future__ import annotations

import json
from typing import Any

from tests.simulator.simulators import EMBEDDER, KINDS, MODELS, SIMULATORS, model

EVERY_MODEL = [model(simulator, dialect) for simulator in SIMULATORS for dialect in KINDS]
SCRIPTED_MODELS = [name for name in EVERY_MODEL if name.startswith("aimock-")]
EMBEDDERS = [model(simulator, "openai_chat") for simulator in SIMULATORS]

HELLO = "Say hello."
WEATHER = "How is the weather in Zürich? Use get_weather."
THINK = "Think first."
FAIL = "Fail."
IN_JSON = "Answer in JSON."

SAID = {
    HELLO: "Hello from the simulator: grüezi, 你好, здравствуйте!",
    WEATHER: "It is 21 degrees in Zürich, and the sun shines.",
    THINK: "I have thought about it, and it is so.",
}
THOUGHT = "The caller wants me to think, so I think about it."
MOOD = {"word": "glad", "sure": True}
USAGE = (21, 13)
"""Input and output tokens of each of aimock's answers."""

TOOL = "get_weather"
ABOUT = "The weather of a city for some days."
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
CALLED = {"city": "Zürich", "days": 2}
RESULT = json.dumps({"degrees": 21, "sky": "sunny"})


def is_scripted(name: str) -> bool:
    """Whether the words of the model are known."""
    return name in SCRIPTED_MODELS


def check_model(name: str, said: str | None) -> None:
    """What an answer calls its model: as it was asked for, or as the provider calls it."""
    assert said in {name, EMBEDDER, *MODELS.values()}


def check_words(name: str, question: str, words: str | None) -> None:
    """The answer to `question`: to the letter if it is known, else that there is one."""
    assert words == SAID[question] if is_scripted(name) else words


def check_call(name: str, tool: str, arguments: object) -> None:
    """A call of the tool with arguments of its schema."""
    assert TOOL == tool
    assert isinstance(arguments, dict)
    assert CALLED == arguments if is_scripted(name) else set(CALLED) == set(arguments)
    assert type(arguments["city"]) is str and type(arguments["days"]) is int


def check_usage(name: str, input_tokens: int, output_tokens: int) -> None:
    """The tokens that the provider counted, none of them lost on the way."""
    if is_scripted(name):
        assert USAGE == (input_tokens, output_tokens)
    assert input_tokens > 0 and output_tokens > 0
