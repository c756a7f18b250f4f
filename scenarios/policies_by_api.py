"""The same policies under each API and each place where what was said is kept: the customers of `peak_hour`, and verdicts.

    python -m relaysim.scenarios.policies_by_api --replications 20

prints, as Markdown, the table of docs/migrating.md ("Which policy under which API"): for each policy under each API how
many messages failed, what customers noticed, and the verdicts on the claims that `peak_hour` and `responses_peak_hour`
share, beside those that were expected before the first run. The customers of both are the same. `--as-run` prints the
other table of that page instead: the incident's claims of the printed fix, and of the fix as servers are seen to run it.

A verdict needs worlds: of few of them a rate near its limit is inconclusive.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from relaysim.scenarios.load import load
from relaysim.scenarios.timing import cores
from relaysim.scenarios.verdicts import verify_scenario

CLAIMS: Final = ("success", "error-target", "transparent")
"""Claims that both scenarios have: more than 99 % succeed; errors fall below 0.1 %; the customer does not notice."""
_SYMBOLS: Final = {"verified": "✔", "refuted": "✘", "inconclusive": "?"}
_HOME: Final = "relay.factory=relaysim.relay:"
_DRAIN: Final = (f"{_HOME}drain", 'relay.settings={api="responses"}')
_FIX: Final = "relay.settings={attempts=3, first_wait_seconds=2.0, wait_after_last_failure=true"
_AGENTS: Final = "relay.settings={"
AS_RUN: Final = f"{_HOME}cancel_and_retry_as_run"
INCIDENT: Final = ("race", "stuck_run", "persistent_failure", "peak_hour")
"""The scenarios of the second table."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A policy under an API: what to call them, the scenario with what is set in it, and the verdicts on `CLAIMS` that were
    expected before the first run, as symbols."""

    api: str
    policy: str
    scenario: str
    sets: tuple[str, ...]
    expected: str = ""


def cells() -> Iterator[Cell]:
    """All cells of the first table, API by API."""
    threads, fix, agents = "Threads", "2/4/8 (the fix)", "1/2/4"
    waits = (
        "relay.settings.waits=[1, 2, 4]",
        "relay.settings.attempts=4",
        "relay.settings.wait_after_last_failure=false",
    )
    yield Cell(threads, fix, "peak_hour", (), "✘✘✘")
    yield Cell(threads, agents, "peak_hour", waits, "✘✘✘")
    drained = (f"{_HOME}drain", "relay.settings={}", "workers[1].settings={}")
    yield Cell(threads, "drain", "peak_hour", drained, "✔✔✔")
    conversation = "Responses, conversation"
    yield from _on_responses(conversation, "conversation", "openai400", fix, agents)
    yield from _on_responses("Responses, chain", "chain", "openai400", fix, agents, drains=False)
    yield from _on_responses("Responses, kept by the client", "client", "openai400", fix, agents, drains=False)
    yield from _on_responses("a host without a lock", "conversation", "none", fix, agents)
    yield from _on_responses("Foundry, 409", "conversation", "foundry409", fix, agents)


def _on_responses(api: str, storage: str, lock: str, fix: str, agents: str, *, drains: bool = True) -> Iterator[Cell]:
    name = "responses_peak_hour"
    locked = () if lock == "openai400" else (f"profile_overrides.lock={lock}",)
    waiting = "✘✘✘" if storage == "conversation" and lock != "none" else "✔✔✘"
    kept = "" if storage == "conversation" else f'storage="{storage}"'
    yield Cell(api, fix, name, (f"{_FIX}{', ' if kept else ''}{kept}}}", *locked), waiting)
    yield Cell(api, agents, name, ((f"{_AGENTS}{kept}}}",) if kept else ()) + locked, waiting)
    if drains:
        yield Cell(api, "drain", name, (*_DRAIN, *locked), "✔✔✔")


def judged(cell: Cell, replications: int, jobs: int = 1) -> tuple[dict[str, Any], str]:
    """A cell's entry as `verify` has it, and the command that replays one of its worlds, with `{seed}`."""
    scenario = load(cell.scenario, list(cell.sets))
    entry, _ = verify_scenario(scenario, replications=replications, lane_check=0, jobs=jobs)
    return entry, scenario.origin.replay_template()


def verdicts(entry: dict[str, Any]) -> dict[str, str]:
    """Each shared claim's verdict."""
    return {claim["id"]: claim["verdict"] for claim in entry["claims"] if claim["id"] in CLAIMS}


def history_breaches(entry: dict[str, Any]) -> str:
    """What was broken besides what customers see, by id and number."""
    broken = {
        name.partition("-")[0]: each["breaches"] for name, each in entry["invariants"].items() if each["breaches"]
    }
    return ", ".join(f"{name} {count}" for name, count in broken.items() if not name.startswith("T")) or "none"


def table(replications: int, jobs: int = 1) -> Iterator[str]:
    """The first table, line by line."""
    heads = (
        "API",
        "policy",
        "messages",
        "met a conflict",
        "failed",
        "customers noticed",
        "breaches of the history",
        "requests per message",
        "> 99 %; < 0.1 %; unnoticed",
        "expected",
        "see a world of it",
    )
    yield from _head(heads)
    for cell in cells():
        entry, replay = judged(cell, replications, jobs)
        counts, found = entry["counts"], verdicts(entry)
        messages, failed = entry["outcomes"]["messages"], entry["outcomes"]["failed"]
        yield _row(
            cell.api,
            cell.policy,
            f"{messages:,}",
            f"{counts['met_active_run']:,}",
            f"{failed:,} ({100 * failed / messages:.2f} %)",
            f"{counts['transparency_breaches']:,}",
            history_breaches(entry),
            f"{counts['requests'] / messages:.1f}",
            " ".join(_SYMBOLS[found[claim]] for claim in CLAIMS),
            " ".join(cell.expected),
            f"`{replay.replace('{seed}', '0')}`",
        )


def as_run(replications: int, jobs: int = 1) -> Iterator[str]:
    """The second table, line by line: each claim of the incident's scenarios, printed fix beside the fix as it runs."""
    yield from _head(("scenario", "claim", "the printed fix", "as servers run it", "see a world of it"))
    for name in INCIDENT:
        printed, run = (judged(Cell("Threads", "", name, sets), replications, jobs) for sets in ((), (AS_RUN,)))
        entries = ({claim["id"]: claim for claim in entry["claims"]} for entry in (printed[0], run[0]))
        both = list(entries)
        told = (_endings(entry) for entry in (printed[0], run[0]))
        yield _row(name, "how its messages ended", *told, f"`{run[1].replace('{seed}', '0')}`")
        for claim_id, claim in both[0].items():
            shown = (_claim(each[claim_id]) for each in both)
            yield _row(name, claim["title"], *shown, f"`{run[1].replace('{seed}', '0')}`")


def _endings(entry: dict[str, Any]) -> str:
    """What became of the messages, and how many met a conflict."""
    ends, met = entry["outcomes"], entry["counts"]["met_active_run"]
    return (
        f"{met:,} of {ends['messages']:,} met a conflict; {ends['succeeded']:,} well, "
        f"{ends['friendly_failure']:,} friendly and {ends['generic_failure']:,} generic apologies"
    )


def _claim(claim: dict[str, Any]) -> str:
    count, n = claim["count"], claim["n"]
    figure = f"{count:,} of {n:,}" if n else "no case of it"
    return f"{_SYMBOLS[claim['verdict']]} {claim['verdict']} ({figure})"


def _head(heads: Sequence[str]) -> Iterator[str]:
    yield _row(*heads)
    yield _row(*("---" for _ in heads))


def _row(*parts: str) -> str:
    return f"| {' | '.join(parts)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m relaysim.scenarios.policies_by_api", description=__doc__)
    parser.add_argument("--replications", type=int, default=20, metavar="N", help="worlds per cell; by default 20")
    parser.add_argument("--jobs", type=int, default=cores(), metavar="N", help="processes; by default one per core")
    parser.add_argument("--as-run", action="store_true", help="the incident's claims, printed fix and fix as it runs")
    options = parser.parse_args(arguments)
    for line in (as_run if options.as_run else table)(options.replications, options.jobs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
