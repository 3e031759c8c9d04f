"""The canonical request, said to a provider in OpenAI's Responses format.

What it is not: a promise that the model heeds it all; what the format has no word for is dropped
and listed, or refused, by the table below.

The rule that keeps it honest: nothing is kept at the provider (`store` is false), so each request
brings its whole history; and of what models thought, only what this format's own providers sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from apertura.wire import fates, faults, responses_media, state
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
)
from apertura.wire.dialect import Expressed, Target
from apertura.wire.responses_mend import ENCRYPTED, NO_PARAMETERS

_encode = msgspec.json.Encoder().encode

FATES = fates.table(
    mapped="""max_output temperature top_p n format tools tool_choice parallel_tools reasoning
        verbosity modalities user metadata cache_key""",
    dropped="""top_k seed presence_penalty frequency_penalty logit_bias logprobs top_logprobs""",
    refused="stop audio",
)
LEAST_OUTPUT = 16
"""The format's least output limit."""
_EFFORTS = {"max": "xhigh"}
_SHOWN = ("auto", "concise", "detailed")

_FIELDS = {
    "max_output_tokens": "max_output",
    "parallel_tool_calls": "parallel_tools",
    "prompt_cache_key": "cache_key",
    "text": "format",
}
"""The format's names of our fields, where they differ."""

Said = dict[str, object]


def express(chat: Chat, target: Target) -> Expressed:
    """The request for a provider. Raises: BadRequest, for what must not be dropped."""
    dropped = list(fates.dropped(chat, FATES, "the Responses format"))
    _refuse(chat)
    body: Said = {"model": target.model, "input": _Input(chat, dropped).items()}
    if chat.system:
        body["instructions"] = "\n\n".join(part.text for part in chat.system)
    if chat.stream:
        body["stream"] = True
    body["store"] = False
    body |= _sampling(chat, dropped) | _tools(chat) | _reasoning(chat)
    if text := _text(chat.format, chat.verbosity):
        body["text"] = text
    named = (("user", chat.user), ("metadata", chat.metadata), ("prompt_cache_key", chat.cache_key))
    body |= {name: value for name, value in named if value is not None}
    for name in sorted(target.unknown & body.keys()):
        del body[name]
        if name != "include":  # that is our wish, not the caller's
            dropped.append(fates.name_of(chat, _FIELDS.get(name, name)))
    return Expressed(body=_encode(body), dropped=tuple(dict.fromkeys(dropped)))


def _refuse(chat: Chat) -> None:
    if chat.n is not None and chat.n > 1:
        raise faults.invalid(fates.name_of(chat, "n"), "must be 1 for this model")
    if chat.modalities is not None and set(chat.modalities) - {"text"}:
        name = fates.name_of(chat, "modalities")
        raise faults.invalid(name, "asks for more than text, which this model does not answer with")


def _sampling(chat: Chat, dropped: list[str]) -> Said:
    """The numbers, each brought into the format's range."""
    said: Said = {}
    if chat.max_output is not None:
        said["max_output_tokens"] = max(chat.max_output, LEAST_OUTPUT)
        if chat.max_output < LEAST_OUTPUT:
            dropped.append(fates.name_of(chat, "max_output"))
    for name, value, most in (("temperature", chat.temperature, 2), ("top_p", chat.top_p, 1)):
        if value is not None:
            said[name] = min(max(value, 0), most)
            if said[name] != value:
                dropped.append(fates.name_of(chat, name))
    return said


def _tools(chat: Chat) -> Said:
    if not chat.tools:
        return {}
    said: Said = {"tools": [_tool(tool) for tool in chat.tools]}
    if chat.tool_choice is not None:
        said["tool_choice"] = _choice(chat.tool_choice)
    if chat.parallel_tools is not None:
        said["parallel_tool_calls"] = chat.parallel_tools
    return said


def _tool(tool: Tool) -> Said:
    said: Said = {"type": "function", "name": tool.name}
    if tool.description:
        said["description"] = tool.description
    said["parameters"] = NO_PARAMETERS if tool.parameters is None else tool.parameters
    said["strict"] = tool.strict is True  # absent means true in this format, false in the others
    return said


def _choice(choice: ToolChoice) -> object:
    if choice.mode == "named":
        return {"type": "function", "name": choice.name}
    return choice.mode


def _text(form: Format | None, verbosity: str | None) -> Said:
    said: Said = {}
    if form is not None:
        asked: Said = {"type": form.kind}
        if form.kind == "json_schema":
            asked["name"] = form.name or "answer"
            if form.description:
                asked["description"] = form.description
            asked["schema"] = {} if form.schema is None else form.schema
            asked["strict"] = form.strict is True
        said["format"] = asked
    if verbosity is not None:
        said["verbosity"] = verbosity
    return said


def _reasoning(chat: Chat) -> Said:
    """How much to think; state is asked for where thinking is, as other models refuse to be."""
    wish = chat.reasoning
    said: Said = {}
    if wish is not None:
        effort = _effort(wish)
        if effort:
            said["effort"] = effort
        if wish.show not in ("", "none", "omitted", "hidden") and wish.enabled is not False:
            said["summary"] = wish.show if wish.show in _SHOWN else "auto"
    sealed = any(_sealed(part) for turn in chat.turns for part in turn.parts)
    thinks = wish is not None and said.get("effort") != "none"
    return ({"reasoning": said} if said else {}) | (
        {"include": [ENCRYPTED]} if sealed or thinks else {}
    )


def _effort(wish: ReasoningWish) -> str:
    """The effort in words; a budget in tokens becomes the word that is nearest to it."""
    if wish.enabled is False:
        return "none"
    if wish.effort or wish.budget is None:
        return _EFFORTS.get(wish.effort, wish.effort)
    if wish.budget <= 0:
        return "none"
    return "low" if wish.budget < 4_096 else "medium" if wish.budget < 16_384 else "high"


def _sealed(part: Part) -> bool:
    return isinstance(part, ReasoningPart) and part.origin == state.OPENAI and bool(part.state)


class _Input:
    """The items of `input`."""

    def __init__(self, chat: Chat, dropped: list[str]) -> None:
        self._chat, self._dropped = chat, dropped
        self._param = fates.name_of(chat, "turns")

    def items(self) -> list[Said]:
        """All turns, in order."""
        items: list[Said] = []
        for turn in self._chat.turns:
            role = "developer" if turn.role == "system" else turn.role
            if turn.role == "assistant":
                items += self._answer(turn.parts)
            else:
                items += self._asked(role, turn.parts)
        return items

    def _asked(self, role: str, parts: Iterable[Part]) -> Iterator[Said]:
        """What the caller's side says: a tool's result is an item, the rest are messages."""
        content: list[Said] = []
        for part in parts:
            if isinstance(part, ResultPart):
                if content:
                    yield _message(role, content)
                    content = []
                yield self._result(part)
            elif (found := self._input(part)) is not None:
                content.append(found)
        if content:
            yield _message(role, content)

    def _answer(self, parts: Iterable[Part]) -> Iterator[Said]:
        """What the model said: its words are messages, all else is an item."""
        content: list[Said] = []
        for part in parts:
            if isinstance(part, TextPart | RefusalPart):
                content += _words(part)
            elif (item := self._item(part)) is not None:
                if content:
                    yield _message("assistant", content)
                    content = []
                yield item
        if content:
            yield _message("assistant", content)

    def _item(self, part: Part) -> Said | None:
        match part:
            case CallPart(id=call_id, name=name, arguments=arguments):
                said: Said = {"type": "function_call", "call_id": call_id, "name": name}
                return said | {"arguments": arguments or "{}"}
            case ReasoningPart(state=opaque) if _sealed(part):
                return _reasoned(opaque)
            case MediaPart():
                self._dropped.append(self._param)  # a model's own pictures have no way back
                return None
            case _:
                return None

    def _input(self, part: Part) -> Said | None:
        match part:
            case TextPart(text=text) | RefusalPart(text=text):
                return {"type": "input_text", "text": text} if text else None
            case MediaPart():
                return responses_media.say(part, self._param)
            case _:
                return None

    def _result(self, part: ResultPart) -> Said:
        said: Said = {"type": "function_call_output", "call_id": part.call_id}
        texts = [found.text for found in part.parts if isinstance(found, TextPart)]
        head = "Error: " if part.is_error else ""  # the format has no other word for it
        if len(texts) == len(part.parts):
            said["output"] = head + "\n".join(texts)
        else:
            parts = (TextPart(text=head), *part.parts)
            found = (self._input(one) for one in parts)
            said["output"] = [one for one in found if one is not None]
        return said


def _words(part: TextPart | RefusalPart) -> list[Said]:
    if not part.text:
        return []
    if isinstance(part, RefusalPart):
        return [{"type": "refusal", "refusal": part.text}]
    return [{"type": "output_text", "text": part.text, "annotations": []}]


def _message(role: str, content: list[Said]) -> Said:
    return {"type": "message", "role": role, "content": content}


def _reasoned(opaque: str) -> Said:
    """A reasoning item just as its provider made it."""
    item_id, _, sealed = opaque.partition(":")
    return {"type": "reasoning", "id": item_id, "summary": [], "encrypted_content": sealed}
