"""The shapes of a chat request in OpenAI's format, with every bound that we hold callers to.

Declarations only: what a field may be, in types that the JSON decoder checks while it reads. What
it is not: a list of all that may be sent; a member that is not named here passes unread.

The rule that keeps it honest: a bound is written once, here, and its error is worded in
`openai_request` from the decoder's own finding, so that no check and no message can drift apart.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from apertura.wire.route_wish import RouteMembers

Unit = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Tokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Object = dict[str, Raw]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Url(Struct, gc=False):
    """`image_url` or `video_url` of a content part."""

    url: Annotated[str, Meta(min_length=1)]
    detail: Literal["auto", "low", "high", "original"] | None = None


class InputAudio(Struct, gc=False):
    """`input_audio` of a content part: base64 and its format."""

    data: Annotated[str, Meta(min_length=1)]
    format: Literal["wav", "mp3", "flac", "opus", "pcm16", "aac", "m4a", "ogg", "webm"]


class Part(Struct, gc=False):
    """A content part. A known `type` needs the member that it speaks of; unknown types pass."""

    type: str
    text: str | None = None
    image_url: Url | None = None
    video_url: Url | None = None
    input_audio: InputAudio | None = None
    file: Object | None = None
    refusal: str | None = None

    def __post_init__(self) -> None:
        if self.type in PARTS and getattr(self, self.type) is None:
            raise ValueError(f"needs `{self.type}`, because its type says so")


PARTS = frozenset({"text", "image_url", "video_url", "input_audio", "file", "refusal"})
Content = str | list[Part]


class System(Struct, gc=False, tag_field="role", tag="system"):
    """What the caller's application says."""

    content: Content


class Developer(Struct, gc=False, tag_field="role", tag="developer"):
    """The later name of the system role."""

    content: Content


class User(Struct, gc=False, tag_field="role", tag="user"):
    """What a person says."""

    content: Content


class Assistant(Struct, gc=False, tag_field="role", tag="assistant"):
    """What the model said before; without content where it called tools."""

    content: Content | None = None
    tool_calls: list[Object] | None = None


class ToolResult(Struct, gc=False, tag_field="role", tag="tool"):
    """What a tool answered."""

    tool_call_id: Annotated[str, Meta(min_length=1)]
    content: Content


class FunctionResult(Struct, gc=False, tag_field="role", tag="function"):
    """What a function answered, in the format's first way to say so."""

    name: Name
    content: str | None = None


Message = System | Developer | User | Assistant | ToolResult | FunctionResult


class StreamOptions(Struct, gc=False):
    """`stream_options`."""

    include_usage: bool | None = None
    include_cost: bool | UnsetType | None = UNSET


class UsageWish(Struct, gc=False):
    """`usage` of a request: what its reply's usage shall say beside tokens."""

    include: bool | None = None


class JsonSchema(Struct, gc=False):
    """`response_format.json_schema`."""

    name: Name
    schema: Object | None = None
    strict: bool | None = None


class ResponseFormat(Struct, gc=False):
    """`response_format`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def __post_init__(self) -> None:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("needs `json_schema`, because its type says so")


class Function(Struct, gc=False):
    """What a tool is called and takes."""

    name: Name
    description: str | None = None
    parameters: Object | None = None
    strict: bool | None = None


class Tool(Struct, gc=False):
    """One of `tools`; types that are not `function` pass."""

    type: str = "function"
    function: Function | None = None

    def __post_init__(self) -> None:
        if self.type == "function" and self.function is None:
            raise ValueError("needs `function`, because its type says so")


class NamedFunction(Struct, gc=False):
    """`tool_choice.function`."""

    name: Name


class NamedTool(Struct, gc=False):
    """`tool_choice`, where it names a tool."""

    type: str
    function: NamedFunction | None = None

    def __post_init__(self) -> None:
        if self.type == "function" and self.function is None:
            raise ValueError("needs `function`, because its type says so")


class Reasoning(Struct, gc=False):
    """`reasoning`."""

    enabled: bool | None = None
    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class Thinking(Struct, gc=False):
    """`thinking`."""

    type: Literal["enabled", "disabled", "auto", "adaptive"]
    budget_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


class AudioOutput(Struct, gc=False):
    """`audio`: how a spoken answer shall sound."""

    voice: str | Object
    format: str | None = None


class Compression(Struct, gc=False):
    """`compression`; not offered, but its disabled form is understood."""

    enabled: bool | None = None


class Body(RouteMembers, gc=False):
    """The whole request: all parameters that we know, as we accept them."""

    model: Name
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    usage: UsageWish | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Unit | None = None
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    user: str | None = None
    service_tier: str | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    modalities: list[Literal["text", "audio", "image"]] | None = None
    audio: AudioOutput | None = None
    functions: list[Function] | None = None
    extra_body: Object | None = None
    web_results_count: Annotated[int, Meta(ge=1, le=10)] | None = None
    web_content_length: Literal["short", "medium", "full"] | None = None
    web_search_options: Object | None = None
    compression: Compression | None = None


decode_body = msgspec.json.Decoder(Body).decode
decode_members = msgspec.json.Decoder(Object).decode
