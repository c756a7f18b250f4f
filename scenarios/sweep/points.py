"""The points of a sweep: which values of the scenario they set, and the scenario of each, checked before anything runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from relaysim.reports.results import FactoryOption
from relaysim.scenarios.docs_pages import POINTS
from relaysim.scenarios.document import PathError, parse_path, parse_setting
from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.problems import Problem, ScenarioError
from relaysim.scenarios.system_errors import reason_of
from relaysim.sim.counted import counted
from relaysim.sim.toml_file import BYTES_MAX, read_within
from relaysim.sim.world import Session

POINTS_MAX: Final = 10_000
"""More points than this are a slip of the keyboard."""

_NOT_SWEPT: Final = {
    "replications": "say how many worlds each point gets with --replications",
    "check_lanes": "a sweep runs in one lane",
    "name": "the points of a sweep are one scenario",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One value at one point: where it was typed, the path that it sets, as typed, and as read."""

    typed_in: str
    path: str
    written: str
    value: Any

    @property
    def set(self) -> str:
        """As `--set` takes it."""
        return f"{self.path}={self.written}"


@dataclass(frozen=True, slots=True)
class Point:
    """A point: its values by path, and its scenario."""

    values: Mapping[str, Any]
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario, the paths that its points set, and the points in order."""

    scenario: Scenario
    paths: tuple[str, ...]
    points: tuple[Point, ...]


def load_plan(
    name_or_path: str,
    *,
    grids: Sequence[str] = (),
    listed: Path | None = None,
    sets: Sequence[str] = (),
    factory: str | None = None,
    option: FactoryOption = "--factory",
) -> Plan:
    """The points of a sweep, each one's scenario checked as `relaysim.scenarios.load.load` checks it.

    Args:
        name_or_path: of the scenario.
        grids: `PATH=V1,V2,...` each; the points are all combinations, those of the last grid varying fastest.
        listed: a CSV file with paths as its header and a point in each row.
        sets: `PATH=VALUE` for all points.
        factory: another relay in place of the scenario's.
        option: by which name it was put in, as of `load`.

    Raises:
        ScenarioError: with every problem of every point.
    """
    if grids and listed is not None:
        raise ScenarioError([Problem("--list", "", "excludes --grid: the points come from one or the other")])
    rows = _rows_of_grids(grids) if listed is None else _rows_of_file(listed)
    with Session():  # each point's relay is built once, to see that it can be
        base = load(name_or_path, sets, factory, option=option)
        points: list[Point] = []
        problems: list[Problem] = []
        for row in rows:
            try:
                scenario = load(name_or_path, [*sets, *(each.set for each in row)], factory, option=option)
            except ScenarioError as error:
                problems += [_placed(problem, row) for problem in error.problems]
            else:
                points.append(Point({each.path: each.value for each in row}, scenario))
    if problems:
        raise ScenarioError(list(dict.fromkeys(problems)))
    return Plan(base, tuple(each.path for each in rows[0]), tuple(points))


def _placed(problem: Problem, row: Sequence[Setting]) -> Problem:
    """A problem of a point, told of what set it: by the value itself, else by all values of the point."""
    for setting in row:
        if problem.file == f"--set {setting.set}":
            return Problem(setting.typed_in, problem.path, problem.message, problem.suggestion, problem.page)
    where = ", ".join(dict.fromkeys(each.typed_in for each in row))
    return Problem(where or problem.file, problem.path, problem.message, problem.suggestion, problem.page)


# Grids


def _rows_of_grids(grids: Sequence[str]) -> list[list[Setting]]:
    problems: list[Problem] = []
    axes: list[list[Setting]] = []
    for grid in grids:
        try:
            axes.append(_axis(grid))
        except PathError as error:
            problems.append(Problem(f"--grid {grid}", "", str(error)))
    paths = [axis[0].path for axis in axes]
    problems += [Problem(f"--grid {path}", "", message) for path, message in _wrong_paths(paths)]
    count = 1
    for axis in axes:
        count *= len(axis)
    if count > POINTS_MAX:
        problems.append(Problem("--grid", "", f"makes {count:,} points, more than {POINTS_MAX:,}"))
    if problems:
        raise ScenarioError(problems)
    return [list(row) for row in product(*axes)]


def _axis(grid: str) -> list[Setting]:
    path, equals, written = grid.partition("=")
    path = path.strip()
    if not equals or not path or not written.strip():
        raise PathError("gives no values: write PATH=V1,V2,..., e.g. relay.settings.attempts=2,3,4")
    parse_path(path)
    axis = []
    for each in _values_apart(written):
        if not each.strip():
            raise PathError("has an empty value: between two commas there must be one")
        axis.append(Setting(f"--grid {path}={each}", path, each, _read(each)))
    texts = [each.written for each in axis]
    if twice := sorted({each for each in texts if texts.count(each) > 1}):
        raise PathError(f"has the value {twice[0]} twice")
    return axis


def _values_apart(written: str) -> list[str]:
    """Texts with commas in between that stand in no brackets, braces or quotes. Raises PathError if one stays open."""
    values, depth, quote, start = [], 0, "", 0
    for at, sign in enumerate(written):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "," and not depth:
            values.append(written[start:at])
            start = at + 1
    if quote or depth > 0:
        raise PathError(f"has {'a quote' if quote else 'a bracket or brace'} that nothing closes")
    return [each.strip() for each in (*values, written[start:])]


def _read(written: str) -> Any:
    """A value as `--set` reads it."""
    return parse_setting(f"value={written}")[1]


def _wrong_paths(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    steps = [parse_path(path) for path in paths]
    for index, path in enumerate(paths):
        if path in _NOT_SWEPT:
            yield path, f"cannot be swept; {_NOT_SWEPT[path]}"
        for before, other in zip(steps[:index], paths, strict=False):
            shorter = min(len(before), len(steps[index]))
            if before == steps[index]:
                yield path, "is there twice"
            elif before[:shorter] == steps[index][:shorter]:
                yield path, f"one of {path} and {other} lies inside the other, so they would set the same value"


# Lists


def _rows_of_file(path: Path) -> list[list[Setting]]:
    def wrong(message: str) -> ScenarioError:
        return ScenarioError([Problem(str(path), "", message, page=POINTS)])

    try:
        content = read_within(path, BYTES_MAX)
        if len(content) > BYTES_MAX:
            raise wrong(f"has more than {BYTES_MAX:,} bytes, which no list of {POINTS_MAX:,} points needs")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise wrong(f"cannot be read: {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise wrong(f"is not UTF-8, at byte {error.start}") from error
    read: list[str] = []  # the row that is being read, as it was written: cells do not tell `""` from a blank line

    def kept() -> Iterator[str]:
        for each in io.StringIO(text, newline=""):
            read.append(each)
            yield each

    reader = csv.reader(kept(), strict=True)
    rows: list[list[Setting]] = []
    problems: list[Problem] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            line = reader.line_num
            written = "".join(read)
            read.clear()
            if not written.strip(" \t\r\n,"):  # spreadsheets write commas into empty rows
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                problems += _wrong_header(path, line, header)
                if problems:
                    raise ScenarioError(problems)
                continue
            row, wrong_cells = _row(path, line, header, cells)
            rows.append(row)
            problems += wrong_cells
    except csv.Error as error:
        raise wrong(f"line {reader.line_num}: is no CSV: {error}") from error
    if problems:
        raise ScenarioError(problems)
    if header is None:
        raise wrong("is empty; its first line must name paths, e.g. relay.settings.attempts,root_seed")
    if not rows:
        raise wrong("has no points: below the line of paths there must be a line for each")
    if len(rows) > POINTS_MAX:
        raise wrong(f"has {len(rows):,} points, more than {POINTS_MAX:,}")
    return rows


def _wrong_header(path: Path, line: int, header: Sequence[str]) -> list[Problem]:
    if any(";" in name for name in header):
        message = "has semicolons between its paths; a list is read with commas, in every line"
        return [Problem(f"{path}, line {line}", "", message, page=POINTS)]
    problems = []
    for column, name in enumerate(header, 1):
        try:
            parse_path(name)
        except PathError as error:
            problems.append(Problem(f"{path}, line {line}, column {column}", "", str(error), page=POINTS))
    if not problems:
        problems = [
            Problem(f"{path}, line {line}", name, message, page=POINTS) for name, message in _wrong_paths(header)
        ]
    return problems


def _row(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> tuple[list[Setting], list[Problem]]:
    if len(cells) != len(header):
        message = f"has {counted(len(cells), 'value')}, and line 1 names {counted(len(header), 'path')}"
        return [], [Problem(f"{path}, line {line}", "", message, page=POINTS)]
    row, problems = [], []
    for column, (name, cell) in enumerate(zip(header, cells, strict=True), 1):
        typed_in = f"{path}, line {line}, column {column} ({name})"
        if not cell.strip():
            problems.append(
                Problem(typed_in, "", "is empty; write the value that the scenario has, if that is meant", page=POINTS)
            )
            continue
        try:
            row.append(Setting(typed_in, name, cell.strip(), _read(cell.strip())))
        except PathError as error:
            problems.append(Problem(typed_in, "", str(error), page=POINTS))
    return row, problems
