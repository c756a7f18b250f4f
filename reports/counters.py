"""What a scenario's own counters counted, in words: the same on pages and terminals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relaysim.sim.counted import counted


def counters_of(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The counters of a scenario's, a policy's or a point's entry in `results.json`, each with its words."""
    return [(name, counter_words(found)) for name, found in sorted(entry.get("counters", {}).items())]


def counter_words(found: Mapping[str, Any]) -> str:
    """How often in all, how often a message had it, and how many had it at all."""
    words = f"{counted(found['total'], 'time')} in {counted(found['messages'], 'message')}"
    if found["messages"]:
        words += (
            f": {found['mean']:.3g} a message (50 % at most {found['p50']:,}, 99 % at most {found['p99']:,}, the most "
            f"{found['max']:,}); {counted(found['with_any'], 'message')} had any"
        )
    if found["outside"]:
        words += f"; {counted(found['outside'], 'time')} outside of any message's handling"
    if pattern := found.get("nothing_matched"):
        words += f"; {nothing_matched_words(pattern)}"
    return words


def nothing_matched_words(pattern: str, worlds: str = "") -> str:
    """That a counter matched nothing, as part of a sentence.

    Args:
        pattern: what it looks for, as the scenario defines it.
        worlds: in how many worlds, in words; left out where it is said already.
    """
    return f"nothing matched `{pattern}`{f' in {worlds}' if worlds else ''}: is the pattern right?"
