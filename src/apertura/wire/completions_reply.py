"""An answer, written as a text completion: whole, or as a stream of the same object.

What it is not: able to say more than text. Words in which a model declines are text here; what it
thought, its pictures and its sources have no place. The rule that keeps it honest: the text of a
stream, joined, is the text of the whole reply, which begins with the prompt where that was asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec

from apertura.domain.usage import Usage
from apertura.wire import sse
from apertura.wire.chat import RefusalPart, TextPart
from apertura.wire.completions_request import echo_of
from apertura.wire.dialect import CallFacts
from apertura.wire.events import (
    AnsweredChoice,
    Cited,
    Event,
    Failed,
    Finished,
    FinishReason,
    Media,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
    fold,
)
from apertura.wire.openai_errors import render_stream_error
from apertura.wire.openai_listen import DONE
from apertura.wire.openai_usage import report_of

_encode = msgspec.json.Encoder().encode
_NOT_STARTED = Started(id="", created=0, model="")


class CompletionEncoder:
    """One streamed answer to a caller."""

    def __init__(self, call: CallFacts) -> None:
        self._call = call
        self._echo = echo_of(call.request)
        self._head = _head(call, _NOT_STARTED)
        self._begun: dict[int, tuple[bytes, bytes]] = {}
        self._failed = False

    def feed(self, events: list[Event]) -> bytes:
        """The bytes that say these events."""
        out: list[bytes] = []
        for event in events:
            if isinstance(event, Text | Refusal):
                around = self._begun.get(event.choice) or self._begin(event.choice, out)
                out.append(around[0] + _encode(event.text) + around[1])
            else:
                out.append(self._say(event, out))
        return b"".join(out)

    def close(self) -> bytes:
        """The end marker, unless the stream failed."""
        return b"" if self._failed else DONE

    def _begin(self, choice: int, out: list[bytes]) -> tuple[bytes, bytes]:
        """What stands around each piece of this choice; the prompt, where it is to be repeated."""
        head = b'data: %b[{"text":' % self._head
        tail = b',"index":%d,"logprobs":null,"finish_reason":null}]}\n\n' % choice
        self._begun[choice] = (head, tail)
        if self._echo:
            out.append(head + _encode(self._echo) + tail)
        return head, tail

    def _say(self, event: Event, out: list[bytes]) -> bytes:
        match event:
            case Started():
                self._head = _head(self._call, event)
            case Finished(reason=reason, choice=choice):
                if choice not in self._begun:
                    self._begin(choice, out)
                return sse.frame(self._head + _encode([_choice(choice, "", reason)]) + b"}")
            case UsageReported(usage=usage):
                if self._call.include_usage:
                    return sse.frame(self._head + b'[],"usage":' + _encode(report_of(usage)) + b"}")
            case Failed(error=error):
                self._failed = True
                return render_stream_error(error)
            case Text() | Refusal() | Reasoning() | ToolCall() | Cited() | Media():
                pass
            case _:
                assert_never(event)
        return b""


def _head(call: CallFacts, started: Started) -> bytes:
    return _encode(_identity(call, started))[:-1] + b',"choices":'


def _identity(call: CallFacts, started: Started) -> dict[str, object]:
    """One id and one time per answer: the provider's, or else ours."""
    return {
        "id": started.id or call.id,
        "object": "text_completion",
        "created": started.created or call.created,
        "model": started.model or call.model,
    }


def _choice(index: int, text: str, reason: FinishReason) -> dict[str, object]:
    """One choice; nobody could give this model tools."""
    ended = "stop" if reason == "tool_calls" else reason
    return {"text": text, "index": index, "logprobs": None, "finish_reason": ended}


def encoder(call: CallFacts) -> CompletionEncoder:
    """For one streamed answer to a caller."""
    return CompletionEncoder(call)


def render_reply(events: Iterable[Event], call: CallFacts) -> bytes:
    """A whole answer to a caller. Raises: the error of a `Failed` among the events."""
    answer = fold(events)
    echo = echo_of(call.request)
    choices = answer.choices or {0: AnsweredChoice()}
    return _encode(
        {
            **_identity(call, answer.started),
            "choices": [
                _choice(index, echo + _text(choices[index]), choices[index].reason)
                for index in sorted(choices)
            ],
            **_usage(answer.usage),
        }
    )


def _text(choice: AnsweredChoice) -> str:
    said = (part.text for part in choice.parts if isinstance(part, TextPart | RefusalPart))
    return "".join(said)


def _usage(usage: Usage | None) -> dict[str, object]:
    return {} if usage is None else {"usage": report_of(usage)}
