"""Results to people and to CI: statistics of claims, the results folder, terminal, figures, page, timeline.

Everything here reads plain data and never a live world, so it imports nothing of the relay, and of the simulator only what
reads a trace (`relaysim.sim.trace`), for the timeline, which is loaded when somebody asks for it. Begin with `claims` (what
is claimed, counted and judged) and `results` (what a run writes); `exit_codes` says which exit status that means, and
`publish` writes a whole results folder.

- `claims`, `claim_kinds`: verdicts, by `statistics` (intervals), `betting` (any distribution over worlds), `stratified`,
  `confidence_sequences` (looked at while trials come) and `paired` (the same worlds under several policies).
- `answers`: the one answer of each command, as data; `answer_terminal` draws it on a screen of 24 lines.
- `results`, `publish`, `determinism`: what a run writes, and whether a seed was one world.
- `runs`: where runs lie, and the list of all of them; `listed_runs`: what each run keeps for that.
- `changes`: what is new, resolved and ongoing between two runs; `junit` and `github`: the verdicts for CI.
- `summary`, `terminal`, `verify_page`, `page`, `figures`: judged scenarios in words, on a terminal, as pages and figures;
  `counters`: what they count of their own, in words.
- `drawing`: what all figures are made with; `figure_files`: any results' figures as files for slides.
- `story`: one failure as data, written by `story_writer` or, under leases, `lease_story`; with `story_lines`, `story_facts`,
  `story_order` (a message that was overtaken), `lock_lines`, `printed_lines`, `unended_lines` and `webhook_lines`.
- `story_causes`: what a breach came from, by rule; with `story_cause_kinds`, `story_wait_causes` (promises about waits and
  budgets), `story_places` and `story_evidence`.
- `timeline`: a story as lines of text; `story_lanes`: as lanes of a page.
- `comparison`, `compared_verdicts`, `comparison_terminal`, `comparison_page`, `comparison_figures`; `fit_words`,
  `fit_terminal`, `fit_page`, `fit_figures`; `sweep_words`, `sweep_terminal`, `sweep_page`, `sweep_figures`; `tune_words`,
  `tune_terminal`, `tune_page`, `tune_figures`: the same four ways for each command that judges; `exploration_terminal` and
  `exploration_page`: a failure that was looked for.

scipy and matplotlib are imported only by the functions that need them.
"""

from typing import TYPE_CHECKING, Any

from relaysim.reports.claims import ClaimSpec, Tally, UnknownEventError, judge, measure
from relaysim.reports.exit_codes import exit_status
from relaysim.reports.publish import publish
from relaysim.reports.results import ResultsError, build_results, canonical, read_results, replay_command

if TYPE_CHECKING:
    from relaysim.reports.timeline import render_timeline

__all__ = [
    "ClaimSpec",
    "ResultsError",
    "Tally",
    "UnknownEventError",
    "build_results",
    "canonical",
    "exit_status",
    "judge",
    "measure",
    "publish",
    "read_results",
    "render_timeline",
    "replay_command",
]


def __getattr__(name: str) -> Any:
    """`render_timeline`, looked up when somebody asks: reading traces takes longer to import than all the rest."""
    if name == "render_timeline":
        from relaysim.reports.timeline import render_timeline

        return render_timeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
