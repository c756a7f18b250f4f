"""What went wrong in a scenario's worlds, in words: counts of what customers and conversations met, the gravest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relaysim.reports.answers.severity import MEANINGS
from relaysim.sim.counted import counted


def counts_of(scenario: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**scenario["counts"], **scenario["outcomes"]}


def wrong_in(scenario: Mapping[str, Any]) -> list[str]:
    """What went wrong in a scenario, the gravest first, each with how many and among how many messages."""
    counts = counts_of(scenario)
    return [count_words(scenario, name) for name in MEANINGS if counts.get(name)]


def count_words(scenario: Mapping[str, Any], name: str) -> str:
    """How often something of `MEANINGS` happened in a scenario, and among how many messages."""
    noun, wrong = MEANINGS[name]
    count, messages = counts_of(scenario)[name], counts_of(scenario).get("messages", 0)
    of_messages = noun == "message" and count <= messages
    among = f"{count:,} of {counted(messages, 'message')}" if of_messages else counted(count, noun)
    return f"{among} {wrong}"


def answered_strangers(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The scenario in which most replies went to another customer; None if none did."""
    found = [each for each in results["scenarios"] if not each.get("obstacles")]
    found = [each for each in found if counts_of(each).get("wrong_conversation")]
    return max(found, key=lambda each: counts_of(each)["wrong_conversation"], default=None)
