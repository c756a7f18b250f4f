"""A fit on a terminal: how conflicts ended, what is claimed, the profile's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relaysim.reports.fit_words import (
    CLAIMED,
    claim_interval_words,
    ending_words,
    family_words,
    notes,
    numbers_words,
    share_words,
)
from relaysim.reports.summary import SYMBOLS, interval_words, limit_words, observed_words, percent, trials_words
from relaysim.reports.terminal import print_sentences, wide_enough

if TYPE_CHECKING:
    from rich.console import Console


def print_fit(console: Console, results: Mapping[str, Any]) -> None:
    """Print everything that was read from the logs."""
    with wide_enough(console):
        if rows := [_ending(each) for each in results["conflicts"]["endings"]]:
            _table(
                console, "How conflicts ended", ("", "count / n", "share", "99 % interval", "claimed", "profile"), rows
            )
        if rows := [_claim(each) for each in results["claims"]]:
            heads = ("claim", "verdict", "count / n", "observed", "interval", "limit")
            _table(console, "Claims, as the log tells them", heads, rows)
            if family := family_words(results):
                print_sentences(console, f"  {family}")
                console.print()
        rows = [[each["number"], each["status"], numbers_words(each)] for each in results["numbers"]]
        _table(console, "The profile's numbers, with 95 % intervals", ("", "", ""), rows)
        for each in results["numbers"]:
            if each["status"] == "kept":
                print_sentences(console, f"  {each['number']} is kept from {results['base']}: {each['said']}")
            elif each["status"] != "fitted":
                print_sentences(console, f"  {each['number']} ({each['status']}): {each['said']}")
        print_sentences(console, *(f"  {each['id']} cannot be told: {each['why']}" for each in results["untold"]))
        print_sentences(console, *(f"! {note}" for note in notes(results)))


def _ending(entry: Mapping[str, Any]) -> list[str]:
    claimed = CLAIMED.get(entry["ending"])
    return [
        ending_words(entry["ending"]),
        trials_words(entry),
        percent(entry["observed"]),
        interval_words(entry),
        "" if claimed is None else f"{claimed * 100:g} %",
        share_words(entry["profile"]),
    ]


def _claim(claim: Mapping[str, Any]) -> list[str]:
    verdict = f"{SYMBOLS[claim['verdict']]} {claim['verdict']}"
    return [
        claim["id"],
        verdict,
        trials_words(claim),
        observed_words(claim),
        claim_interval_words(claim),
        limit_words(claim),
    ]


def _table(console: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.show_header = any(heads)
    numbers = ("count / n", "share", "observed", "99 % interval", "interval", "claimed", "profile", "limit")
    for head in heads:
        table.add_column(head, justify="right" if head in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
