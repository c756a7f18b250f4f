"""A log line without the places in the source that it names.

A relay's log lines tell of its own code: a traceback, `module:line`, a record's `lineno` and `pathname`. People want to see
that, but it is no part of what happened: a comment added to a module, or a checkout in another folder, must not give
another fingerprint to a world in which everything happens as before.
"""

from __future__ import annotations

import re
import string
from typing import Final

_FILES: Final = re.compile(
    r"""
    # the folders before a file's name: in a traceback, in one within JSON, and elsewhere
      (?<=File\ ") [^"\n]*[/\\] (?=[^"/\\\n]+")
    | (?<=File\ \\") [^"\n]*[/\\] (?=[^"/\\\n]+\\")
    | (?<![^\s"'=(\[]) [\w.:~+@-]*(?:[/\\]+[\w.~+@-]*)*[/\\] (?=[\w-]+\.py\b)
    # the number behind it: File "bot.py", line 7; bot.py:7
    | (?<=",\ line\ )\d+
    | (?<=\.py):\d+
    """,
    re.VERBOSE,
)

_FIELD: Final = re.compile(r"""(\blineno["']?\s*[=:]\s*)\d+""")
"""`lineno=7`, `"lineno": 7`."""

_NUMBER: Final = re.compile(r":\d+(?![\w:.]*\w)")
_PLACE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+(?::<?[^\W\d]\w*>?)?")
"""`bot.sending`, `bot.sending:send`, `bot.main:<module>`: what stands before the number of a line."""

_OF_PLACES: Final = string.ascii_letters + string.digits + "_.:<>/@-"


def without_source_lines(text: str) -> str:
    """The text without numbers of source lines and folders of source files; most texts come back as they are.

    What looks like one is taken for one: two texts that differ in nothing but the port after a host's dotted name are the
    same without it.
    """
    # Each log line of each world comes here. A search for what most of them have not is the cheapest.
    if ".py" in text or ", line " in text:
        text = _FILES.sub("", text)
    if "lineno" in text:
        text = _FIELD.sub(r"\1", text)
    return _NUMBER.sub(_unless_of_a_place, text)


def _unless_of_a_place(number: re.Match[str]) -> str:
    before = number.string[: number.start()]
    place = before[len(before.rstrip(_OF_PLACES)) :]
    return "" if _PLACE.fullmatch(place) else number[0]
