"""A comparison on a terminal: every measure side by side, then how far the policies lie apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relaysim.reports.compared_verdicts import mark
from relaysim.reports.comparison import (
    CONFIDENCE,
    LEGEND,
    MEASURES,
    Measure,
    difference_interval_words,
    difference_words,
    interval_words,
    lead,
    notes,
    settings_words,
    value_words,
)
from relaysim.reports.counters import counters_of
from relaysim.reports.terminal import print_sentences, wide_enough
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def print_comparison(console: Console, results: Mapping[str, Any]) -> None:
    """Print both tables, what must be known to read them, and one world to look at."""
    with wide_enough(console):
        settings = (f"  {policy['policy']}: {settings_words(policy)}" for policy in results["policies"])
        print_sentences(console, lead(results), *settings)
        console.print()
        _print(console, f"Side by side, with {CONFIDENCE} intervals", _side_by_side(results))
        _print(console, f"Differences from {results['against']}, with {CONFIDENCE} intervals", _differences(results))
        print_sentences(console, LEGEND, style="dim")
        for policy in results["policies"]:
            print_sentences(console, *(f"{policy['policy']}: {name}: {words}." for name, words in counters_of(policy)))
        print_sentences(console, *(f"! {note}" for note in notes(results)))
        for difference in results["differences"]:
            if difference["example"] is not None:
                print_sentences(console, *_example(difference))


_Column = tuple[str, list[str]]


def _side_by_side(results: Mapping[str, Any]) -> list[_Column]:
    columns = [("", ["messages", *(measure.title for measure in MEASURES)])]
    for policy in results["policies"]:
        cells = [f"{policy['counts']['messages']:,}"]
        cells += [_with(measure, policy["measures"][measure.id]) for measure in MEASURES]
        columns.append((policy["policy"], cells))
    return columns


def _with(measure: Measure, measured: Mapping[str, Any]) -> str:
    interval = interval_words(measure, measured["interval"])
    value = value_words(measure, measured["value"])
    return f"{value} ({interval})" if interval else value


def _differences(results: Mapping[str, Any]) -> list[_Column]:
    columns = [("", [measure.title for measure in MEASURES])]
    for difference in results["differences"]:
        cells = []
        for measure in MEASURES:
            each = difference["measures"][measure.id]
            interval = difference_interval_words(measure, each)
            words = difference_words(measure, each)
            cells.append(f"{f'{words} ({interval})' if interval else words} {mark(measure, each)}")
        columns.append((difference["policy"], cells))
    return columns


def _print(console: Console, title: str, columns: list[_Column]) -> None:
    """Print a table, or one policy below the other where it does not fit: squeezed, it could not be read."""
    from rich.measure import Measurement
    from rich.text import Text

    table = _table(title, columns)
    if Measurement.get(console, console.options.update(max_width=10_000), table).maximum <= console.width:
        console.print(table)
        return
    console.print(Text(title, style="bold"))
    (_, titles), *rest = columns
    for name, cells in rest:
        console.print(Text(name, style="bold"))
        for message, cell in zip(titles, cells, strict=True):
            console.print(Text(f"  {message}: {cell}"))
    console.print()


def _table(title: str, columns: list[_Column]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for at, (name, _) in enumerate(columns):
        table.add_column(Text(name), justify="right" if at else "left", no_wrap=True)
    for row in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*map(Text, row))
    return table


def _example(difference: Mapping[str, Any]) -> list[str]:
    example = difference["example"]
    failed, failed_against = example["failed"]
    return [
        f"Farthest apart: in world {example['seed']}, {counted(failed, 'message')} failed under {difference['policy']}, "
        f"{failed_against:,} under {difference['against']}.",
        *(f"      {command}" for command in example["replay"]),
    ]
