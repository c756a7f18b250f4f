"""The words that a relay says by itself where others speak, added up: which are its ways, and which come from nowhere.

`relaysim.sim.world.own_words` says what of them has no source in one world. What is the same around the replies of most
conversations, or at the beginning of most, is the relay's own affair; what changes from one to the next is an invention,
unless its author knows better. So is what says that something was done for this customer, however often it is said.

Would miss: what stands in most conversations and says nothing of what was done for the customer; inventions of one or two
words; and those whose words the customer or the run had used too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from relaysim.reports.claims import EXAMPLES_MAX
from relaysim.sim.counted import counted
from relaysim.sim.trace.own_texts import tells_of_affairs

_MOST: Final = 0.8
"""What stands in the first one of this share of the conversations is a signature. In the others it may have been lost with
a piece of the reply, or a fault kept it away; of two texts that take turns each would stand in half of them."""

_CHANGING_WORDS_MIN: Final = 3
"""Fewer words that change in a sentence may be somebody's name."""

_CHANGING_WORDS_OF_AFFAIRS_MIN: Final = 2
"""The same where one of them tells of orders or money: "Order cancelled"."""


@dataclass(slots=True)
class Sentence:
    """A sentence of the relay's own: how often it said it, the world of the first time with the facts, and whether it tells
    of something that was done for the customer."""

    times: int
    seed: int
    fingerprint: str
    is_deed: bool
    detail: dict[str, Any]

    def merge(self, other: Sentence) -> None:
        """Add other replications'."""
        self.times += other.times
        self.is_deed = self.is_deed or other.is_deed
        if other.seed < self.seed:
            self.seed, self.fingerprint, self.detail = other.seed, other.fingerprint, other.detail


@dataclass(slots=True)
class OwnWords:
    """Of some replications, what was said in one place: around replies, or at the beginning of conversations.

    Attributes:
        conversations: how many had a reply, or a beginning.
        words: of each word, in how many of their first ones it stands.
        sentences: by the words of it that nobody knows, joined by spaces.
    """

    conversations: int = 0
    words: dict[str, int] = field(default_factory=dict)
    sentences: dict[str, Sentence] = field(default_factory=dict)

    def add(self, found: Mapping[str, Any], seed: int, fingerprint: str) -> None:
        """Add those of one replication."""
        self.conversations += found.get("conversations", 0)
        self._add_words(found.get("words", {}))
        for each in found.get("sentences", ()):
            detail = {name: value for name, value in each.items() if name not in ("words", "deed")}
            self._add_sentence(" ".join(each["words"]), Sentence(1, seed, fingerprint, each["deed"], detail))

    def merge(self, other: OwnWords) -> None:
        """Add other replications'."""
        self.conversations += other.conversations
        self._add_words(other.words)
        for words, sentence in other.sentences.items():
            self._add_sentence(words, sentence)

    def _add_words(self, words: Mapping[str, int]) -> None:
        for word, count in words.items():
            self.words[word] = self.words.get(word, 0) + count

    def _add_sentence(self, words: str, sentence: Sentence) -> None:
        known = self.sentences.setdefault(words, replace(sentence, times=0))
        known.merge(sentence)

    def to_plain(self) -> dict[str, Any]:
        """All of it as plain data, fit for JSON, without what is nothing; `from_plain` reads it."""
        plain: dict[str, Any] = {}
        if self.conversations:
            plain["conversations"] = self.conversations
        if self.sentences:
            plain["words"] = dict(sorted(self.words.items()))
            plain["sentences"] = [
                [words, each.times, each.seed, each.fingerprint, each.is_deed, each.detail]
                for words, each in sorted(self.sentences.items())
            ]
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> OwnWords:
        """What `to_plain` wrote."""
        sentences = {words: Sentence(*rest) for words, *rest in plain.get("sentences", ())}
        return cls(plain.get("conversations", 0), dict(plain.get("words", {})), sentences)

    @property
    def inventions(self) -> list[Sentence]:
        """The sentences whose words change from conversation to conversation, and those that tell of a deed, those of the
        smallest seeds first."""
        signature = {word for word, count in self.words.items() if count >= _MOST * self.conversations}
        found = []
        for words, sentence in self.sentences.items():
            changing = [each for each in words.split() if each not in signature]
            tells = any(map(tells_of_affairs, changing))
            if sentence.is_deed or len(changing) >= (_CHANGING_WORDS_OF_AFFAIRS_MIN if tells else _CHANGING_WORDS_MIN):
                found.append((sentence.seed, words, sentence))
        return [sentence for *_, sentence in sorted(found, key=lambda each: each[:2])]


def judge_own_words(claim: dict[str, Any], around_replies: OwnWords, beginnings: OwnWords, replay: str) -> None:
    """Make a claim about the relay's own texts inconclusive if it invents some around replies, or for the assistant.

    Args:
        claim: its entry in `results.json`, changed in place.
        around_replies, beginnings: of all replications.
        replay: the command that replays a seed, with `{seed}` in its place.
    """
    if claim["verdict"] == "refuted":
        return
    for own, where in (
        (around_replies, "around a reply"),
        (beginnings, "in the assistant's name at the beginning"),
    ):
        inventions = own.inventions
        if not inventions:
            continue
        times = sum(each.times for each in inventions)
        said = (
            f"{counted(times, 'sentence')} {where} of which nobody else is the source, changing from one text to the next "
            "or telling what was done for the customer"
        )
        claim["why"] = (
            f"{claim['why']}; {said}" if claim["count"] else f"{said}, and nothing here tells whether that is right"
        )
        for trials in ("needed", "needed_replications"):  # more of them would not tell either
            claim.pop(trials, None)
        claim |= {"verdict": "inconclusive", "reason": "cannot be known", "count": claim["count"] + times}
        claim["as_expected"] = claim["verdict"] == claim["expected"]
        claim["examples"] += [
            {
                "seed": each.seed,
                "fingerprint": each.fingerprint,
                "detail": each.detail,
                "replay": replay.replace("{seed}", str(each.seed)),
            }
            for each in inventions[: EXAMPLES_MAX - len(claim["examples"])]
        ]
