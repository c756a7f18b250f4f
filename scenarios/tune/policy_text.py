"""`policy.toml`: a candidate's settings and where they come from, as `relaysim.relay.load_policy` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relaysim.scenarios.policy import toml_value


def policy_text(policy: str, settings: Mapping[str, Any], origin: Mapping[str, Any]) -> str:
    """The file's text."""
    lines = [
        "# Read it with relay.load_policy, or try it: relaysim verify SCENARIO --policy policy.toml",
        "schema = 1",
        f"policy = {toml_value(policy)}",
        "",
        "[settings]",
        *(f"{name} = {toml_value(value)}" for name, value in settings.items() if value is not None),
        "",
        "[origin]",
        *(f"{name} = {toml_value(value)}" for name, value in origin.items()),
    ]
    return "\n".join(lines) + "\n"
