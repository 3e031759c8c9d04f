"""Any answer that a model may give, as legal lists of events: what the laws of every format draw.

`answers(...)` gives lists as the decoders give them: begun once, tool calls numbered from 0 and
begun with id and name, arguments that are JSON when joined, one end per choice, usage last.
`per_kind` is how an answer is compared where a format does not keep the order between kinds.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.wire import state
from apertura.wire.chat import (
    CallPart,
    Citation,
    MediaPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
)
from apertura.wire.events import (
    Answer,
    AnsweredChoice,
    Cited,
    Content,
    Event,
    Finished,
    FinishReason,
    Media,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
)

KINDS = frozenset({"text", "refusal", "reasoning", "tools", "cited", "media"})
"""The kinds of content."""
FAMILIES = ("", state.ANTHROPIC, state.GEMINI, state.OPENAI, state.OPENAI_CHAT)
"""Whose reasoning an answer has; one answer comes from one model. "" has text alone."""
STARTED = Started(id="answer-1", created=1_795_000_000, model="m-1")

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
pieces = st.just("") | words
"""What a delta may hold; some are empty."""
opaque = st.text("ABCxyz019+/", min_size=4, max_size=12).map(lambda text: text + "==")
"""State as providers make it: base64."""
json_texts = st.one_of(
    st.just(""),
    st.dictionaries(words, words | st.integers(-9, 9) | st.booleans() | st.none(), max_size=2).map(
        lambda found: json.dumps(found, ensure_ascii=False)
    ),
)
"""Arguments of a tool: JSON, or nothing at all."""
citations = st.builds(
    Citation,
    url=st.sampled_from(["https://a.example/1", "https://b.example/é?x=1&y=2"]),
    title=pieces,
    start=st.integers(0, 3),
    end=st.integers(3, 9),
)
media = st.builds(
    MediaPart,
    kind=st.just("image"),
    data=st.sampled_from(["iVBORw0KGgo=", "/9j/4AAQSkZJRg=="]),
    mime=st.sampled_from(["image/png", "image/jpeg"]),
)


def counts(*fields: str) -> st.SearchStrategy[Usage]:
    """Any tidy usage whose parts are of these classes."""
    small = st.integers(0, 9)
    return st.builds(
        lambda extra_in, extra_out, parts: Usage(
            input=extra_in + sum(parts[name] for name in parts if name in _INPUTS),
            output=extra_out + sum(parts[name] for name in parts if name not in _INPUTS),
            **parts,
        ),
        small,
        small,
        st.fixed_dictionaries(dict.fromkeys(fields, small)),
    )


_INPUTS = ("cache_read", "cache_write", "cache_write_1h", "audio_input")


@st.composite
def answers(
    draw: st.DrawFn,
    *,
    choices: int = 1,
    kinds: frozenset[str] = KINDS,
    families: tuple[str, ...] = FAMILIES,
    usages: st.SearchStrategy[Usage | None] | None = None,
    stop_sequences: bool = False,
) -> list[Event]:
    """A whole answer of up to `choices` choices, the content of which comes interleaved."""
    family = draw(st.sampled_from(families))
    count = draw(st.integers(1, choices))
    queues = [_Writer(draw, choice, kinds, family).content() for choice in range(count)]
    ends: list[Event] = [
        _end(draw, choice, queues[choice], stop_sequences) for choice in range(count)
    ]
    events: list[Event] = [STARTED]
    waiting = [queue for queue in queues if queue]
    while waiting:
        queue = waiting[draw(st.integers(0, len(waiting) - 1))] if len(waiting) > 1 else waiting[0]
        events.append(queue.pop(0))
        waiting = [queue for queue in waiting if queue]
    counted = draw(counts("cache_read", "reasoning") if usages is None else usages)
    return [*events, *ends, *([] if counted is None else [UsageReported(usage=counted)])]


def _end(draw: st.DrawFn, choice: int, content: list[Content], sequences: bool) -> Finished:
    if any(isinstance(event, ToolCall) for event in content):
        return Finished(reason="tool_calls", choice=choice)
    reason: FinishReason = draw(st.sampled_from(("stop", "length", "content_filter")))
    sequence = draw(st.none() | words) if sequences and reason == "stop" else None
    return Finished(reason=reason, stop_sequence=sequence, choice=choice)


class _Writer:
    """The content of one choice."""

    def __init__(self, draw: st.DrawFn, choice: int, kinds: frozenset[str], family: str) -> None:
        self._draw, self._choice, self._family = draw, choice, family
        self._kinds = sorted(kinds - {"cited"})
        self._cites = "cited" in kinds
        self._states = family if "reasoning" in kinds else ""
        self._called = 0
        self._items = 0

    def content(self) -> list[Content]:
        """A few runs, each of one kind."""
        runs: dict[str, Any] = {
            "text": self._text,
            "refusal": self._refusal,
            "reasoning": self._reasoning,
            "tools": self._tools,
            "media": self._media,
        }
        names = self._draw(st.lists(st.sampled_from(self._kinds), max_size=4))
        return [event for name in names for event in runs[name]()]

    def _text(self) -> list[Content]:
        said = self._draw(st.lists(pieces, min_size=1, max_size=3))
        events: list[Content] = [Text(text=text, choice=self._choice) for text in said]
        if self._cites and any(said):
            found = self._draw(st.lists(citations, max_size=2))
            events += [Cited(citation=citation, choice=self._choice) for citation in found]
        return events

    def _refusal(self) -> list[Content]:
        said = self._draw(st.lists(pieces, min_size=1, max_size=2))
        return [Refusal(text=text, choice=self._choice) for text in said]

    def _media(self) -> list[Content]:
        return [Media(part=self._draw(media), choice=self._choice)]

    def _reasoning(self) -> list[Content]:
        """Thoughts as the family has them; Anthropic's always end in state."""
        family = self._family
        if family == state.ANTHROPIC and self._draw(st.booleans()):
            return [self._state(state.ANTHROPIC_REDACTED)]
        said = self._draw(st.lists(words, min_size=1, max_size=3))
        events: list[Content] = [
            Reasoning(text=text, origin=family, choice=self._choice) for text in said
        ]
        if family == state.ANTHROPIC or (family and self._draw(st.booleans())):
            events.append(self._state(family))
        return events

    def _state(self, origin: str) -> Reasoning:
        found = self._draw(opaque)
        if origin == state.OPENAI:
            self._items += 1
            found = f"rs_{self._choice}_{self._items}:{found}"
        if origin == state.OPENAI_CHAT:
            found = json.dumps(
                {"type": "reasoning.unheard_of", "data": found, "format": "other-v1"}
            )
        return Reasoning(state=found, origin=origin, choice=self._choice)

    def _tools(self) -> list[Content]:
        """Up to three calls whose pieces come interleaved; Gemini's may have state before each."""
        queues: list[list[Content]] = []
        for _ in range(self._draw(st.integers(1, 3))):
            queue: list[Content] = list(self._call())
            if self._states == state.GEMINI and self._draw(st.booleans()):
                queue[:1] = [self._state(state.GEMINI), queue[0]]
            queues.append(queue)
        begun = [self._first(queue) for queue in queues]
        if self._draw(st.booleans()):  # one after the other
            return [
                event for first, queue in zip(begun, queues, strict=True) for event in first + queue
            ]
        events = [event for first in begun for event in first]
        while waiting := [queue for queue in queues if queue]:
            events.append(
                self._draw(st.sampled_from(range(len(waiting))).map(waiting.__getitem__)).pop(0)
            )
        return events

    @staticmethod
    def _first(queue: list[Content]) -> list[Content]:
        """What begins a call, taken from its queue: with the state that stands before it."""
        size = 2 if isinstance(queue[0], Reasoning) else 1
        first, queue[:size] = queue[:size], []
        return first

    def _call(self) -> list[ToolCall]:
        index, self._called = self._called, self._called + 1
        name = self._draw(st.sampled_from(["weather", "get_time", "f-2"]))
        arguments = self._draw(json_texts)
        cuts = sorted(self._draw(st.lists(st.integers(0, len(arguments)), max_size=3)))
        edges = [0, *cuts, len(arguments)]
        said = [arguments[edges[n] : edges[n + 1]] for n in range(len(edges) - 1)]
        first = ToolCall(
            index=index,
            id=f"call_{self._choice}_{index}",
            name=name,
            arguments=said[0],
            choice=self._choice,
        )
        rest = [ToolCall(index=index, arguments=text, choice=self._choice) for text in said[1:]]
        return [first, *rest]


def per_kind(answer: Answer) -> dict[int, dict[str, object]]:
    """What each choice says, kind by kind: for formats that do not keep the order between kinds."""
    return {index: said(choice) for index, choice in answer.choices.items()}


def said(choice: AnsweredChoice) -> dict[str, object]:
    """The words of each kind joined, calls, states, citations and media in their order."""
    parts = choice.parts
    thoughts = [part for part in parts if isinstance(part, ReasoningPart)]
    texts = [part for part in parts if isinstance(part, TextPart)]
    return {
        "text": "".join(part.text for part in texts),
        "cited": _cited(texts),
        "refusal": "".join(part.text for part in parts if isinstance(part, RefusalPart)),
        "reasoning": "".join(part.text for part in thoughts),
        "states": [(part.origin, part.state) for part in thoughts if part.state],
        "calls": [part for part in parts if isinstance(part, CallPart)],
        "media": [part for part in parts if isinstance(part, MediaPart)],
        "reason": choice.reason,
        "stop_sequence": choice.stop_sequence,
    }


def _cited(texts: list[TextPart]) -> list[Citation]:
    """Citations with their places counted over all texts, as one string of them has it."""
    found: list[Citation] = []
    before = 0
    for part in texts:
        for citation in part.cited:
            shift = before if citation.end else 0
            start, end = citation.start + shift, citation.end + shift
            found.append(Citation(url=citation.url, title=citation.title, start=start, end=end))
        before += len(part.text)
    return found
