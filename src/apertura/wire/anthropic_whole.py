"""A whole answer to a caller in the Messages format, and what a streamed one has in common with it.

Only blocks that every client knows are written: text, tool_use, thinking, redacted_thinking; a
picture in an answer becomes text, as a Markdown image. What it is not: for several choices; there
is one answer.

The rule that keeps it honest: what a block says is made here, for both ways, so that a folded
stream equals the whole reply.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from apertura.domain.usage import NOTHING
from apertura.wire.anthropic_state import signature_of
from apertura.wire.anthropic_turns import Json, input_of
from apertura.wire.anthropic_usage import report_of
from apertura.wire.chat import (
    CallPart,
    Citation,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    ResultPart,
    TextPart,
)
from apertura.wire.dialect import CallFacts
from apertura.wire.events import AnsweredChoice, Event, Started, fold
from apertura.wire.state import ANTHROPIC_REDACTED

_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_encode = msgspec.json.Encoder().encode


def identity(call: CallFacts, started: Started) -> Json:
    """One id per answer: the provider's, where it is of this format; else ours."""
    own = started.id.startswith("msg_")
    return {
        "id": started.id if own else f"msg_{call.id.removeprefix('msg_')}",
        "type": "message",
        "role": "assistant",
        "model": started.model or call.model,
    }


def stopped(reason: str, sequence: str | None, *, refused: bool) -> Json:
    """Why an answer ended; a model that declined in words has refused, too."""
    said = "refusal" if refused and reason == "stop" else _REASONS[reason]
    if said == "end_turn" and sequence is not None:
        said = "stop_sequence"
    return {"stop_reason": said, "stop_sequence": sequence if said == "stop_sequence" else None}


def tool_use(call_id: str, name: str | None, given: object) -> Json:
    return {"type": "tool_use", "id": call_id, "name": name or "", "input": given}


def citation_of(found: Citation) -> Json:
    """A web page; what this format keeps beside its address is not known."""
    return {
        "type": "web_search_result_location",
        "url": found.url,
        "title": found.title or None,
        "cited_text": "",
        "encrypted_index": "",
    }


def picture(part: MediaPart) -> str:
    """An image or a sound as text that most clients show."""
    address = part.url or f"data:{part.mime};base64,{part.data}"
    return f"![{part.kind}]({address})"


def render_reply(events: Iterable[Event], call: CallFacts) -> bytes:
    """A whole answer to a caller. Raises: the error of a `Failed` among the events."""
    answer = fold(events)
    choice = answer.choices.get(0, AnsweredChoice())
    refused = any(isinstance(part, RefusalPart) for part in choice.parts)
    calls = {id(part): f"toolu_{call.id}_{index}" for index, part in choice.calls.items()}
    blocks = [_block(part, calls.get(id(part), "")) for part in choice.parts]
    return _encode(
        {
            **identity(call, answer.started),
            "content": [block for block in blocks if block is not None],
            **stopped(choice.reason, choice.stop_sequence, refused=refused),
            "usage": report_of(answer.usage or NOTHING),
        }
    )


def _block(part: Part, own_id: str) -> Json | None:
    """A whole part as a block; `own_id` is for a call that has none."""
    match part:
        case TextPart(text=text, cited=cited):
            said: Json = {"type": "text", "text": text}
            return {**said, "citations": [citation_of(one) for one in cited]} if cited else said
        case RefusalPart(text=text):
            return {"type": "text", "text": text}
        case MediaPart():
            return {"type": "text", "text": picture(part)}
        case ReasoningPart(text=text, state=state, origin=origin):
            if origin == ANTHROPIC_REDACTED:
                return {"type": "redacted_thinking", "data": state}
            signature = signature_of(state, origin)
            return {"type": "thinking", "thinking": text, "signature": signature}
        case CallPart(id=call_id, name=tool, arguments=arguments):
            return tool_use(call_id or own_id, tool, input_of(arguments))
        case ResultPart():
            return None
