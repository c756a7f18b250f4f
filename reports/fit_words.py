"""What a fit says in words, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relaysim.reports.summary import interval_words, number, percent
from relaysim.sim.counted import counted

#: The confidence at which all claims of a scenario hold together.
FAMILY = "99 %"

#: The fix's claim, by the attempt that got through.
CLAIMED: Mapping[str, float] = {"recovered_at_2": 0.90, "recovered_at_3": 0.09, "failed": 0.01}


def fitted_words(results: Mapping[str, Any]) -> str:
    """What of a profile the logs tell, in a sentence or two."""
    by_status: dict[str, list[str]] = {}
    for each in results["numbers"]:
        by_status.setdefault(each["status"], []).append(each["number"])
    base = results["base"]
    made = [
        f"{named}: {', '.join(by_status[status])}."
        for status, named in (
            ("fitted", "Fitted"),
            ("scaled", f"Fitted by how long its times are, in the shape of {base}"),
            ("bounded", f"Moved from {base} as far as the log demands"),
        )
        if status in by_status
    ]
    log = results["log"]
    lines = sum(log["relay_lines"].values())
    description = f"{lines:,} of {log['lines']:,} lines are the relay's. "
    if not made:
        return description + f"They identify no number of a profile; profile.toml has the numbers of {base}."
    return description + " ".join([*made, f"All else in profile.toml is from {base}."])


def ending_words(ending: str) -> str:
    """An ending as a reader names it."""
    return "gave up politely" if ending == "failed" else f"recovered at attempt {ending.removeprefix('recovered_at_')}"


def _plural(ending: str) -> str:
    return (
        "giving up politely" if ending == "failed" else f"recovering at attempt {ending.removeprefix('recovered_at_')}"
    )


def parameter_words(parameter: Mapping[str, Any], unit: str = "") -> str:
    """A parameter's value and interval; an end that the log does not give is "?"."""
    low, high = ("?" if end is None else f"{end:.3g}" for end in parameter["interval"])
    return f"{parameter['value']:.3g}{unit} ({low} – {high})"


def numbers_words(entry: Mapping[str, Any]) -> str:
    """What an entry's parameters are; "" where nothing was fitted."""
    if entry["status"] == "kept":
        return ""
    if entry["status"] == "scaled":
        return f"times {parameter_words(entry['scale'])} as long"
    if entry["status"] == "bounded":
        low, high = entry["scale"]["interval"]
        if (low is None or low <= 1) and (high is None or high >= 1):
            return "no stuck runs"
        return f"times {high:.3g} as long, the most" if high is not None else f"times {low:.3g} as long, the least"
    if "median_seconds" not in entry:
        return number(entry["value"]["value"])
    description = f"median {parameter_words(entry['median_seconds'], ' s')}, sigma {parameter_words(entry['sigma'])}"
    return f"{description}, stuck {parameter_words(entry['stuck'])}" if "stuck" in entry else description


def claim_interval_words(claim: Mapping[str, Any]) -> str:
    """A claim's interval with its confidence, which is not the same for all claims."""
    return f"{interval_words(claim)} at {_confidence(claim)}"


def family_words(results: Mapping[str, Any]) -> str:
    """What the claims' confidences mean; "" if each is the family's."""
    shares = sorted({_confidence(each) for each in results["claims"]} - {FAMILY})
    if not shares:
        return ""
    names = f"{', '.join(shares[:-1])} and {shares[-1]}" if shares[1:] else shares[0]
    return f"Intervals at {names}: its share of the family's {FAMILY}, so that all claims of a family hold together."


def _confidence(claim: Mapping[str, Any]) -> str:
    return f"{round(claim['confidence'] * 100, 2):g} %"


def share_words(share: float | None) -> str:
    """A share in percent; "" for none."""
    return "" if share is None else percent(share)


def damage_words(log: Mapping[str, Any]) -> list[str]:
    """What was wrong with the bytes of the log, a few words each; nothing of it was fatal."""
    names = {
        "not_utf8": ("line", "not valid UTF-8"),
        "nul": ("line", "with NUL bytes"),
        "too_long": ("line", "longer than 1 MiB, skipped"),
        "unfinished": ("log", "ending within a line"),
        "broken_off": ("compressed log", "breaking off"),
        "broken_events": ("event", "with a missing or wrong field"),
    }
    return [f"{counted(log[name], noun)} {message}" for name, (noun, message) in names.items() if log[name]]


def notes(results: Mapping[str, Any]) -> list[str]:
    """What a reader must know to read this rightly, a sentence each."""
    conflicts = results["conflicts"]
    sentences = []
    open_ones = conflicts["met"] - conflicts["ended"]
    if open_ones > 0:
        sentences.append(
            f"Without an ending in the log: {open_ones:,} of {counted(conflicts['met'], 'message')} that met an "
            "active run. They are "
            "no trials."
        )
    if open_ones < 0:
        sentences.append(f"{counted(-open_ones, 'ending')} with a beginning outside of the log: they count.")
    apart = conflicts["ended"] - conflicts["joined"]
    if apart and conflicts["ended"]:
        sentences.append(
            f"{apart:,} of {counted(conflicts['ended'], 'episode')} could not be joined line by line, since "
            "their lines name no "
            "conversation: their attempt counts, at the moments that the waits give."
        )
    for entry in conflicts["endings"]:
        low, high = entry["interval"]
        if entry["profile"] is not None and not low <= entry["profile"] <= high:
            sentences.append(
                f"profile.toml does not agree with the log: it has {percent(entry['profile'])} {_plural(entry['ending'])}, "
                f"the log {percent(entry['observed'])} ({interval_words(entry)})."
            )
    if conflicts["ended"] and not conflicts["waits_from_log"]:
        sentences.append("The log does not say what was waited, so the planned 2, 4 and 8 s were taken.")
    if len(conflicts["attempts_seen"]) > 1:
        seen = ", ".join(f"{each} ({count:,})" for each, count in conflicts["attempts_seen"].items())
        sentences.append(
            f"Relays with different numbers of attempts wrote this: {seen}; each message that gave up counts up to its own "
            "last retry."
        )
    if conflicts["early"]:
        sentences.append(
            f"{counted(conflicts['early'], 'conflict')} met a run that the check before had begun to cancel: "
            "their time counts from "
            "there, and only those that were not free by the append could be seen, which is allowed for."
        )
    if unnamed := results["log"]["relay_lines"].get("no_run_named", 0):
        sentences.append(
            f"{counted(unnamed, 'refusal')} named no run, so none was cancelled: their threads became free by "
            "themselves, and still "
            "count as if after a cancel."
        )
    if conflicts["refused_alone"]:
        written = results["log"]["relay_lines"]["api_refusal"]
        sentences.append(
            f"Refused since a run was active: {counted(conflicts['refused_alone'], 'request')}, as the API's own words in "
            f"{counted(written, 'line')} tell; which of them were one message's, and what became of it, no line "
            "tells, so they are "
            "no trials."
        )
    if conflicts["drained"]:
        sentences.append(
            f"{counted(conflicts['drained'], 'conflict')} of the policy drain, which waits for the run in the "
            "way: they are no "
            "attempts and are left out."
        )
    return sentences + damage_words(results["log"])
