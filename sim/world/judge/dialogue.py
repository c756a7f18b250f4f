"""S13 and S15 of what a run reads: what was said before stays there, and nothing stands there that was not said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import inf
from typing import NamedTuple

from relaysim.sim.trace.contents import Content
from relaysim.sim.trace.given_texts import GivenText
from relaysim.sim.trace.subjects import Run, Text
from relaysim.sim.trace.words import TELLING_WORDS, Wording, wording
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History


class _Said(NamedTuple):
    """Something of a conversation that its later runs must read.

    Attributes:
        time: since when.
        thread: where it was said.
        called: how a sentence calls it.
        number: its place among what the customer wrote; None: a run wrote it, so that a part of it is enough.
    """

    time: float
    thread: str
    words: Wording
    called: str
    number: int | None = None

    @property
    def is_reply(self) -> bool:
        """Whether a run wrote it."""
        return self.number is None


def check_remembered(history: History, remembers: int, findings: Findings) -> None:
    """S13: a run whose reply is sent reads what was said in its conversation before: the messages that were written before
    the newest one that it reads, were stored in time and are answered sometime, and the replies that were sent, the newest
    of them as many as the relay promises; and what stood in a thread that the relay used before it took another one.

    A run reads its thread as it is when the run is created, of which messages may have been deleted, or only the newest ones
    (`truncation_strategy`), and its instructions. What it must read may stand there in any form, also all in one text; in a
    further thread the messages stand in the order in which they were stored first. Messages that nobody answered may go: a
    relay may take back what it apologised for. What went with a thread that somebody else deleted, or that expired, is
    nobody's to remember.

    Would miss: what is older than the relay promises to remember; what came to another thread of the conversation after the
    newest message of the run's own.
    """
    if not remembers or (history.contents.are_read_whole and not _has_moved(history)):
        return
    answers = [
        (send, send.run)
        for send in history.sends
        if send.run is not None and send.fate in _ARRIVING and history.threads.get(send.run.thread) == send.conversation
    ]
    said = _said_in_all(history, answers)
    judged: set[str] = set()
    for send, run in answers:
        if run.id not in judged:
            judged.add(run.id)
            _check_run(history, run, send.conversation, said[send.conversation], remembers, findings)


_ARRIVING = ("delivered", "unknown_delivered")


def _has_moved(history: History) -> bool:
    """Whether some conversation has more than one thread in which there ever was something."""
    owners = [history.threads[each] for each in history.contents.of if each in history.threads]
    return len(owners) != len(set(owners))


def _said_in_all(history: History, answers: list[tuple[Text, Run]]) -> dict[str, list[_Said]]:
    """Per conversation what was said in it, in the order of time: messages from when they were stored last for the run that
    answered them first, replies from when they were sent."""
    stored: dict[str, list[tuple[float, str]]] = {}
    for thread, texts in history.stored.items():
        for text in texts:
            for message in text.messages:
                stored.setdefault(message.id, []).append((text.time, thread))
    found: dict[str, dict[str, _Said]] = {}
    for send, run in answers:
        said = found.setdefault(send.conversation, {})
        for name in history.covered_by(run):
            message = history.messages[name]
            if message.conversation == send.conversation:
                called = f"{name}, stored before"
                # An earlier turn may have taken it along and let it go again, or have been left behind with it.
                here = [each for each in stored[name] if each[1] == run.thread and each[0] <= run.created]
                time, thread = max(here) if here else min(stored[name])
                said.setdefault(name, _Said(time, thread, wording(message.text), called, message.number))
        reply = _Said(send.time, run.thread, wording(send.reply), f"what {run.id} had replied")
        said.setdefault(f"{run.id} {send.reply}", reply)
    return {conversation: sorted(said.values(), key=lambda each: each.time) for conversation, said in found.items()}


def _check_run(
    history: History, run: Run, conversation: str, said: list[_Said], remembers: int, findings: Findings
) -> None:
    read = history.contents.read_by(run)
    newest = max((each.time for each in read if each.messages), default=run.created)
    last = max((message.number for each in read for message in each.messages), default=-1)
    before = [each for each in said if each.time < newest and (each.number is None or each.number <= last)]
    due = [*_found_there(history, run, conversation), *before][-remembers:]
    due = [
        each
        for each in due
        if (each.thread == run.thread or _is_recent(history, each, run, remembers)) and not _is_lost(history, each, run)
    ]
    texts = [wording(each.text) for each in read]
    texts += [wording(each.text) for each in history.given if each.run is run and each.place == "instructions"]
    replies = [wording(each.text) for each in read if not each.messages]
    missing = next((each for each in due if not _is_there(each, texts, replies)), None)
    if missing is not None:
        text = f"{run.id}, whose reply {conversation} was sent, did not read {missing.called}"
        if missing.thread != run.thread:
            text += f" in another {history.roles.words.thread} of {conversation}, {missing.thread}"
    elif _is_out_of_order(run, due, read):
        text = f"{run.id}, whose reply {conversation} was sent, read what was said before in another order"
    else:
        return
    findings.breach(
        "S13",
        f"{text}; it was created in {run.thread} at {at(run.created)}",
        conversation=conversation,
        run=run.id,
        received=[each.text for each in read],
    )


def _is_recent(history: History, said: _Said, run: Run, remembers: int) -> bool:
    """Whether something was among the newest texts of the thread that held it last, if only as a copy, when a run in another
    one was created. That is the one from which the conversation moved on: a thread that was made and never used is none.

    What nobody was sent, and what nobody answered, counts as a text there too: who copies a thread cannot tell.
    """
    owner = history.threads.get(said.thread)
    last_at, behind = -inf, 0
    for thread, contents in history.contents.of.items():
        is_of_the_past = thread != run.thread and history.threads.get(thread) == owner
        if not is_of_the_past or (thread != said.thread and not _has_used(history, thread, run.created)):
            continue
        there = [each for each in contents if each.time <= run.created]
        places = [place for place, each in enumerate(there) if wording(each.text).holds(said.words)]
        if places and there[places[-1]].time > last_at:
            last_at, behind = there[places[-1]].time, len(there) - places[-1]
    return behind <= remembers


def _is_lost(history: History, said: _Said, run: Run) -> bool:
    """Whether something stood, if only as a copy, in a thread that somebody else had deleted before this run was created."""
    return any(
        lost_at <= run.created
        and any(wording(each.text).holds(said.words) for each in history.contents.of.get(thread, ()))
        for thread, lost_at in history.contents.lost.items()
    )


def _is_there(said: _Said, texts: list[Wording], replies: list[Wording]) -> bool:
    """Whether something that was said stands in one of these texts; of a reply a part may, where no customer wrote it."""
    if any(text.holds(said.words) for text in texts):
        return True
    return said.is_reply and any(text.piece_of(said.words) is not None for text in replies)


def _found_there(history: History, run: Run, conversation: str) -> Iterator[_Said]:
    """What the world had left in the threads of a conversation that the relay used before this run."""
    for thread, contents in history.contents.of.items():
        if history.threads.get(thread) != conversation:
            continue
        left = [
            each
            for each in contents
            if each.run is None
            and each.cause not in history.requests
            and not history.contents.was_dropped(thread, each.id, run.index)
        ]
        if thread != run.thread and _is_withheld(history, thread, run.created):
            continue
        if left and (thread == run.thread or _has_used(history, thread, run.created)):
            yield from (_Said(0.0, thread, wording(each.text), "what stood there before", -1) for each in left)


def _is_withheld(history: History, thread: str, time: float) -> bool:
    """Whether the API shows nobody what the world had left there, since the turn that brought it has not ended."""
    return bool(history.roles.shows_ends) and any(
        each.thread == thread and each.request is None and (each.ended is None or each.ended > time)
        for each in history.runs.values()
    )


def _has_used(history: History, thread: str, before: float) -> bool:
    return any(each.thread == thread and each.left < before for each in history.requests.values())


def _is_out_of_order(run: Run, due: list[_Said], read: list[Content]) -> bool:
    """Whether messages of other threads stand in this run's thread in another order than they were answered in."""
    places = []
    for each in due:
        if each.thread == run.thread or each.is_reply:
            continue
        found = ((index, wording(content.text).find(each.words)) for index, content in enumerate(read))
        places += [next((place for place in found if place[1] >= 0), None)]
    copied = [place for place in places if place is not None]
    return any(second < first for first, second in pairwise(copied))


def check_assistants_words(history: History, declared: Iterable[str], findings: Findings) -> None:
    """S15: what a relay writes into a thread in the assistant's name was said: by a run of the conversation, to its
    customer, or by the customer; or the relay declares it. What stands in the conversation's first thread before its
    customer has written is how the relay begins, and further ones may begin with it too.

    Would miss: words around those. What a relay lets the assistant say at the beginning, over many conversations, is told
    by `relaysim.sim.world.own_words`.
    """
    own = frozenset(declared)
    beginnings = frozenset(beginnings_of(history))
    for given in history.given:
        owner = history.threads.get(given.thread)
        if given.place != "replies" or owner is None:
            continue
        findings.check("S15")
        text = wording(given.text)
        is_known = given.text in own or given in beginnings
        if is_known or any(_is_of(text, each) for each in _said_in(history, owner)):
            continue
        findings.breach(
            "S15",
            f"{given.thread} got, in the assistant's name, what nobody had said to {owner}, at {at(given.time)}",
            conversation=owner,
            received=[given.text],
        )


def beginnings_of(history: History) -> Iterator[GivenText]:
    """What relays wrote in the assistant's name into a conversation's first thread before its customer had written there,
    and once more into further ones before the customer's first text there."""
    begun: dict[str, set[str]] = {}
    for given in history.given:
        owner = history.threads.get(given.thread)
        if given.place != "replies" or owner is None:
            continue
        texts = begun.setdefault(owner, set())
        threads = {each for each, conversation in history.threads.items() if conversation == owner}
        if not _have_customers_texts(history, threads, given.time):
            texts.add(given.text)
        if given.text in texts and not _have_customers_texts(history, {given.thread}, given.time):
            yield given


def _is_of(text: Wording, said: Wording) -> bool:
    """Whether a text is what was said, perhaps with more around it, or a part of it."""
    if text.holds(said):
        return len(said.words) >= TELLING_WORDS or said.holds(text)
    return text.piece_of(said) is not None


def _have_customers_texts(history: History, threads: set[str], time: float) -> bool:
    """Whether one of these threads had something of its customer by then."""
    return any(each.messages and each.time < time for thread in threads for each in history.stored.get(thread, ()))


def _said_in(history: History, conversation: str) -> Iterator[Wording]:
    for run in history.runs.values():
        if history.threads.get(run.thread) == conversation:
            yield from map(wording, run.wrote)
    yield from (wording(each.text) for each in history.sends if each.conversation == conversation)
    yield from (wording(each.text) for each in history.messages.values() if each.conversation == conversation)
