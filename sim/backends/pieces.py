"""A streamed text in pieces: whole words, spread over the time that the turn takes."""

from __future__ import annotations

import re
from typing import Final

from relaysim.sim.backends.replies import Incomplete, Reply, Text, ending_of

PIECES_MAX: Final = 100
"""Pieces in which a streamed text is written at most."""

_WORD: Final = re.compile(r"\s*\S+\s*$|\s*\S+|\s+")


def ending_text(reply: Reply | None) -> str:
    """The text that the turn ends with; empty if it ends with none, or there is no reply yet."""
    ending = None if reply is None else ending_of(reply)
    return ending.text if isinstance(ending, Text | Incomplete) else ""


def timed_pieces(text: str, seconds: float, first_token_fraction: float) -> list[tuple[float, str]]:
    """A text in pieces, each with its delay from the beginning of a turn of so many seconds, the first after that share."""
    words = _WORD.findall(text)
    each = -(-len(words) // PIECES_MAX) or 1
    pieces = ["".join(words[first : first + each]) for first in range(0, len(words), each)]
    first_token = seconds * first_token_fraction
    pause = (seconds - first_token) / (len(pieces) or 1)
    return [(first_token + number * pause, piece) for number, piece in enumerate(pieces)]
