"""The verdicts of `verify` as JUnit XML, which every CI shows: a suite per scenario, a case per claim.

A case fails exactly where the exit status says so (`relaysim.reports.exit_codes`): of a relay of one's own where a claim is
refuted or open, of scenarios where a verdict is another one than expected. What kept a relay from running, and a seed that
gave two worlds, are errors. A verdict that nobody can trust is never a passed case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from xml.etree import ElementTree

from relaysim.reports.answers.numbers import claim_words
from relaysim.reports.changes import Problem, problems_of
from relaysim.reports.determinism import is_deterministic
from relaysim.reports.exit_codes import expected_words, is_as_wanted, of_own_relays
from relaysim.reports.summary import example_words

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


_UNJUDGED: Final = {"lost": "no message is lost", "noticed": "customers notice nothing"}
"""What fails an own relay without a claim about it, as a case is called."""


def junit_xml(results: Mapping[str, Any], *, timing: Mapping[str, Any] | None = None) -> str:
    """The XML, with a newline at its end.

    Args:
        results: of `verify`.
        timing: as `timing.json` has it; a suite's time is how long its scenario took, in seconds.
    """
    suites = ElementTree.Element("testsuites", name="relaysim")
    seconds = (timing or {}).get("scenarios", {})
    problems = problems_of(results)
    for scenario in results["scenarios"]:
        name = str(scenario["scenario"])
        suite = ElementTree.SubElement(suites, "testsuite", name=_text(name))
        if name in seconds:
            suite.set("time", f"{seconds[name]['seconds']:.3f}")
        for problem in (each for each in problems if each.scenario == name):
            _error(suite, problem, results)
        for claim in scenario.get("claims", ()):
            _case(suite, name, claim, results)
        _count(suite)
    _count(suites)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _error(suite: ElementTree.Element, problem: Problem, results: Mapping[str, Any]) -> None:
    """A case for what no claim is about: it stands only where there is something."""
    of_obstacle = problem.what.startswith("kept from running: ")
    unjudged = problem.what in _UNJUDGED and any(
        each["scenario"] == problem.scenario for each in of_own_relays(results)["scenarios"]
    )
    if not (of_obstacle or problem.what == "not deterministic" or unjudged):
        return
    name = "the relay runs as it does" if of_obstacle else _UNJUDGED.get(problem.what, problem.what)
    case = ElementTree.SubElement(suite, "testcase", classname=_text(problem.scenario), name=name)
    kind = "failure" if unjudged else "error"
    told = ElementTree.SubElement(case, kind, type=problem.what.partition(":")[0], message=_text(problem.said))
    told.text = _text("\n".join(line for line in (problem.said, problem.replay) if line))


def _case(suite: ElementTree.Element, scenario: str, claim: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=_text(scenario), name=_text(f"{claim['id']}: {claim['title']}")
    )
    seen = f"{claim['verdict']}: {claim_words(claim)}; {claim['why']}"
    examples = [
        f"seed {each['seed']}: {example_words(each)}\n{each.get('replay', '')}".strip() for each in claim["examples"]
    ]
    if not is_deterministic(results):
        told = ElementTree.SubElement(
            case, "skipped", message="the same seed gave two worlds, so no verdict can be trusted"
        )
    elif is_as_wanted(results, claim):
        told = ElementTree.SubElement(case, "system-out")
        told.text = _text(seen)
        return
    else:
        expected = f" ({words})" if (words := expected_words(results, claim)) else ""
        told = ElementTree.SubElement(
            case,
            "failure",
            type=str(claim["verdict"]),
            message=_text(f"{claim['verdict']}{expected}: {claim_words(claim)}"),
        )
    told.text = _text("\n\n".join([seen, *examples]))


def _count(element: ElementTree.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(kind) is not None for case in cases)))


def _text(text: str) -> str:
    """The text without characters that XML cannot hold: they are written as Python writes them."""
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)
