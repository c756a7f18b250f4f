"""Progress on standard error: a bar with rate and time left on a terminal, a plain line per scenario elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import IO, Protocol, Self

from relaysim.scenarios.runner import Cost, Progress
from relaysim.sim.counted import counted


class Reporter(Protocol):
    """What shows how far a run is; used as `with reporter:`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def scenario(self, name: str) -> Callable[[Progress], None]:
        """A scenario begins; what is returned takes its progress."""
        ...

    def done(self, name: str, cost: Cost, outcome: str) -> None:
        """A scenario has ended, with its outcome in a few words."""
        ...


def reporter(*, quiet: bool, stream: IO[str] | None = None) -> Reporter:
    """The reporter for a stream, by default standard error."""
    stream = stream or sys.stderr
    if quiet:
        return _Silent()
    return _Bar(stream) if stream.isatty() else _Lines(stream)


class _Silent:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def scenario(self, name: str) -> Callable[[Progress], None]:
        return lambda progress: None

    def done(self, name: str, cost: Cost, outcome: str) -> None:
        pass


def _ended(name: str, cost: Cost, outcome: str) -> str:
    rate = f", {cost.replications / cost.seconds:,.0f}/s" if cost.seconds else ""
    return f"{name}: {counted(cost.replications, 'replication')} in {cost.seconds:.1f} s{rate}: {outcome}"


class _Lines(_Silent):
    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def done(self, name: str, cost: Cost, outcome: str) -> None:
        print(_ended(name, cost, outcome), file=self._stream, flush=True)


class _Bar(_Silent):
    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._progress = RichProgress(
            TextColumn("{task.description:<30}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>9}"),
            TextColumn("{task.fields[left]:>12}"),
            console=Console(file=stream),
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def scenario(self, name: str) -> Callable[[Progress], None]:
        task = self._progress.add_task(name, total=None, rate="", left="")

        def update(progress: Progress) -> None:
            left = progress.seconds_left
            self._progress.update(
                task,
                completed=progress.done,
                total=progress.total,
                rate=f"{progress.rate:,.0f}/s",
                left="" if left is None else f"{left:,.0f} s left",
            )
            if progress.done == progress.total:
                self._progress.remove_task(task)

        return update

    def done(self, name: str, cost: Cost, outcome: str) -> None:
        self._progress.console.print(_ended(name, cost, outcome), markup=False, highlight=False, soft_wrap=True)
