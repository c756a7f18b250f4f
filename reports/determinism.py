"""Whether a seed was one world, in words: the paragraph that comes before everything else where it was not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relaysim.sim.counted import counted

HASH_ORDER: Final = "hash order"
"""What a parting has under `source` if it rests on `PYTHONHASHSEED` for certain."""


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
    source = (
        " It rests on PYTHONHASHSEED, another one in each process: most likely on the order of a set (as of `smembers`)."
        if first.get("source") == HASH_ORDER
        else ""
    )
    return (
        f"Not deterministic: seed {first['seed']} of {first['scenario']} gave two worlds, which part {first['text']}.{also}"
        f"{source} So no verdict here can be trusted, and no replay shows what was counted. What brings it in, with file "
        f"and line: {first['next']}"
    )


def remedy_words(results: Mapping[str, Any]) -> str:
    """What to do where a seed gave two worlds: one line, before the command that names the line."""
    if results["not_deterministic"][0].get("source") != HASH_ORDER:
        return "Find the line that brings it in, and mend that first:"
    return (
        "Put what comes out of a set in order (`sorted(...)`), and take no key from hash(); what goes wrong under one order "
        "is shown with PYTHONHASHSEED=0. The line that brings it in:"
    )


def hash_order_words(results: Mapping[str, Any]) -> str:
    """That verdicts hold under the hash seed which the environment fixes, and not under another; "" where they do."""
    partings = results.get("hash_order", ())
    if not partings:
        return ""
    first = partings[0]
    return (
        f"All this holds under PYTHONHASHSEED={first['hash_seed']} alone, which a replay needs too: with another one seed "
        f"{first['seed']} of {first['scenario']} is another world, most likely by the order of a set, or by hash(). "
        f"({first['next']} names the line.)"
    )


def same_again_words(timing: Mapping[str, Any]) -> str:
    """One line: what was run again, and that it came out the same; "" where that is not known."""
    checked = timing.get("same_again")
    if not isinstance(checked, Mapping) or checked.get("parted"):
        return ""
    if not checked.get("worlds"):
        return "Whether a seed is one world was not checked: no world was run again."
    worlds, scenarios = checked["worlds"], checked["scenarios"]
    parted = checked.get("by_hash_seed") or ()
    which = f"the same hash seed (with another one not: {', '.join(parted)})" if parted else "another hash seed"
    return (
        f"Deterministic, as far as was looked: the first seeds of {counted(scenarios, 'scenario')}, "
        f"{counted(worlds, 'world')}, came out the same in a fresh process, in the opposite order and with {which}."
    )
