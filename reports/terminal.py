"""The verdicts on a terminal, all of them: a row per claim, and what went wrong with the command that replays it.

It comes after the answer (`relaysim.reports.answer_terminal`), for whoever asks for more.

Verdicts carry a symbol and a word, never a colour alone. Where the output is no terminal, the table is as wide as it
needs to be: a log that cuts off ids helps nobody. rich itself honours NO_COLOR.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from relaysim.reports.counters import counters_of
from relaysim.reports.determinism import is_deterministic, not_deterministic_words
from relaysim.reports.results import claims_of
from relaysim.reports.summary import (
    SYMBOLS,
    Row,
    decided_words,
    example_words,
    exception_words,
    interval_title,
    interval_words,
    limit_words,
    observed_words,
    percent,
    strata_words,
    strategy_words,
    summarise,
    trials_words,
    verdict_words,
)
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

#: Columns of a table where nobody says how wide the output is.
WIDTH_ELSEWHERE = 200

_STYLES = {"verified": "green", "refuted": "red", "inconclusive": "yellow", "not judged": "dim"}


def console_for(stream: IO[str] | None = None) -> Console:
    """A rich console on a stream (standard output by default), wide where it is no terminal."""
    from rich.console import Console

    stream = stream or sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else WIDTH_ELSEWHERE
    return Console(file=stream, width=width, highlight=False)


@contextmanager
def wide_enough(console: Console) -> Iterator[None]:
    """Let a console that is no terminal be as wide as tables need it."""
    before = console.width
    if not console.is_terminal:
        console.width = max(before, WIDTH_ELSEWHERE)
    try:
        yield
    finally:
        console.width = before


def print_sentences(console: Console, *sentences: str, style: str = "") -> None:
    """Print each on a line of its own, however long it is, with brackets and colons as they are."""
    from rich.text import Text

    for sentence in sentences:
        console.print(Text(sentence, style=style), soft_wrap=True)


def print_report(console: Console, results: Mapping[str, Any]) -> None:
    """Print the summary, the verdict of each scenario where there are several, and what went wrong.

    Where a seed was not one world, that comes first.
    """
    rows = summarise(results)
    if not is_deterministic(results):
        print_sentences(console, not_deterministic_words(results), style="bold red")
        console.print()
    for scenario in [] if "details" in results else results["scenarios"]:  # details begin with them themselves
        for obstacle in scenario.get("obstacles", ()):
            print_sentences(console, f"! {scenario['scenario']}: {obstacle['text']}.", style="bold")
    with wide_enough(console):
        _print_table(console, _summary_table(rows, interval_title(results)), _summary_blocks(rows))
        if any(len(row.entries) > len(row.parts) for row in rows):
            _print_table(console, _details_table(rows, interval_title(results)), _details_blocks(rows))
        _print_how_decided(console, results)
        _print_wrong(console, results, rows)
        for scenario in results["scenarios"]:
            for name, words in counters_of(scenario):
                print_sentences(console, f"{scenario['scenario']}: {name}: {words}.")
        if words := strategy_words(results):
            print_sentences(console, words)
        print_sentences(console, *results.get("details", ()))


def _print_table(console: Console, table: Table, blocks: list[tuple[str, list[list[Text]]]]) -> None:
    """Print the table, or the same as blocks of lines where the table does not fit: squeezed, it could not be read."""
    from rich.measure import Measurement
    from rich.text import Text

    if Measurement.get(console, console.options.update(max_width=10_000), table).maximum <= console.width:
        console.print(table)
        return
    console.print(Text(str(table.title), style="bold"))
    for identifier, entries in blocks:
        console.print(Text(identifier, style="bold"))
        for where, verdict, count, observed, interval, limit in entries:
            console.print(Text("  ").join([Text(""), verdict, where]))
            console.print(Text(f"      {count}: {observed}, interval {interval}, limit {limit}"))
        if not entries:
            console.print(Text("  ").join([Text(""), _verdict("not judged")]))
    console.print()


def _table(title: str, interval: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("claim", no_wrap=True)
    table.add_column("where", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("count / n", justify="right", no_wrap=True)
    table.add_column("observed", justify="right")
    table.add_column(interval, justify="right")
    table.add_column("limit", justify="right")
    return table


def _verdict(verdict: str, by_construction: bool = False) -> Text:
    from rich.text import Text

    return Text(f"{SYMBOLS[verdict]} {verdict_words(verdict, by_construction)}", style=_STYLES[verdict])


def _numbers(claim: Mapping[str, Any]) -> list[Text]:
    from rich.text import Text

    texts = (trials_words(claim), observed_words(claim), interval_words(claim), limit_words(claim))
    return [Text(text) for text in texts]


def _summary_blocks(rows: list[Row]) -> list[tuple[str, list[list[Text]]]]:
    """Each claim id with a list of cells for each of its parts."""
    from rich.text import Text

    blocks = []
    for row in rows:
        cells: list[list[Text]] = []
        for part in row.parts:
            where = part.where
            if len(row.parts) > 1 and part.label:
                where = f"{part.label}: {where}"
            verdict = _verdict(part.verdict, part.by_construction)
            cells.append([Text(where), verdict, *_numbers(part.claim)])
        blocks.append((row.id, cells))
    return blocks


def _details_blocks(rows: list[Row]) -> list[tuple[str, list[list[Text]]]]:
    """Each claim id with a list of cells for each scenario that judged it."""
    from rich.text import Text

    return [
        (
            row.id,
            [
                [
                    Text(str(scenario["scenario"])),
                    _verdict(claim["verdict"], claim.get("by_construction", False)),
                    *_numbers(claim),
                ]
                for scenario, claim in row.entries
            ],
        )
        for row in rows
        if row.entries
    ]


def _summary_table(rows: list[Row], interval: str) -> Table:
    from rich.text import Text

    table = _table("Claims", interval)
    for identifier, cells in _summary_blocks(rows):
        if cells:
            # The parts of one claim are lines of one row, so that each id has exactly one row.
            table.add_row(Text(identifier), *(Text("\n").join(column) for column in zip(*cells, strict=True)))
        else:
            table.add_row(Text(identifier), Text(""), _verdict("not judged"))
    return table


def _details_table(rows: list[Row], interval: str) -> Table:
    from rich.text import Text

    table = _table("Claims, scenario by scenario", interval)
    for identifier, entries in _details_blocks(rows):
        for index, cells in enumerate(entries):
            table.add_row(Text(identifier if index == 0 else ""), *cells, end_section=index == len(entries) - 1)
    return table


def _print_how_decided(console: Console, results: Mapping[str, Any]) -> None:
    """What the strata showed, and when the claims were decided that were looked at while the replications came."""
    from rich.text import Text

    in_strata = [(scenario, claim) for scenario, claim in claims_of(results) if "strata" in claim]
    if in_strata:
        console.print(Text("How the strata add up", style="bold"))
        for scenario, claim in in_strata:
            message = f"  {claim['id']} in {scenario['scenario']}, {percent(claim['observed'])}: {strata_words(claim)}"
            print_sentences(console, message)
        console.print()
    details = [(scenario, claim) for scenario, claim in claims_of(results) if "looks" in claim]
    if not details:
        return
    error = details[0][0]["sequential"]["error"]
    console.print(Text(f"When the claims were decided, with at most {percent(error)} wrong", style="bold"))
    for scenario, claim in details:
        symbol = SYMBOLS[claim["verdict"]]
        message = f"  {symbol} {claim['id']} in {scenario['scenario']}: {decided_words(scenario, claim)}"
        print_sentences(console, message)
    console.print()


def _print_wrong(console: Console, results: Mapping[str, Any], rows: list[Row]) -> None:
    from rich.text import Text

    lines: list[tuple[str, str, str]] = []
    for row in rows:
        for scenario, claim in row.entries:
            if claim["verdict"] != "verified":
                if not claim["examples"] and claim.get("why") and not scenario.get("obstacles"):
                    head = f"{SYMBOLS[claim['verdict']]} {row.id} in {scenario['scenario']}"
                    lines.append((head, str(claim["why"]), ""))
                for example in claim["examples"][:1]:
                    head = f"{SYMBOLS[claim['verdict']]} {row.id} in {scenario['scenario']}, seed {example['seed']}"
                    lines.append((head, example_words(example), str(example.get("replay", ""))))
    for scenario in results["scenarios"]:
        for name, invariant in sorted(scenario.get("invariants", {}).items()):
            for example in invariant.get("examples", ())[:1]:
                times = counted(invariant["breaches"], "breach")
                where = f"{scenario['scenario']}, {times}, seed {example['seed']}"
                # T1 to T6 say what customers saw, faults and deadlines included; S and L what the relay promises.
                code = f"{name}, as customers see it" if name.startswith("T") else name
                title = invariant.get("title")
                head = f"✘ {title}: {where} ({code})" if title else f"✘ invariant {code} broken in {where}"
                lines.append((head, example_words(example), str(example.get("replay", ""))))
        for exception in scenario.get("exceptions", ()):
            head = f"! {scenario['scenario']}, {exception_words(scenario, exception)}; seed {exception['seed']}"
            lines.append((head, str(exception["text"]), str(exception["replay"])))
    if not lines:
        return
    console.print(Text("What went wrong, and how to see it", style="bold"))
    for head, message, replay in lines:
        print_sentences(console, f"  {head}" + (f": {message}" if message else ""))
        if replay:
            # Never wrapped, so that it can be copied as it stands.
            print_sentences(console, f"      {replay}", style="cyan")
    console.print()
