"""Where runs are kept: `reports/out/<name>/<time>/` below the current directory, so that none overwrites another.

`<time>` is when the results were written, in UTC (`20260304T050607Z`); a second run within the same second gets `-02`.
`reports/out/<name>/latest` links to the newest run of a name, `reports/out/latest` to the newest of all, and
`reports/out/index.html` lists them with what changed from run to run, by what each run keeps for it (`listed_runs`). With
`--out` results lie where it says, and nothing links to them.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable, Sequence
from itertools import count, islice, zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

from relaysim.reports.changes import is_judged
from relaysim.reports.listed_runs import Listed, listed, reader
from relaysim.reports.results import ResultsError, read_results, write_text
from relaysim.reports.summary import number, percent

ROOT: Final = Path("reports") / "out"
LATEST: Final = "latest"
INDEX: Final = "index.html"

LISTED_MAX: Final = 30
"""Runs of a name that the index reads and shows, the newest."""

_TIME: Final = re.compile(r"(\d{8}T\d{6}Z)(?:-(\d+))?")


def results_folder(name: str, out: Path | None = None) -> Path:
    """Create and return the folder of a name's runs: `out` if given, otherwise `reports/out/<name>` below the current
    directory. Raises ValueError for a name that is no plain folder name."""
    if out is None:
        if not name or name in {".", "..", LATEST, INDEX} or name != Path(name).name:
            raise ValueError(f"{name!r} cannot name a results folder")
        out = ROOT / name
    out.mkdir(parents=True, exist_ok=True)
    return out


def new_run(name: str, out: Path | None = None, *, now: datetime.datetime | None = None) -> Path:
    """Create and return the folder of one run; with `out`, that folder.

    Raises ValueError for a name that is no plain folder name.
    """
    folder = results_folder(name, out)
    if out is not None:
        return folder
    time = (now or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    for number_of_second in count(1):
        run = folder / (time if number_of_second == 1 else f"{time}-{number_of_second:02}")
        try:
            run.mkdir()
        except FileExistsError:
            continue
        return run
    raise AssertionError("unreachable")


def previous_run(name: str, out: Path | None = None) -> dict[str, Any] | None:
    """The results of the last run of this name, or of what `out` holds; None if none of `verify` can be read."""
    folder = results_folder(name, out)
    try:
        results = read_results(folder if out is not None else folder / LATEST)
    except (OSError, ResultsError):
        return None
    return results if is_judged(results) else None


def link_latest(run: Path) -> None:
    """Point both `latest` at a run's folder, replacing older links in one step.

    The links are relative, so they survive a move of their parent. Raises FileExistsError if one of them is no link.
    """
    for parent in (run.parent, run.parent.parent):
        link = parent / LATEST
        if link.exists() and not link.is_symlink():
            raise FileExistsError(f"{link} is in the way: it is no link")
        passing = parent / f".latest.{os.getpid()}"
        passing.unlink(missing_ok=True)
        passing.symlink_to(run.relative_to(parent), target_is_directory=True)
        passing.replace(link)


def named(run: Path, out: Path | None) -> Path:
    """How a run's folder is told to people: by the link of its name, which the next command can use as it stands."""
    return run if out is not None else run.parent / LATEST


class _Run(NamedTuple):
    """A run, as the index shows it: where its page is, "" without one, when it was written, and what is told of it."""

    path: str
    time: str
    told: Listed


class _Trend(NamedTuple):
    """One figure over the runs, oldest first."""

    title: str
    points: str
    values: Sequence[str]


class _Name(NamedTuple):
    """All that the index shows of a name; its newest run first."""

    name: str
    runs: Sequence[_Run]
    older: int
    trends: Sequence[_Trend]


def write_index(root: Path) -> Path:
    """Write the list of all runs below a folder, and return its path. A run that cannot be read is listed as such."""
    from relaysim.reports.page import render_plain

    names = [_name(folder) for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.is_symlink()]
    write_text(root / INDEX, render_plain("runs.html", names=[each for each in names if each.runs]))
    return root / INDEX


def _name(folder: Path) -> _Name:
    runs = sorted(_runs_in(folder), key=_order, reverse=True)
    shown, read = runs[:LISTED_MAX], reader()
    told = [listed(run, before, read) for run, before in zip_longest(shown, shown[1:])]
    entries = [_shown(folder, run, each) for run, each in zip(shown, told, strict=True)]
    return _Name(folder.name, entries, len(runs) - len(shown), _trends(reversed(told)))


def _runs_in(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if _TIME.fullmatch(each.name) and (each / "results.json").is_file()]


def _order(run: Path) -> tuple[str, int]:
    time, number_of_second = _TIME.fullmatch(run.name).groups()  # type: ignore[union-attr]
    return time, int(number_of_second or 1)


def _shown(folder: Path, run: Path, told: Listed) -> _Run:
    time = datetime.datetime.strptime(_order(run)[0], "%Y%m%dT%H%M%SZ").strftime("%Y-%m-%d %H:%M:%S")
    path = f"{folder.name}/{run.name}/{INDEX}" if (run / INDEX).is_file() else ""
    return _Run(path, time, told)


_WIDE, _HIGH, _EDGE = 160.0, 28.0, 3.0


def _trends(oldest_first: Iterable[Listed]) -> list[_Trend]:
    """What several runs counted alike, as lines: no more than three, those that changed first."""
    series: dict[tuple[str, str, str, str], list[float]] = {}
    for told in oldest_first:
        for figure in told.figures:
            if figure["value"] is not None:
                what = (figure["what"], figure["who"], figure["where"], figure["unit"])
                series.setdefault(what, []).append(figure["value"])
    drawn = [(what, values) for what, values in series.items() if len(values) > 1]
    drawn.sort(key=lambda each: len(set(each[1])) == 1)
    return [_trend(what, values) for what, values in islice(drawn, 3)]


def _trend(what: tuple[str, str, str, str], values: Sequence[float]) -> _Trend:
    noun, who, where, unit = what
    low, high = min(values), max(values)
    step = (_WIDE - 2 * _EDGE) / (len(values) - 1)
    height = _HIGH - 2 * _EDGE
    points = " ".join(
        f"{_EDGE + at * step:.1f},{_EDGE + height * (0.5 if high == low else (high - value) / (high - low)):.1f}"
        for at, value in enumerate(values)
    )
    told = [percent(value) if unit == "share" else f"{number(value)} {unit}" for value in values]
    title = ", ".join(part for part in (noun, who, where) if part)
    return _Trend(title, points, told)
