"""What becomes of seeds in a session of pytest: which failed, which are mended, and the file in which they are kept.

One per process. Where pytest-xdist runs tests in workers, the process that collects their reports keeps the file; workers
are told what is in it, all of them the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from relaysim.scenarios.testing.failing_seeds import FailingSeeds, SeedsFileError, read_seeds, write_seeds
from relaysim.sim.counted import counted

FILE: Final = ".relaysim/seeds.json"
INI: Final = "relaysim_seed_file"
ATTRIBUTE: Final = "relaysim_seeds"
"""Of a report: what it says of seeds, as a list of plain `SeedReport`s, so that it passes from process to process."""

SEPARATOR: Final = " | "
"""Between a test's name and what it checked."""

_SHOWN_MAX: Final = 10


@dataclass(slots=True)
class _Outcome:
    """How a test went: the seeds that passed and failed, as far as they are told, and how many ran and failed at least."""

    passed: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    count: int = 0
    failures: int = 0


def seed_report(name: str, passed: Sequence[int], failed: Sequence[int], counts: tuple[int, int] = (0, 0)) -> list[Any]:
    """What one report says of a test's seeds: plain data. `counts`: how many ran and failed, where not all are named."""
    return [name, list(passed), list(failed), *counts]


class SeedKeeper:
    """Reads the file at the beginning, takes down what reports say, and writes it at the end if something has changed.

    Attributes:
        known: what is in the file, or was when the session began.
    """

    def __init__(self, config: pytest.Config) -> None:
        given: Mapping[str, Any] | None = getattr(config, "workerinput", None)
        self._is_worker = given is not None
        name = str(config.getini(INI))
        self._shown = name
        self._path = config.rootpath / name if name else None
        if given is not None:
            self.known = FailingSeeds.from_plain(given[ATTRIBUTE])
        else:
            self.known = FailingSeeds() if self._path is None else _read(self._path)
        self._outcomes: dict[str, _Outcome] = {}
        self._mended: dict[str, list[int]] = {}
        self._unwritten = ""

    def known_of(self, test: str) -> dict[str, list[int]]:
        """What was checked in a test -> the seeds to be run first; the test itself is the empty text."""
        names = {*self.known.failing, *self.known.mended}
        begin = test + SEPARATOR
        found = {name.removeprefix(begin): self.known.of(name) for name in names if name.startswith(begin)}
        return {**found, "": self.known.of(test)} if test in names else found

    # What pytest calls

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker is about to start."""
        node.workerinput[ATTRIBUTE] = self.known.to_plain()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has been set up, called or torn down."""
        for name, passed, failed, count, failures in getattr(report, ATTRIBUTE, ()):
            outcome = self._outcomes.setdefault(name, _Outcome())
            outcome.count, outcome.failures = max(count, outcome.count), max(failures, outcome.failures)
            outcome.passed |= set(passed)
            outcome.failed |= set(failed)

    def pytest_sessionfinish(self) -> None:
        """All tests have ended, or somebody has interrupted them."""
        if self._is_worker or not self._outcomes:
            return
        before = self.known.to_plain()
        for name, outcome in self._outcomes.items():
            passed = outcome.passed - outcome.failed
            if mended := self.known.take(name, sorted(passed), sorted(outcome.failed)):
                self._mended[name] = mended
        if self._path is None or self.known.to_plain() == before:
            return
        try:
            write_seeds(self._path, self.known)
        except OSError as error:
            self._unwritten = f"{self._shown}: cannot be written: {error.strerror or error}; nothing is kept"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The last lines of a session."""
        lines = list(self._lines())
        if lines:
            terminalreporter.section("relaysim: seeds")
            for line in lines:
                terminalreporter.write_line(line)

    def _lines(self) -> Iterator[str]:
        failing = {name: each for name, each in self._outcomes.items() if each.failed}
        for name, outcome in sorted(failing.items()):
            among = counted(max(outcome.count, len(outcome.passed | outcome.failed)), "seed")
            failures = max(outcome.failures, len(outcome.failed))
            yield f"{name}: fails under {failures:,} of {among}: {_listed(outcome.failed, failures)}"
        for name, seeds in sorted(self._mended.items()):
            yield f"{name}: mended: {_listed(seeds)} failed before and passed now"
        if self._unwritten:
            yield self._unwritten
        elif self._path is not None and (failing or self._mended):
            yield f"kept in {self._shown}, and run first the next time"


def _read(path: Path) -> FailingSeeds:
    try:
        return read_seeds(path)
    except SeedsFileError as error:
        raise pytest.UsageError(str(error)) from error


def _listed(seeds: Collection[int], count: int = 0) -> str:
    """The first seeds of `count`, or of all of them."""
    shown = sorted(seeds)[:_SHOWN_MAX]
    more = max(count, len(seeds)) - len(shown)
    return ", ".join(map(str, shown)) + (f" and {more:,} more" if more else "")
