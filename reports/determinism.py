"""Whether a seed was one world, in words: the paragraph that comes before everything else where it was not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relaysim.sim.counted import counted


def is_deterministic(results: Mapping[str, Any]) -> bool:
    """False if the same seed gave two worlds. No verdict of such results can be trusted."""
    return not results.get("not_deterministic")


def parting_words(parting: Mapping[str, Any]) -> str:
    """Which seed of which scenario gave two worlds, and where they part."""
    return f"{parting['scenario']}, seed {parting['seed']}: not deterministic: {parting['text']}"


def not_deterministic_words(results: Mapping[str, Any]) -> str:
    """The paragraph; "" for results that are deterministic."""
    partings = results.get("not_deterministic", ())
    if not partings:
        return ""
    first = partings[0]
    others = [str(each["scenario"]) for each in partings[1:]]
    also = f" So do worlds of {', '.join(others)}." if others else ""
    return (
        f"Not deterministic: seed {first['seed']} of {first['scenario']} gave two worlds, which part {first['text']}.{also} "
        "So no verdict here can be trusted, and no replay shows what was counted. What brings it in, with file and line: "
        f"{first['next']}"
    )


def same_again_words(timing: Mapping[str, Any]) -> str:
    """One line: what was run again, and that it came out the same; "" where that is not known."""
    checked = timing.get("same_again")
    if not isinstance(checked, Mapping) or checked.get("parted"):
        return ""
    if not checked.get("worlds"):
        return "Whether a seed is one world was not checked: no world was run again."
    worlds, scenarios = checked["worlds"], checked["scenarios"]
    return (
        f"Deterministic, as far as was looked: the first seeds of {counted(scenarios, 'scenario')}, "
        f"{counted(worlds, 'world')}, came out the same in a fresh process, in the opposite order and with another hash "
        "seed."
    )
