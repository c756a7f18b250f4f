"""The words that a relay puts around what a run wrote: what of them has no source in their world.

A greeting, a signature, a disclaimer and the markup of a channel are the relay's own affair, and so are numbers, names, and
what the customer said. A sentence with words that neither the conversation nor a declaration knows, and that is not
customary (`relaysim.sim.trace.own_texts`), may be a signature, or an invention. One world does not tell: what stands around
the first reply of most conversations is a signature. So the observation carries both, for whoever adds worlds up: the
sentences, and the words of each conversation's first reply.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from relaysim.sim.trace.own_texts import uncustomary_clauses
from relaysim.sim.trace.subjects import Text
from relaysim.sim.trace.words import wording
from relaysim.sim.world.judge.findings import at
from relaysim.sim.world.judge.history import History

UNKNOWN_WORDS_MIN: Final = 2
"""A sentence with fewer words that nobody knows may have a name in it, or a word that was cut in two."""

_ARRIVING: Final = ("delivered", "unknown_delivered")
_SENTENCE_END: Final = re.compile(r"[.!?…;\n]+")
_DIGIT: Final = re.compile(r"\d")
_SHOWN_MAX: Final = 200


def around_replies(history: History) -> dict[str, Any]:
    """What stands around the replies of one world that were sent with something around them.

    Args:
        history: of the whole trace.

    Returns:
        `conversations`: how many were sent a reply; `words`: of each word, in how many of their first replies it stands,
        none if each reply was sent as it is; `sentences`: dicts with the unknown `words` of one, the `text` that tells of
        it, and the `conversation` and `received` behind it.
    """
    firsts: dict[str, str] = {}
    sentences: list[dict[str, Any]] = []
    answers = [each for each in history.sends if each.run is not None and each.fate in _ARRIVING]
    for send in answers:
        assert send.run is not None
        firsts.setdefault(send.conversation, send.run.id)
        if send.text != send.reply:
            sentences += _unknown_sentences(history, send)
    found: dict[str, Any] = {"conversations": len(firsts)}
    if any(each.text != each.reply for each in answers):
        of_firsts: dict[str, set[str]] = {}
        for send in answers:
            if send.run is not None and send.run.id == firsts[send.conversation]:
                of_firsts.setdefault(send.conversation, set()).update(
                    *(_names(reading) for reading in wording(send.text).undone)
                )
        found |= {"words": dict(Counter(word for each in of_firsts.values() for word in each)), "sentences": sentences}
    return found


def _unknown_sentences(history: History, send: Text) -> Iterator[dict[str, Any]]:
    """The sentences of a text with words that neither its conversation nor a declaration knows, in its plainest reading."""
    sources = _sources(history, send)
    known = {word for source in sources for word in wording(source).words}
    readings = (_sentences(_without(each, sources), known) for each in wording(send.text).undone)
    for words in min(readings, key=lambda found: sum(map(len, found)), default=[]):
        shown = repr(send.text if len(send.text) <= _SHOWN_MAX else f"{send.text[: _SHOWN_MAX - 1]}…")
        yield {
            "words": words,
            "text": f"{send.conversation} was sent {shown} at {at(send.time)}",
            "conversation": send.conversation,
            "received": [send.text],
        }


def _sentences(text: str, known: set[str]) -> list[list[str]]:
    """The unknown words of each sentence that has enough of them, each word once."""
    found = []
    for sentence in _SENTENCE_END.split(text):
        clauses = (_names(each) for each in uncustomary_clauses(sentence))
        words = list(dict.fromkeys(word for clause in clauses for word in clause if word not in known))
        if len(words) >= UNKNOWN_WORDS_MIN:
            found.append(words)
    return found


def _names(text: str) -> list[str]:
    """The words of a text without those that have a digit: numbers, times, references and prices may change."""
    return [each for each in wording(text).words if _DIGIT.search(each) is None]


def _sources(history: History, send: Text) -> list[str]:
    """What the conversation's customer and runs wrote, its name, and what is declared in this text; the longest first."""
    sources = [send.conversation, send.reply, *history.declared_in(send)]
    sources += [each.text for each in history.messages.values() if each.conversation == send.conversation]
    for run in history.runs.values():
        if run is send.run or run in send.others or history.threads.get(run.thread) == send.conversation:
            sources += run.wrote
    return sorted(sources, key=len, reverse=True)


def _without(text: str, sources: list[str]) -> str:
    """A text without what stands in it as it was written."""
    for source in sources:
        text = text.replace(source, "\n")
    return text
