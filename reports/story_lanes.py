"""A story as lanes, as plain data for a page: who did what in which row, and what lasted from which row to which.

Time goes down. Each line of the story is a row; each beginning or end of something that lasted, if no line stands there, is
a thin row of its own, so the order is exact however far apart two instants are. The lanes are the customer, each worker,
Redis, and each thread or conversation of the API; in them stand, as bars, what workers handled and did outside of handlings,
the holds of locks and leases, and the runs or turns. Bars of one lane that overlap stand beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from relaysim.reports.story import Record, Story
from relaysim.reports.story_lines import Line, kept_lines, short_ids
from relaysim.reports.story_places import Places
from relaysim.sim.trace.conversation_evidence import Evidence
from relaysim.sim.trace.crashes import Crashes
from relaysim.sim.trace.holds import Holds

LINES_MAX: Final = 40
"""Rows of text: a page has more room than a terminal, and nobody reads more of one story."""

_CUSTOMER, _REDIS = "customer", "Redis"
_FAULTS: Final = frozenset(
    {
        *("host.crash", "host.pause", "host.slow", "host.stop", "host.skew", "redis.fault"),
        *("loop.blocked", "webhook.failed", "lease.gone", "lease.expired", "lease.lost", "lease.back"),
    }
)
_OUTSIDE: Final = "outside of handle"
_AT_WORK_SECONDS: Final = 5.0
"""Work outside of handlings that pauses for longer than this is two bars."""


@dataclass(slots=True)
class _Bar:
    """Something that lasted, between two places in the trace; `end` -1: until the world's end."""

    lane: str
    kind: str
    label: str
    begin: int
    began: float
    end: int
    ended: float | None
    how: str = ""
    column: int = 0


def lanes_of(story: Story, records: Sequence[Record], lines_max: int = LINES_MAX) -> dict[str, Any]:
    """The story as plain data.

    Args:
        story: as told.
        records: the trace that it was told of.
        lines_max: rows of text; those of causes are there even if they are more.

    Returns:
        `lanes` (name, kind, and how many columns), `rows` (of text: `time`, `who`, `text`, `lane`, and what marks it; thin
        ones have a time only), `bars` (lane, column, first and last row, kind, label, seconds), `causes` (kind, title, and
        rows, which have their numbers, from 1) and `left_out`, how many lines are not there.
    """
    kept = kept_lines(story.lines, lines_max)
    if not kept:
        return {"lanes": [], "rows": [], "bars": [], "causes": [], "left_out": 0}
    begin, end = kept[0], kept[-1]
    bars = [
        bar for bar in _bars(story, records) if bar.began <= end.time and (bar.ended is None or bar.ended >= begin.time)
    ]
    shorten = short_ids([*(line.text for line in story.lines), *story.threads, *(bar.label for bar in bars)])
    lanes = _lanes(story, records, kept, bars)
    # The instants: where a line stands, and where something begins or ends between two lines.
    at = {line.order: line.time for line in kept}
    for bar in bars:
        for place, time in ((bar.begin, bar.began), (bar.end, bar.ended)):
            if place >= 0 and time is not None and (begin.time, begin.order) < (time, place) < (end.time, end.order):
                at.setdefault(place, time)
    ordered = sorted(at, key=lambda place: (at[place], place))
    row_of = {place: row for row, place in enumerate(ordered)}
    by_place = {line.order: line for line in kept}
    _arrange(bars)
    columns = {lane: max((bar.column + 1 for bar in bars if bar.lane == lane), default=1) for lane, _ in lanes}
    places = {lane: number for number, (lane, _) in enumerate(lanes)}
    kinds = list(dict.fromkeys(cause.kind for cause in story.causes))
    rows = [
        _row(story, records, by_place[place], places, bars, shorten)
        if place in by_place
        else {"time": f"{at[place]:.3f}"}
        for place in ordered
    ]
    return {
        "lanes": [{"name": shorten(lane), "kind": kind, "columns": columns[lane]} for lane, kind in lanes],
        "rows": rows,
        "bars": [
            {
                "lane": places[bar.lane],
                "column": bar.column,
                "first": row_of.get(bar.begin, 0),
                "last": row_of.get(bar.end, len(rows) - 1),
                "is_cut_above": bar.begin not in row_of,
                "is_cut_below": bar.end not in row_of,
                "kind": bar.kind,
                "label": shorten(bar.label),
                "began": f"{bar.began:.3f}",
                "ended": "" if bar.ended is None else f"{bar.ended:.3f}",
                "how": bar.how,
            }
            for bar in bars
        ],
        "causes": [
            {
                "kind": kind.name,
                "title": story.chronicle.roles.words.said(kind.value),
                "rows": sorted(
                    # What is not told in this conversation's story, such as another one's handling, has no row.
                    {
                        row_of[place]
                        for cause in story.causes
                        if cause.kind is kind
                        for place in cause.places
                        if place in row_of
                    }
                ),
            }
            for kind in kinds
        ],
        "left_out": len(story.lines) - len(kept),
    }


def _row(
    story: Story,
    records: Sequence[Record],
    line: Line,
    places: dict[str, int],
    bars: Sequence[_Bar],
    shorten: Any,
) -> dict[str, Any]:
    lane = _lane_of(story, records, line)
    column = next(
        (
            bar.column
            for bar in bars
            if bar.lane == lane and bar.kind == "handling" and _holds(bar, line) and line.delivery.startswith(bar.label)
        ),
        0,
    )
    kind = records[line.order][2] if line.order < len(records) else ""
    kinds = list(dict.fromkeys(cause.kind.name for cause in story.causes))
    return {
        "time": f"{line.time:.3f}",
        "who": line.who,
        "text": shorten(line.text),
        "lane": places[lane],
        "column": column,
        "loud": line.loud,
        "fault": kind in _FAULTS,
        "causes": [kinds.index(each) + 1 for each in dict.fromkeys(line.causes)],
        "traceback": list(line.traceback),
        "chain": list(line.chain),
    }


def _holds(bar: _Bar, line: Line) -> bool:
    return bar.begin <= line.order and (bar.end < 0 or line.order <= bar.end)


def _lane_of(story: Story, records: Sequence[Record], line: Line) -> str:
    """In which lane a line stands: its doer's."""
    if line.by_customer:
        return _CUSTOMER
    handling = story.chronicle.handlings.get(line.delivery)
    event = records[line.order][3] if line.order < len(records) else None
    if line.who == "api":
        run = story.chronicle.runs.get(getattr(event, "run_id", ""))
        return run.thread if run is not None else _first_thread(story)
    if line.who == "redis":
        return _REDIS
    return handling.worker if handling is not None else line.who.partition(" ")[0]


def _first_thread(story: Story) -> str:
    return next((thread for thread, owner in story.threads.items() if owner == story.conversation), "API")


def _lanes(
    story: Story, records: Sequence[Record], kept: Sequence[Line], bars: Sequence[_Bar]
) -> list[tuple[str, str]]:
    """The lanes that something stands in, the customer's first and the API's last."""
    used = dict.fromkeys([*(_lane_of(story, records, line) for line in kept), *(bar.lane for bar in bars)])
    threads = {run.thread for run in story.chronicle.runs.values()} | set(story.threads) | {"API"}

    def kind_of(lane: str) -> str:
        if lane == _CUSTOMER:
            return "customer"
        return "redis" if lane == _REDIS else "thread" if lane in threads else "worker"

    order = ["customer", "worker", "redis", "thread"]
    kinds = {lane: kind_of(lane) for lane in used}
    return sorted(kinds.items(), key=lambda each: (order.index(each[1]), each[0]))


def _bars(story: Story, records: Sequence[Record]) -> list[_Bar]:
    chronicle, evidence = story.chronicle, Evidence(story.chronicle)
    places, holds, crashes = Places(), Holds(), Crashes()
    for reader in (places, holds, crashes):
        reader.read(records)
    bars = []
    for handling in chronicle.handlings.values():
        if handling.conversation != story.conversation:
            continue
        end, ended, how = (
            places.ended.get(handling.delivery, -1),
            handling.end,
            handling.error_class or handling.outcome,
        )
        crash = crashes.first_after(handling.worker, handling.start)
        if ended is None and crash is not None:
            (ended, end), how = crash, "lost its power"
        begin = places.started[handling.delivery]
        bar = _Bar(handling.worker, "handling", handling.message_id, begin, handling.start, end, ended, how or "")
        bars.append(bar)
    bars += _background(story, evidence, places)
    for hold in holds.holds:
        if hold.kind == "lease":
            is_own = hold.key == story.conversation
        else:
            is_own = evidence.conversation_of(hold.delivery, key=hold.key) == story.conversation
        if is_own:
            label = f"{hold.worker}: {'lease of ' if hold.kind == 'lease' else ''}{hold.key}"
            bars.append(_Bar(_REDIS, hold.kind, label, hold.begin, hold.began, hold.end, hold.ended, hold.how))
    for run in chronicle.runs.values():
        if evidence.threads.get(run.thread) == story.conversation:
            end = -1 if run.ended is None else places.states.get((run.id, run.state), -1)
            bars.append(_Bar(run.thread, "run", run.id, run.index, run.created, end, run.ended, run.state))
    return bars


def _background(story: Story, evidence: Evidence, places: Places) -> list[_Bar]:
    """What workers did for the conversation outside of handlings: from the first request or text to the last answer or text,
    as long as they did not pause for long."""
    done: list[_Bar] = []
    for request in evidence.background_requests(story.conversation):
        ended = request.answered if request.answered is not None else request.served_at
        end = places.answered.get(request.id, places.served.get(request.id, -1))
        done.append(_Bar(request.worker, "work", _OUTSIDE, request.index, request.left, end, ended))
    for send in story.chronicle.sends:
        handling = story.chronicle.handlings.get(send.delivery)
        after = handling is None or (handling.end is not None and send.time > handling.end)
        if after and send.conversation == story.conversation:
            done.append(_Bar(send.worker, "work", _OUTSIDE, send.index, send.time, send.index, send.time))
    bars: dict[str, list[_Bar]] = {}
    for each in sorted(done, key=lambda bar: bar.begin):
        of_worker = bars.setdefault(each.lane, [])
        last = of_worker[-1] if of_worker else None
        if last is None or (last.ended is not None and each.began - last.ended > _AT_WORK_SECONDS):
            of_worker.append(each)
        elif last.ended is not None and (each.ended is None or each.ended > last.ended):
            last.end, last.ended = each.end, each.ended
    return [bar for of_worker in bars.values() for bar in of_worker]


def _arrange(bars: Sequence[_Bar]) -> None:
    """Give each bar the first column of its lane that is free all that time."""
    taken: dict[str, list[list[_Bar]]] = {}
    for bar in sorted(bars, key=lambda each: (each.began, each.begin)):
        columns = taken.setdefault(bar.lane, [])
        for number, column in enumerate(columns):
            last = column[-1]
            if last.ended is not None and (last.ended, last.end) <= (bar.began, bar.begin):
                bar.column = number
                column.append(bar)
                break
        else:
            bar.column = len(columns)
            columns.append([bar])
