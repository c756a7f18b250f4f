"""What a log's lines tell, in bounded memory: conflicts, recoveries, failures, waits, requests, runs, outcomes.

Counts are of lines, so they are exact however many workers write at once: a message met an active run where a line says
"attempt 1/N", recovered at k where one says "created (attempt k)", failed where one says so. Where the relay tells the same
in an event, the event stands next to the line (both are written in one step) and is not counted again; an event alone counts
by itself.

A relay that writes no such lines leaves the API's own refusals, which are counted as refused requests: an exception is
logged at several places, so the same sentence about the same run within `SAME_SECONDS` is one. Those of a run that the
relay's own lines name are told by these already.

Endings are also kept in the order of the log, in at most 64 portions of equal size (`Portions`): conflicts that stand
together share outages, and the spread between portions shows how much.

Longer than 400 lines because the lines of a log are recognised, joined and counted in one pass over it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from relaysim.scenarios.fit.blocks import Bytes, LogError, blocks_of
from relaysim.scenarios.fit.episodes import Chain, Episode, Episodes, Latest, free_between, split_waits
from relaysim.scenarios.fit.intervals import Amounts, Intervals
from relaysim.scenarios.fit.lines import Kind, Line, Unread, lines_of
from relaysim.scenarios.fit.shapes import (
    Wanted,
    blocks_from_the_end,
    date_order,
    has_two_ends,
    is_newest_first,
    shaped,
    texts_of,
)

PORTIONS_MAX: Final = 64
WORKERS_MAX: Final = 10_000
FAILED: Final = 0
"""The ending of a message that no attempt got through; the others are the attempt's number."""
FINE_DIGITS: Final = 2
"""Digits of the second that a date must have before the time between two of them is used."""
NEAR_LINES: Final = 8
"""How many of the relay's lines may stand between a line and the event that says the same."""
ATTEMPTS_MAX: Final = 1_000
WAITS_MAX: Final = 50
"""Of more waits for one run nothing is remembered."""
MESSAGES_MAX: Final = 1_000
"""How many messages one outcome may have: a damaged number must not keep the reader busy."""
NAMES_MAX: Final = 100
"""How many different states or outcomes are told apart."""
WELL: Final = frozenset((b"answered", b"covered"))
"""Outcomes with a reply."""
HELD_MAX: Final = 100_000
"""How many of the relay's lines are held to turn a log round that cannot be read from its end."""
SAME_SECONDS: Final = 0.15
"""No request is refused, sent again and refused again within this time: an answer takes some 0.3 s."""
SLOW_SECONDS: Final = 10.0
"""A request that takes longer says nothing of the others."""
LOOKED_AT_SECONDS: Final = 60.0
"""How long the relay looks at a run by default before it gives up on it."""


class Portions:
    """Endings in portions of equal size, in the order of the log; at most `PORTIONS_MAX` of them."""

    def __init__(self) -> None:
        self._size = 1
        self._full: list[Counter[int]] = []
        self._last: Counter[int] = Counter()

    def add(self, ending: int) -> None:
        """The next ending."""
        self._last[ending] += 1
        if self._last.total() < self._size:
            return
        self._full.append(self._last)
        self._last = Counter()
        if len(self._full) == PORTIONS_MAX:
            self._full = [one + other for one, other in zip(self._full[::2], self._full[1::2], strict=True)]
            self._size *= 2

    def all(self) -> list[Counter[int]]:
        """Every portion, the unfinished last one included."""
        return [*self._full, self._last] if self._last else list(self._full)


@dataclass(slots=True)
class _Worker:
    """What the last lines of one worker were about."""

    conflict: Line | None = None  # whose run the next line may name
    answered: bytes = b""  # the run whose wait the next line tells
    repeatable: dict[tuple[Kind, int], list[int]] = field(
        default_factory=dict
    )  # lines that an event may repeat: their numbers
    lines: int = 0


@dataclass(slots=True)
class Reading:
    """All that was read.

    met           messages that met an active run
    recovered     by attempt (2, 3, ...), messages that it got through
    failed_after  by number of attempts, messages that gave up politely after so many
    attempts      how many attempts the relay makes, by how often it said so
    joined        by ending, episodes in `free` that are whole
    failed_joined those of them that gave up, by number of attempts
    free          between which moments after its cancel a run freed its thread, of joined episodes
    waited        by number of refusals, what was waited until the next attempt, from the lines
    waited_alone  by attempt, what was waited after a refusal that no cancel followed: this one wait
    waited_events what was waited in all, from events: by ending
    requests      between which two moments a request to cancel took; slower ones than `SLOW_SECONDS` are only counted
    runs          lives of runs, from creation to end
    taken_away    runs that the relay cancelled and whose own worker then told its customer that there was an error
    early         conflicts whose run was being cancelled already, since the check had requested it
    outcomes      by name, messages that ended so, from events; `outcome_portions` has 1 for each with a reply, else 0
    refusals      requests that the API refused since a run was active, as its own words tell, whoever logged them
    refused_alone those of them about runs of which no line of the relay's own tells
    drained       conflicts of a relay that waits for the run in the way and counts no attempts
    locked        messages that met the lock of a conversation, where nobody can be cancelled
    """

    bytes: Bytes = field(default_factory=Bytes)
    unread: Unread = field(default_factory=Unread)
    met: int = 0
    recovered: Counter[int] = field(default_factory=Counter)
    failed_after: Counter[int] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    portions: Portions = field(default_factory=Portions)
    joined: Counter[int] = field(default_factory=Counter)
    failed_joined: Counter[int] = field(default_factory=Counter)
    free: Intervals = field(default_factory=lambda: Intervals(0.05))
    waited: dict[int, Amounts] = field(default_factory=dict)
    waited_alone: dict[int, Amounts] = field(default_factory=dict)
    waited_events: dict[int, Amounts] = field(default_factory=dict)
    requests: Intervals = field(default_factory=lambda: Intervals(0.002))
    request_seconds: Amounts = field(default_factory=Amounts)
    runs: Intervals = field(default_factory=lambda: Intervals(0.1))
    run_endings: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    outcome_portions: Portions = field(default_factory=Portions)
    slow_requests: int = 0
    early: int = 0
    cancels_at_check: int = 0
    taken_away: int = 0
    drained: int = 0
    locked: int = 0
    refusals: int = 0
    refused_alone: int = 0

    @property
    def failed(self) -> int:
        """Messages that gave up politely."""
        return self.failed_after.total()

    @property
    def ended(self) -> int:
        """Messages that met an active run and whose ending is in the log."""
        return self.recovered.total() + self.failed


def read_logs(
    names: Sequence[str], dates: Wanted = "auto", progress: Callable[[int], None] = lambda read: None
) -> Reading:
    """Read logs from end to end. Raises `LogError` for one that cannot be read, or whose dates may mean two things.

    dates     which of the numbers of 03/11/2025 is the day, where a log does not tell
    progress  called with how many bytes were read since the last call, decompressed
    """
    reading = Reading()
    for name in names:
        _read_log(name, reading, dates, progress)
    return reading


def _told(blocks: Iterable[bytes], progress: Callable[[int], None]) -> Iterator[bytes]:
    for block in blocks:
        yield block
        progress(len(block))


def _read_log(name: str, reading: Reading, wanted: Wanted, progress: Callable[[int], None]) -> None:
    reader = _Reader(reading)
    found, unread = Bytes(), reading.unread
    blocks = shaped(_told(blocks_of(name, found), progress))
    first, second = next(blocks, b""), next(blocks, b"")
    order = date_order(name, wanted, first, is_all=not second)
    lines = (lines_of(block, unread, order) for block in chain((first, second), blocks))
    if not is_newest_first(first, order):
        reader.read(chain.from_iterable(lines))
    elif has_two_ends(name):
        found = Bytes()
        for block in map(texts_of, _told(blocks_from_the_end(name, found), progress)):
            reader.read(reversed(list(lines_of(block, unread, order))))
    else:
        held: list[Line] = []
        for each in lines:
            held += each
            if len(held) > HELD_MAX:
                raise LogError(
                    f"{name}: its newest lines come first, and there are too many to turn round; turn the log round before, "
                    "with tac for instance"
                )
        reader.read(reversed(held))
    reading.bytes.add(found)


class _Reader:
    """Reads one log into a `Reading`: workers and unfinished episodes of another log have nothing to do with it."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._workers: Latest[_Worker] = Latest(WORKERS_MAX)
        self._chains: Latest[Chain] = Latest()
        self._episodes = Episodes()
        self._cancelled: Latest[bool] = Latest()
        self._at_check: Latest[bool] = Latest()
        self._created: Latest[float] = Latest()
        self._drains: Latest[bool] = Latest()
        self._refused: Latest[Line] = Latest()
        self._refused_alone: Latest[int] = Latest()
        self._runs_with_lines: Latest[bool] = Latest()
        self._last_refusal = b""

    def read(self, lines: Iterable[Line]) -> None:
        """The next lines of the log."""
        for line in lines:
            worker = self._workers.get(line.worker)
            if worker is None:
                worker = _Worker()
                self._workers.put(line.worker, worker)
            worker.lines += 1
            self._read(line, worker)

    def _read(self, line: Line, worker: _Worker) -> None:
        if line.kind is not Kind.API_REFUSAL:
            self._last_refusal = b""
            if line.kind in _LINES_OF_RUNS:
                self._note_run(line.run)
        method = _READERS.get(line.kind)
        if method is not None:
            method(self, line, worker)

    # The API's refusals

    def _api_refusal(self, line: Line, worker: _Worker) -> None:
        about = b"\n".join((line.worker, line.conversation, line.run, line.status))
        before = self._refused.get(about)
        self._refused.put(about, line)
        is_next, self._last_refusal = self._last_refusal == about, about
        if before is not None and _is_same(before, line, is_next):
            return
        self._reading.refusals += 1
        if self._runs_with_lines.get(line.run) is None:
            self._reading.refused_alone += 1
            self._refused_alone.put(line.run, (self._refused_alone.get(line.run) or 0) + 1)

    def _note_run(self, run: bytes) -> None:
        """A line of the relay's own is about this run."""
        self._runs_with_lines.put(run, True)
        self._reading.refused_alone -= self._refused_alone.take(run) or 0

    # Lines in words

    def _conflict(self, line: Line, worker: _Worker) -> None:
        reading = self._reading
        if line.attempt == 1:
            reading.met += 1
            if line.attempts <= ATTEMPTS_MAX:
                reading.attempts[line.attempts] += 1
        worker.conflict, worker.answered = line, b""

    def _cancelling(self, line: Line, worker: _Worker) -> None:
        conflict, worker.conflict = worker.conflict, None
        self._cancelled.put(line.run, True)
        chain = self._chains.get(line.run)
        if conflict is None:
            return
        if chain is None or conflict.attempt != chain.attempt + 1:
            chain = Chain(conflict.attempt, complete=conflict.attempt == 1)
        chain.attempt = conflict.attempt
        chain.asked_at, chain.asked_digits = line.at, line.digits
        self._chains.put(line.run, chain)

    def _answered(self, line: Line, worker: _Worker) -> None:
        reading = self._reading
        worker.answered = line.run
        chain = self._chains.get(line.run)
        if line.kind is Kind.CANCEL_REFUSED and (chain is None or chain.attempt == 1):
            # At a later attempt the run is in `cancelling` because of the first.
            reading.early += 1
            if chain is not None:
                chain.early = True
        if chain is None or chain.asked_at is None or line.at is None:
            return
        digits = min(chain.asked_digits, line.digits)
        took = line.at - chain.asked_at
        chain.asked_at = None
        if digits >= FINE_DIGITS and 0 <= took < 3600:
            reading.request_seconds.add(took)
            if took > SLOW_SECONDS:
                reading.slow_requests += 1
            else:
                step = max(0.1**digits, 0.001)
                reading.requests.add(took - step, took + step)

    def _waiting(self, line: Line, worker: _Worker) -> None:
        run, worker.answered = worker.answered, b""
        if not run and (conflict := worker.conflict) is not None:
            # No cancel stands between the refusal and its wait: the error named no run, or the run was cancelled before.
            worker.conflict = None
            if conflict.attempt <= ATTEMPTS_MAX:
                self._reading.waited_alone.setdefault(conflict.attempt, Amounts()).add(line.seconds)
            return
        chain = self._chains.get(run) if run else None
        if chain is None:
            return
        if len(chain.waits) < WAITS_MAX:
            chain.waits.append(line.seconds)
        if chain.complete and chain.attempt <= ATTEMPTS_MAX:
            self._reading.waited.setdefault(chain.attempt, Amounts()).add(sum(chain.waits))

    def _cancelled_at_check(self, line: Line, worker: _Worker) -> None:
        self._reading.cancels_at_check += 1
        self._cancelled.put(line.run, True)

    def _ended_badly(self, line: Line, worker: _Worker) -> None:
        if line.status == b"cancelled" and self._cancelled.take(line.run):
            self._reading.taken_away += 1

    def _created_at_last(self, line: Line, worker: _Worker) -> None:
        self._ending(line.attempt, 0, worker, line.kind)

    def _gave_up(self, line: Line, worker: _Worker) -> None:
        self._ending(FAILED, line.attempts, worker, line.kind)

    def _ending(self, ending: int, attempts: int, worker: _Worker, kind: Kind) -> None:
        number = attempts or ending
        numbers = worker.repeatable.get((kind, number), [])
        worker.repeatable[kind, number] = [
            *(each for each in numbers if worker.lines - each < NEAR_LINES),
            worker.lines,
        ]
        self._count(ending, attempts)

    def _count(self, ending: int, attempts: int) -> None:
        reading = self._reading
        if ending == FAILED:
            reading.failed_after[min(attempts, ATTEMPTS_MAX)] += 1
        else:
            reading.recovered[min(ending, ATTEMPTS_MAX)] += 1
        reading.portions.add(min(ending, ATTEMPTS_MAX))

    def _is_repeated(self, worker: _Worker, kind: Kind, attempts: int) -> bool:
        """Whether a line close before has said the same."""
        numbers = worker.repeatable.pop((kind, attempts), [])
        near = [number for number in numbers if worker.lines - number <= NEAR_LINES]
        if near[1:]:
            worker.repeatable[kind, attempts] = near[1:]
        return bool(near)

    def _locked(self, line: Line, worker: _Worker) -> None:
        self._reading.locked += line.attempt == 1

    # Events

    def _conflict_event(self, line: Line, worker: _Worker) -> None:
        self._episodes.refused(line.conversation, line.run, line.at)

    def _cancel_event(self, line: Line, worker: _Worker) -> None:
        self._cancelled.put(line.run, True)
        if not self._episodes.meets(line.conversation, line.run):
            self._at_check.put(line.run, True)

    def _lease_event(self, line: Line, worker: _Worker) -> None:
        self._drains.put(line.conversation, True)

    def _run_created(self, line: Line, worker: _Worker) -> None:
        if line.at is not None:
            self._created.put(line.run, line.at)

    def _lost_reply(self, line: Line, worker: _Worker) -> None:
        if line.status != b"given_up" or not line.run:
            return
        self._reading.run_endings["given_up"] += 1
        created = self._created.take(line.run)
        if created is None or line.at is None or line.at < created:
            self._reading.runs.add(LOOKED_AT_SECONDS, math.inf)
        else:
            self._reading.runs.add(line.at - created, math.inf)

    def _outcome(self, line: Line, worker: _Worker) -> None:
        reading = self._reading
        name = line.status.decode("ascii", "replace")
        reading.outcomes[name if len(reading.outcomes) < NAMES_MAX else "other"] += line.attempts
        for _ in range(min(line.attempts, MESSAGES_MAX)):
            reading.outcome_portions.add(int(line.status in WELL))

    def _event_ending(self, line: Line, worker: _Worker) -> None:
        reading = self._reading
        episode = self._episodes.ended(line.conversation)
        recovered = line.kind is Kind.RECOVERED_EVENT
        if self._drains.get(line.conversation):
            # A relay that waits for the run in the way makes no attempts that could be counted.
            reading.drained += 1
            return
        ending = line.attempt if recovered else FAILED
        kind, number = (Kind.CREATED, line.attempt) if recovered else (Kind.FAILED, line.attempts)
        if not self._is_repeated(worker, kind, number):
            reading.met += 1
            reading.early += episode is not None and self._at_check.get(episode.runs[0]) is not None
            if not recovered and line.attempts <= ATTEMPTS_MAX:
                reading.attempts[line.attempts] += 1
            self._count(ending, line.attempts)
        if ending <= ATTEMPTS_MAX:
            reading.waited_events.setdefault(ending, Amounts()).add(line.seconds)
        if episode is None or line.at is None or line.digits < FINE_DIGITS:
            return
        chain = self._chains.get(episode.runs[0])
        if self._at_check.get(episode.runs[0]) or (chain is not None and chain.early):
            return  # its cancel is not the one that these moments begin with
        refusals = line.attempt - 1 if recovered else line.attempts
        between = free_between(
            episode,
            refusals=refusals,
            recovered_at=line.at if recovered else None,
            waits=self._waits_of(episode, line, refusals),
        )
        if between is not None:
            reading.free.add(*between)
            reading.joined[ending] += 1
            if ending == FAILED:
                reading.failed_joined[min(line.attempts, ATTEMPTS_MAX)] += 1

    def _waits_of(self, episode: Episode, line: Line, refusals: int) -> Sequence[float]:
        """The waits of an episode that has just ended, from the lines of its run, or else by their sum."""
        if refusals > WAITS_MAX:
            return ()
        chain = self._chains.get(episode.runs[0])
        if chain is not None and chain.complete and len(chain.waits) in (refusals - 1, refusals):
            waits = chain.waits
            # Of a relay whose cancel failed in another way, or whose lines were torn, the sums differ.
            if abs(sum(waits) - line.seconds) < 0.005 * refusals:
                return waits
        count = refusals
        if line.kind is Kind.GAVE_UP_EVENT and line.at is not None and episode.moments[-1] is not None:
            # Whether the last failure was waited for as well, is seen by when the relay gave up.
            last = split_waits(line.seconds, refusals)[-1]
            count = refusals if line.at - episode.moments[-1] >= last else refusals - 1
        return split_waits(line.seconds, count)

    def _run_ended(self, line: Line, worker: _Worker) -> None:
        reading = self._reading
        status = line.status.decode("ascii", "replace")
        reading.run_endings[status if len(reading.run_endings) < NAMES_MAX else "other"] += 1
        self._created.take(line.run)
        if line.status == b"completed":
            # The last look found it ended, the one before, a second and a request earlier, did not.
            reading.runs.add(line.seconds - self._between_looks(), line.seconds)
        else:
            reading.runs.add(line.seconds - self._between_looks(), math.inf)
            drains = self._drains.get(line.conversation)  # it answers the messages of such a run in another one
            if line.status == b"cancelled" and not drains and self._cancelled.take(line.run):
                reading.taken_away += 1

    def _between_looks(self) -> float:
        middle = self._reading.request_seconds.middle()
        return 1.0 + (middle if middle is not None else 0.3)


_LINES_OF_RUNS: Final = frozenset((Kind.CANCELLING, Kind.CANCELLED_AT_CHECK, Kind.CONFLICT_EVENT, Kind.CANCEL_EVENT))
"""The relay's own lines that tell of a run in the way."""


def _is_same(before: Line, line: Line, is_next: bool) -> bool:
    """Whether two lines with the API's words about one run tell of one request."""
    if before.at is None or line.at is None:
        return is_next
    digits = min(before.digits, line.digits)
    return abs(line.at - before.at) <= max(SAME_SECONDS, 0.1**digits)


_READERS: Final[Mapping[Kind, Callable[[_Reader, Line, _Worker], None]]] = {
    Kind.API_REFUSAL: _Reader._api_refusal,
    Kind.CONFLICT: _Reader._conflict,
    Kind.CANCELLING: _Reader._cancelling,
    Kind.CANCEL_ACCEPTED: _Reader._answered,
    Kind.CANCEL_REFUSED: _Reader._answered,
    Kind.WAITING: _Reader._waiting,
    Kind.CREATED: _Reader._created_at_last,
    Kind.FAILED: _Reader._gave_up,
    Kind.CANCELLED_AT_CHECK: _Reader._cancelled_at_check,
    Kind.RUN_ENDED_BADLY: _Reader._ended_badly,
    Kind.CONFLICT_EVENT: _Reader._conflict_event,
    Kind.CANCEL_EVENT: _Reader._cancel_event,
    Kind.RECOVERED_EVENT: _Reader._event_ending,
    Kind.GAVE_UP_EVENT: _Reader._event_ending,
    Kind.LEASE_EVENT: _Reader._lease_event,
    Kind.RUN_CREATED_EVENT: _Reader._run_created,
    Kind.RUN_ENDED_EVENT: _Reader._run_ended,
    Kind.LOST_REPLY_EVENT: _Reader._lost_reply,
    Kind.OUTCOME_EVENT: _Reader._outcome,
    Kind.LOCKED: _Reader._locked,
}
