"""What no customer may read: credentials, the ids by which the API knows its objects, and signs that reverse letters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from relaysim.sim.trace.subjects import Text
from relaysim.sim.trace.words import wording
from relaysim.sim.world.judge.history import History

_CREDENTIAL: Final = re.compile(
    r"\bsk-[\w-]{16,}|\bBearer\s+[\w.~+/=-]{16,}|\b[a-z][\w+.-]*://[^\s/:@]*:[^\s/@]+@|\bAKIA[0-9A-Z]{16}\b|\bxox[abprs]-[\w-]{10,}"
    r"|\bgh[pousr]_\w{30,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""Keys of OpenAI, AWS, Slack and GitHub, what an `Authorization` header holds, a URL with a password, a private key."""

_ID: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:thread|run|msg|step|call|resp|conv|req|file|vs)_[A-Za-z0-9]{16,}|asst_[A-Za-z0-9]+)"
)

_OVERRIDE: Final = re.compile("[\u202d\u202e]")
"""Unicode's directional overrides: the letters after them are shown in the other direction, "10 EUR" as "RUE 01"."""

_TOKEN_LENGTH_MIN: Final = 16
_TOKEN: Final = re.compile(r"[A-Za-z0-9]{16,}")


@lru_cache(maxsize=4096)
def _suspects_in(text: str) -> tuple[str, ...]:
    """What looks like one of them, in each reading of a text; remembered, since relays repeat their texts in every world."""
    return tuple(
        found
        for reading in wording(text).undone
        for pattern in (_CREDENTIAL, _ID, _TOKEN, _OVERRIDE)
        for found in pattern.findall(reading)
    )


class Internals:
    """Finds these in texts of one world.

    Args:
        history: of the whole trace.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._tokens: frozenset[str] | None = None

    def find(self, send: Text) -> str | None:
        """What of it stands in a text that was sent, and neither a run nor the customer had written; None: nothing."""
        for found in _suspects_in(send.text):
            if _CREDENTIAL.fullmatch(found):
                what = "a credential"
            elif _ID.fullmatch(found):
                what = f"{found}, an id of the API,"
            elif _OVERRIDE.fullmatch(found):
                what = f"U+{ord(found):04X}, which reverses the letters after it,"
            elif found in self._known():
                what = f"{found}, which is of an id of the API,"
            else:
                continue
            if not any(found in each for text in self._written_in(send) for each in wording(text).undone):
                return what
        return None

    def _written_in(self, send: Text) -> Iterator[str]:
        """What the customer and the runs of its conversation wrote, and the run whose reply it is."""
        history = self._history
        for message in history.messages.values():
            if message.conversation == send.conversation:
                yield message.text
        for run in history.runs.values():
            if run is send.run or history.threads.get(run.thread) == send.conversation:
                yield from run.wrote

    def _known(self) -> frozenset[str]:
        """The random parts of the ids of what is in the API."""
        if self._tokens is None:
            history = self._history
            ids = [*history.runs, *history.stored, *history.threads]
            ids += [each.detail for each in history.requests.values() if isinstance(each.detail, str)]
            tokens = (each.rpartition("_")[2] for each in ids)
            self._tokens = frozenset(each for each in tokens if len(each) >= _TOKEN_LENGTH_MIN)
        return self._tokens
