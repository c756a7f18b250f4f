"""S13 to S15: what customers write is stored once, whole and in order; what they read is a run's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from relaysim.sim.trace.own_texts import program_errors, program_values
from relaysim.sim.trace.subjects import Message, Request, Run, StoredText, Text
from relaysim.sim.trace.words import TELLING_WORDS, keeps_order, wording
from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.early_looks import crossing, had_before
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.internals import Internals
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.judge.lookups import landed_after_all
from relaysim.sim.world.judge.signed_numbers import changed_number
from relaysim.sim.world.judge.world_facts import WorldFacts

_AROUND_MAX: Final = 2000
"""Characters: a greeting, a signature and a disclaimer are fewer; more that no run wrote is no answer any more."""

_REFUSAL_WORDS_MIN: Final = 4
"""A shorter refusal of the API may be ordinary words."""


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
                f"{_shortened(text.text)} at {at(text.time)}",
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
    found = said.count(words)
    if found <= max(1, sum(wording(each.text).count(words) for each in text.messages)):
        return False
    replies = {
        each
        for run in history.runs.values()
        if history.threads.get(run.thread) == message.conversation
        for each in run.wrote
        if said.holds(wording(each))
    }
    quoted = sum(wording(each).count(words) for each in replies)
    return found > quoted + sum(wording(each.text).count(words) for each in text.messages)


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
                    f"{message.id} was not stored whole: {thread} got {_shortened(text.text)} at {at(text.time)}",
                    message=message.id,
                    conversation=message.conversation,
                    received=[text.text],
                )
                return


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


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


def check_replies_words(history: History, findings: Findings) -> None:
    """S15: what a customer reads is what a run wrote, with little around it, and nothing of a program's insides. Whether all
    of it was sent, and in which order: see `relaysim.sim.world.judge.pieces`.

    Around a reply may stand 2,000 characters that no run wrote, and what
    the conversation's customer wrote; so much may a text have that is no reply. What an exception or a refusal of the API
    says, however it is wrapped, what a program prints of its objects and templates (`program_values`), a credential, an
    id of the API and a sign that reverses letters are none of these, unless a run or the customer had
    written it. A run's words in another order are no words of the run, and a text of nothing but what its customer had
    written is nothing that a customer waits for.

    Would miss: words that stand between those of the run; errors that the relay words itself; customers' own words that are
    sent back in place of a reply with more around them than a number and signs.
    """
    internals = Internals(history)
    for send in history.sends:
        findings.check("S15")
        if send.text == send.reply:
            continue
        said = _strange_words(history, send, internals)
        if said is not None:
            names = {"message": send.names[0]} if send.names else {}
            findings.breach("S15", said, conversation=send.conversation, received=[send.text], **names)


def check_withheld(history: History, settings: JudgeSettings, facts: WorldFacts, findings: Findings) -> None:
    """S15: what a run wrote that was cut off for a reason for which the relay declares to withhold it reaches nobody."""
    withholds = settings.promises.withholds
    for send in history.sends:
        if send.run is None:
            continue
        reason = facts.cut_off.get(send.run.id)
        if reason is not None and reason in withholds:
            findings.breach(
                "S15",
                f"{send.conversation} was sent what {send.run.id} had written, which had been cut off by {reason}, at "
                f"{at(send.time)}",
                conversation=send.conversation,
                received=[send.text],
            )


def _strange_words(history: History, send: Text, internals: Internals) -> str | None:
    """What is wrong with the words around a reply, or with a text that is none."""
    text = send.text
    runs: list[Run] = [] if send.run is None else [send.run, *send.others]
    if send.run is not None and send.is_scrambled:
        how = "some of them changed or missing" if keeps_order(text, send.reply) else "in another order"
        return f"{send.conversation} was sent the words of {send.run.id}, {how}, at {at(send.time)}"
    own = [reply for run in runs for reply in run.wrote]
    if send.run is not None and send.piece is None and _is_said_twice(text, send.reply, own):
        return f"{send.conversation} was sent what {send.run.id} had written more than once in one text, at {at(send.time)}"
    changed = None if send.run is None else changed_number(send, own)
    if changed is not None:
        return f"{send.conversation} was sent {changed}, at {at(send.time)}"
    what = "a reply" if runs else "a text"
    if send.run is None and len(wording(text).words) >= TELLING_WORDS and not history.is_declared(send):
        message = history.repeated_by(send)
        if message is not None:
            whose = f"those of {message.id}, in place of a {history.roles.words.run}'s"
            return f"{send.conversation} was sent its own customer's words, {whose}, at {at(send.time)}"
    internal = internals.find(send)
    if internal is not None:
        return f"{send.conversation} was sent {what} with {internal} in it, at {at(send.time)}"
    errors = [*program_errors(text), *_refusals_in(history, text)]
    values = program_values(text)
    if not errors and not values and len(text) <= _AROUND_MAX:
        return None
    own += [each.text for each in history.messages_in(text) if each.conversation == send.conversation]
    own += history.declared_in(send.text) if errors or values else []
    error = next((each for each in errors if not _is_written(each, own)), None)
    if error is not None:
        shown = _shortened(error)
        return f"{send.conversation} was sent {what} with a program's error in it, {shown}, at {at(send.time)}"
    value = next((each for each in values if not _is_written_value(each, text, own)), None)
    if value is not None:
        shown = _shortened(value)
        return f"{send.conversation} was sent {what} with a program's insides in it, {shown}, at {at(send.time)}"
    shortest = min((len(each) for each in wording(text).readings), default=0)
    around = shortest - sum(len(" ".join(wording(each).words)) for each in own)
    if around > _AROUND_MAX:
        what += f" with {around:,} characters in it that no {history.roles.words.run} wrote"
        return f"{send.conversation} was sent {what}, at {at(send.time)}"
    return None


def _is_said_twice(text: str, reply: str, own: list[str]) -> bool:
    """Whether a text holds a reply more often than it was written."""
    said, words = wording(text), wording(reply)
    if len(words.words) < TELLING_WORDS or text == reply:
        return False
    found = said.count(words)
    return found > 1 and found > sum(wording(each).count(words) for each in own)


def _refusals_in(history: History, text: str) -> list[str]:
    """What the API said when it refused requests, as far as it stands in this text."""
    words = wording(text)
    known = ((each, wording(each)) for each in history.refusals)
    return [each for each, said in known if len(said.words) >= _REFUSAL_WORDS_MIN and words.holds(said)]


def _is_written(error: str, own: list[str]) -> bool:
    """Whether a run or the customer wrote of this error."""
    words = wording(error)
    return any(error in program_errors(each) or (len(words.words) > 1 and wording(each).holds(words)) for each in own)


def _is_written_value(value: str, text: str, own: list[str]) -> bool:
    """Whether a run, the customer or a declaration wrote this value: a mere word as often as it stands in the text."""
    if value.isalpha():
        words = wording(value)
        return wording(text).count(words) <= sum(wording(each).count(words) for each in own)
    return any(value in form for each in own for form in wording(each).undone)
