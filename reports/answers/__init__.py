"""The one answer of each command that judges: from its results to what was found and what to do.

`answer` says what an answer is made of, as data. Each command has a module that computes its answer from its results alone:
`of_verify` and, for somebody's own relay, `of_relay`; `of_comparison`, `of_tuning`, `of_sweep`, `of_fit`, `of_exploration`.
`severity` orders refuted claims, `wrongs` says what went wrong in a scenario, `untried` what nothing was put to, `numbers`
writes what was counted, `outside_notes` says what is to be known of worlds around a real program.
`answer_of` finds the right one.

Nothing here prints: `relaysim.reports.answer_terminal` draws the first screen of a terminal, `templates/page.html` the head
of a page, and `results.json` has the answer under `answer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from relaysim.reports.answers.answer import Answer
from relaysim.reports.determinism import hash_order_words

__all__ = ["Answer", "answer_of", "with_answer"]


def answer_of(results: Mapping[str, Any]) -> Answer:
    """The answer of some results, of whichever command; the same results give the same answer."""
    kind = results.get("kind")
    if kind == "comparison":
        from relaysim.reports.answers.of_comparison import answer_of_comparison

        return answer_of_comparison(results)
    if kind == "tune":
        from relaysim.reports.answers.of_tuning import answer_of_tuning

        return answer_of_tuning(results)
    if kind == "sweep":
        from relaysim.reports.answers.of_sweep import answer_of_sweep

        return answer_of_sweep(results)
    if kind == "fit":
        from relaysim.reports.answers.of_fit import answer_of_fit

        return answer_of_fit(results)
    if kind == "exploration":
        from relaysim.reports.answers.of_exploration import answer_of_exploration

        return answer_of_exploration(results)
    if "factory" in results and kind is None:
        from relaysim.reports.answers.of_relay import answer_of_relay

        return _under_its_hash_seed(answer_of_relay(results), results)
    from relaysim.reports.answers.of_verify import answer_of_verify

    return _under_its_hash_seed(answer_of_verify(results), results)


def _under_its_hash_seed(answer: Answer, results: Mapping[str, Any]) -> Answer:
    """With the condition under which alone it holds, if there is one."""
    words = hash_order_words(results)
    return replace(answer, found=[words, *answer.found]) if words else answer


def with_answer(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results with their answer under `answer`, as they are written and printed as JSON."""
    return {**results, "answer": answer_of(results).to_dict()}
