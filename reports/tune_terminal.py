"""A tuning on a terminal: what to do, the judged candidates, and where the files lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relaysim.reports.terminal import print_sentences, wide_enough
from relaysim.reports.tune_words import (
    CONFIDENCE,
    LEGEND,
    MARKS,
    PRESENT,
    SHORT,
    agreement_words,
    changes,
    difference_words,
    interval_words,
    lead,
    measures,
    notes,
    recommendation,
    settings_words,
    value_words,
    waits_words,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def print_tuning(console: Console, results: Mapping[str, Any]) -> None:
    """Print a table for each profile, what must be known to read it, and how the recommendation was reached."""
    with wide_enough(console):
        print_sentences(console, lead(results))
        console.print()
        for place, judged in enumerate(results["judged"], 1):
            settings = settings_words(changes(results, judged["settings"]), waits_words(judged))
            print_sentences(console, f"  candidate {place} (trial {judged['trial'] + 1}): {settings}")
        console.print()
        for profile in results["profiles"]:
            console.print(_table(results, profile))
        print_sentences(console, LEGEND, style="dim")
        print_sentences(console, *(f"! {note}" for note in notes(results)))
        if results["closed_form"] is not None:
            print_sentences(console, *(f"Arithmetic: {each}" for each in agreement_words(results)), style="dim")
        console.print()
        print_sentences(console, recommendation(results), style="bold")


def _table(results: Mapping[str, Any], profile: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = f"Held-out worlds under {profile}: value, and difference from the {PRESENT} with its {CONFIDENCE} interval"
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("candidate", no_wrap=True)
    details = measures(results)
    for each in details:
        table.add_column(SHORT[each["id"]], justify="right", no_wrap=True)
    present = results["present"]["held_out"][profile]
    table.add_row(PRESENT, *(value_words(each["unit"], present[each["id"]]["value"]) for each in details))
    for place, judged in enumerate(results["judged"], 1):
        cells = []
        for each in details:
            found, unit = judged["by_profile"][profile][each["id"]], each["unit"]
            interval = interval_words(unit, found["difference_interval"], signed=True)
            words = "as now" if found["verdict"] == "same" else difference_words(unit, found["difference"])
            words += f" ({interval})" if interval else ""
            cells.append(f"{value_words(unit, found['value'])}\n{words} {MARKS[found['verdict']]}")
        mark = " ✔" if results["recommended"] == place - 1 else " (fragile)" if judged["fragile"] else ""
        table.add_row(Text(f"{place}{mark}"), *map(Text, cells))
    if drain := results.get("drain"):
        beside = [drain[profile].get(each["id"]) for each in details]
        cells = [
            "" if each is None else value_words(one["unit"], each["value"])
            for one, each in zip(details, beside, strict=True)
        ]
        table.add_row(Text("drain"), *map(Text, cells))
    return table
