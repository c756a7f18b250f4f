"""The table of ablations in words: docs/ablations.md, and what the command prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from relaysim.scenarios.ablations.ablation_list import BY_NAME
from relaysim.sim.counted import counted
from relaysim.sim.world.judge.catalogue import PROMISES

if TYPE_CHECKING:
    from rich.console import Console

RECORDED: Final = Path(__file__).parent / "recorded.json"

_OPENING = """# Ablations: every promise can be broken

A promise that nothing breaks may be one that nobody checks. So the policy [`drain`](drain.md) is run again and again, each
time without one of its safeguards, and the judge must notice: each of its promises, S1 to S16 and L1 to L7, notices at
least one of these relays. The whole policy runs in the very same worlds and breaks none. T1, that every message is
answered and not apologised for, is no promise: it must notice where a safeguard brings answers.

    relaysim ablate                          all of it, about two minutes on two processors
    relaysim ablate no_fencing no_dedup      only these
    relaysim ablate --scenario df.toml       all in another scenario, for instance one with faults at random

Each world is small and has one trouble, so that what is missing shows at once. **Took** is how many replications it took
until one of the promises that are expected to notice did: the median over {roots} root seeds with {replications}
replications each. The sentence is from the first such world.

This page is written from what `python -m relaysim.scenarios.ablations --record` found; without `--record` it is printed.
A test runs each ablation's first world again. Every relay is a factory, so that any command takes it:

    relaysim replay scenarios/ablations/holder_paused.toml --seed 0 \\
      --set relay.factory=relaysim.scenarios.ablations:no_fencing
"""


def recorded() -> dict[str, Any]:
    """What was recorded last."""
    read: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return read


def took_words(row: Mapping[str, Any]) -> str:
    """How many replications it took."""
    middle = row["median"]
    return f"more than {row['replications']}" if middle is None else f"{middle:g}"


def noticed_words(row: Mapping[str, Any]) -> str:
    """The promises that noticed in the first world, those that had to in front."""
    first = row["first"]
    if first is None:
        return "none"
    there = first["sentences"]
    expected = [each for each in row["promises"] if each in there]
    others = [each for each in PROMISES if each in there and each not in row["promises"]]
    return ", ".join(expected) + (f" (and {', '.join(others)})" if others else "")


def seed_words(row: Mapping[str, Any]) -> str:
    """The first world."""
    first = row["first"]
    return "none" if first is None else f"{first['root_seed']} / {first['seed']}"


def sentence_of(row: Mapping[str, Any]) -> str:
    """What the first promise that had to notice said."""
    first = row["first"]
    if first is None:
        return ""
    sentences: Mapping[str, str] = first["sentences"]
    return next((sentences[each] for each in row["promises"] if each in sentences), "")


def baseline_words(results: Mapping[str, Any]) -> str:
    """What the whole policy did in the same worlds, in a sentence."""
    worlds, messages = (sum(row[each] for row in results["whole"]) for each in ("worlds", "messages"))
    broken = list(dict.fromkeys(each for row in results["whole"] for each in row["broken"]))
    message = f"{' and '.join(broken)} broken" if broken else "no promise broken"
    return f"The whole policy in the same {counted(worlds, 'world')}, with {counted(messages, 'message')}: {message}."


def print_ablations(console: Console, results: Mapping[str, Any], wrong: Sequence[str]) -> None:
    """Print a line per ablation, what the whole policy did, and what is not as it should be."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("ablation", "noticed by", "scenario", "root seed / seed", "took"):
        table.add_column(name, no_wrap=True)
    table.add_column("it said", overflow="fold")
    for row in results["ablations"]:
        cells = (
            row["ablation"],
            noticed_words(row),
            row["scenario"],
            seed_words(row),
            took_words(row),
            sentence_of(row),
        )
        table.add_row(*map(Text, cells))
    console.print(table)
    console.print(Text(baseline_words(results)), soft_wrap=True)
    for message in wrong:
        console.print(Text(f"! {message}"), soft_wrap=True)


def page(results: Mapping[str, Any]) -> str:
    """The whole page."""
    rows, baselines, noticed = results["ablations"], results["whole"], results["promises"]
    replications = sorted({row["replications"] for row in rows})
    opening = _OPENING.format(roots=results["root_seeds"], replications=" or ".join(map(str, replications)))
    lines = [opening, "## Without a safeguard", ""]
    lines += _table(
        ("ablation", "what is removed", "noticed by", "scenario", "first at (root seed / seed)", "took", "it said"),
        (
            (
                f"`{row['ablation']}`",
                row["removed"],
                noticed_words(row),
                f"`{row['scenario']}`",
                seed_words(row),
                took_words(row),
                sentence_of(row),
            )
            for row in rows
        ),
    )
    lines += ["", "## The whole policy in the same worlds", "", baseline_words(results), ""]
    lines += _table(
        ("scenario", "what happens", "worlds", "broken", "put to the test"),
        (
            (
                f"`{row['scenario']}`",
                row["title"],
                f"{row['worlds']:,}",
                ", ".join(row["broken"]) or "none",
                ", ".join(f"{each} {checked:,}" for each, checked in row["checked"].items()),
            )
            for row in baselines
        ),
    )
    lines += ["", "## By promise", ""]
    lines += _table(
        ("promise", "its name", "noticed, as it had to", "noticed, too"),
        (
            (each, name, _names(noticed[each], each, expected=True), _names(noticed[each], each, expected=False))
            for each, name in PROMISES.items()
        ),
    )
    return "\n".join(lines) + "\n"


def _names(names: Sequence[str], promise: str, *, expected: bool) -> str:
    return ", ".join(f"`{name}`" for name in names if (promise in BY_NAME[name].promises) is expected)


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
