"""The story of one failure, told from a trace in a screenful of lines.

A trace holds everything that happened in a world. `render_timeline` picks one conversation of it, writes each event
that matters as a line of people's words (who lost a lock, who saw an empty list, whose run was cancelled), folds
what repeats, ranks the lines, and drops the least important ones until the story fits.

A record is `(time, entity, kind, fields)`, time in virtual seconds; records are in the order in which things happened.
Kinds that `relaysim.sim.trace.schema` does not know are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from relaysim.reports.lease_story import render_lease_story
from relaysim.reports.story_facts import has_failed, is_active_at
from relaysim.reports.story_lines import Line, Link, Rank, lay_out
from relaysim.reports.story_order import raise_overtaking
from relaysim.reports.story_writer import StoryWriter
from relaysim.reports.unended_lines import tell_unended
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.conversation_evidence import Evidence
from relaysim.sim.trace.operation_roles import OperationRoles
from relaysim.sim.trace.subjects import Handling, Message

#: A story that is longer than this is read by nobody.
LINES_MAX = 25

Record = tuple[float, str, str, Sequence[Any]]


def render_timeline(
    records: Sequence[Record],
    width: int = 120,
    focus: str | None = None,
    *,
    roles: OperationRoles,
    lines_max: int = LINES_MAX,
    looks: Collection[str] = (),
) -> list[str]:
    """The annotated timeline of one conversation, as at most `lines_max` lines of at most `width` columns.

    `focus` names a delivery, a message or a conversation; without it the story is that of the first failure: the first
    handling that ended badly after a conflict, else the first that ended badly, else the first conflict. Where workers hold
    leases it is that of the first message that got no text, or one that no assistant wrote. `roles` says what the API's
    operations do. Times are seconds since the world began, as in everything else that is told of it. A line marked
    `!` is one that made the difference; it is told whole. Raises ValueError for a focus that the trace does not know, for
    less than four lines or forty columns, and for a trace of another version.
    """
    if lines_max < 4 or width < 40:
        raise ValueError(f"a timeline needs at least 4 lines of 40 columns, not {lines_max} of {width}")
    chronicle = Chronicle(roles)
    chronicle.read(records)
    if chronicle.has_leases and chronicle.messages:
        return render_lease_story(records, chronicle, _messages_in_focus(chronicle, focus), width, lines_max, looks)
    conversation, about = _focus(chronicle, focus)
    if not conversation:
        return ["nothing happened: no message was handled in this trace"]
    writer = StoryWriter(chronicle, conversation, about, looks)
    writer.read(records)
    tell_unended(writer, records)
    window = sorted(writer.lines, key=lambda line: (line.time, line.order))
    if about is not None:
        window = _around(window, chronicle, about)
        _raise_chain(window, about, _moment(chronicle, about))
        if about.message is not None:
            raise_overtaking(window, chronicle, about.message_id)
    subject = f": {about.message_id}, handled by {about.worker}" if about else ""
    return lay_out(window, writer.evidence.threads, conversation, subject, width, lines_max)


def conversation_of(records: Sequence[Record], focus: str | None = None, *, roles: OperationRoles) -> str:
    """The conversation that `render_timeline` tells of for this focus; "" if no message was handled."""
    chronicle = Chronicle(roles)
    chronicle.read(records)
    return _focus(chronicle, focus)[0]


def _unknown(chronicle: Chronicle, focus: str) -> ValueError:
    known = ", ".join(sorted({each.conversation for each in chronicle.messages.values()})[:8])
    return ValueError(f"no delivery, message or conversation {focus!r} in this trace; conversations: {known}")


def _messages_in_focus(chronicle: Chronicle, focus: str | None) -> list[Message]:
    messages = list(chronicle.messages.values())
    if focus is None:
        return messages
    named = focus.partition("#")[0]
    found = [each for each in messages if named in (each.id, each.conversation)]
    if not found:
        raise _unknown(chronicle, focus)
    return found


def _focus(chronicle: Chronicle, focus: str | None) -> tuple[str, Handling | None]:
    """The conversation to tell of, and the handling in it that the story is about."""
    handlings = list(chronicle.handlings.values())
    if focus is None:
        chosen = _most_telling(chronicle, handlings)
        return (chosen.conversation if chosen else ""), chosen
    if focus in chronicle.handlings:
        return chronicle.handlings[focus].conversation, chronicle.handlings[focus]
    message = chronicle.messages.get(focus)
    if message is not None:
        return message.conversation, _most_telling(chronicle, message.handlings)
    if not any(each.conversation == focus for each in chronicle.messages.values()):
        raise _unknown(chronicle, focus)
    return focus, _most_telling(chronicle, [each for each in handlings if each.conversation == focus])


def _most_telling(chronicle: Chronicle, handlings: Sequence[Handling]) -> Handling | None:
    refused = {request.delivery for request in chronicle.requests.values() if request.conflict}
    escaped = {event.delivery for _, _, event in chronicle.exceptions}
    for wanted in (
        [each for each in handlings if has_failed(each) and each.delivery in refused],
        [each for each in handlings if has_failed(each)],
        [each for each in handlings if each.delivery in escaped],
        _unanswered(chronicle, handlings),
        [each for each in handlings if each.delivery in refused],
        list(handlings),
    ):
        if wanted:
            return min(
                wanted, key=lambda each: (each.start if each.end is None else each.end, each.start, each.delivery)
            )
    return None


def _unanswered(chronicle: Chronicle, handlings: Sequence[Handling]) -> list[Handling]:
    """The handlings of messages that no sent reply covers, of conversations for which work is done outside of handlings:
    there, that a handling has ended well tells nothing."""
    evidence = Evidence(chronicle)
    outside = {each: bool(evidence.background_requests(each)) for each in {each.conversation for each in handlings}}
    if not any(outside.values()):
        return []
    covered = {name for send in chronicle.sends if send.run is not None for name in chronicle.covered_by(send.run)}
    return [each for each in handlings if outside[each.conversation] and each.message_id not in covered]


def _moment(chronicle: Chronicle, about: Handling) -> float:
    """When it went wrong: at its first conflict, or else when it ended."""
    evidence = Evidence(chronicle)
    refused = [
        each.served_at
        for each in chronicle.requests.values()
        if each.conflict
        and each.served_at is not None
        and (
            each.delivery == about.delivery
            or (
                not each.delivery
                and each.served_at >= about.start
                and evidence.conversation_of("", thread=each.thread) == about.conversation
            )
        )
    ]
    return min(refused) if refused else (about.end or about.start)


def _around(ordered: Sequence[Line], chronicle: Chronicle, about: Handling) -> list[Line]:
    """The lines in the window of the handling in focus; those of other stories in it rank lower.

    A handling goes on, for its story, as long as its tasks do. Where work is done outside of handlings, nobody knows to
    which of them it belongs, and the window is the whole conversation.
    """
    if any(line.background for line in ordered):
        return list(ordered)
    moment = _moment(chronicle, about)
    worked: dict[str, float] = {}
    for line in ordered:
        if line.who != "api":
            worked[line.delivery] = max(line.time, worked.get(line.delivery, 0.0))

    def end_of(handling: Handling) -> float:
        return float("inf") if handling.end is None else max(handling.end, worked.get(handling.delivery, 0.0))

    near = {
        each.delivery
        for each in chronicle.handlings.values()
        if each.conversation == about.conversation and each.start <= end_of(about) and end_of(each) >= about.start
    }
    # An abandoned handling may have left the run that is in the way: whoever made it belongs to the story.
    for run in chronicle.runs.values():
        made_by = chronicle.handlings.get(run.delivery)
        was_active = is_active_at(run, about.start) or is_active_at(run, moment)
        if was_active and made_by is not None and made_by.conversation == about.conversation:
            near.add(run.delivery)
    involved = [chronicle.handlings[label] for label in sorted(near)]
    first = min((each.start for each in involved), default=about.start)
    messages = {each.message_id for each in involved}
    last = max((end_of(each) for each in involved if each.end is not None), default=end_of(about))
    window = []
    for line in ordered:
        is_unended = line.link is Link.ENDED and line.delivery in near
        if first <= line.time <= last + 1.0 or is_unended or (line.by_customer and messages & set(line.messages)):
            if line.delivery and line.delivery not in near:
                line.rank -= Rank.OTHER_STORY
            window.append(line)
    return window


def _raise_chain(window: Sequence[Line], about: Handling, moment: float) -> None:
    """Put the links of the chain of causes above all else: of each kind the last before the moment, or else the first.

    The chain: the last lock lost, the last looks at the list, the run created, the refusal, the end.
    """

    def own(line: Line) -> bool:
        return line.background or line.delivery == about.delivery

    chain: list[Callable[[Line], bool]] = [
        lambda line: line.link is Link.LOCK_LOST,
        lambda line: line.link is Link.LIST_EMPTY and own(line),
        lambda line: line.link is Link.LIST_EMPTY and not own(line),
        lambda line: line.link is Link.FOREIGN_RUN,
        lambda line: line.link is Link.REFUSED and own(line),
        lambda line: line.link is Link.ENDED and own(line),
    ]
    for is_link in chain:
        links = [line for line in window if is_link(line)]
        before = [line for line in links if line.time <= moment]
        if links:
            (before[-1] if before else links[0]).rank = Rank.KEY
