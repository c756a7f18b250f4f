"""Checks of single JSON values: what fits is returned, all else raises the `ApiError` that the API answers with.

The first argument is always the value's path in the request (`tools[0].function.name`), which the error names. Objects
are checked in the order captured on other endpoints: type, required keys, unknown keys, then each key's value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.json_body import DEPTH_MAX

Object = dict[str, Any]
"""A JSON object."""

NAME_LENGTH_MAX: Final = 64
METADATA_KEYS_MAX: Final = 16
METADATA_KEY_LENGTH_MAX: Final = 64
METADATA_VALUE_LENGTH_MAX: Final = 512
NAME_PATTERN: Final = "^[a-zA-Z0-9_-]+$"

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")


def check_string(param: str, value: Any, length_max: int | None = None, *, empty: bool = True) -> str:
    """A string of at most `length_max` characters (code points), not empty unless `empty`."""
    if not isinstance(value, str):
        raise errors.invalid_type(param, "a string", value)
    if not value and not empty:
        raise errors.empty_string(param)
    if length_max is not None and len(value) > length_max:
        raise errors.string_too_long(param, length_max, len(value))
    return value


def check_name(param: str, value: Any) -> str:
    """A name of letters, digits, underscores and dashes, of 1 to 64 characters."""
    name = check_string(param, value, NAME_LENGTH_MAX, empty=False)
    if _NAME.fullmatch(name) is None:
        raise errors.pattern_mismatch(param, NAME_PATTERN)
    return name


def check_choice(param: str, value: Any, choices: Sequence[str]) -> str:
    """One of several strings."""
    if not isinstance(value, str):
        raise errors.invalid_type(param, errors.one_of(choices), value)
    if value not in choices:
        raise errors.invalid_choice(param, value, choices)
    return value


def check_boolean(param: str, value: Any) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise errors.invalid_type(param, "a boolean", value)
    return value


def check_integer(param: str, value: Any, low: int, high: int) -> int:
    """An integer from `low` to `high`, both included; 5.0 is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise errors.invalid_type(param, "an integer", value)
    if not low <= value <= high:
        raise errors.integer_out_of_range(param, value, low, high)
    return value


def check_decimal(param: str, value: Any, low: int, high: int) -> float:
    """A number from `low` to `high`, both included."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        raise errors.invalid_type(param, "a decimal", value)
    if not low <= value <= high:
        raise errors.decimal_out_of_range(param, value, low, high)
    return float(value)


def check_array(param: str, value: Any, of: str = "objects", count_max: int | None = None) -> Sequence[Any]:
    """An array of at most `count_max` items, which are not looked at; `of` is for the error only."""
    if not isinstance(value, list | tuple):
        raise errors.invalid_type(param, f"an array of {of}", value)
    if count_max is not None and len(value) > count_max:
        raise errors.array_too_long(param, count_max, len(value))
    return value


def check_object(
    param: str, value: Any, required: Iterable[str] = (), optional: Iterable[str] = ()
) -> Mapping[str, Any]:
    """An object that has the `required` keys and no others but the `optional` ones; the values are not looked at."""
    fields = check_open_object(param, value)
    for key in required:
        if key not in fields:
            raise errors.missing_parameter(f"{param}.{key}")
    for key in fields:
        if key not in required and key not in optional:
            raise errors.unknown_parameter(f"{param}.{key}")
    return fields


def check_open_object(param: str, value: Any) -> Mapping[str, Any]:
    """An object, whatever its keys."""
    if not isinstance(value, Mapping):
        raise errors.invalid_type(param, "an object", value)
    return value


def check_kind(param: str, value: Any, kinds: Sequence[str]) -> tuple[Mapping[str, Any], str]:
    """An object with a `type` that is one of `kinds`; the object and its type."""
    fields = check_open_object(param, value)
    if "type" not in fields:
        raise errors.missing_parameter(f"{param}.type")
    return fields, check_choice(f"{param}.type", fields["type"], kinds)


def copied(param: str, value: Any, depth_max: int = DEPTH_MAX) -> Any:
    """A deep copy of any JSON value, for the open objects in requests (schemas of functions and of answers).

    Raises:
        ApiError: it is nested more than `depth_max` levels deep, or holds what JSON cannot hold. Neither can come
            over the wire.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise errors.invalid_type(param, "a finite number", value)
        return value
    if depth_max == 0:
        raise errors.nested_too_deeply(param, DEPTH_MAX)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise errors.invalid_type(param, "an object whose keys are strings", key)
        return {key: copied(param, inner, depth_max - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [copied(param, inner, depth_max - 1) for inner in value]
    raise errors.invalid_type(param, "a JSON value", value)


def check_id(param: str, value: Any, prefix: str) -> None:
    """An id of the kind that `prefix` says."""
    if not isinstance(value, str):
        raise errors.invalid_type(param, "a string", value)
    if not value.startswith(f"{prefix}_"):
        raise errors.malformed_id(param, value, prefix)


def check_metadata(metadata: Any, param: str = "metadata") -> Object:
    """Metadata as a dict of the store's own."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise errors.invalid_type(param, "an object", metadata)
    if len(metadata) > METADATA_KEYS_MAX:
        raise errors.too_many_properties(param, METADATA_KEYS_MAX, len(metadata))
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise errors.invalid_type(param, "an object whose keys are strings", key)
        if len(key) > METADATA_KEY_LENGTH_MAX:
            raise errors.property_name_too_long(param, key, METADATA_KEY_LENGTH_MAX)
        if not isinstance(value, str):
            raise errors.invalid_type(f"{param}.{key}", "a string", value)
        if len(value) > METADATA_VALUE_LENGTH_MAX:
            raise errors.string_too_long(f"{param}.{key}", METADATA_VALUE_LENGTH_MAX, len(value))
    return dict(metadata)
