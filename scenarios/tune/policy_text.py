"""`policy.toml`: a candidate's settings and where they come from, as `relaysim.relay.load_policy` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relaysim.scenarios.toml_text import toml_file


def policy_text(policy: str, settings: Mapping[str, Any], origin: Mapping[str, Any]) -> str:
    """The file's text. A setting that is None is left out: TOML has no null, and None is its default."""
    given = {name: value for name, value in settings.items() if value is not None}
    return toml_file(
        "Read it with relaysim.relay.load_policy, or try it: relaysim verify SCENARIO --policy policy.toml",
        {"schema": 1, "policy": policy, "settings": given, "origin": origin},
    )
