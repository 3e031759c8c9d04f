"""A schema in Gemini's own notation, as JSON schema.

Google's notation is a part of OpenAPI's: types in capitals, `nullable`, numbers of items as
strings. What it is not: the way back; towards Google a JSON schema goes as it is, in the members
that take one.

The rule that keeps it honest: what is renamed is listed here, everything else stays as it came.
"""

from __future__ import annotations

from typing import Any

import msgspec

from apertura.wire import faults
from apertura.wire.openai_shapes import Object

_NAMES = {
    "any_of": "anyOf",
    "max_items": "maxItems",
    "max_length": "maxLength",
    "max_properties": "maxProperties",
    "min_items": "minItems",
    "min_length": "minLength",
    "min_properties": "minProperties",
}
_COUNTS = frozenset(_NAMES.values()) - {"anyOf"}
_NOT_OURS = frozenset({"example", "nullable", "propertyOrdering", "property_ordering"})
"""What JSON schema does not have."""
_DEEPEST = 100

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def json_schema(schema: Object, param: str) -> msgspec.Raw:
    """The same as JSON schema. Raises: BadRequest, naming the parameter."""
    try:
        return msgspec.Raw(_encode(_converted(_decode(_encode(schema)), param, _DEEPEST)))
    except faults.NOT_READ as found:
        raise faults.refusal(found) from None


def _converted(schema: Any, param: str, depth: int) -> Any:
    if not isinstance(schema, dict):
        return schema
    if not depth:
        raise faults.invalid(param, "is nested too deeply")
    said: dict[str, Any] = {}
    for given, value in dict[str, Any](schema).items():
        name: str = _NAMES.get(given, given)
        if name not in _NOT_OURS:
            said[name] = _member(name, value, param, depth - 1)
    if str(said.get("type", "")).lower() == "type_unspecified":
        del said["type"]
    return _or_null(said) if schema.get("nullable") is True else said


def _member(name: str, value: Any, param: str, depth: int) -> object:
    if name == "type" and isinstance(value, str):
        return value.lower()
    if name == "properties" and isinstance(value, dict):
        return {key: _converted(inner, param, depth) for key, inner in value.items()}
    if name in ("anyOf", "prefixItems") and isinstance(value, list):
        return [_converted(inner, param, depth) for inner in value]
    if name in ("items", "additionalProperties"):
        return _converted(value, param, depth)
    if name in _COUNTS and isinstance(value, str) and value.isdecimal() and len(value) < 19:
        return int(value)
    return value


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}
