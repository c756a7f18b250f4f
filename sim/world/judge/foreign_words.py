"""What of one conversation stands in a text of another: words of its customer or its runs, numbers, and its name.

A text tells of another conversation if it holds something that only that one can be the source of: eight words in a row that
were written there, a whole message or reply of six words or more, a number of six characters or more, or the
conversation's own name. Nothing is foreign that the text's own conversation has too, that the relay declares to be its
words, or that the relay had said to anybody before it was written over there.

Would miss: fewer words than these; numbers with white space in them; words that were changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from relaysim.sim.trace.words import WHOLE_WORDS_MIN, Wording, wording
from relaysim.sim.world.judge.history import History

_PIECE_WORDS: Final = 8
"""So many words in a row are no chance."""

_NUMBER: Final = re.compile(r"(?=(?:[^\d]*\d){5})\w{6,}")
"""Five digits and a sixth sign: an order, a telephone number. Shorter ones are prices, years and house numbers."""

_NAME: Final = re.compile(r"[^\W_]+")


class Utterance(NamedTuple):
    """What was written in a conversation: by its customer or by a run, when, and how a sentence calls it."""

    conversation: str
    time: float
    words: Wording
    called: str


class ForeignWords:
    """Finds what is of other conversations in texts of one world.

    Args:
        history: of the whole trace.
        declared: the relay's own words, as it declares them, and the scenario's.
    """

    def __init__(self, history: History, declared: Iterable[str]) -> None:
        self._history = history
        self._declared = frozenset(declared)
        self._utterances: list[Utterance] | None = None
        self._of: dict[str, list[Utterance]] = {}
        self._pieces: dict[str, list[Utterance]] = {}
        self._lengths: list[int] = []
        self._since: dict[str, float] = {}

    def find(self, text: str, conversation: str, time: float, own: Iterable[str] = ()) -> str | None:
        """What of another conversation stands in a text of this one, for a sentence; None: nothing.

        Args:
            text: as it was sent or stored.
            conversation: whose it is.
            time: when; what was written later is not its source.
            own: further texts whose words are the conversation's.
        """
        if text in self._declared:
            return None
        if self._utterances is None:
            self._utterances = self._learn()
        allowed = [each.words for each in self._of.get(conversation, ()) if each.time <= time]
        allowed += [wording(each) for each in chain(self._declared, own)]
        for source, fragment in self._candidates(text, conversation, time):
            if any(fragment in reading for each in allowed for reading in each.readings):
                continue
            if not self._said_before(fragment, source.time):
                return source.called
        return self._foreign_name(text, conversation, time, allowed)

    def _candidates(self, text: str, conversation: str, time: float) -> Iterator[tuple[Utterance, str]]:
        """The pieces of this text that were written in other conversations and not in its own, and where first."""
        for reading in wording(text).readings:
            words = reading.split()
            for count in self._lengths:
                for first in range(len(words) - count + 1):
                    piece = f" {' '.join(words[first : first + count])} "
                    sources = [each for each in self._pieces.get(piece, ()) if each.time <= time]
                    if sources and all(each.conversation != conversation for each in sources):
                        yield min(sources, key=lambda each: each.time), piece

    def _learn(self) -> list[Utterance]:
        history = self._history
        found = []
        for message in history.messages.values():
            owner = message.conversation
            called = f"what {owner} had written in {message.id}"
            found.append(Utterance(owner, message.sent_at, wording(message.text), called))
            if message.first_start is not None:
                self._since.setdefault(owner, message.first_start)
        for run in history.runs.values():
            owner = history.threads.get(run.thread, "")
            if owner:
                called = f"what {run.id} had written for {owner}"
                found += [Utterance(owner, run.created, wording(each), called) for each in run.wrote]
        lengths = set()
        for each in found:
            self._of.setdefault(each.conversation, []).append(each)
            words = each.words.words
            count = min(len(words), _PIECE_WORDS)
            if count >= WHOLE_WORDS_MIN:
                lengths.add(count)
                for first in range(len(words) - count + 1):
                    self._pieces.setdefault(f" {' '.join(words[first : first + count])} ", []).append(each)
            for word in words:
                if _NUMBER.fullmatch(word):
                    lengths.add(1)
                    self._pieces.setdefault(f" {word} ", []).append(each)
        self._lengths = sorted(lengths, reverse=True)
        return found

    def _said_before(self, fragment: str, time: float) -> bool:
        """Whether the relay had said this to anybody before it was written elsewhere: then it is the relay's own."""
        history = self._history
        said = [each.text for each in history.sends if each.time < time]
        said += [each.text for each in history.given if each.time < time]
        said += [each.text for texts in history.stored.values() for each in texts if each.time < time]
        return any(fragment in reading for each in said for reading in wording(each).readings)

    def _foreign_name(self, text: str, conversation: str, time: float, allowed: list[Wording]) -> str | None:
        for name in _NAME.findall(text):
            since = self._since.get(name)
            if since is None or since > time or name == conversation:
                continue
            is_own = any(name in _NAME.findall(each.text) for each in allowed)
            if not is_own and not self._said_before(f" {name} ", since):
                return f"the name of another conversation, {name}"
        return None
