"""A tuning as one page, in the manner of `relaysim.reports.html`, and as a whole results folder with its `policy.toml`.

The order is the reader's: what to do, the judged candidates, the figures, what the settings have to do with it, how much
hangs on the backend, and what all this rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from relaysim.reports.html import cell_table, figure_list, render_page, timing_facts, with_below
from relaysim.reports.publish import publish_folder, publish_page
from relaysim.reports.tune import (
    CONFIDENCE,
    LEGEND,
    MARKS,
    PRESENT,
    SHORT,
    agreement_words,
    changes,
    difference_words,
    headline,
    interval_words,
    lead,
    measures,
    notes,
    recommendation,
    settings_words,
    value_words,
)

POLICY = "policy.toml"

_FIGURES = {
    "front": (
        "What was tried",
        "Each dot is a trial, averaged over the profiles; blue ones no other trial beats everywhere, crosses "
        "broke a promise more often than the present settings (diamond). Numbers are the candidates judged below. Trials "
        "much worse than these are left out and counted above the axes.",
    ),
    "judged": (
        "How the candidates differ on seeds that the search never saw",
        "The dot is the difference from the present settings, the line its interval, the thin line none at all. "
        + LEGEND
        + ".",
    ),
    "closed_form": (
        "The front by arithmetic",
        "Grey: what the closed form computes of settings that no other beats and that fail no more than the present ones "
        "(diamond). Blue: the front that was found, a dot as its worlds had it, joined to a ring that is computed of the "
        "same settings.",
    ),
    "importance": (
        "Which settings matter",
        "PED-ANOVA over all trials: how differently the best tenth of the trials is distributed, setting by setting. It "
        "says where to look, not in which direction.",
    ),
}


def publish_tuning(
    results: Mapping[str, Any],
    policy: str,
    *,
    name: str,
    timing: Mapping[str, Any] | None = None,
    out: Path | None = None,
) -> Path:
    """Write `results.json`, `timing.json`, `policy.toml`, the figures and `index.html`, and return the folder
    (see `relaysim.reports.publish.publish_folder`)."""
    return publish_folder(
        results,
        lambda folder: render_tuning(folder, results, policy, timing),
        name=name,
        timing=timing,
        out=out,
        files={POLICY: policy},
    )


def render_tuning(
    folder: Path, results: Mapping[str, Any], policy: str, timing: Mapping[str, Any] | None = None
) -> Path:
    """Draw the figures and `index.html` into the folder, and return the page's path."""
    from relaysim.reports.tune_figures import draw_tuning

    figures = draw_tuning(results)
    return publish_page(folder, figures, tuning_html(results, policy, timing=timing, figures=figures))


def tuning_html(
    results: Mapping[str, Any],
    policy: str,
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """The page. `policy` is the text of `policy.toml`; `figures` are inline SVG by name."""
    sections = [
        ("advice", "What to do", _advice(results, policy)),
        ("judged", "Candidates", _candidates(results)),
        ("figures", "Figures", figure_list(_FIGURES, figures or {})),
        ("closed-form", "Against arithmetic", _closed_form(results)),
        ("sensitivity", "If the backend is another", _sensitivity(results)),
        ("limits", "What this rests on", _limits(results, timing)),
    ]
    return render_page(headline(results), lead(results), sections, code_version=str(results["code_version"]))


def _advice(results: Mapping[str, Any], policy: str) -> str:
    message = "".join(f"<li>{escape(note)}</li>" for note in notes(results))
    return (
        f"<p>{escape(recommendation(results))}</p>"
        f"<pre><code>{escape(policy)}</code></pre>"
        "<p class='quiet'>This is <code>policy.toml</code>: <code>relay.load_policy</code> reads it, and so does "
        "<code>relaysim verify</code> with <code>--policy</code>.</p>" + (f"<ul>{message}</ul>" if message else "")
    )


def _candidates(results: Mapping[str, Any]) -> str:
    details = measures(results)
    heads = [escape(SHORT[each["id"]]) for each in details]
    parts = [_settings(results)]
    for profile in results["profiles"]:
        present = results["present"]["held_out"][profile]
        rows = [
            (PRESENT, [_cell(each["unit"], present[each["id"]]) for each in details]),
            *(
                (
                    with_below(f"candidate {place}", _mark(results, place, profile)),
                    [_judged_cell(each, one, profile) for each in details],
                )
                for place, one in enumerate(results["judged"], 1)
            ),
        ]
        parts.append(f"<h3>Under {escape(profile)}</h3>{cell_table(heads, rows)}")
    meant = "".join(f"<li>{escape(SHORT[each['id']])}: {escape(each['title'])}</li>" for each in details)
    return (
        "".join(parts)
        + f"<p class='quiet'>Below each value: the difference from the {PRESENT}, world by world paired, with its "
        f"{CONFIDENCE} interval. {escape(LEGEND)}.</p><ul class='quiet'>{meant}</ul>"
    )


def _settings(results: Mapping[str, Any]) -> str:
    items = "".join(
        f"<dt>candidate {place}</dt><dd>{escape(settings_words(changes(results, one['settings'])))}</dd>"
        for place, one in enumerate(results["judged"], 1)
    )
    return f"<dl><dt>present</dt><dd>{escape(settings_words(results['present']['settings']))}</dd>{items}</dl>"


def _mark(results: Mapping[str, Any], place: int, profile: str) -> str:
    one = results["judged"][place - 1]
    words = []
    if results["recommended"] == place - 1:
        words.append("✔ recommended")
    words += {"better": ["better in everything"], "partly": ["partly better"]}.get(one["grade"][profile], [])
    if one["fragile"]:
        words.append("fragile")
    return ", ".join(words)


def _cell(unit: str, found: Mapping[str, Any]) -> str:
    return with_below(value_words(unit, found["value"]), interval_words(unit, found["interval"]))


def _judged_cell(each: Mapping[str, str], one: Mapping[str, Any], profile: str) -> str:
    found, unit = one["by_profile"][profile][each["id"]], each["unit"]
    return with_below(
        value_words(unit, found["value"]),
        f"{MARKS[found['verdict']]} {difference_words(unit, found['difference'])}",
        interval_words(unit, found["difference_interval"], signed=True),
    )


def _sensitivity(results: Mapping[str, Any]) -> str:
    found = results["sensitivity"]
    if found is None:
        return ""
    objectives = [each for each in results["objectives"] if each["id"] in ("failures", "added_delay", "api_calls")]
    perturbed = [
        (
            with_below(row["profile"], row["perturbation"]),
            [
                with_below(
                    f"{value_words(each['unit'], row['candidate'][each['id']])} "
                    f"{MARKS['better' if row['better'][each['id']] else 'worse']}",
                    f"at present {value_words(each['unit'], row['present'][each['id']])}",
                )
                for each in objectives
            ],
        )
        for row in found["perturbed"]
    ]
    shares = [
        (
            with_below(profile, SHORT[each["id"]]),
            [with_below(f"{one['total']:.2f}", f"alone {one['first']:.2f}") for one in indices[each["id"]].values()],
        )
        for profile, indices in found["sobol"].items()
        for each in objectives
    ]
    ranges = [with_below(name, f"{ends[0]:g} to {ends[1]:g}") for name, ends in found["ranges"].items()]
    return (
        "<p>The recommended settings and the present ones by the closed form, which has no worlds and no chance in it; "
        "failures here are messages never appended.</p>"
        + cell_table([escape(SHORT[each["id"]]) for each in objectives], perturbed)
        + "<h3>What the recommended settings hang on</h3><p>Sobol’ indices: the share of each objective’s variance that "
        "stays when all but this number are known, over the ranges given; below it, the share that this number explains "
        "alone.</p>" + cell_table(ranges, shares)
    )


def _closed_form(results: Mapping[str, Any]) -> str:
    block = results["closed_form"]
    if block is None:
        return ""
    units = {each["id"]: each["unit"] for each in measures(results)}
    places = {None: PRESENT} | {each["trial"]: f"candidate {at}" for at, each in enumerate(results["judged"], 1)}
    rows: dict[tuple[str, str], list[str]] = {}
    for each in block["held_out"]:
        unit = units[each["objective"]]
        mark = {True: "= ", False: "≠ ", None: ""}[each["inside"]]
        cell = with_below(
            value_words(unit, each["value"]),
            f"{mark}computed {value_words(unit, each['computed'])}",
            interval_words(unit, each["interval"]),
        )
        rows.setdefault((places[each["trial"]], each["profile"]), []).append(cell)
    table = cell_table(
        [escape(SHORT[each]) for each in block["compared"].values()],
        [(with_below(*names), cells) for names, cells in rows.items()],
    )
    message = "".join(f"<p>{escape(each)}</p>" for each in agreement_words(results))
    return (
        f"{message}{table}<p class='quiet'>What held-out worlds showed, what the closed form computes (= inside the "
        f"{CONFIDENCE} interval, ≠ outside), and that interval. Arithmetic leaves out requests that fail, runs that end by "
        "themselves, and other workers that create a run meanwhile.</p>"
    )


def _limits(results: Mapping[str, Any], timing: Mapping[str, Any] | None) -> str:
    description = "".join(
        f"<span><b>{name}</b> {escape(str(message))}</span>"
        for name, message in (
            ("scenario", results["title"]),
            ("hash", results["hash"]),
            ("root seed", results["root_seed"]),
            ("held-out root seed", results["held_out"]["root_seed"]),
            ("lane", results["lane"]),
            ("profiles", ", ".join(results["profiles"])),
        )
    )
    return f"""<p class="facts-line">{description}</p><ul>
<li>World i is the same world for every candidate until its own doings part them: every draw is keyed by what it is
for.</li>
<li>The search took the best of many noisy values, which flatters them. So nothing that it measured is claimed: the
candidates were judged in other worlds, and the recommendation goes to the first of them, in the order that the search had
them in, which holds there.</li>
<li>Each interval is a jackknife's over worlds and holds at {CONFIDENCE} by itself. Among the many of the tables one in a
hundred may miss by chance. Of few rare events it would be too narrow: of a share that differs from the present one in few
worlds nothing is claimed.</li>
<li>A candidate is put aside if it breaks a promise more often than the present settings in the same worlds. The breaches
that customers see are held to their sum, since one kind passes into another.</li>
<li>The backend, the load and the faults are the scenario's and the profiles'. Where production differs, fit a profile to
its log first.</li>
</ul>{timing_facts(timing)}"""
