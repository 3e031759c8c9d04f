"""The shapes of a request in Gemini's format, with every bound that we hold callers to.

Declarations only, in the names of the format's JSON (lowerCamelCase). Null means unsaid, and where
the format has a list, one value without brackets is taken for a list of one, as Google takes it.
What it is not: a list of all that may be sent; a member that is not named here passes unread.

The rule that keeps it honest: a bound is written once, here, and its error is worded by `faults`
from the decoder's own finding.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from apertura.wire.openai_shapes import Name, Object, Penalty, Tokens, Unit

Text = Annotated[str, Meta(min_length=1)]


class Blob(Struct, gc=False, rename="camel"):
    """`inlineData`: base64."""

    data: Text
    mime_type: Text


class FileData(Struct, gc=False, rename="camel"):
    """`fileData`: by address."""

    file_uri: Text
    mime_type: str | None = None


class FunctionCall(Struct, gc=False):
    """A call to a tool that the model made."""

    name: Name
    id: str | None = None
    args: Object | None = None


class ResponsePart(Struct, gc=False, rename="camel"):
    """An image or a document in a tool's answer."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Struct, gc=False):
    """What a tool answered."""

    name: Name
    id: str | None = None
    response: Object | None = None
    parts: list[ResponsePart] | None = None


class Part(Struct, gc=False, rename="camel"):
    """One part of a turn. `executable_code` to `tool_response`: of tools that run at Google."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: Object | None = None
    code_execution_result: Object | None = None
    tool_call: Object | None = None
    tool_response: Object | None = None


class Content(Struct, gc=False):
    """One turn; without a role it is the user's."""

    parts: list[Part] | Part | None = None
    role: Literal["user", "model", "function", ""] | None = None


class FunctionDeclaration(Struct, gc=False, rename="camel"):
    """One of the caller's tools; its parameters in Google's own notation, or as JSON schema."""

    name: Name
    description: str | None = None
    parameters: Object | None = None
    parameters_json_schema: Object | None = None


class Tool(Struct, gc=False, rename="camel"):
    """A group of tools. All but the first run at Google."""

    function_declarations: list[FunctionDeclaration] | FunctionDeclaration | None = None
    google_search: Object | None = None
    google_search_retrieval: Object | None = None
    code_execution: Object | None = None
    url_context: Object | None = None
    google_maps: Object | None = None
    computer_use: Object | None = None
    file_search: Object | None = None
    mcp_servers: list[Object] | None = None


class CallingConfig(Struct, gc=False, rename="camel"):
    """`toolConfig.functionCallingConfig`."""

    mode: Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"] | None = None
    allowed_function_names: list[Name] | None = None


class ToolConfig(Struct, gc=False, rename="camel"):
    """`toolConfig`."""

    function_calling_config: CallingConfig | None = None


class ThinkingConfig(Struct, gc=False, rename="camel"):
    """`generationConfig.thinkingConfig`; a budget of -1 leaves it to the model."""

    include_thoughts: bool | None = None
    thinking_budget: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    thinking_level: (
        Literal["THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"]
        | Literal["minimal", "low", "medium", "high"]
        | None
    ) = None


class GenerationConfig(Struct, gc=False, rename="camel"):
    """`generationConfig`."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Unit | None = None
    top_k: Annotated[float, Meta(ge=0, le=2**31 - 1)] | None = None
    candidate_count: Annotated[int, Meta(ge=1, le=8)] | None = None
    max_output_tokens: Tokens | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=5)] | None = None
    response_mime_type: str | None = None
    response_schema: Object | None = None
    response_json_schema: Object | None = None
    seed: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    response_logprobs: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_modalities: list[str] | None = None
    thinking_config: ThinkingConfig | None = None


class Body(Struct, gc=False, rename="camel"):
    """The whole request: all that we know of it, as we accept it."""

    contents: Annotated[list[Content], Meta(min_length=1)] | Content
    system_instruction: Content | None = None
    tools: list[Tool] | Tool | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    cached_content: str | None = None
    service_tier: str | None = None


decode_body = msgspec.json.Decoder(Body).decode
decode_members = msgspec.json.Decoder(Object).decode
decode_config = msgspec.json.Decoder(GenerationConfig).decode


def turns(body: Body) -> list[Content]:
    """All turns."""
    return body.contents if isinstance(body.contents, list) else [body.contents]


def parts(content: Content | None) -> list[Part]:
    """All parts of a turn."""
    if content is None or content.parts is None:
        return []
    return content.parts if isinstance(content.parts, list) else [content.parts]


def groups(body: Body) -> list[Tool]:
    """All groups of tools."""
    if body.tools is None:
        return []
    return body.tools if isinstance(body.tools, list) else [body.tools]


def declarations(group: Tool) -> list[FunctionDeclaration]:
    """The caller's own tools in a group."""
    found = group.function_declarations
    if found is None:
        return []
    return found if isinstance(found, list) else [found]
