"""The story of one failure as data: its lines, what it came from, and what the records behind them are.

`tell_story` picks one conversation of a trace, has its lines written, keeps those around the handling or the message that it
is about, and marks those that show what the breach came from. How it is shown is up to `timeline` (lines of text) and
`story_lanes` (a page).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relaysim.reports.lease_story import lease_story
from relaysim.reports.story_cause_kinds import Cause, CauseKind
from relaysim.reports.story_causes import find_causes
from relaysim.reports.story_evidence import EvidenceLines
from relaysim.reports.story_facts import has_failed, is_active_at
from relaysim.reports.story_lines import Line, Link, Rank, quoted
from relaysim.reports.story_order import raise_overtaking
from relaysim.reports.story_writer import StoryWriter
from relaysim.reports.unended_lines import tell_unended
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.conversation_evidence import Evidence
from relaysim.sim.trace.operation_roles import OperationRoles
from relaysim.sim.trace.schema import MessageSent, TextSent
from relaysim.sim.trace.subjects import Handling, Message

Record = tuple[float, str, str, Sequence[Any]]

_WHOLE_TEXT: int = 300
"""Letters of a text that is the breach or shows what it came from; others are cut to what tells them apart."""


@dataclass(slots=True)
class Story:
    """One conversation's story.

    Attributes:
        chronicle: of the whole trace.
        conversation: whose; "" if no message was handled.
        subject: what it is about, as the end of its first row.
        message_id: the message that it is about; "" for none.
        lines: in their order; a line's `order` is its record's place in the trace, or beyond its end.
        threads: of the whole trace, with the conversation of each.
        causes: of the breach that was asked for.
    """

    chronicle: Chronicle
    conversation: str
    subject: str = ""
    message_id: str = ""
    lines: list[Line] = field(default_factory=list)
    threads: Mapping[str, str] = field(default_factory=dict)
    causes: list[Cause] = field(default_factory=list)


def tell_story(
    records: Sequence[Record],
    focus: str | None = None,
    *,
    roles: OperationRoles,
    looks: Collection[str] = (),
    breach: Mapping[str, Any] | None = None,
) -> Story:
    """The story of one conversation; see `relaysim.reports.timeline.render_timeline`.

    Raises:
        ValueError: the trace does not know the focus, or is of another version.
    """
    chronicle = Chronicle(roles)
    chronicle.read(records)
    causes = [] if breach is None else find_causes(records, chronicle, breach)
    names_none = breach is not None and breach.get("message") not in chronicle.messages
    if breach is not None and names_none and focus is not None and focus == breach.get("conversation"):
        focus = _sent_in(causes, records, chronicle) or _written_last(breach, chronicle) or focus
    if chronicle.has_leases and chronicle.messages:
        told = lease_story(records, chronicle, _messages_in_focus(chronicle, focus), looks)
        story = Story(chronicle, told.message.conversation, f": {told.message.id}", told.message.id, told.window)
        story.threads = chronicle.named_threads
        every, tells_faults = told.lines, False
    else:
        conversation, about = focus_of(chronicle, focus)
        if not conversation:
            return Story(chronicle, "")
        writer = StoryWriter(chronicle, conversation, about, looks)
        writer.read(records)
        tell_unended(writer, records)
        every = sorted(writer.lines, key=lambda line: (line.time, line.order))
        story = Story(chronicle, conversation, lines=list(every), threads=writer.evidence.threads)
        if about is not None:
            story.subject, story.message_id = f": {about.message_id}, handled by {about.worker}", about.message_id
            story.lines = _around(every, chronicle, about)
            _raise_chain(story.lines, about, _moment(chronicle, about))
            if about.message is not None:
                raise_overtaking(story.lines, chronicle, about.message_id)
        tells_faults = True
    story.causes = causes
    _tell_causes(story, every, records, tells_faults=tells_faults)
    return story


def _sent_in(causes: Sequence[Cause], records: Sequence[Record], chronicle: Chronicle) -> str:
    """The delivery in whose handling the text left that is the breach; "" if that is not known."""
    for cause in causes:
        event = records[cause.places[-1]][3]
        if cause.kind is CauseKind.BREACHING_SEND and isinstance(event, TextSent):
            return event.delivery if event.delivery in chronicle.handlings else ""
    return ""


def _written_last(breach: Mapping[str, Any], chronicle: Chronicle) -> str:
    """The last message that the conversation's customer had written by the instant of a breach; "" where it names none."""
    own = [each for each in chronicle.messages.values() if each.conversation == breach.get("conversation")]
    before = [each for each in own if "at" in breach and each.sent_at <= breach["at"]]
    return max(before, key=lambda each: each.number).id if before else ""


def _tell_causes(story: Story, every: Sequence[Line], records: Sequence[Record], *, tells_faults: bool) -> None:
    """Have a line for each record of a cause, above all others, and one for each fault that the lines do not tell yet."""
    kinds: dict[int, tuple[str, ...]] = {}
    for cause in story.causes:
        for place in cause.places:
            kinds[place] = (*kinds.get(place, ()), cause.kind.name)
    evidence = EvidenceLines(story.chronicle, story.conversation, set(kinds), tells_faults=tells_faults)
    evidence.read(records)
    there = {line.order for line in story.lines}
    by_place = {line.order: line for line in evidence.lines} | {line.order: line for line in every}
    begin, end = (story.lines[0].time, story.lines[-1].time) if story.lines else (0.0, 0.0)
    for place, line in by_place.items():
        is_fault = place in evidence.faults and begin <= line.time <= end and not _is_told(line, story.lines)
        if place not in there and (place in kinds or is_fault):
            story.lines.append(line)
        if place in kinds:
            line.causes, line.rank, line.loud = kinds[place], Rank.CAUSE, True
            event = records[place][3]
            if isinstance(event, TextSent | MessageSent):
                line.text = line.text.replace(quoted(event.text), quoted(event.text, _WHOLE_TEXT))
    story.lines.sort(key=lambda line: (line.time, line.order))


def _is_told(fault: Line, lines: Sequence[Line]) -> bool:
    """Whether a line tells already, in other words, what befell this worker then."""
    return any(line.time == fault.time and line.loud and line.who.partition(" ")[0] == fault.who for line in lines)


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


def focus_of(chronicle: Chronicle, focus: str | None) -> tuple[str, Handling | None]:
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
