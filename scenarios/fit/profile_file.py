"""`profile.toml`: the base profile with what was fitted in its place, as `profile = "path/to/profile.toml"` loads it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from relaysim.scenarios.fit.estimates import Estimate
from relaysim.sim.openai.profile import Profile

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def profile_table(base: Mapping[str, Any], name: str, title: str, estimates: Sequence[Estimate]) -> dict[str, Any]:
    """The raw table of the fitted profile: each fitted number with its basis, each other as the base has it."""
    table: dict[str, Any] = copy.deepcopy(dict(base))
    table["name"], table["title"] = name, title
    for each in estimates:
        if each.table is not None:
            table[each.number] = {"basis": each.basis, **copy.deepcopy(each.table)}
    return table


def profile_text(table: Mapping[str, Any], comment: str) -> str:
    """The table as TOML, below a comment.

    Raises pydantic.ValidationError should it be no profile.
    """
    Profile.model_validate(table)
    lines = [f"# {each}" for each in comment.splitlines()]
    lines += [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{key}]", *(f"{_key(name)} = {_value(part)}" for name, part in value.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if _BARE.match(name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML's basic strings are JSON's, but for DEL, which JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_value(part)}" for name, part in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(each, Mapping) for each in value):
            return "[\n" + "".join(f"    {_value(each)},\n" for each in value) + "]"
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return repr(value)
