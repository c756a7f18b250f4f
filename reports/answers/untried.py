"""What no scenario put a relay to: of the breaches that need it nothing was seen because nothing could be.

Each scenario of the results has under `tried` what its worlds held, see `relaysim.scenarios.tried`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

WORDS: Final[Mapping[str, str]] = {
    "strangers": "replies to other customers (one customer wrote)",
    "order": "the order of replies (each customer wrote once)",
    "repeats": "webhooks that come twice",
    "crashes": "crashes",
    "redis": "faults of Redis",
    "api": "faults of the API",
    "sends": "texts refused or lost on their way",
}
"""What may be tried, in the order in which it is named, and what is said of it where it was not."""

SUGGESTED: Final = ("strangers", "order", "repeats")
"""What is tried by the scenarios that suit any bot, as `verify --factory` plays them when it is given none."""


def untried(results: Mapping[str, Any]) -> list[str]:
    """What none of the scenarios tried, as names of `WORDS`; nothing where the results do not say it, as older ones."""
    scenarios = results["scenarios"]
    if not scenarios or any("tried" not in each for each in scenarios):
        return []
    tried = {name for each in scenarios for name in each["tried"]}
    return [name for name in WORDS if name not in tried]


def untried_words(names: Sequence[str]) -> list[str]:
    """One sentence, or none."""
    if not names:
        return []
    return [f"Not tried, so nothing is known of it: {', '.join(WORDS[name] for name in names)}."]


def what_else(results: Mapping[str, Any], not_tried: Sequence[str]) -> tuple[list[str], list[str]]:
    """How what was not tried is tried, and where rare races are looked for: sentences and the lines to type."""
    try_all, explore = str(results.get("try_all", "")), str(results.get("explore", ""))
    advice, commands = [], []
    suggested = [name for name in not_tried if name in SUGGESTED]
    if suggested and try_all:
        advice.append("Judge it in all scenarios that suit any bot, by the first line.")
        commands.append(try_all)
    if len(suggested) < len(not_tried) or (suggested and not try_all):
        what = "Faults are" if try_all or not suggested else "The rest is"
        advice.append(f"{what} tried by a scenario of your own (docs/own-bot.md, “What was not tried”).")
    if explore:
        where = "by the last line" if commands else "with"
        advice.append(
            f"Races of one round trip, as between two commands of Redis, are rare in such worlds; look for them {where}:"
        )
        commands.append(explore)
    return advice, commands
