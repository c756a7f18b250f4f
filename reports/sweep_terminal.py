"""A sweep on a terminal: a line per point, a column per claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relaysim.reports.summary import interval_words, limit_words
from relaysim.reports.sweep_words import (
    claim_at,
    claim_words,
    claims_of,
    lead,
    notes,
    point_words,
    short_names,
    value_words,
    varying,
)
from relaysim.reports.terminal import print_sentences, wide_enough
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: More points than this scroll everything else away; the files have all of them.
POINTS_MAX = 60


def print_sweep(console: Console, results: Mapping[str, Any]) -> None:
    """Print the points, and what must be known to read them."""
    from rich.measure import Measurement

    with wide_enough(console):
        print_sentences(console, lead(results), *filter(None, [_fixed_words(results)]))
        console.print()
        table = _table(results)
        if Measurement.get(console, console.options.update(max_width=10_000), table).maximum <= console.width:
            console.print(table)
        else:
            _print_blocks(console, results)
        if len(results["points"]) > POINTS_MAX:
            console.print(
                f"These are the first {POINTS_MAX} of {len(results['points']):,} points; results.csv has all."
            )
        print_sentences(console, *(f"! {note}" for note in notes(results)))


def _fixed_words(results: Mapping[str, Any]) -> str:
    """The axes with a single value, which have no column of their own; "" if there are none."""
    fixed = [axis for axis in results["axes"] if len(axis["values"]) == 1]
    message = ", ".join(f"{axis['path']}={value_words(axis['values'][0])}" for axis in fixed)
    where = "At every point" if len(results["points"]) > 1 else "At this point"
    return f"{where}: {message}" if message else ""


def _table(results: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    axes = varying(results)
    for name in short_names(axes) if axes else ["scenario"]:
        table.add_column(Text(name), justify="right", no_wrap=True)
    table.add_column("worlds", justify="right", no_wrap=True)
    claims = claims_of(results)
    for claim in claims:
        table.add_column(Text(f"{claim['id']}\n{limit_words(claim)}"), no_wrap=True)
    for point in results["points"][:POINTS_MAX]:
        cells = [value_words(point["values"][axis["path"]]) for axis in axes] or [results["scenario"]]
        cells.append(f"{point['replications']:,}")
        for claim in claims:
            found = claim_at(point, claim["id"])
            cells.append("" if found is None else f"{claim_words(found)}\n  {interval_words(found)}")
        table.add_row(*map(Text, cells))
    return table


def _print_blocks(console: Console, results: Mapping[str, Any]) -> None:
    """The same one below the other: squeezed, the table could not be read."""
    from rich.text import Text

    for point in results["points"][:POINTS_MAX]:
        console.print(Text(f"{point_words(results, point)}: {counted(point['replications'], 'world')}", style="bold"))
        for claim in point["claims"]:
            found = f"{claim_words(claim)} ({interval_words(claim)})"
            print_sentences(console, f"  {claim['id']} ({limit_words(claim)}): {found}")
    console.print()
