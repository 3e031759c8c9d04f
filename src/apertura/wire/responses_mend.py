"""What the public API lets callers say in other ways, brought into the Responses format's own form.

Used where a request passes to a provider that speaks this format. What it is not: a check (`parse`
has done that), or a translation.

The rule that keeps it honest: a member that is already in the format's form goes on as the raw JSON
that came; and state that belongs to another format's provider does not go on at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from apertura.wire import faults
from apertura.wire.openai_shapes import decode_members
from apertura.wire.responses_shapes import VERBOSITY, Body, Tool
from apertura.wire.state import unwrap

_encode = msgspec.json.Encoder().encode
_decode_items = msgspec.json.Decoder(list[Raw]).decode

ENCRYPTED = "reasoning.encrypted_content"
_OLD = re.compile(rb'"type"\s*:\s*"(?:text|image|reasoning)"|"url_citation"\s*:')
"""An item without any of these types or members within needs no mending."""


def mend(members: Mapping[str, Raw], body: Body) -> dict[str, object]:
    """The members of a request in the format's own form. `body` is their typed view."""
    said: dict[str, object] = dict(members)
    for name in ("max_tokens", "response_format"):
        said.pop(name, None)
    if body.max_tokens is not None:
        said["max_output_tokens"] = max(body.max_tokens, body.max_output_tokens or 0)
    if body.tools and any(tool.function is not None for tool in body.tools):
        raws = _decode_items(members["tools"])
        said["tools"] = [
            flat(tool) if tool.function is not None else raw
            for tool, raw in zip(body.tools, raws, strict=True)
        ]
    choice = body.tool_choice
    if choice is not None and not isinstance(choice, str) and choice.function is not None:
        said["tool_choice"] = {"type": "function", "name": choice.function.name}
    if (text := _text(members, body)) is not None:
        said["text"] = text
    if not isinstance(body.input, str):
        said["input"] = [item for raw in body.input if (item := _item(raw)) is not None]
    if wants_state(body):
        asked = body.include or []
        said["include"] = asked if ENCRYPTED in asked else [*asked, ENCRYPTED]
    return said


def wants_state(body: Body) -> bool:
    """Whether to ask for reasoning state: models that do not reason refuse to be asked."""
    effort = body.reasoning.effort if body.reasoning is not None else None
    if body.reasoning is not None and effort != "none" and body.reasoning.enabled is not False:
        return True
    return not isinstance(body.input, str) and any(
        b'"encrypted_content"' in bytes(raw) for raw in body.input
    )


def flat(tool: Tool) -> dict[str, object]:
    """A function in the format's own form, all of its members present."""
    function = tool.function
    source = tool if function is None else function
    said: dict[str, object] = {"type": "function", "name": source.name}
    if source.description is not None:
        said["description"] = source.description
    said["parameters"] = NO_PARAMETERS if source.parameters is None else source.parameters
    said["strict"] = source.strict is True
    return said


NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


def text_format(body: Body) -> dict[str, object] | None:
    """`text.format`, by whichever name it was asked for; None where it was not."""
    asked = body.text.format if body.text is not None else None
    older = body.response_format
    if asked is None and older is None:
        return None
    kind = asked.type if asked is not None else older.type if older is not None else "text"
    if kind != "json_schema":
        return {"type": kind}
    nested = asked.json_schema if asked is not None else older.json_schema if older else None
    said: dict[str, object] = {"type": kind}
    if asked is not None and nested is None:
        said |= {"name": asked.name or "answer", "schema": asked.schema or {}}
        description, strict = asked.description, asked.strict
        if description is not None:
            said["description"] = description
    elif nested is not None:
        said |= {"name": nested.name, "schema": nested.schema or {}}
        strict = nested.strict
    else:
        strict = None
    if strict is not None:
        said["strict"] = strict
    return said


def _text(members: Mapping[str, Raw], body: Body) -> dict[str, object] | None:
    """`text`, where it has to be written anew."""
    verbosity = body.text.verbosity if body.text is not None else None
    nested = body.text is not None and body.text.format is not None and body.text.format.json_schema
    if body.response_format is None and verbosity not in VERBOSITY and not nested:
        return None
    given = decode_members(members["text"]) if body.text is not None else {}
    said: dict[str, object] = dict(given)
    if (form := text_format(body)) is not None:
        said["format"] = form
    if verbosity is not None:
        said["verbosity"] = VERBOSITY.get(verbosity, verbosity)
    return said


def _item(raw: Raw) -> object | None:
    """One item of `input`; None for what must not or need not be shown to a provider."""
    if _OLD.search(raw) is None:
        return raw
    item: dict[str, Any] = faults.read(bytes(raw), msgspec.json.decode)
    if item.get("type") == "reasoning":
        return raw if _goes_back(item) else None
    name = "output" if item.get("type") == "function_call_output" else "content"
    content = item.get(name)
    if not isinstance(content, list) or not any(_is_old(part) for part in content):
        return raw
    written_by = "output_text" if item.get("role") == "assistant" else "input_text"
    return {**item, name: [_part(part, written_by) for part in content]}


def _goes_back(item: dict[str, Any]) -> bool:
    """Reasoning that its provider made and can read: its state, or the text of an open model."""
    state = item.get("encrypted_content")
    if isinstance(state, str) and state:
        return unwrap(state) is None
    return bool(item.get("content"))


def _annotations(part: dict[str, Any]) -> list[dict[str, Any]]:
    found = part.get("annotations")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _is_old(part: object) -> bool:
    return isinstance(part, dict) and (
        part.get("type") in ("text", "image")
        or any("url_citation" in one for one in _annotations(part))
    )


def _part(part: object, written_by: str) -> object:
    """A part of the older forms, in the format's own."""
    if not isinstance(part, dict) or not _is_old(part):
        return part
    if part["type"] not in ("text", "image"):
        cited = [{**one} for one in _annotations(part)]
        for one in cited:
            one.pop("url_citation", None)  # ours, for clients that look for it there
        return {**part, "annotations": cited}
    if part["type"] == "text":
        return {"type": written_by, "text": part.get("text", "")}
    url = part.get("image_url")
    url = url.get("url") if isinstance(url, dict) else url
    source = part.get("source")
    if isinstance(source, dict):
        inline = f"data:{source.get('media_type')};base64,{source.get('data')}"
        url = source.get("url") or inline
    return {"type": "input_image", "image_url": url, "detail": part.get("detail") or "auto"}
