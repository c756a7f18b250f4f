"""A tuning as one page, in the manner of `reports.html`, and as a whole results folder with its `policy.toml`.

The order is the reader's: what to do, the judged candidates, the figures, what the settings have to do with it, how much
hangs on the backend, and what all this rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from reports.html import figure_list, timing_facts, whole_page
from reports.results import link_latest, results_folder, write_results, write_text, write_timing
from reports.tune import (
    CONFIDENCE,
    LEGEND,
    MARKS,
    PRESENT,
    SHORT,
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
    """Write `results.json`, `timing.json`, `policy.toml`, the figures and `index.html`, and return the folder.

    The folder is `reports/out/<name>` below the current directory, and `reports/out/latest` then links to it; with
    `out` it is that folder and there is no link.
    """
    folder = results_folder(name, out)
    write_results(folder, results)
    write_timing(folder, timing or {})
    write_text(folder / POLICY, policy)
    render_tuning(folder, results, policy, timing)
    if out is None:
        link_latest(folder)
    return folder


def render_tuning(
    folder: Path, results: Mapping[str, Any], policy: str, timing: Mapping[str, Any] | None = None
) -> Path:
    """Draw the figures and `index.html` into the folder, and return the page's path."""
    from reports.figures import write_figures
    from reports.tune_figures import draw_tuning

    figures = draw_tuning(results)
    write_figures(folder / "figures", figures)
    page = folder / "index.html"
    write_text(page, tuning_html(results, policy, timing=timing, figures=figures))
    return page


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
        ("sensitivity", "If the backend is another", _sensitivity(results)),
        ("limits", "What this rests on", _limits(results, timing)),
    ]
    return whole_page(headline(results), lead(results), sections, code_version=str(results["code_version"]))


def _advice(results: Mapping[str, Any], policy: str) -> str:
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(results))
    return (
        f"<p>{escape(recommendation(results))}</p>"
        f"<pre><code>{escape(policy)}</code></pre>"
        "<p class='quiet'>This is <code>policy.toml</code>: <code>relay.load_policy</code> reads it, and so does "
        "<code>relaysim verify</code> with <code>--policy</code>.</p>" + (f"<ul>{said}</ul>" if said else "")
    )


def _candidates(results: Mapping[str, Any]) -> str:
    told = measures(results)
    parts = [_settings(results)]
    for profile in results["profiles"]:
        head = "".join(f"<th scope='col' class='n'>{escape(SHORT[each['id']])}</th>" for each in told)
        present = results["present"]["held_out"][profile]
        rows = [
            (PRESENT, "", [_cell(each["unit"], present[each["id"]]) for each in told]),
            *(
                (
                    f"candidate {place}",
                    _mark(results, place, profile),
                    [_judged_cell(each, one, profile) for each in told],
                )
                for place, one in enumerate(results["judged"], 1)
            ),
        ]
        body = "".join(
            f"<tr><th scope='row'>{escape(name)}<span class='where'>{escape(mark)}</span></th>"
            + "".join(f"<td class='n'>{cell}</td>" for cell in cells)
            + "</tr>"
            for name, mark, cells in rows
        )
        parts.append(
            f"<h3>Under {escape(profile)}</h3><div class='wide'><table><thead><tr><td></td>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )
    meant = "".join(f"<li>{escape(SHORT[each['id']])}: {escape(each['title'])}</li>" for each in told)
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
    below = interval_words(unit, found["interval"])
    return escape(value_words(unit, found["value"])) + (f"<span class='where'>{escape(below)}</span>" if below else "")


def _judged_cell(each: Mapping[str, str], one: Mapping[str, Any], profile: str) -> str:
    found, unit = one["by_profile"][profile][each["id"]], each["unit"]
    interval = interval_words(unit, found["difference_interval"], signed=True)
    words = f"{MARKS[found['verdict']]} {difference_words(unit, found['difference'])}"
    below = f"<span class='where'>{escape(words)}</span>"
    if interval:
        below += f"<span class='where'>{escape(interval)}</span>"
    return escape(value_words(unit, found["value"])) + below


def _sensitivity(results: Mapping[str, Any]) -> str:
    found = results["sensitivity"]
    if found is None:
        return ""
    objectives = [each for each in results["objectives"] if each["id"] in ("failures", "added_delay", "api_calls")]
    head = "".join(f"<th scope='col' class='n'>{escape(SHORT[each['id']])}</th>" for each in objectives)
    body = "".join(
        f"<tr><th scope='row'>{escape(row['profile'])}<span class='where'>{escape(row['perturbation'])}</span></th>"
        + "".join(
            f"<td class='n'>{escape(value_words(each['unit'], row['candidate'][each['id']]))} "
            f"{MARKS['better' if row['better'][each['id']] else 'worse']}<span class='where'>at present "
            f"{escape(value_words(each['unit'], row['present'][each['id']]))}</span></td>"
            for each in objectives
        )
        + "</tr>"
        for row in found["perturbed"]
    )
    shares = "".join(
        f"<tr><th scope='row'>{escape(profile)}<span class='where'>{escape(SHORT[each['id']])}</span></th>"
        + "".join(
            f"<td class='n'>{index['total']:.2f}<span class='where'>alone {index['first']:.2f}</span></td>"
            for index in indices[each["id"]].values()
        )
        + "</tr>"
        for profile, indices in found["sobol"].items()
        for each in objectives
    )
    ranges = "".join(
        f"<th scope='col' class='n'>{escape(name)}<span class='where'>{ends[0]:g} to {ends[1]:g}</span></th>"
        for name, ends in found["ranges"].items()
    )
    return (
        "<p>The recommended settings and the present ones by the closed form, which has no worlds and no chance in it; "
        "failures here are messages never appended.</p>"
        f"<div class='wide'><table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        "<h3>What the recommended settings hang on</h3><p>Sobol’ indices: the share of each objective’s variance that "
        "stays when all but this number are known, over the ranges given; below it, the share that this number explains "
        "alone.</p>"
        f"<div class='wide'><table><thead><tr><td></td>{ranges}</tr></thead><tbody>{shares}</tbody></table></div>"
    )


def _limits(results: Mapping[str, Any], timing: Mapping[str, Any] | None) -> str:
    told = "".join(
        f"<span><b>{name}</b> {escape(str(said))}</span>"
        for name, said in (
            ("scenario", results["title"]),
            ("hash", results["hash"]),
            ("root seed", results["root_seed"]),
            ("held-out root seed", results["held_out"]["root_seed"]),
            ("lane", results["lane"]),
            ("profiles", ", ".join(results["profiles"])),
        )
    )
    return f"""<p class="facts-line">{told}</p><ul>
<li>World i is the same world for every candidate until its own doings part them: every draw is keyed by what it is
for.</li>
<li>The search took the best of many noisy values, which flatters them. So nothing that it measured is claimed: the
candidates were judged in other worlds, and the recommendation goes to the first of them, in the order that the search had
them in, which holds there.</li>
<li>Each interval is a jackknife's over worlds and holds at {CONFIDENCE} by itself. Among the many of the tables one in a
hundred may miss by chance.</li>
<li>A candidate is put aside if it breaks a promise more often than the present settings in the same worlds. The breaches
that customers see are held to their sum, since one kind passes into another.</li>
<li>The backend, the load and the faults are the scenario's and the profiles'. Where production differs, fit a profile to
its log first.</li>
</ul>{timing_facts(timing)}"""
