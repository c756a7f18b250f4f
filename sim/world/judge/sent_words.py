"""S15 of what customers read: a run's words with little around them, and nothing of a program's insides."""

from __future__ import annotations

from typing import Final

from relaysim.sim.trace.own_texts import program_errors, program_values
from relaysim.sim.trace.subjects import Run, Text
from relaysim.sim.trace.words import TELLING_WORDS, keeps_order, wording
from relaysim.sim.world.judge.findings import Findings, at, shortened
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.internals import Internals
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.judge.signed_numbers import changed_number
from relaysim.sim.world.judge.world_facts import WorldFacts

_AROUND_MAX: Final = 2000
"""Characters: a greeting, a signature and a disclaimer are fewer; more that no run wrote is no answer any more."""

_REFUSAL_WORDS_MIN: Final = 4
"""A shorter refusal of the API may be ordinary words."""


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
        shown = shortened(error)
        return f"{send.conversation} was sent {what} with a program's error in it, {shown}, at {at(send.time)}"
    value = next((each for each in values if not _is_written_value(each, text, own)), None)
    if value is not None:
        shown = shortened(value)
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
