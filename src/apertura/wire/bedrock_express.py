"""A request of any format, said to Amazon Bedrock's Converse API.

Converse has the rules of the Messages format (who speaks first, where thinking may stand, what a
thinking model does not take) in shapes of its own; so a request is first said in that one, and what
comes of it is put into these shapes. What models of other families than Claude lack is left out.
What it is not: a second set of those rules.

The rule that keeps it honest: a block of the Messages format that has no shape here is refused, not
skipped; and what is left out for a family of models is listed.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import msgspec

from apertura.errors import BadRequest
from apertura.wire import anthropic_express, fates, faults
from apertura.wire.chat import Chat
from apertura.wire.dialect import Expressed, Target

Json = dict[str, Any]

FATES = fates.table(
    mapped="max_output temperature top_p top_k stop n format tools tool_choice parallel_tools"
    " reasoning modalities",
    dropped="seed presence_penalty frequency_penalty logit_bias logprobs top_logprobs verbosity"
    " user metadata cache_key",
    refused="audio",
)
"""More is given up for families of models that lack it, see `_for_family`."""

_THINKS = re.compile(r"claude", re.IGNORECASE)
"""Models that take thinking, an effort and `top_k` in the words of the Messages format."""
_CACHES = re.compile(r"claude|nova", re.IGNORECASE)
"""Models that can be told where a prefix ends; others refuse the mark."""
_FORMATS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/markdown": "md",
    "text/html": "html",
    "text/csv": "csv",
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9()\[\] -]+")
_NAME_MOST = 200
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Json).decode


def express(chat: Chat, target: Target) -> Expressed:
    """The request for a provider. Raises: BadRequest, naming what must not be dropped."""
    dropped = list(fates.dropped(chat, FATES, "Converse"))
    asked = _for_family(chat, target.model, dropped)
    said = anthropic_express.express(asked, target)
    found = _read_again(said.body)
    writer = _Writer(fates.name_of(chat, "turns"), caches=bool(_CACHES.search(target.model)))
    body: Json = {"messages": [writer.message(message) for message in found["messages"]]}
    if system := writer.blocks(found.get("system", [])):
        body["system"] = system
    if tools := _tools(found, writer, chat, dropped):
        body["toolConfig"] = tools
    body["inferenceConfig"] = _inference(chat, found)
    if output := _output(found.get("output_config", {})):
        body["outputConfig"] = output
    if more := {name: found[name] for name in ("thinking", "top_k") if name in found}:
        body["additionalModelRequestFields"] = more
    if writer.lost_marks:
        dropped.append("cache_control")
    return Expressed(body=_encode(body), dropped=tuple(dict.fromkeys([*dropped, *said.dropped])))


def _read_again(body: bytes) -> Json:
    """What was said in the Messages format. Raises: BadRequest, where the caller's JSON (in a tool
    or a call of one) holds what passes there unread.
    """
    try:
        return _decode(body)
    except faults.NOT_READ:
        sentence = "The request holds a number that is out of range, or is nested too deeply."
        raise BadRequest(sentence) from None


def _for_family(chat: Chat, model: str, dropped: list[str]) -> Chat:
    """The request without what this API cannot say, or this family of models does not take."""
    lost = ["parallel_tools"] if chat.parallel_tools is False else []
    if not _THINKS.search(model):
        lost += [name for name in ("reasoning", "top_k") if getattr(chat, name) is not None]
    dropped += [fates.name_of(chat, name) for name in lost]
    return msgspec.structs.replace(chat, user=None, **dict.fromkeys(lost))


def _inference(chat: Chat, found: Json) -> Json:
    """`inferenceConfig`. A limit on output is said where the caller did, or where thinking needs
    one; else the model has its own.
    """
    limited = chat.max_output is not None or _thinks(found)
    said = {
        "maxTokens": found["max_tokens"] if limited else None,
        "temperature": found.get("temperature"),
        "topP": found.get("top_p"),
        "stopSequences": found.get("stop_sequences"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _thinks(found: Json) -> bool:
    return bool(found.get("thinking", {}).get("type") == "enabled")


def _output(config: Json) -> Json:
    said: Json = {}
    if "effort" in config:
        said["effort"] = config["effort"]
    if "format" in config:
        schema = {"schema": _encode(config["format"]["schema"]).decode(), "name": "response"}
        said["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    return said


def _tools(found: Json, writer: _Writer, chat: Chat, dropped: list[str]) -> Json:
    """`toolConfig`. There is no way to forbid tools but to have none; and a conversation that has
    used tools must have them.
    """
    choice = found.get("tool_choice", {})
    used = dict.fromkeys(_used(found["messages"]))
    tools = found.get("tools", [])
    if choice.get("type") == "none":
        if not used:
            return {}
        dropped.append(fates.name_of(chat, "tool_choice"))
    if not tools:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in used]
    said: Json = {"tools": [block for tool in tools for block in writer.tool(tool)]}
    choices: dict[str, Json] = {
        "any": {"any": {}},
        "tool": {"tool": {"name": choice.get("name", "")}},
        "auto": {"auto": {}},
    }
    if choice.get("type") in choices and tools:
        said["toolChoice"] = choices[choice["type"]]
    return said if tools else {}


def _used(messages: list[Json]) -> Iterator[str]:
    """Names of the tools that the model has called."""
    for message in messages:
        for block in message["content"]:
            if block["type"] == "tool_use":
                yield block["name"]


class _Writer:
    """Puts blocks of the Messages format into Converse's shapes."""

    def __init__(self, place: str, *, caches: bool) -> None:
        self._place, self._caches = place, caches
        self._documents = 0
        self.lost_marks = False

    def message(self, message: Json) -> Json:
        content = self.blocks(message["content"])
        documents = [block["document"]["name"] for block in content if "document" in block]
        if documents and not any("text" in block for block in content):
            content.append({"text": documents[0]})  # the format wants words beside a document
        return {"role": message["role"], "content": content}

    def blocks(self, found: list[Json]) -> list[Json]:
        """All of them, each with its mark behind it."""
        return [said for block in found for said in (self._block(block), *self._mark(block))]

    def tool(self, found: Json) -> list[Json]:
        """A tool, and its mark."""
        spec: Json = {"name": found["name"]}
        if found.get("description"):
            spec["description"] = found["description"]
        spec["inputSchema"] = {"json": found["input_schema"]}
        if found.get("strict"):
            spec["strict"] = True
        return [{"toolSpec": spec}, *self._mark(found)]

    def _mark(self, block: Json) -> list[Json]:
        mark = block.get("cache_control")
        if mark is None:
            return []
        if not self._caches:
            self.lost_marks = True
            return []
        life = {"ttl": mark["ttl"]} if "ttl" in mark else {}
        return [{"cachePoint": {"type": "default", **life}}]

    def _block(self, block: Json) -> Json:
        match block["type"]:
            case "text":
                return {"text": block["text"]}
            case "image":
                return {"image": self._source(block)}
            case "document":
                return {"document": self._document(block)}
            case "tool_use":
                call = {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}
                return {"toolUse": call}
            case "tool_result":
                return {"toolResult": self._result(block)}
            case "thinking":
                text = {"text": block["thinking"], "signature": block["signature"]}
                return {"reasoningContent": {"reasoningText": text}}
            case "redacted_thinking":
                return {"reasoningContent": {"redactedContent": block["data"]}}
            case _:
                raise faults.invalid(self._place, "has a part that this model does not take")

    def _result(self, block: Json) -> Json:
        content = block.get("content") or []
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        said: Json = {"toolUseId": block["tool_use_id"]}
        said["content"] = [self._block(inner) for inner in content] or [{"json": {}}]
        for inner in content:
            self.lost_marks = self.lost_marks or "cache_control" in inner
        return {**said, "status": "error"} if block.get("is_error") else said

    def _document(self, block: Json) -> Json:
        self._documents += 1
        name = " ".join(_NOT_IN_NAMES.sub(" ", block.get("title") or "").split())
        number = f" {self._documents}"  # names within a request must differ
        name = (name or "document")[: _NAME_MOST - len(number)] + number
        return {"name": name, **self._source(block)}

    def _source(self, block: Json) -> Json:
        """Format and bytes of an image or a document."""
        source = block["source"]
        if source["type"] not in ("base64", "text"):
            sentence = (
                "has media by address, which this model does not fetch: send it as a data URI"
            )
            raise faults.invalid(self._place, sentence)
        known = _FORMATS.get(source["media_type"])
        if known is None:
            raise faults.invalid(self._place, "has media of a type that this model does not take")
        data = source["data"]
        if source["type"] == "text":
            data = b64encode(data.encode()).decode()
        return {"format": known, "source": {"bytes": data}}
