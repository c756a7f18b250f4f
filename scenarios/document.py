"""Scenario files before they are checked: plain nested tables, how one extends another, and dotted paths into them."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from relaysim.sim.toml_file import DEPTH_MAX, TomlLimitError, parse_toml
from relaysim.sim.validation_words import Step, format_path

Document = dict[str, Any]

#: Blocks that a file may take away from what it extends, with `drop = true`.
DROPPABLE = ("map", "curve")

_INDEX_DIGITS_MAX = 9
_INDEX = re.compile(r"\[(\d+)\]")


class PathError(ValueError):
    """A dotted path that leads nowhere."""


def parse_path(path: str) -> list[Step]:
    """`workload.messages[1].at_seconds` (or `workload.messages.1.at_seconds`) as its steps. Raises PathError."""
    steps: list[Step] = []
    for part in _INDEX.sub(r".\1", path).split("."):
        if not part:
            raise PathError(f"{path!r} is no path: write keys with dots in between, e.g. relay.settings.attempts")
        steps.append(int(part) if part.isdecimal() and len(part) <= _INDEX_DIGITS_MAX else part)
    if len(steps) > DEPTH_MAX:
        raise PathError(f"the path has {len(steps):,} steps; at most {DEPTH_MAX} lead anywhere")
    return steps


def set_value(document: Document, path: str, value: Any) -> None:
    """Set what lies at a dotted path, making tables on the way. List items must exist. Raises PathError."""
    steps = parse_path(path)
    here: Any = document
    for depth, step in enumerate(steps):
        last = depth == len(steps) - 1
        where = format_path(steps[:depth])
        if isinstance(here, list):
            if not isinstance(step, int):
                raise PathError(f"{where} is a list: name an item by its number, e.g. {where}[0]")
            if step >= len(here):
                raise PathError(f"{where} has {len(here)} items, counted from 0; there is no [{step}]")
        elif isinstance(here, dict):
            step = str(step)
        else:
            raise PathError(f"{where} is {here!r}, not a table, so nothing lies below it")
        if last:
            here[step] = copy.deepcopy(value)
        elif isinstance(here, dict):
            here = here.setdefault(step, {})
        else:
            here = here[step]


def parse_setting(text: str) -> tuple[str, Any]:
    """A `PATH=VALUE` of the command line; VALUE as TOML writes it, or else a string. Raises PathError."""
    path, equals, written = text.partition("=")
    path = path.strip()
    if not equals or not path:
        raise PathError(f"{text!r} sets nothing: write PATH=VALUE, e.g. relay.settings.attempts=5")
    parse_path(path)
    try:
        table = parse_toml(f"value = {written}")
    except TomlLimitError as error:
        raise PathError(f"{path}: {error}") from error
    except tomllib.TOMLDecodeError:
        return path, written
    return path, table["value"] if set(table) == {"value"} else written


def extend(parent: Mapping[str, Any], child: Mapping[str, Any]) -> Document:
    """The child's document on top of its parent's.

    Tables are merged key by key, except that one with a `kind` (a distribution) replaces the other's whole. Claims are
    merged by their id; one with `drop = true` takes an inherited one away, and so do `map` and `curve`. Other lists are
    replaced. The name is not inherited: two scenarios of one name could not be told apart.
    """
    result = _merge({key: value for key, value in parent.items() if key != "name"}, child)
    drop(result)
    return result


def drop(document: Document) -> None:
    """Take away the blocks that say `drop = true`, also of what was set by a path."""
    for name in DROPPABLE:
        block = document.get(name)
        if isinstance(block, Mapping) and block.get("drop") is True:
            del document[name]
    claims = document.get("claims")
    if isinstance(claims, list):
        document["claims"] = _kept(claims)


def _merge(parent: Mapping[str, Any], child: Mapping[str, Any]) -> Document:
    result: Document = copy.deepcopy(dict(parent))
    for key, value in child.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping) and "kind" not in value:
            result[key] = _merge(old, value)
        elif key == "claims" and isinstance(old, list) and isinstance(value, list):
            result[key] = _merge_claims(old, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _merge_claims(parent: list[Any], child: list[Any]) -> list[Any]:
    result = [copy.deepcopy(each) for each in parent]
    places = {claim_id(each): index for index, each in enumerate(result)}
    for claim in child:
        place = places.get(claim_id(claim)) if claim_id(claim) else None
        if place is None:
            result.append(copy.deepcopy(claim))
        else:
            result[place] = {**result[place], **copy.deepcopy(claim)}
    return _kept(result)


def _kept(claims: list[Any]) -> list[Any]:
    return [each for each in claims if not (isinstance(each, dict) and each.get("drop") is True)]


def claim_id(claim: Any) -> str:
    """A claim's id, or "" where it has none."""
    identifier = claim.get("id") if isinstance(claim, Mapping) else None
    return identifier if isinstance(identifier, str) else ""


def without_lists(value: Any) -> Any:
    """The same data with tuples for lists, as strict validation of tuples wants it."""
    if isinstance(value, Mapping):
        return {key: without_lists(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(without_lists(each) for each in value)
    return value
