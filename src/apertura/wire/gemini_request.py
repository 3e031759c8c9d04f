"""A request in Gemini's format: read from a caller, passed on to a provider.

The model and the verb (at once, or as a stream) stand in the URL, not in the body; so `parse` is
told both, and what is rendered names neither. What it is not: the translation into what other
formats say (`gemini_understand`, `gemini_express`).

The rule that keeps it honest: all that decides what a call costs, and all that reaches into what
is kept under a provider's account, is read or refused here, under either of its names.
"""

from __future__ import annotations

import re

import msgspec

from apertura.errors import BadRequest
from apertura.wire import faults, gemini_shapes
from apertura.wire.chat import ChatRequest
from apertura.wire.gemini_names import camel
from apertura.wire.gemini_passing import without_foreign_state
from apertura.wire.gemini_shapes import Body, Part, decode_body, decode_members
from apertura.wire.openai_request import model_name

_encode = msgspec.json.Encoder().encode
_SENSES = {"image": "vision", "video": "vision", "audio": "audio"}
_HOST_ENDS = re.compile(r"[/?#\\]")
_FREE_TIERS = (None, "", "unspecified", "standard")


def parse(body: bytes, *, model: str = "", stream: bool = False) -> ChatRequest:
    """What a caller asks of the model that their URL names. Raises: BadRequest."""
    size = len(body)
    body = camel(body)
    typed = faults.read(body, decode_body)
    members = faults.read(body, decode_members)
    members.pop("model", None)  # the URL has named it
    _refuse_kept(typed)
    config = typed.generation_config or _NO_CONFIG
    return ChatRequest(
        model=model_name(model.removeprefix("models/")),
        members=members,
        stream=stream,
        include_usage=True,
        max_output=config.max_output_tokens,
        choices=config.candidate_count or 1,
        needs=_needs(typed),
        size=size,
    )


def parse_count(body: bytes, *, model: str) -> ChatRequest:
    """What a caller wants to have counted (`countTokens`). Raises: BadRequest."""
    body = camel(body)
    members = faults.read(body, decode_members)
    whole = members.get("generateContentRequest")
    if whole is not None and bytes(whole) != b"null":
        return parse(bytes(whole), model=model)
    return parse(body, model=model)


def render_count(tokens: int) -> bytes:
    """The answer of `countTokens`."""
    return _encode({"totalTokens": tokens})


def render(request: ChatRequest, *, model: str, ask_usage: bool = True) -> bytes:
    """The body for a provider; which model it is for, and that it shall stream, says the URL.
    Usage comes unasked.
    """
    del model, ask_usage
    return _encode(without_foreign_state(request.members))


def _needs(body: Body) -> frozenset[str]:
    """Capabilities that the request asks for."""
    config = body.generation_config or _NO_CONFIG
    needs = {
        _SENSES[sense]
        for turn in gemini_shapes.turns(body)
        for part in gemini_shapes.parts(turn)
        if (sense := _mime(part).partition("/")[0]) in _SENSES
    }
    if any(map(gemini_shapes.declarations, gemini_shapes.groups(body))):
        needs.add("tools")
    if config.response_schema is not None or config.response_json_schema is not None:
        needs.add("json_schema")
    if any(kind.upper() == "AUDIO" for kind in config.response_modalities or ()):
        needs.add("audio")
    return frozenset(needs)


def _mime(part: Part) -> str:
    if part.inline_data is not None:
        return part.inline_data.mime_type
    if part.file_data is not None:
        return part.file_data.mime_type or ""
    return ""


def _refuse_kept(body: Body) -> None:
    """Refuses what has another price, and what is kept at the provider, for no caller owns that."""
    if (body.service_tier or "").lower() not in _FREE_TIERS:
        sentence = "asks for another tier of service, which this installation does not offer yet"
        raise faults.invalid("serviceTier", sentence)
    if body.cached_content:
        raise _kept("cachedContent")
    for index, group in enumerate(gemini_shapes.groups(body)):
        if group.file_search is not None:
            raise _kept(f"tools[{index}].fileSearch")
    for turn, content in enumerate(gemini_shapes.turns(body)):
        for index, part in enumerate(gemini_shapes.parts(content)):
            _refuse_kept_file(part, f"contents[{turn}].parts[{index}]")


def _refuse_kept_file(part: Part, place: str) -> None:
    if part.file_data is not None and is_kept(part.file_data.file_uri):
        raise _kept(f"{place}.fileData.fileUri")
    results = part.function_response
    for index, inner in enumerate(results.parts or () if results else ()):
        if inner.file_data is not None and is_kept(inner.file_data.file_uri):
            raise _kept(f"{place}.functionResponse.parts[{index}].fileData.fileUri")


def is_kept(uri: str) -> bool:
    """Whether an address is that of a file kept under an account, not of one on the web."""
    address = uri.strip().lower()
    scheme, _, rest = address.partition("://")
    return scheme not in ("http", "https") or "googleapis.com" in _HOST_ENDS.split(rest)[0]


def _kept(param: str) -> BadRequest:
    sentence = "names something that is kept at a provider, which cannot be used here"
    return faults.invalid(param, f"{sentence}; send the content itself")


_NO_CONFIG = gemini_shapes.GenerationConfig()
