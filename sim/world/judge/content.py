"""S13 to S15: what customers write is stored once, whole and in order; what they read is a run's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from relaysim.sim.trace.subjects import Message, Request, StoredText
from relaysim.sim.trace.words import TELLING_WORDS, wording
from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.early_looks import crossing, had_before
from relaysim.sim.world.judge.findings import Findings, at, shortened
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.lookups import landed_after_all


class _Stored(NamedTuple):
    """A message in its own conversation's thread: which, and by which request."""

    message: Message
    request: Request | None


def _at_home(history: History, thread: str) -> Iterator[_Stored]:
    """The messages that were stored in this thread first, each once; what follows, also in another one, is a copy."""
    owner = history.threads.get(thread)
    seen: set[str] = set()
    for text in history.stored[thread]:
        request = history.requests.get(text.cause)
        for message in text.messages:
            is_new = message.id not in seen
            seen.add(message.id)
            if is_new and message.conversation == owner and history.homes[message.id] == thread:
                yield _Stored(message, request)


def check_stored(history: History, findings: Findings) -> None:
    """S13: a message's words are stored in its thread once, and all of them.

    Twice is a text of which all messages had been stored in this thread before and stood there still (an API may let them
    go with a turn that was cancelled), unless the fate of the first request was unknown when the second left, or the first
    one's handling raised or was cut off: S9 judges repetitions, and of relays with leases all that two requests store. A
    text with something new may repeat what was said before, and what is copied into a further thread is a copy. Twice is
    also what one text says more often than the messages in it do.

    Whole is a message of which everything is there: its letters in their case, its signs, a space wherever it had any
    (`Wording.holds_whole`). Not whole is also one that no thread has, whose handling stored something else instead.

    Would miss: messages of fewer than three words said twice in one text; parts of messages in handlings that also met a
    refusal; line breaks and indentation that were lost.
    """
    findings.check("S13", len(history.homes))
    for thread in history.stored:
        _check_once(history, thread, findings)
        _check_unchanged(history, thread, findings)
    for message in history.messages.values():
        if message.id not in history.homes and message.handlings:
            _check_whole(history, message, findings)


def _check_once(history: History, thread: str, findings: Findings) -> None:
    known: dict[str, StoredText] = {}
    told: set[str] = set()
    for text in history.stored[thread]:
        request = history.requests.get(text.cause)
        for each in text.messages:
            before = known.get(each.id)
            if before is not None and not history.contents.stood(
                thread, before.cause, before.text, text.cause, text.text
            ):
                del known[each.id]
        at_home = [each for each in text.messages if history.homes[each.id] == thread]
        if at_home and len(at_home) == len(text.messages) and all(each.id in known for each in at_home):
            message = at_home[0]
            first = history.requests.get(known[message.id].cause)
            is_judged_by_s9 = history.has_leases and first is not request
            if message.id not in told and not is_judged_by_s9 and not _may_repeat(history, first, request):
                told.add(message.id)
                findings.breach(
                    "S13",
                    f"{message.id} was stored in {thread} a second time, at {at(text.time)}",
                    message=message.id,
                    conversation=message.conversation,
                    received=[text.text],
                )
        for each in text.messages:
            known.setdefault(each.id, text)


def _check_unchanged(history: History, thread: str, findings: Findings) -> None:
    """Each message that has its home here stands here as it was written, and in no text twice."""
    owner = history.threads.get(thread)
    waiting: dict[str, tuple[Message, StoredText]] = {}
    whole: set[str] = set()
    for text in history.stored[thread]:
        for message in text.messages:
            if text.text == message.text:
                whole.add(message.id)
                continue
            if history.homes[message.id] != thread or message.conversation != owner:
                continue
            words = wording(text.text)
            if message.id not in whole:
                waiting.setdefault(message.id, (message, text))
                if words.holds_whole(wording(message.text)):
                    whole.add(message.id)
            if _is_repeated_in(history, text, message):
                findings.breach(
                    "S13",
                    f"{message.id} stands more than once in one text that {thread} got at {at(text.time)}",
                    message=message.id,
                    conversation=message.conversation,
                    received=[text.text],
                )
    for message, text in waiting.values():
        if message.id not in whole:
            findings.breach(
                "S13",
                f"{message.id} was stored with other letters, signs or spaces than its customer wrote: {thread} got "
                f"{shortened(text.text)} at {at(text.time)}",
                message=message.id,
                conversation=message.conversation,
                received=[text.text],
            )


def _is_repeated_in(history: History, text: StoredText, message: Message) -> bool:
    """Whether a text says this message's words more often than the messages in it do, and replies in it that quote them."""
    words = wording(message.text)
    if len(words.words) < TELLING_WORDS:
        return False
    said = wording(text.text)
    more = said.count(words) - sum(wording(each.text).count(words) for each in text.messages)
    if more <= 0:
        return False
    replies = {
        each
        for run in history.runs.values()
        if history.threads.get(run.thread) == message.conversation
        for each in run.wrote
        if said.holds(wording(each))
    }
    return more > sum(wording(each).count(words) for each in replies)


def _may_repeat(history: History, first: Request | None, second: Request | None) -> bool:
    if first is None or second is None or first is second:
        return False
    if first.is_uncertain(second.left):
        return True
    handling = history.handlings.get(first.delivery)
    return (
        handling is not None
        and first.delivery != second.delivery
        and (handling.end is None or handling.error_class is not None)
    )


def _check_whole(history: History, message: Message, findings: Findings) -> None:
    for handling in message.handlings:
        requests = [each for _, step, each in handling.steps if step == "request" and isinstance(each, Request)]
        writing = [each for each in requests if each.appends or each.starts]
        if handling.end is None or handling.error_class or not writing or any(each.status != 200 for each in writing):
            return
    ids = {each.delivery for each in message.handlings}
    for thread, texts in history.stored.items():
        for text in texts:
            request = history.requests.get(text.cause)
            if request is not None and request.delivery in ids and not text.messages:
                findings.breach(
                    "S13",
                    f"{message.id} was not stored whole: {thread} got {shortened(text.text)} at {at(text.time)}",
                    message=message.id,
                    conversation=message.conversation,
                    received=[text.text],
                )
                return


def check_order_of_writing(history: History, disturbances: Disturbances, findings: Findings) -> None:
    """S14: of two messages of a conversation, the one written first is stored first, also where its webhook came later,
    unless the later one's was requested before the relay had the earlier one, or nobody could know which that is.

    The relay has a message once its store has it, if it declares the step that accepts, else once its first handling began.
    It has it no more once a failover took that back, unless it had said that it has the message (`Disturbances.held`).
    What it decides by is as old as its last look into its inbox, if it declares that step. Nobody must do otherwise what may
    have been done: what the holder of a lease had decided who lost it binds the next one, and an attempt of unknown fate
    binds the next attempt. Nor can anybody recall a request that comes to be when it has been looked for, or another turn
    taken, and its message has ended (`landed_after_all`).

    Would miss: order in further threads, which copies have; messages of a handling that had raised or been cut off; a relay
    that gives requests up sooner than an API can be expected to answer.
    """
    for thread in history.stored:
        stored = list(_at_home(history, thread))
        if len(stored) < 2:
            continue
        findings.check("S14", len(stored) - 1)
        newest: list[_Stored] = []
        for each in stored:
            late = [
                other
                for other in newest
                if disturbances.is_known_later(other.message, each.message) and _had(history, each.message, other)
                if other.message.text != each.message.text  # which of two alike stands where cannot be told
            ]
            newest.append(each)
            if not late:
                continue
            facts = {"message": each.message.id, "conversation": each.message.conversation}
            if all(landed_after_all(history, thread, each.message, each.request, other.request) for other in late):
                said = _said_of_order(history, each, late[0])
                findings.residue("stored_late", f"{said}; it came after it had been given up", **facts)
                continue
            kept = next((other for other in late if not _was_lost(history, each.message, other, disturbances)), None)
            said = _said_of_order(history, each, kept or late[0])
            if kept is not None:
                findings.breach("S14", said, **facts)
            elif not disturbances.confirmed_by_replicas:  # else it has lost nothing that it had acknowledged
                findings.residue("lost_writes", f"{said}; a failover had lost writes", **facts)


def _said_of_order(history: History, stored: _Stored, other: _Stored) -> str:
    message, request = stored.message, other.request
    said = (
        f"{message.id} was stored after {other.message.id}, which was written later{crossing(message, other.message)}"
    )
    had_at = message.stored_at if history.knows_acceptances else message.first_start
    if request is None or request is stored.request or had_at is None:
        return said
    own = history.decided_at(request, message.conversation)
    decided = _decided(history, other, request) if history.knows_acceptances else own
    return said + had_before(had_at, decided, request, f"asked to store {other.message.id}")


def _had(history: History, message: Message, other: _Stored) -> bool:
    """Whether the relay had this message when it decided to store another one."""
    request = other.request
    if request is None:
        return False
    if history.knows_acceptances:
        return message.stored_at is not None and message.stored_at <= _decided(history, other, request)
    if message.first_start is None or message.first_start > history.decided_at(request, message.conversation):
        return False
    return not any(
        each.error_class is not None or each.end is None for each in message.handlings if each.start <= request.left
    )


def _decided(history: History, stored: _Stored, request: Request) -> float:
    """When it was decided to store this message by this request: by whoever had the lease first and lost it since, or handed
    it back, or with the first attempt that may have done it, for all that was known when this one left."""
    arrived = stored.message.stored_at
    lost = [
        lease.began
        for lease in history.leases.get(stored.message.conversation, ())
        if (lease.how not in (None, "released") or history.was_handed_back(lease))
        and lease.ended is not None
        and arrived is not None
        if arrived <= lease.ended <= request.left
    ]
    attempts = [
        each.decided
        for each in history.creations.get(request.thread or "", ())
        if arrived is not None and arrived <= each.decided and each.left < request.left
        if each.run_made is None and each.is_uncertain(request.left)
    ]
    return min([history.decided_at(request, stored.message.conversation), *lost, *attempts])


def _was_lost(history: History, message: Message, other: _Stored, disturbances: Disturbances) -> bool:
    """Whether a failover may have lost this message, or what was known of it, before the other one was stored."""
    request = other.request
    if request is None or not history.knows_acceptances:
        return False
    decided = _decided(history, other, request)
    known = max(each for each in message.acceptances if each <= decided)
    return not disturbances.held(message, decided, request.left) or disturbances.acknowledged_writes_lost(
        known, request.left
    )
