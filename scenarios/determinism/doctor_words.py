"""What `doctor` prints: the answer first, then each way in which worlds were run again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relaysim.scenarios.determinism.causes import CAUSES
from relaysim.scenarios.determinism.evidence import Place, shown_file
from relaysim.scenarios.determinism.examination import WAYS, Examination, Finding
from relaysim.sim.counted import counted


def lines(examination: Examination) -> Iterator[str]:
    """The whole of it, line by line."""
    if not examination.findings:
        names = ", ".join(subject.scenario.name for subject in examination.subjects)
        yield f"Deterministic: {counted(examination.seeds, 'seed')} of {names} agreed in {counted(len(WAYS), 'way')}."
    for finding in examination.findings:
        yield from paragraph(finding)
    yield ""
    width = max(map(len, WAYS))
    for number, subject in enumerate(examination.subjects):
        yield f"{subject.scenario.name}, lane {subject.lane}, each world compared with the same one of a first run:"
        for way in WAYS:
            good, of = examination.agreed[number, way]
            yield f"  {way:<{width}}  {good} of {of} agree"


def paragraph(finding: Finding) -> Iterator[str]:
    """One finding: what parts, why, where in the code, and what to do."""
    name, cause = finding.subject.scenario.name, CAUSES[finding.cause]
    if finding.difference is None:
        what = f"seed {finding.seed} of {name} gave two worlds, though not again when looked at more closely"
    else:
        what = f"seed {finding.seed} of {name} parts {finding.difference.words('one run', 'another')}"
    yield f"Not deterministic: {what}."
    yield f"  It is {cause.words}. It shows {', '.join(finding.ways)}."
    for place in finding.places:
        yield f"  {place_words(place)}"
    if not finding.places:
        yield "  No line of Python code was seen that brings it in."
    yield f"  {cause.remedy}"


def place_words(place: Place) -> str:
    """A line of code, as people look it up."""
    where = f"{shown_file(place.file)} line {place.line}" + (f", in `{place.function}`" if place.function else "")
    return f"{where}: {place.what}" + (f": {place.code}" if place.code else "")


def as_data(examination: Examination) -> dict[str, Any]:
    """The same for programs."""
    return {
        "deterministic": not examination.findings,
        "seeds": examination.seeds,
        "scenarios": [
            {
                "scenario": subject.scenario.name,
                "lane": subject.lane,
                "ways": {
                    way: dict(zip(("agreed", "seeds"), examination.agreed[number, way], strict=True)) for way in WAYS
                },
            }
            for number, subject in enumerate(examination.subjects)
        ],
        "findings": [_finding_data(finding) for finding in examination.findings],
    }


def _finding_data(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = {
        "scenario": finding.subject.scenario.name,
        "seed": finding.seed,
        "cause": finding.cause,
        "text": " ".join(line.strip() for line in paragraph(finding)),
        "ways": list(finding.ways),
        "places": [{**place._asdict(), "file": shown_file(place.file)} for place in finding.places],
        "remedy": CAUSES[finding.cause].remedy,
    }
    if finding.difference is not None:
        found |= {
            "time_seconds": finding.difference.time_seconds,
            "entity": finding.difference.entity,
            "records": [finding.difference.one, finding.difference.other],
        }
    return found
