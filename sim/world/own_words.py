"""Words of a relay's own around what a run wrote, or in the assistant's name: what of them has no source in their world.

A greeting, a signature, a disclaimer and the markup of a channel are the relay's own affair, and so are numbers, names, and
what the customer said. A sentence with words that neither the conversation nor a declaration knows, and that is not
customary (`relaysim.sim.trace.own_texts`), may be one of these, or an invention. One world does not tell: what stands around
the first reply of most conversations is a signature, and what most begin with is how the relay begins. So the observation
carries both, for whoever adds worlds up: the sentences, and the words of each conversation's first one. What says that
something was done for this very customer ("Your refund was approved") is no signature, however often it is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from relaysim.sim.trace.own_texts import tells_of_a_deed, uncustomary_clauses
from relaysim.sim.trace.subjects import Text
from relaysim.sim.trace.words import wording
from relaysim.sim.world.judge.dialogue import beginnings_of
from relaysim.sim.world.judge.findings import at
from relaysim.sim.world.judge.history import History

UNKNOWN_WORDS_MIN: Final = 2
"""A sentence with fewer words that nobody knows may have a name in it, or a word that was cut in two."""

_ARRIVING: Final = ("delivered", "unknown_delivered")
_SENTENCE_END: Final = re.compile(r"[.!?…;\n]+")
_DIGIT: Final = re.compile(r"\d")
_SHOWN_MAX: Final = 200


def own_words(history: History) -> dict[str, Any]:
    """What a relay said by itself in one world, where others speak.

    Args:
        history: of the whole trace.

    Returns:
        `around_replies`: of the texts that were sent for a run's words, and `beginnings`: of what was written in the
        assistant's name before the customer wrote. Each with `conversations`: how many had any; `words`: of each word, in
        how many of their first ones it stands, none if each reply was sent as it is; `sentences`: dicts with the unknown
        `words` of one, whether it tells of a `deed`, the `text` that tells of it, and the `conversation` and `received`
        behind it.
    """
    return {"around_replies": _around_replies(history), "beginnings": _beginnings(history)}


def _around_replies(history: History) -> dict[str, Any]:
    firsts: dict[str, str] = {}
    sentences: list[dict[str, Any]] = []
    answers = [each for each in history.sends if each.run is not None and each.fate in _ARRIVING]
    for send in answers:
        assert send.run is not None
        firsts.setdefault(send.conversation, send.run.id)
        if send.text != send.reply:
            said = (
                f"{send.conversation} was sent {_shown(send.text)} at {at(send.time)}, of which no run wrote a sentence"
            )
            sentences += _told(send.text, send.conversation, _sources_of_reply(history, send), said)
    if all(each.text == each.reply for each in answers):
        return {"conversations": len(firsts)}
    first_texts = [
        (each.conversation, each.text) for each in answers if each.run and each.run.id == firsts[each.conversation]
    ]
    return _found(first_texts, sentences)


def _beginnings(history: History) -> dict[str, Any]:
    texts: list[tuple[str, str]] = []
    sentences: list[dict[str, Any]] = []
    for given in beginnings_of(history):
        owner = history.threads[given.thread]
        texts.append((owner, given.text))
        sources = [owner, *history.declared_in(given.text), *_written(history, owner, given.time)]
        said = f"{given.thread} got {_shown(given.text)} at {at(given.time)}, in the assistant's name, before {owner} wrote"
        sentences += _told(given.text, owner, sources, said)
    return _found(texts, sentences)


def _found(firsts: list[tuple[str, str]], sentences: list[dict[str, Any]]) -> dict[str, Any]:
    """What is told of texts, each with its conversation, and of the sentences in these and others."""
    words: dict[str, set[str]] = {}
    for conversation, text in firsts:
        words.setdefault(conversation, set()).update(*(_names(reading) for reading in wording(text).undone))
    counts = Counter(word for each in words.values() for word in each)
    return {"conversations": len(words), "words": dict(counts), "sentences": sentences}


def _told(text: str, conversation: str, sources: list[str], said: str) -> Iterator[dict[str, Any]]:
    """The sentences of a text with words that none of its sources knows, in its plainest reading."""
    sources = sorted(sources, key=len, reverse=True)
    known = {word for source in sources for word in wording(source).words}
    readings = (_sentences(_without(each, sources), known) for each in wording(text).undone)
    for words, is_deed in min(readings, key=lambda found: sum(len(words) for words, _ in found), default=[]):
        yield {"words": words, "deed": is_deed, "text": said, "conversation": conversation, "received": [text]}


def _sentences(text: str, known: set[str]) -> list[tuple[list[str], bool]]:
    """The unknown words of each sentence that has enough of them, each word once, and whether it tells of a deed."""
    found = []
    for sentence in _SENTENCE_END.split(text):
        clauses = (_names(each) for each in uncustomary_clauses(sentence))
        words = list(dict.fromkeys(word for clause in clauses for word in clause if word not in known))
        if len(words) >= UNKNOWN_WORDS_MIN:
            found.append((words, tells_of_a_deed(sentence)))
    return found


def _names(text: str) -> list[str]:
    """The words of a text without those that have a digit: numbers, times, references and prices may change."""
    return [each for each in wording(text).words if _DIGIT.search(each) is None]


def _sources_of_reply(history: History, send: Text) -> list[str]:
    """What the conversation's customer and runs wrote, its name, and what is declared in this text."""
    sources = [send.conversation, send.reply, *history.declared_in(send.text)]
    sources += _written(history, send.conversation, send.time)
    for run in history.runs.values():
        if run is send.run or run in send.others or history.threads.get(run.thread) == send.conversation:
            sources += run.wrote
    return sources


def _written(history: History, conversation: str, time: float) -> Iterator[str]:
    """What its customer had written by then."""
    for message in history.messages.values():
        if message.conversation == conversation and message.sent_at <= time:
            yield message.text


def _without(text: str, sources: list[str]) -> str:
    """A text without what stands in it as it was written."""
    for source in sources:
        text = text.replace(source, "\n")
    return text


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 1]}…")
