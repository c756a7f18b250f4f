"""Progress on standard error: one bar over a whole command on a terminal, plain lines elsewhere.

    with reporter(quiet=...) as shown:
        shown.plan("race and drain_faults", {"race": 500, "drain_faults": 5000}, jobs=2)
        run_batches(..., progress=shown.part("race"))
        shown.last("drawing the page")

What is shown of time is what `relaysim.scenarios.work_left` knows. Before a command that takes long, a line says how many
worlds there are and about how long they take: at once where an earlier run was measured, else after the first worlds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, Final, Protocol, Self

from relaysim.scenarios.runner import Cost, Progress
from relaysim.scenarios.work_left import Work
from relaysim.sim.counted import counted

LONG_SECONDS: Final = 10.0
"""A command that takes longer is announced."""
LINE_SECONDS: Final = 30.0
"""Where there is no terminal, progress is told no more often than this."""

_BEGINNING: Final = 0.25
"""The share of the work up to which it is not too late to say how long all of it takes."""

Clock = Callable[[], float]


class _Screen(Protocol):
    """Where progress is shown."""

    def start(self, reporter: Reporter) -> None: ...

    def stop(self) -> None: ...

    def say(self, line: str) -> None:
        """A line that is said in any case."""
        ...

    def changed(self, reporter: Reporter) -> None:
        """Something was done."""
        ...


def reporter(*, quiet: bool, stream: IO[str] | None = None, clock: Clock = time.monotonic) -> Reporter:
    """The reporter for a stream, by default standard error."""
    stream = stream or sys.stderr
    if quiet:
        return Reporter(_Nothing(), clock)
    return Reporter(_Bar(stream) if stream.isatty() else _Lines(stream, clock), clock)


class Reporter:
    """What shows how far a command is; used as `with reporter:`. Without a plan, parts count by what they say themselves."""

    def __init__(self, screen: _Screen, clock: Clock) -> None:
        self._screen, self._clock = screen, clock
        self._lock = threading.RLock()  # a bar is drawn from a thread of its own
        self._work = Work()
        self._what, self._unit, self._jobs, self._at_most = "", "world", 1, False
        self._by_last_run = False
        self._elsewhere: Callable[[], Mapping[str, float]] | None = None
        self._ends_at: float | None = None
        self._announced = False
        self._began = self._did_at = clock()
        self._name = ""
        self._last: str | None = None
        self._last_began = 0.0

    def __enter__(self) -> Self:
        self._screen.start(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._screen.stop()

    def plan(
        self,
        what: str,
        kinds: Mapping[str, int],
        *,
        jobs: int,
        unit: str = "world",
        at_most: bool = False,
        seconds_max: float | None = None,
        earlier: Mapping[str, float] | None = None,
        elsewhere: Callable[[], Mapping[str, float]] | None = None,
        like: Mapping[str, str] | None = None,
    ) -> None:
        """What is to be done in all.

        Args:
            what: of what the worlds are, for people.
            kinds: how many worlds of each kind; worlds of a kind cost about the same.
            jobs: processes.
            unit: the noun for one.
            at_most: it may be over before.
            seconds_max: it is over after so long in any case.
            earlier: seconds of one process that a world of a kind took in an earlier run.
            elsewhere: asked again and again for the same, as measured meanwhile by somebody else.
            like: kinds whose worlds cost about what those of another kind cost, until one of them was measured.
        """
        with self._lock:
            self._work = Work(jobs)
            self._what, self._unit, self._jobs, self._at_most = what, unit, jobs, at_most
            self._elsewhere = elsewhere
            self._began = self._did_at = self._clock()
            self._ends_at = None if seconds_max is None else self._began + seconds_max
            for kind, worlds in kinds.items():
                self._work.plan(kind, worlds)
            for kind, other in (like or {}).items():
                self._work.alike(kind, other)
            for kind, seconds in (earlier or {}).items():
                if kind in kinds:
                    self._work.known_elsewhere(kind, seconds)
                    self._by_last_run = True
            self._announce()
            self._screen.changed(self)

    def more(self, kind: str, worlds: int) -> None:
        """More work has turned up."""
        with self._lock:
            self._work.plan(kind, worlds)

    def part(self, name: str, kind_of: Callable[[str], str] | None = None) -> Callable[[Progress], None]:
        """A part begins; what is returned takes its progress.

        Args:
            name: what is shown of it.
            kind_of: from the key of a batch to its kind; by default they are the same.
        """
        with self._lock:
            self._name = name
            self._screen.changed(self)

        def update(progress: Progress) -> None:
            if progress.worlds:
                kind = progress.key if kind_of is None else kind_of(progress.key)
                self.did(kind, progress.worlds, progress.process_seconds)

        return update

    def passed(self, kind: str, worlds: int) -> None:
        """Worlds are done that nobody measured: all processes worked at them since the last ones were done."""
        self.did(kind, worlds, (self._clock() - self._did_at) * self._jobs)

    def did(self, kind: str, worlds: int, seconds: float | None = None) -> None:
        """Worlds are done; they took so many seconds of one process, or None if that was not measured."""
        with self._lock:
            self._did_at = self._clock()
            self._work.did(kind, worlds, seconds, self._did_at)
            for each, cost in (self._elsewhere() if self._elsewhere is not None else {}).items():
                self._work.known_elsewhere(each, cost)
            self._announce()
            self._screen.changed(self)

    def spared(self, kinds: Iterable[str], worlds: int | None = None) -> None:
        """What is left of these kinds need not be done, or so many worlds of each."""
        with self._lock:
            self._work.spare(kinds, worlds)
            self._screen.changed(self)

    def done(self, name: str, cost: Cost, outcome: str, *, minor: bool = False) -> None:
        """A part has ended, with its outcome in a few words; `minor` is said on a terminal only."""
        if not minor or isinstance(self._screen, _Bar):
            self._screen.say(_ended(name, cost, outcome))

    def last(self, name: str) -> None:
        """All worlds are done; what comes now has no measure and is only named."""
        with self._lock:
            self._last, self._last_began = name, self._clock()
            self._screen.changed(self)

    def say(self, line: str) -> None:
        """Say a line in any case."""
        self._screen.say(line)

    # What screens read

    @property
    def counts(self) -> tuple[int, int]:
        """How many worlds are done, and how many there are."""
        with self._lock:
            return self._work.done, self._work.total

    @property
    def is_open(self) -> bool:
        """Whether nobody knows how much there is to do."""
        with self._lock:
            return self._work.is_open or not self._work.total

    @property
    def rate(self) -> float:
        """Worlds per second of real time."""
        with self._lock:
            elapsed = self._did_at - self._began
            return self._work.done / elapsed if elapsed > 0 else 0.0

    @property
    def fraction(self) -> float:
        """The share that is done, from 0 to 1; it never falls."""
        with self._lock:
            return self._work.fraction

    @property
    def name(self) -> str:
        """What is being done."""
        return self._last if self._last is not None else self._name

    @property
    def unit(self) -> str:
        """The noun for one of what is counted."""
        return self._unit

    def seconds_left(self) -> float | None:
        """Seconds until all worlds are done, None if that is not known."""
        with self._lock:
            now = self._clock()
            left = self._work.seconds_left(now)
            if self._ends_at is None:
                return left
            until = max(0.0, self._ends_at - now)
            return until if left is None else min(left, until)

    def left_words(self) -> str:
        """How long it still takes, in words."""
        if self._last is not None:
            return f"for {short_words(self._clock() - self._last_began)}"
        with self._lock:
            if not self._work.total:
                return ""
            if (left := self.seconds_left()) is None:
                # Which is soon: of each kind a few worlds come first.
                early = not self._work.is_measured and self._clock() - self._began < LINE_SECONDS
                if early and not self._work.is_open:
                    return "estimating ..."
                least = None if self._at_most else self._work.seconds_left_at_least()
                return "time left unknown" if least is None else f"at least {short_words(least)} left"
            bounded = self._at_most or self._ends_at is not None
            return f"{'at most ' if bounded else ''}{short_words(left)} left"

    def _announce(self) -> None:
        if self._announced or not self._what or self._work.is_open:
            return
        elapsed, left = self._clock() - self._began, self.seconds_left()
        bounded = "at most " if self._at_most else ""
        worlds = f"{bounded}{counted(self._work.total, self._unit)} of {self._what}"
        cores = f"on {counted(self._jobs, 'core')}" if self._jobs > 1 else "on one core"
        if left is None:
            if elapsed < LINE_SECONDS:
                return
            line = f"{worlds} {cores}; how long they take is not known yet"
        else:
            by = ", as the last run took" if self._by_last_run and not self._work.is_measured else ""
            line = f"{worlds}, {bounded}about {long_words(elapsed + left)} {cores}{by}"
            if elapsed + left < LONG_SECONDS:
                return
        self._announced = True
        if self._work.fraction <= _BEGINNING:
            self._screen.say(f"relaysim: {line}")


def names_words(names: Sequence[str]) -> str:
    """Names as in `race`, `race and rapid_pair`, `race, rapid_pair and 3 more`."""
    first, rest = (names, []) if len(names) <= 3 else (names[:2], names[2:])
    last = f"{len(rest)} more" if rest else first[-1]
    before = first if rest else first[:-1]
    return f"{', '.join(before)} and {last}" if before else last


def short_words(seconds: float) -> str:
    """A time as in `40 s`, `12 min`, `2 h 5 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def long_words(seconds: float) -> str:
    """A time as in `40 seconds`, `12 minutes`, `2.5 hours`."""
    if seconds < 99.5:
        return counted(round(seconds), "second")
    if seconds < 99.5 * 60:
        return counted(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours"


def rate_words(rate: float) -> str:
    """Worlds per second as in `250/s`, `2.5/s`; of fewer than one per second per minute, as in `12/min`, `1.5/min`."""
    if rate >= 10:
        return f"{rate:,.0f}/s"
    if rate >= 1 or not rate:
        return f"{rate:,.1f}/s"
    return f"{rate * 60:,.{0 if rate * 60 >= 10 else 1}f}/min"


def _ended(name: str, cost: Cost, outcome: str) -> str:
    rate = f", {rate_words(cost.replications / cost.seconds)}" if cost.seconds else ""
    return f"{name}: {counted(cost.replications, 'replication')} in {cost.seconds:.1f} s{rate}: {outcome}"


class _Nothing:
    def start(self, reporter: Reporter) -> None:
        pass

    def stop(self) -> None:
        pass

    def say(self, line: str) -> None:
        pass

    def changed(self, reporter: Reporter) -> None:
        pass


class _Lines(_Nothing):
    def __init__(self, stream: IO[str], clock: Clock) -> None:
        self._stream, self._clock = stream, clock
        self._said_at = clock()

    def say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)
        self._said_at = self._clock()

    def changed(self, reporter: Reporter) -> None:
        if self._clock() - self._said_at < LINE_SECONDS or not reporter.name:
            return
        done, total = reporter.counts
        if reporter.left_words().startswith("for "):
            self.say(f"{reporter.name}")
        elif total:
            count = counted(total, reporter.unit)
            self.say(
                f"{reporter.name}: {count if reporter.is_open else f'{done:,} of {count}'}, {reporter.left_words()}"
            )


class _Bar(_Nothing):
    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._progress: Any = None

    def start(self, reporter: Reporter) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        class Left(ProgressColumn):
            """Asked for at each redrawing, so that time goes on between two results."""

            def render(self, task: Task) -> Text:
                return Text(f"{reporter.left_words():>20}")

        self._progress = RichProgress(
            TextColumn("{task.description:<30}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[counts]}"),
            TextColumn("{task.fields[rate]:>9}"),
            Left(),
            console=Console(file=self._stream),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, counts="", rate="")
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def changed(self, reporter: Reporter) -> None:
        done, total = reporter.counts
        self._progress.update(
            self._task,
            description=reporter.name,
            completed=0 if reporter.is_open else reporter.fraction,
            total=None if reporter.is_open else 1,
            counts=(f"{done:,}" if reporter.is_open else f"{done:,}/{total:,}") if total else "",
            rate=rate_words(reporter.rate),
        )
