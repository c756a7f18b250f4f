"""S12: nothing of one conversation reaches another one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from relaysim.sim.trace.given_texts import GivenText
from relaysim.sim.trace.subjects import Handling, Request, StoredText
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.foreign_words import ForeignWords
from relaysim.sim.world.judge.history import History


def check_ownership(history: History, declared: Iterable[str], findings: Findings) -> None:
    """S12: nothing of one conversation reaches another one. A thread gets nothing that another conversation's customer or
    runs wrote, be it as a message, as what a run reads besides (its own or its assistant's instructions, tools and their
    outputs) or as metadata, and neither does a customer; `ForeignWords` says what counts. A handling asks for the threads
    of its own conversation only, and so do the tasks that it leaves behind, as far as messages are concerned: looking for
    forgotten ones, or serving a common queue, is one task of a process, so that where several handlings of one life of a
    worker left such a task, they are no such thing. What no run wrote goes to no other conversation than the one that is
    handled.

    A relay may serve several conversations in one handling, as one that empties a common queue does: where any handling
    stored another conversation's words in that conversation's thread, or sent it its own run's words, requests are not
    judged.

    Would miss: requests of `serve`, of one task of a worker, and of handlings that raised or were cut off, since nothing
    tells a look for forgotten messages from a curious one (what is read there is judged by where its words go); what a task
    asks of runs; requests for threads of which nothing is known.

    Args:
        history: of the whole trace.
        declared: the relay's own words.
        findings: filled.
    """
    foreign = ForeignWords(history, declared)
    for thread, texts in history.stored.items():
        for text in texts:
            _check_stored(history, thread, text, foreign, findings)
    for given in history.given:
        _check_given(history, given, foreign, findings)
    _check_requests(history, findings)
    for send in history.sends:
        if send.text == send.reply:
            continue  # what a run wrote is what its thread holds
        findings.check("S12")
        # A whole reply of another conversation is T5's case.
        said = foreign.find(send.text, send.conversation, send.time, [send.reply] if send.run is not None else [])
        if said is not None:
            findings.breach(
                "S12",
                f"{send.conversation} was sent, at {at(send.time)}, {said}",
                conversation=send.conversation,
                received=[send.text],
            )
    _check_addressees(history, findings)


def _check_stored(history: History, thread: str, text: StoredText, foreign: ForeignWords, findings: Findings) -> None:
    owner = history.threads.get(thread, "")
    if text.messages:
        findings.check("S12")
        first = text.messages[0]
        if first.text == text.text:
            if first.conversation != owner:
                findings.breach(
                    "S12",
                    f"{first.id}, written in {first.conversation}, was stored in {thread}, which is {owner}'s, at "
                    f"{at(text.time)}",
                    message=first.id,
                    conversation=first.conversation,
                    received=[text.text],
                )
            return
    said = foreign.find(text.text, owner, text.time) if owner else None
    if said is not None:
        findings.breach(
            "S12",
            f"{thread}, which is {owner}'s, got {said}, at {at(text.time)}",
            conversation=owner,
            received=[text.text],
        )


def _check_addressees(history: History, findings: Findings) -> None:
    """A text that no run wrote and that names no message, a notice for instance, goes to the conversation being handled."""
    foreign = []
    for send in history.sends:
        handling = history.handlings.get(send.delivery)
        if send.run is not None or send.names or handling is None or not handling.conversation:
            continue
        if _reaches_out(handling, send.conversation, send.time):
            foreign.append((send, handling))
    if not foreign or _serves_several(history):
        return
    for send, handling in foreign:
        findings.breach(
            "S12",
            f"{send.worker}, handling {handling.message_id} of {handling.conversation}, sent {send.conversation} a text "
            f"that no {history.roles.words.run} wrote, at {at(send.time)}",
            message=handling.message_id,
            conversation=send.conversation,
            received=[send.text],
        )


def _check_requests(history: History, findings: Findings) -> None:
    judged: set[tuple[str, str]] = set()
    foreign: list[tuple[Request, str]] = []
    afterwards: dict[tuple[str, int], list[tuple[Request, str]]] = {}
    handlings = history.handlings
    checked = 0
    for request in history.requests.values():
        owner = request.conversation
        handling = handlings.get(request.delivery)
        own = "" if handling is None else handling.conversation
        if owner is None or handling is None or not own:
            continue
        checked += 1
        if own == owner:  # nearly all
            continue
        if _reaches_out(handling, owner, request.left):
            foreign.append((request, own))
        elif _is_left_behind(handling, request, history):
            life = (request.worker, history.life_of(request.worker, request.left))
            afterwards.setdefault(life, []).append((request, own))
    for found in afterwards.values():
        if len({request.delivery for request, _ in found}) > 1:
            foreign += found
    findings.check("S12", checked)
    if not foreign or _serves_several(history):
        return
    for request, conversation in foreign:
        thread = request.thread or ""
        if (request.delivery, thread) in judged:
            continue
        judged.add((request.delivery, thread))
        message = handlings[request.delivery].message_id
        doing = (
            "handling" if handlings[request.delivery].under_way(request.left) else "in a task left by the handling of"
        )
        findings.breach(
            "S12",
            f"{request.worker}, {doing} {message} of {conversation}, sent {request.operation} for {thread}, which is "
            f"{request.conversation}'s, at {at(request.left)}",
            message=message,
            conversation=conversation,
        )


def _reaches_out(handling: Handling, conversation: str, time: float) -> bool:
    """Whether a handling that returned did this for another conversation than its own, before it had returned."""
    has_returned = handling.end is not None and handling.error_class is None
    return handling.conversation != conversation and has_returned and handling.under_way(time)


def _is_left_behind(handling: Handling, request: Request, history: History) -> bool:
    """Whether a task of a handling that had returned asks for another conversation's messages, or adds to it."""
    if handling.end is None or handling.error_class is not None or request.left <= handling.end:
        return False
    is_about_messages = request.appends or request.starts or request.operation in history.roles.lists_messages
    return is_about_messages and handling.conversation != request.conversation


def _serves_several(history: History) -> bool:
    """Whether some handling did what is another conversation's due."""
    for thread, texts in history.stored.items():
        owner = history.threads.get(thread)
        for text in texts:
            request = history.requests.get(text.cause)
            handling = None if request is None else history.handlings.get(request.delivery)
            is_elsewhere = handling is not None and handling.conversation != owner
            if is_elsewhere and text.messages and all(each.conversation == owner for each in text.messages):
                return True
    for send in history.sends:
        handling = history.handlings.get(send.delivery)
        is_elsewhere = handling is not None and handling.conversation != send.conversation
        if is_elsewhere and send.run is not None and history.threads.get(send.run.thread) == send.conversation:
            return True
    return False


def _check_given(history: History, given: GivenText, foreign: ForeignWords, findings: Findings) -> None:
    owner = history.threads.get(given.thread)
    if owner is None:
        return
    findings.check("S12")
    said = foreign.find(given.text, owner, given.time)
    if said is None:
        return
    whose = f"{given.thread}, which is {owner}'s," if given.run is None else f"{given.run.id}, which is {owner}'s,"
    findings.breach(
        "S12",
        f"{whose} got in its {_PLACES[given.place]}, at {at(given.time)}, {said}",
        conversation=owner,
        received=[given.text],
    )


_PLACES: Final = {
    "instructions": "instructions",
    "tools": "tools",
    "tool_outputs": "tools' outputs",
    "metadata": "metadata",
    "replies": "messages, in the assistant's name",
}
