"""What GitHub shows of a run: a job summary in Markdown, and annotations.

Where `GITHUB_STEP_SUMMARY` is set, its file is the job's summary; where `GITHUB_ACTIONS` is `true`, lines that begin with
`::error` and the like are annotations, wherever they are printed ("Workflow commands" and "Adding a job summary" in GitHub's
documentation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from relaysim.reports.answers import answer_of
from relaysim.reports.answers.answer import Answer
from relaysim.reports.changes import Changes, Problem, changes_title, problems_of
from relaysim.reports.exit_codes import expected_words, is_as_wanted
from relaysim.reports.results import claims_of

SUMMARY_VARIABLE: Final = "GITHUB_STEP_SUMMARY"
ACTIONS_VARIABLE: Final = "GITHUB_ACTIONS"

SUMMARY_MAX: Final = 900_000
"""Bytes: GitHub refuses a step's summary of more than 1 MiB."""

ANNOTATIONS_MAX: Final = 10
"""GitHub shows no more errors of one step."""

_LINES_MAX: Final = 30


def summary_markdown(results: Mapping[str, Any], *, changes: Changes | None = None) -> str:
    """The answer, its table and what changed, as Markdown with a newline at the end."""
    answer = answer_of(results)
    parts = [f"## {_inline(answer.title)}", *_listed(answer.found)]
    if answer.advice:
        parts.append(f"**Do:** {_inline(' '.join(answer.advice))}")
    parts += [_block(command) for command in answer.commands]
    parts += _table(answer)
    parts += [_inline(note) for note in answer.notes]
    if changes is not None:
        parts += _changed(changes)
    if answer.gate:
        parts.append(f"_{_inline(answer.gate)}_")
    text = "\n\n".join(parts) + "\n"
    encoded = text.encode("utf-8", "backslashreplace")
    if len(encoded) > SUMMARY_MAX:
        text = encoded[:SUMMARY_MAX].decode("utf-8", "ignore") + "\n\n(cut off: the report has the rest)\n"
    return text


def _table(answer: Answer) -> list[str]:
    groups = [group for group in answer.table.groups if group.lines]
    tables = []
    for at, group in enumerate(groups):
        columns = max(len(line.cells) for line in group.lines)
        heads = answer.table.heads if at == 0 and answer.table.heads else ("",) * columns
        if group.title:
            tables.append(f"**{_inline(group.title)}**")
        rows = [heads, ("---",) + ("---:",) * (columns - 1), *(line.cells for line in group.lines[:_LINES_MAX])]
        tables.append("\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows))
        if (left := len(group.lines) - _LINES_MAX) > 0:
            tables.append(f"and {left} more")
    return tables


def _changed(changes: Changes) -> list[str]:
    parts = [f"### {_inline(changes_title(changes))}"]
    for word, problems in (("New", changes.new), ("Resolved", changes.resolved), ("Ongoing", changes.ongoing)):
        if problems:
            parts += [f"**{word}**", *_listed([_problem(each) for each in problems])]
    if changes.unknown:
        told = [f"{_problem(each)} ({why})" for each, why in changes.unknown]
        parts += ["**Not known any more**", *_listed(told)]
    return [*parts, *_listed(changes.notes)]


def _problem(problem: Problem) -> str:
    return f"{problem.scenario}: {problem.said}"


def _listed(sentences: Sequence[str]) -> list[str]:
    shown = [f"- {_inline(each)}" for each in sentences[:_LINES_MAX]]
    left = len(sentences) - len(shown)
    return ["\n".join([*shown, *([f"- and {left} more"] if left else [])])] if shown else []


def _inline(text: str) -> str:
    """Text of somebody's in which nothing is markup."""
    plain = " ".join(text.split())
    return "".join(f"\\{each}" if each in "\\`*_[]<>#|~" else each for each in plain)


def _cell(text: str) -> str:
    return text if text in {"---", "---:"} else _inline(text)


def _block(command: str) -> str:
    fence = "```"
    while fence in command:
        fence += "`"
    return f"{fence}\n{command}\n{fence}"


def annotation_lines(results: Mapping[str, Any]) -> list[str]:
    """Workflow commands, one line each: an error per claim that keeps the gate from passing, the worst kinds first."""
    failing = {
        (str(scenario["scenario"]), str(claim["id"])): claim
        for scenario, claim in claims_of(results)
        if not is_as_wanted(results, claim)
    }
    problems = problems_of(results)
    claimed = {claim["id"] for _, claim in claims_of(results)}
    broken = {name for scenario in results["scenarios"] for name in scenario.get("invariants", {})}
    lines = []
    for problem in problems:
        if problem.key in failing:
            del failing[problem.key]
        elif problem.what in claimed | broken:  # as expected, or told by the claims
            continue
        lines.append(_command("error", problem.scenario, problem.said, problem.replay))
    for (scenario, _), claim in failing.items():
        level = "warning" if claim["verdict"] == "inconclusive" else "error"
        expected = f", {words}" if (words := expected_words(results, claim)) else ""
        lines.append(_command(level, scenario, f"“{claim['title']}”: {claim['verdict']}{expected}: {claim['why']}"))
    if (left := len(lines) - ANNOTATIONS_MAX) > 0:
        last = _command("notice", "relaysim", f"and {left + 1} more, in the summary and the report")
        lines = [*lines[: ANNOTATIONS_MAX - 1], last]
    return lines


def _command(level: str, title: str, said: str, replay: str = "") -> str:
    text = f"{said}\nSee it: {replay}" if replay else said
    return f"::{level} title={_property(f'relaysim: {title}')}::{_data(text)}"


def _data(text: str) -> str:
    """As GitHub's own toolkit escapes a message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
