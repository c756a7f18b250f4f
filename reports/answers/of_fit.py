"""What production logs say of the fix's claims, and what to do with the profile that was made of them.

Its statuses: `refuted`, `inconclusive`, `verified` (of the claims that the log can tell), `nothing told`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from relaysim.reports.answers.answer import Answer, Figure, Group, Line, Table, Tone
from relaysim.reports.answers.numbers import claim_words, observed_words, rate_words, share_words
from relaysim.reports.answers.severity import severity
from relaysim.reports.fit_words import CLAIMED, ending_words, fitted_words, notes
from relaysim.reports.summary import SYMBOLS
from relaysim.sim.counted import counted

_TONES: Mapping[str, Tone] = {"refuted": "bad", "inconclusive": "open", "verified": "good"}


def answer_of_fit(results: Mapping[str, Any]) -> Answer:
    """The answer; a pure function of the results."""
    conflicts, claims = results["conflicts"], results["claims"]
    verdicts = [claim["verdict"] for claim in claims]
    status = next((each for each in _TONES if each in verdicts), "nothing told")
    fitted = fitted_words(results)
    return Answer(
        status=status,
        tone=_TONES.get(status, "open"),
        title=_title(results) + _standing(claims),
        found=[*_found(results), fitted],
        advice=[_advice(results)],
        commands=_judge(results),
        figures=[
            Figure(
                what=ending_words(entry["ending"]),
                where="the log",
                count=entry["count"],
                among=entry["n"],
                value=entry["observed"],
                interval=(entry["interval"][0], entry["interval"][1]),
            )
            for entry in conflicts["endings"]
        ],
        table=_table(results),
        notes=[f"! {note}" for note in notes(results)[:2]],
    )


def _title(results: Mapping[str, Any]) -> str:
    conflicts = results["conflicts"]
    if alone := conflicts["refused_alone"]:
        return f"The log tells {counted(alone, 'conflict')} by the API's refusals alone, and not how they ended"
    if not conflicts["ended"]:
        met = counted(conflicts["met"], "conflict")
        return f"The log tells no ending of {met}" if conflicts["met"] else "The log tells of no conflict"
    parts = []
    for entry in conflicts["endings"]:
        claimed = CLAIMED.get(entry["ending"])
        if claimed is not None:
            parts.append(
                f"{rate_words(entry['count'], entry['n'])} {ending_words(entry['ending'])} (claimed {claimed * 100:g} %)"
            )
    few = "; ".join(parts) or f"{counted(len(conflicts['endings']), 'kind')} of endings"
    return f"Of {counted(conflicts['ended'], 'conflict')} in the log {few}"


def _standing(claims: Sequence[Mapping[str, Any]]) -> str:
    """How many claims are refuted or open: shares that look as claimed may prove nothing."""
    counts = [(sum(each["verdict"] == verdict for each in claims), verdict) for verdict in ("refuted", "inconclusive")]
    told = [f"{count} {'not decided' if verdict == 'inconclusive' else verdict}" for count, verdict in counts if count]
    return f"; of {counted(len(claims), 'claim')} {', '.join(told)}" if told else ""


def _found(results: Mapping[str, Any]) -> list[str]:
    claims = results["claims"]
    refuted = sorted(
        (each for each in claims if each["verdict"] == "refuted"), key=lambda each: severity(each), reverse=True
    )
    counts = {verdict: sum(each["verdict"] == verdict for each in claims) for verdict in _TONES}
    sentences = []
    if refuted:
        worst = refuted[0]
        sentences.append(
            f"Refuted: {len(refuted)} of {counted(len(claims), 'claim')} that the log tells; the worst: “{worst['title']}” "
            f"({claim_words(worst)}); {counts['inconclusive']} not decided, {counts['verified']} verified."
        )
    elif claims:
        sentences.append(
            f"Of {counted(len(claims), 'claim')} that the log tells: {counts['verified']} verified, "
            f"{counts['inconclusive']} not decided, none refuted."
        )
    if results["untold"]:
        sentences.append(f"{counted(len(results['untold']), 'claim')} cannot be told from this log.")
    return sentences


def _advice(results: Mapping[str, Any]) -> str:
    if not _tells_a_backend(results):
        return (
            "Give more of the log, or one that is written while runs are active: so far profile.toml is the profile "
            f"{results['base']}."
        )
    return "Judge the relay under this backend:"


def _tells_a_backend(results: Mapping[str, Any]) -> bool:
    return any(each["status"] != "kept" for each in results["numbers"])


def _judge(results: Mapping[str, Any]) -> list[str]:
    """The line that judges the incident's relay under the profile that was written, as it stands."""
    profile = shlex.quote(str(results.get("profile_file", "profile.toml")))
    return [f"relaysim verify incident_typical --set profile={profile}"] if _tells_a_backend(results) else []


def _table(results: Mapping[str, Any]) -> Table:
    endings = []
    for entry in results["conflicts"]["endings"]:
        claimed = CLAIMED.get(entry["ending"])
        cells = (
            ending_words(entry["ending"]),
            share_words(entry["count"], entry["n"]),
            "" if claimed is None else f"{claimed * 100:g} %",
        )
        endings.append(Line(cells))
    claims = [
        Line((f"{SYMBOLS[each['verdict']]} {each['title']}", observed_words(each), each["verdict"]))
        for each in sorted(results["claims"], key=lambda each: list(_TONES).index(each["verdict"]))
    ]
    return Table(
        (Group("The claims", tuple(claims)), Group("How conflicts ended", tuple(endings))),
        ("", "in the log", "claimed"),
    )
