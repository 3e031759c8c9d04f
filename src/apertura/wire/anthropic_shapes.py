"""The shapes of a request in the Messages format, with every bound that we hold callers to.

Declarations only: what a field may be, in types that the JSON decoder checks while it reads. What
it is not: a list of all that may be sent; members and blocks that are not named here pass unread,
because the format grows by beta features that only its own providers know.

The rule that keeps it honest: a bound is written once, here, and its error is worded by `faults`
from the decoder's own finding, so that no check and no message can drift apart.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from apertura.wire.openai_shapes import (
    Bias,
    Compression,
    Name,
    Object,
    Penalty,
    ResponseFormat,
    Tokens,
    Unit,
)
from apertura.wire.route_wish import RouteMembers

Effort = Literal["low", "medium", "high", "xhigh", "max"]


class CacheControl(Struct, gc=False):
    """`cache_control`: here ends what the provider shall keep."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Source(Struct, gc=False):
    """`source` of an image or a document. A known `type` needs the members that it speaks of."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: str | list[Block] | None = None

    def __post_init__(self) -> None:
        _check(self, SOURCES.get(self.type, ()))


SOURCES = {
    "base64": ("media_type", "data"),
    "url": ("url",),
    "text": ("data",),
    "content": ("content",),
    "file": ("file_id",),
}


class WebCitation(Struct, gc=False):
    """One of `citations` of a text that a model wrote; only those of web pages are read."""

    type: str = ""
    url: str | None = None
    title: str | None = None


class Block(Struct, gc=False):
    """A content block. A known `type` needs the members that it speaks of; unknown types pass."""

    type: str
    text: str | None = None
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    id: str | None = None
    name: str | None = None
    input: Object | None = None
    tool_use_id: str | None = None
    content: str | list[Block] | Object | None = None
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    citations: list[WebCitation] | Object | None = None
    cache_control: CacheControl | None = None

    def __post_init__(self) -> None:
        _check(self, BLOCKS.get(self.type, ()))


BLOCKS = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking",),
    "redacted_thinking": ("data",),
}


def _check(found: Block | Source, needed: tuple[str, ...]) -> None:
    for name in needed:
        if getattr(found, name) is None:
            raise ValueError(f"needs `{name}`, because its type says so")


class Message(Struct, gc=False):
    """One turn."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class SystemBlock(Struct, gc=False):
    """A block of `system`."""

    type: Literal["text"]
    text: str
    cache_control: CacheControl | None = None


class Tool(Struct, gc=False):
    """One of `tools`. Those of a `type` of their own are the provider's, and pass."""

    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: Object | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None

    def __post_init__(self) -> None:
        if self.type in (None, "custom"):
            missing = "name" if not self.name else "input_schema"
            if not self.name or self.input_schema is None:
                raise ValueError(f"needs `{missing}`, because it is a tool of the caller's own")


class ToolChoice(Struct, gc=False):
    """`tool_choice`."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    def __post_init__(self) -> None:
        if self.type == "tool" and not self.name:
            raise ValueError("needs `name`, because its type says so")


class Thinking(Struct, gc=False):
    """`thinking`."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Meta(ge=1024, le=2**31 - 1)] | None = None
    display: str | None = None

    def __post_init__(self) -> None:
        if self.type == "enabled" and self.budget_tokens is None:
            raise ValueError("needs `budget_tokens`, because its type says so")


class OutputFormat(Struct, gc=False):
    """`output_config.format`."""

    type: Literal["json_schema"]
    schema: Object


class OutputConfig(Struct, gc=False):
    """`output_config`."""

    effort: Effort | None = None
    format: OutputFormat | None = None


class Metadata(Struct, gc=False):
    """`metadata`."""

    user_id: str | None = None


class Body(RouteMembers, gc=False):
    """The whole request: all parameters that we know, as we accept them."""

    model: Name
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Tokens | None = None
    system: str | list[SystemBlock] | None = None
    stream: bool | None = None
    temperature: Unit | None = None
    top_p: Unit | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    metadata: Metadata | None = None
    cache_control: CacheControl | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    mcp_servers: list[Raw] | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    user: str | None = None
    response_format: ResponseFormat | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    compression: Compression | None = None


decode_body = msgspec.json.Decoder(Body).decode
decode_members = msgspec.json.Decoder(Object).decode
decode_objects = msgspec.json.Decoder(list[Object]).decode
