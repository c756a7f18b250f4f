"""A small value that fits a JSON schema, for completions whose format is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DEPTH_MAX: Final = 20


def value_of(schema: Any, text: str, root: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """The first value that fits, with `text` wherever a string may be free.

    What a schema says of numbers' ranges and strings' patterns is not looked at.
    """
    if not isinstance(schema, Mapping) or depth > _DEPTH_MAX:
        return None
    root = schema if root is None else root
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found: Any = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found.get(step) if isinstance(found, Mapping) and step else found
        return value_of(found, text, root, depth + 1)
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            return value_of(schema[several][0], text, root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        return {name: value_of(each, text, root, depth + 1) for name, each in properties.items()}
    if kind == "array":
        least = schema.get("minItems")
        count = min(least, 100) if isinstance(least, int) and least > 0 else 0
        return [value_of(schema.get("items"), text, root, depth + 1) for _ in range(count)]
    plain: dict[Any, Any] = {"string": text, "integer": 0, "number": 0, "boolean": False}
    return plain.get(kind)
