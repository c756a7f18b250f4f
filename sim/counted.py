"""How many of something, in words: the one place that knows when a noun stands in the plural."""

from __future__ import annotations

import re
from typing import Final

_ADDS_ES: Final = re.compile(r"(?:s|x|z|ch|sh)$")
_BECOMES_IES: Final = re.compile(r"(?<=[^aeiou])y$")


def counted(number: int, noun: str) -> str:
    """The number and the noun: `1 world`, `0 worlds`, `1,000 other worlds`. The noun's last word is what is counted."""
    return f"{number:,} {plural(noun, number)}"


def plural(noun: str, number: int = 2) -> str:
    """The noun as it stands behind that number: `breach` behind 1, else `breaches`."""
    if number == 1:
        return noun
    if _ADDS_ES.search(noun):
        return f"{noun}es"
    return f"{_BECOMES_IES.sub('ie', noun)}s"
