"""The shapes of a request in OpenAI's Responses format, with every bound that we hold callers to.

Declarations only, as for the chat format (`openai_shapes`). An item of `input` is read by itself,
because its type says what its other members are. What it is not: a list of all that may be sent; a
member, an item or a part that is not named here passes unread.

The rule that keeps it honest: a bound is written once, here, and its error is worded from the
decoder's own finding, so that no check and no message can drift apart.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from apertura.wire.openai_shapes import (
    Compression,
    Effort,
    Function,
    JsonSchema,
    Name,
    NamedFunction,
    Object,
    ResponseFormat,
    Tokens,
    Unit,
    UsageWish,
)
from apertura.wire.route_wish import RouteMembers

Said = Annotated[str, Meta(min_length=1)]


class InputAudio(Struct, gc=False):
    """`input_audio` of a part."""

    data: Said
    format: str


class Source(Struct, gc=False):
    """`source` of an image in the older form."""

    type: str = "base64"
    media_type: str = ""
    data: str = ""
    url: str = ""


class Part(Struct, gc=False):
    """A part of a message, a tool's output or reasoning. Unknown types pass."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | Object | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    source: Source | None = None
    input_audio: InputAudio | None = None
    annotations: list[Object] | None = None

    def __post_init__(self) -> None:
        wanted = PARTS.get(self.type)
        if wanted is not None and all(getattr(self, name) is None for name in wanted):
            raise ValueError(f"needs `{wanted[0]}`, because its type says so")


PARTS = {
    "input_text": ("text",),
    "output_text": ("text",),
    "summary_text": ("text",),
    "reasoning_text": ("text",),
    "text": ("text",),
    "refusal": ("refusal",),
    "input_image": ("image_url", "file_id"),
    "image": ("source", "image_url"),
    "input_file": ("file_data", "file_url", "file_id"),
    "input_audio": ("input_audio",),
}
"""Types of parts that we know, and what each must have one of."""

Content = str | list[Part]


class Kind(Struct, gc=False):
    """What an item of `input` is, before the rest of it is read."""

    type: str | None = None
    role: object = None
    id: object = None


class Message(Struct, gc=False):
    """What one side said."""

    role: Literal["user", "assistant", "system", "developer"]
    content: Content
    id: str | None = None


class FunctionCall(Struct, gc=False):
    """The model called a tool."""

    call_id: Said
    name: Name
    arguments: str
    id: str | None = None


class FunctionCallOutput(Struct, gc=False):
    """What the tool answered."""

    call_id: Said
    output: Content
    id: str | None = None


class ReasoningItem(Struct, gc=False):
    """What the model thought; `encrypted_content` is for its provider alone."""

    id: str | None = None
    summary: list[Part] | None = None
    content: list[Part] | None = None
    encrypted_content: str | None = None


class ItemReference(Struct, gc=False):
    """An item of a kept response, by its id."""

    id: Said


Item = Message | FunctionCall | FunctionCallOutput | ReasoningItem | ItemReference
ITEMS: dict[str, type[Item]] = {
    "message": Message,
    "function_call": FunctionCall,
    "function_call_output": FunctionCallOutput,
    "reasoning": ReasoningItem,
    "item_reference": ItemReference,
}


class Tool(Struct, gc=False):
    """One of `tools`: a function, flat or nested as in the chat format; other types pass."""

    type: str = "function"
    name: Name | None = None
    description: str | None = None
    parameters: Object | None = None
    strict: bool | None = None
    function: Function | None = None

    def __post_init__(self) -> None:
        if self.type == "function" and self.function is None and self.name is None:
            raise ValueError("needs `name`, because its type says so")


class ToolChoice(Struct, gc=False):
    """`tool_choice`, where it is more than a word."""

    type: str
    name: Name | None = None
    function: NamedFunction | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[Object] | None = None

    def __post_init__(self) -> None:
        if self.type == "function" and self.function is None and self.name is None:
            raise ValueError("needs `name`, because its type says so")
        if self.type == "allowed_tools" and (self.mode is None or self.tools is None):
            raise ValueError("needs `mode` and `tools`, because its type says so")


class TextFormat(Struct, gc=False):
    """`text.format`, flat or nested as in the chat format."""

    type: Literal["text", "json_object", "json_schema"]
    name: Name | None = None
    description: str | None = None
    schema: Object | None = None
    strict: bool | None = None
    json_schema: JsonSchema | None = None

    def __post_init__(self) -> None:
        if self.type == "json_schema" and self.schema is None and self.json_schema is None:
            raise ValueError("needs `schema`, because its type says so")


class Text(Struct, gc=False):
    """`text`."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high", "concise", "normal", "verbose"] | None = None


VERBOSITY = {"concise": "low", "normal": "medium", "verbose": "high"}
"""The public API's own words for it, to the format's."""


class Reasoning(Struct, gc=False):
    """`reasoning`; `enabled` is the public API's."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    enabled: bool | None = None


Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]


class StreamOptions(Struct, gc=False):
    """`stream_options`; `include_cost` is ours."""

    include_obfuscation: bool | None = None
    include_cost: bool | UnsetType | None = UNSET


class Body(RouteMembers, gc=False):
    """The whole request: all parameters that we know, as we accept them."""

    model: Name
    input: str | Annotated[list[Raw], Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    usage: UsageWish | None = None
    max_output_tokens: Tokens | None = None
    max_tokens: Tokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Unit | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    reasoning: Reasoning | None = None
    text: Text | None = None
    response_format: ResponseFormat | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: Metadata | None = None
    include: list[str] | None = None
    user: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    service_tier: str | None = None
    background: bool | None = None
    conversation: str | Object | None = None
    prompt: Object | None = None
    compression: Compression | None = None


decode_body = msgspec.json.Decoder(Body).decode
decode_kind = msgspec.json.Decoder(Kind).decode
decode_item = {name: msgspec.json.Decoder(shape).decode for name, shape in ITEMS.items()}
