"""`profile.toml`: the base profile with what was fitted in its place, as `profile = "path/to/profile.toml"` loads it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from relaysim.scenarios.fit.estimates import Estimate
from relaysim.scenarios.toml_text import toml_file
from relaysim.sim.backends.profile import Profile


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
    return toml_file(comment, table)
