"""A request in canonical form, said in OpenAI's chat format, for a provider that speaks it.

Hosts of this format differ in what they know, so that only what is asked for is said. Images in
what a tool answered move into a turn of the user's after it, because a tool's message holds text
alone; a failed tool's answer begins with "Error: ". What it is not: the path of calls whose caller
speaks this format too.

The rule that keeps it honest: `FATES` tells what becomes of every parameter, and of what models
thought only that goes out which came in from this format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from apertura.wire import fates, openai_media
from apertura.wire.chat import (
    CallPart,
    Chat,
    Format,
    MediaPart,
    Part,
    ReasoningPart,
    ReasoningWish,
    RefusalPart,
    ResultPart,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from apertura.wire.dialect import Expressed, Target
from apertura.wire.openai_thoughts import EXTRA, Entry, extra_of, own_entries
from apertura.wire.state import OPENAI_CHAT

FATES = fates.table(
    mapped="max_output temperature top_p stop n seed presence_penalty frequency_penalty logit_bias"
    " format tools tool_choice parallel_tools reasoning verbosity modalities audio user",
    dropped="top_k logprobs top_logprobs metadata cache_key",
)
"""`top_k` and `cache_key`: many hosts refuse what they do not know. `logprobs`: an answer that is
translated has no place for them."""

TITLE = "OpenAI chat"
STOPS_MAX = 4
_EFFORTS = ((2_048, "low"), (12_288, "medium"))
"""Budgets of tokens up to which they are said as this effort; what is more, as high."""

Message = dict[str, object]
_encode = msgspec.json.Encoder().encode


def express(chat: Chat, target: Target) -> Expressed:
    """The request for a provider. Raises: BadRequest, naming what cannot be said."""
    dropped = fates.dropped(chat, FATES, TITLE)
    if chat.stop is not None and len(chat.stop) > STOPS_MAX:
        dropped += (fates.name_of(chat, "stop"),)
    body: dict[str, object] = {"model": target.model, "messages": _messages(chat)}
    for field, name, value in _parameters(chat, target):
        if value is not None and name in target.unknown:
            dropped += (fates.name_of(chat, field),)
        elif value is not None:
            body[name] = value
    if chat.stream:
        body["stream"] = True
        if target.ask_usage:
            body["stream_options"] = {"include_usage": True}
    return Expressed(body=_encode(body), dropped=dropped)


def _parameters(chat: Chat, target: Target) -> list[tuple[str, str, object]]:
    """Every parameter: our name, the format's, and its value; None where nothing is to be said.

    Tools and how they may be used: hosts refuse the one without the other.
    """
    stop = None if chat.stop is None else chat.stop[:STOPS_MAX] or None
    tools = [_tool(tool) for tool in chat.tools or ()] or None
    choice = _tool_choice(chat.tool_choice) if tools else None
    one_by_one = False if tools and chat.parallel_tools is False else None
    modalities = None if chat.modalities == ("text",) else chat.modalities
    return [
        ("max_output", target.limit, chat.max_output),
        *((name, name, getattr(chat, name)) for name in _SAME),
        ("stop", "stop", stop),
        ("n", "n", None if chat.n == 1 else chat.n),
        ("format", "response_format", _format(chat.format)),
        ("tools", "tools", tools),
        ("tool_choice", "tool_choice", choice),
        ("parallel_tools", "parallel_tool_calls", one_by_one),
        ("reasoning", "reasoning_effort", _effort(chat.reasoning)),
        ("modalities", "modalities", modalities),
    ]


_SAME = (
    *("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logit_bias"),
    *("verbosity", "audio", "user"),
)
"""Parameters whose name and form are ours."""


def _format(asked: Format | None) -> object:
    if asked is None or asked.kind == "text":
        return None
    if asked.kind == "json_object":
        return {"type": "json_object"}
    schema = {
        "name": asked.name or "answer",
        "description": asked.description or None,
        "schema": asked.schema,
        "strict": asked.strict,
    }
    return {"type": "json_schema", "json_schema": _given(schema)}


def _tool(tool: Tool) -> object:
    function = {
        "name": tool.name,
        "description": tool.description or None,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": _given(function)}


def _tool_choice(choice: ToolChoice | None) -> object:
    if choice is None:
        return None
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _effort(wish: ReasoningWish | None) -> str | None:
    """The format has words for it, not numbers."""
    if wish is None:
        return None
    if wish.enabled is False:
        return "none"
    if wish.effort or wish.budget is None:
        return wish.effort or None
    return next((effort for most, effort in _EFFORTS if wish.budget <= most), "high")


def _given(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


# Messages.


def _messages(chat: Chat) -> list[Message]:
    """The whole conversation; instructions that come first are one message. Pictures that the model
    made go with what the user says next: there is no other place for them.
    """
    name = fates.name_of(chat, "turns")
    messages: list[Message] = []
    made: list[Part] = []
    if chat.system:
        messages.append({"role": "system", "content": _joined(chat.system)})
    for turn in chat.turns:
        if turn.role == "user":
            messages += _user(turn, made, name)
            made = []
        elif turn.role == "system":
            messages.append({"role": "system", "content": _joined(turn.parts)})
        else:
            messages.append(_assistant(turn))
            made += [part for part in turn.parts if isinstance(part, MediaPart)]
    return messages


def _joined(parts: Sequence[Part]) -> str:
    return "\n\n".join(part.text for part in parts if isinstance(part, TextPart))


def _user(turn: Turn, made: list[Part], name: str) -> list[Message]:
    """What tools answered comes first, as the format demands; then what the user says."""
    messages: list[Message] = []
    said = list(made)
    for part in turn.parts:
        if isinstance(part, ResultPart):
            messages.append(_result(part))
            said += [medium for medium in part.parts if isinstance(medium, MediaPart)]
    said += [part for part in turn.parts if isinstance(part, TextPart | MediaPart)]
    if said or not messages:
        messages.append({"role": "user", "content": _content(said, name)})
    return messages


def _result(result: ResultPart) -> Message:
    text = "\n".join(part.text for part in result.parts if isinstance(part, TextPart))
    if any(isinstance(part, MediaPart) for part in result.parts):
        text = f"{text}\n{_SEE_BELOW}" if text else _SEE_BELOW
    if result.is_error:
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": result.call_id, "content": text}


_SEE_BELOW = "(What else the tool answered follows in the next message.)"


def _content(parts: list[Part], name: str) -> object:
    """One text as a string, which every host takes; else parts."""
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    if len(texts) == len(parts) <= 1:
        return "".join(texts)
    content: list[object] = []
    for part in parts:
        if isinstance(part, MediaPart):
            content.append(openai_media.said(part, name))
        elif isinstance(part, TextPart):
            content.append({"type": "text", "text": part.text})
    return content


def _assistant(turn: Turn) -> Message:
    """What the model said."""
    message: Message = {"role": "assistant"}
    text = "".join(part.text for part in turn.parts if isinstance(part, TextPart))
    refusal = "".join(part.text for part in turn.parts if isinstance(part, RefusalPart))
    calls = _calls(turn.parts)
    message["content"] = text if text or not (calls or refusal) else None
    if refusal:
        message["refusal"] = refusal
    message |= _thoughts(turn.parts)
    if calls:
        message["tool_calls"] = calls
    return message


def _calls(parts: Sequence[Part]) -> list[Message]:
    """Calls to tools, with the state that stood before each where the format has it on the call."""
    calls: list[Message] = []
    extra: object = None
    for part in parts:
        if isinstance(part, ReasoningPart) and part.origin == OPENAI_CHAT:
            extra = extra_of(part) or extra
        if isinstance(part, CallPart):
            function = {"name": part.name, "arguments": part.arguments or "{}"}
            call: Message = {"id": part.id, "type": "function", "function": function}
            if extra is not None:
                call[EXTRA], extra = extra, None
            calls.append(call)
    return calls


def _thoughts(parts: Sequence[Part]) -> Message:
    """What came from this format goes back as it came: text, or entries that hold their text."""
    own = [p for p in parts if isinstance(p, ReasoningPart) and p.origin == OPENAI_CHAT]
    details: list[Entry] = [entry for part in own for entry in own_entries(part)]
    text = "".join(part.text for part in own if not part.state or extra_of(part) is not None)
    members: Message = {}
    if text:
        members["reasoning_content"] = text
    if details:
        members["reasoning_details"] = details
    return members
