"""The story of one failure, told from a trace in a screenful of lines.

A trace holds everything that happened in a world. `render_timeline` lays out the story that `relaysim.reports.story` tells
of one conversation: each event that matters as a line of people's words (who lost a lock, who saw an empty list, whose run
was cancelled), what repeats folded, the least important lines dropped until it fits.

A record is `(time, entity, kind, fields)`, time in virtual seconds; records are in the order in which things happened.
Kinds that `relaysim.sim.trace.schema` does not know are passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from relaysim.reports.story import Record, focus_of, tell_story
from relaysim.reports.story_lines import lay_out
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.operation_roles import OperationRoles

#: A story that is longer than this is read by nobody.
LINES_MAX = 25


def render_timeline(
    records: Sequence[Record],
    width: int = 120,
    focus: str | None = None,
    *,
    roles: OperationRoles,
    lines_max: int = LINES_MAX,
    looks: Collection[str] = (),
    breach: Mapping[str, Any] | None = None,
) -> list[str]:
    """The annotated timeline of one conversation, as at most `lines_max` lines of at most `width` columns.

    `focus` names a delivery, a message or a conversation; without it the story is that of the first failure: the first
    handling that ended badly after a conflict, else the first that ended badly, else the first conflict. Where workers hold
    leases it is that of the first message that got no text, or one that no assistant wrote. `roles` says what the API's
    operations do. `breach` is what an observation says of what went wrong (see `relaysim.reports.story_causes`): what it
    came from is then in the story, told whole. Times are seconds since the world began, as in everything else that is told
    of it. A line marked `!` is one that made the difference; it is told whole. Raises ValueError for a focus that the trace
    does not know, for less than four lines or forty columns, and for a trace of another version.
    """
    if lines_max < 4 or width < 40:
        raise ValueError(f"a timeline needs at least 4 lines of 40 columns, not {lines_max} of {width}")
    story = tell_story(records, focus, roles=roles, looks=looks, breach=breach)
    if not story.conversation:
        return ["nothing happened: no message was handled in this trace"]
    return lay_out(story.lines, story.threads, story.conversation, story.subject, width, lines_max)


def conversation_of(records: Sequence[Record], focus: str | None = None, *, roles: OperationRoles) -> str:
    """The conversation that `render_timeline` tells of for this focus; "" if no message was handled."""
    chronicle = Chronicle(roles)
    chronicle.read(records)
    return focus_of(chronicle, focus)[0]
