"""What the list of runs shows of one run, kept beside its results in `listed.json`: some kilobytes in place of megabytes.

It is made of the results, and nothing is lost with it: where it is missing, is of another format, or of other results than
those that lie there now (by their size and the time of their last change), the results are read and it is written anew.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from relaysim.reports.answers import answer_of
from relaysim.reports.changes import changes_between, changes_title, is_judged
from relaysim.reports.results import ResultsError, canonical, read_results, write_text

FILE: Final = "listed.json"
SCHEMA: Final = 1

_NEW_MAX: Final = 5

Stamp = list[int]
"""By what a results file is known: its size in bytes, and when it was last changed, in nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A run, as the list shows it.

    Attributes:
        tone, title: of its answer.
        figures: the answer's, as plain data.
        code_version: of the results.
        changes_title: what changed since the run before, in words; "" where nobody can say.
        new: the first problems that the run before had not: `scenario` and what is `said`.
        problem: why it cannot be read; then nothing else is known.
    """

    tone: str = ""
    title: str = ""
    figures: tuple[Mapping[str, Any], ...] = ()
    code_version: str = ""
    changes_title: str = ""
    new: tuple[Mapping[str, str], ...] = ()
    problem: str = ""


Read = Callable[[Path], "dict[str, Any] | str"]


def reader() -> Read:
    """Reads the results of runs, each no more than once, or says why there are none."""

    @cache
    def read(run: Path) -> dict[str, Any] | str:
        try:
            return read_results(run)
        except (OSError, ResultsError) as error:
            return str(error)

    return read


def listed(run: Path, before: Path | None, read: Read) -> Listed:
    """What the list shows of a run, from its `listed.json` or else from its results.

    Args:
        before: the run before it, if there is one.
        read: see `reader`.
    """
    stamps = [_stamp(run), None if before is None else [before.name, *_stamp(before)]]
    if (found := _kept(run, stamps)) is not None:
        return found
    results = read(run)
    if isinstance(results, str):
        return Listed(problem=results)
    found = _of(results, None if before is None else read(before))
    with contextlib.suppress(OSError):  # a folder that may only be read is listed all the same
        write_text(run / FILE, canonical({"schema": SCHEMA, "stamps": stamps, "listed": asdict(found)}))
    return found


def _stamp(run: Path) -> Stamp:
    try:
        found = (run / "results.json").stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _kept(run: Path, stamps: list[Any]) -> Listed | None:
    try:
        kept = json.loads((run / FILE).read_text(encoding="utf-8"))
        if kept["schema"] != SCHEMA or kept["stamps"] != stamps:
            return None
        return Listed(**kept["listed"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _of(results: dict[str, Any], before: dict[str, Any] | str | None) -> Listed:
    answer = answer_of(results)
    known = isinstance(before, dict) and is_judged(before) and is_judged(results)
    changes = changes_between(before, results) if known and isinstance(before, dict) else None
    new = () if changes is None else changes.new[:_NEW_MAX]
    return Listed(
        tone=answer.tone,
        title=answer.title,
        figures=tuple(each.to_dict() for each in answer.figures),
        code_version=str(results.get("code_version", "")),
        changes_title="" if changes is None else changes_title(changes),
        new=tuple({"scenario": each.scenario, "said": each.said} for each in new),
    )
