"""The canonical request: what a caller asks of a chat model, whatever format they speak.

It has two depths. `ChatRequest` is the cheap one, made for every call: a typed view of the few
fields that the gateway acts on, while every other member of the caller's body stays raw JSON and
travels on unread. `Chat` is the full one, made only where caller and provider speak different
formats: turns made of parts, tools, and every parameter that more than one format knows. What it is
not: a full model of any one vendor's request; what only one format can say stays in `others`.

The rule that keeps it honest: `members` has each top-level name once (of names given twice the last
one counts, for us and for the provider alike), and what goes to a provider is rendered from it,
never from the caller's bytes; so no caller can show us one request and the provider another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Raw

from apertura.domain.preferences import Wish


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One chat request. Token limits in tokens; `size` in bytes of the caller's body."""

    model: str
    members: dict[str, Raw]
    stream: bool = False
    include_usage: bool = False
    """The caller of a stream asked for the usage chunk."""
    include_cost: bool = False
    """The caller asked for the cost, within the reply's usage."""
    max_output: int | None = None
    choices: int = 1
    needs: frozenset[str] = frozenset()
    """Capabilities that an offer must have: tools, vision, audio, json_schema."""
    wish: Wish | None = None
    """What it says about its route."""
    size: int = 0
    as_named: bool = False
    """`members` names the model just as `model` does."""


# The parts of a turn. A model's whole answer is made of the same parts (`events.fold`).

CacheLife = Literal["", "5m", "1h"]
"""Where a caller marks the end of a prefix that the provider shall cache, and for how long."""


class TextPart(msgspec.Struct, frozen=True, kw_only=True):
    """Words."""

    text: str
    cache: CacheLife = ""
    cited: tuple[Citation, ...] = ()


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """A web page that a text rests on. `start` and `end` count characters of that text."""

    url: str
    title: str = ""
    start: int = 0
    end: int = 0


class RefusalPart(msgspec.Struct, frozen=True, kw_only=True):
    """Words in which the model declined."""

    text: str


class MediaPart(msgspec.Struct, frozen=True, kw_only=True):
    """An image, a sound, a film or a document: by address, or as base64 `data` of type `mime`."""

    kind: Literal["image", "audio", "video", "document"]
    url: str = ""
    data: str = ""
    mime: str = ""
    detail: str = ""
    name: str = ""
    cache: CacheLife = ""


class ReasoningPart(msgspec.Struct, frozen=True, kw_only=True):
    """What the model thought: the text it shows, and opaque `state` that only its provider's format
    (`origin`, see `state`) can read. State that belongs to the part after it stands before it.
    """

    text: str = ""
    state: str = ""
    origin: str = ""


class CallPart(msgspec.Struct, frozen=True, kw_only=True):
    """A whole call to one of the caller's tools; `arguments` is JSON text."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    cache: CacheLife = ""


class ResultPart(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool answered to the call `call_id`; `name` is the tool's, where it is known."""

    call_id: str
    parts: tuple[TextPart | MediaPart, ...] = ()
    name: str = ""
    is_error: bool = False
    cache: CacheLife = ""


Part = TextPart | RefusalPart | MediaPart | ReasoningPart | CallPart | ResultPart


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one side says. `system` is an instruction in mid-conversation; the ones that come before
    everything else stand in `Chat.system`. Tool results are parts of a `user` turn.
    """

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of the caller's; `parameters` is a JSON schema, as it came."""

    name: str
    description: str = ""
    parameters: Raw | None = None
    strict: bool | None = None
    cache: CacheLife = ""


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the model may, must or must not call tools; `named` means just the one `name`."""

    mode: Literal["auto", "none", "required", "named"]
    name: str = ""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """What form the answer's text must have."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str = ""
    description: str = ""
    schema: Raw | None = None
    strict: bool | None = None


class ReasoningWish(msgspec.Struct, frozen=True, kw_only=True):
    """How much the model shall think: `effort` in words, or `budget` in tokens; `enabled` False
    switches it off. `show`: whether, and how, its thoughts are wanted ("" is the format's default).
    """

    enabled: bool | None = None
    effort: str = ""
    budget: int | None = None
    show: str = ""


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """The whole request in canonical form. None means: the caller did not say.

    `others` are the caller's members that have no place here, by the caller's own names. `names`
    are the caller's names for our fields, so that errors and headers can speak their language.
    """

    system: tuple[TextPart, ...] = ()
    turns: tuple[Turn, ...]
    stream: bool = False
    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] | None = None
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Raw | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    format: Format | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    reasoning: ReasoningWish | None = None
    verbosity: str | None = None
    modalities: tuple[str, ...] | None = None
    audio: Raw | None = None
    user: str | None = None
    metadata: Raw | None = None
    cache_key: str | None = None
    others: Mapping[str, Raw] = {}
    names: Mapping[str, str] = {}


PARAMETERS = tuple(
    name
    for name in Chat.__struct_fields__
    if name not in ("system", "turns", "stream", "others", "names")
)
"""The fields of `Chat` that every format must give a fate to (`fates`)."""
