"""The report as one page: everything inside it, no script, nothing fetched, readable in light and in dark.

Drawn from `results.json` and `timing.json` alone, and from the results of the run before where there are some. The
order is the reader's: the verdicts, what changed, the figures, then scenario by scenario, how to replay, and what all
this rests on. Whatever came from a scenario or a trace is escaped.

Longer than 400 lines because it is one page, section by section, with its texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from relaysim.reports.claims import EXAMPLES_MAX
from relaysim.reports.results import claims_of
from relaysim.reports.summary import (
    SYMBOLS,
    Row,
    closing_words,
    decided_words,
    example_words,
    interval_title,
    interval_words,
    limit_words,
    number,
    observed_words,
    percent,
    strata_words,
    summarise,
    trials_words,
    variant_of,
)

#: What a page may weigh, in bytes.
SIZE_MAX = 2 * 1024 * 1024
_CHANGES_MAX = 60
_TEXT_MAX = 600

_FIGURE_TITLES = {
    "forest": (
        "Observed, against the limit",
        "The dot is the observed rate, the line its interval, the blue field what the claim allows. Each row has a "
        "scale of its own.",
    ),
    "recovery": (
        "When messages recovered",
        "Of the messages that met an active run: the share that each attempt got through, as claimed and as observed.",
    ),
    "latency": (
        "How long customers wait",
        "Seconds from a customer's message to the reply: median, 90th and 99th percentile.",
    ),
}
_FIGURE_KINDS = {
    "curve": (
        "Failures over load",
        "Each point is a run of its own, with its 99 % interval. The shaded band is what was reported from production.",
    ),
    "sequence": (
        "How the claims were decided",
        "The coloured band holds the true rate at all looks at once, whenever one stops; the blue field is what the claim "
        "allows. A claim is decided when its band lies wholly inside the field or wholly outside. The dashed line is the "
        "observed rate, the dotted one marks the look that decided.",
    ),
    "map": (
        "Where the claims hold",
        "A verdict in every cell, with the observed rate in percent. The claims are statements about how fast the "
        "backend frees a thread as much as about the relay: this is the region in which they are true.",
    ),
}


def render_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    previous: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.figures.draw_all`); without them none are shown.

    Raises ValueError should the page weigh more than `SIZE_MAX` bytes.
    """
    rows = summarise(results)
    sections = [
        ("claims", "Claims", _claims(rows, interval_title(results))),
        ("changes", "Since the last run", _changes(results, previous) if previous is not None else ""),
        ("figures", "Figures", _figures(figures or {})),
        ("scenarios", "Scenarios", _scenarios(results)),
        ("replay", "See for yourself", _replay(results)),
        ("limits", "What this rests on", _limits(results, timing)),
    ]
    return render_page(_headline(results), closing_words(results), sections, code_version=str(results["code_version"]))


def figure_list(words: Mapping[str, tuple[str, str]], figures: Mapping[str, str]) -> str:
    """Figures (inline SVG by name), each under its heading and explanation, which `words` has by the same name."""
    return "\n".join(
        f"<figure><h3>{words[name][0]}</h3><p>{words[name][1]}</p>\n{svg}\n</figure>" for name, svg in figures.items()
    )


def cell_table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table of numbers. Heads, the names of the rows and their cells are HTML already."""
    head = "".join(f"<th scope='col' class='n'>{each}</th>" for each in heads)
    body = "".join(
        f"<tr><th scope='row'>{name}</th>" + "".join(f"<td class='n'>{cell}</td>" for cell in cells) + "</tr>"
        for name, cells in rows
    )
    return f'<div class="wide"><table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'


def with_below(words: str, *below: str) -> str:
    """A cell's words, escaped, with others below them in small; those that are empty are left out."""
    return escape(words) + "".join(f"<span class='where'>{escape(each)}</span>" for each in below if each)


def render_page(headline: str, lead: str, sections: Sequence[tuple[str, str, str]], *, code_version: str) -> str:
    """A page of sections `(anchor, title, HTML)`; those without HTML are left out. Headline and lead are plain text.

    Raises ValueError should the page weigh more than `SIZE_MAX` bytes.
    """
    shown = [(anchor, title, body) for anchor, title, body in sections if body]
    links = " ".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in shown)
    body = "\n".join(
        f'<section id="{anchor}" aria-labelledby="h-{anchor}">\n<h2 id="h-{anchor}">{title}</h2>\n{body}\n</section>'
        for anchor, title, body in shown
    )
    style = resources.files("relaysim.reports").joinpath("style.css").read_text(encoding="utf-8")
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(headline)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<p class="kicker">relaysim report</p>
<h1>{escape(headline)}</h1>
<p class="lead">{escape(lead)}</p>
<nav aria-label="Sections">{links}</nav>
</header>
<main>
{body}
</main>
<footer>code {escape(code_version)}</footer>
</body>
</html>
"""
    page = re.sub(r"(?<=\d) %", "\u00a0%", page)  # a number and its unit stay on one line
    if (size := len(page.encode())) > SIZE_MAX:
        raise ValueError(f"the page weighs {size:,} bytes, more than {SIZE_MAX:,}")
    return page


def _headline(results: Mapping[str, Any]) -> str:
    surprises = sum(claim["verdict"] != claim["expected"] for _, claim in claims_of(results))
    if not any(True for _ in claims_of(results)):
        return "No claim was judged"
    if not surprises:
        return "Every verdict is the expected one"
    return (
        "One verdict is not the expected one" if surprises == 1 else f"{surprises} verdicts are not the expected ones"
    )


def _verdict(verdict: str, by_construction: bool = False) -> str:
    note = ' <span class="note">by construction</span>' if by_construction else ""
    name = verdict.replace(" ", "-")
    return f'<span class="verdict {name}"><span aria-hidden="true">{SYMBOLS[verdict]}</span> {verdict}</span>{note}'


def _expected(claim: Mapping[str, Any]) -> str:
    if claim["verdict"] == claim["expected"]:
        return '<span class="quiet">as expected</span>'
    return f'<strong class="surprise">not expected, should be {escape(claim["expected"])}</strong>'


# Claims.


def _claims(rows: Sequence[Row], interval: str) -> str:
    head = (
        "<thead><tr><th scope='col'>claim</th><th scope='col'>verdict</th><th scope='col' class='n'>count / n</th>"
        f"<th scope='col' class='n'>observed</th><th scope='col' class='n'>{escape(interval)}</th>"
        "<th scope='col' class='n'>limit</th><th scope='col'>expected</th></tr></thead>"
    )
    body = "".join(_claim_rows(row) for row in rows)
    details = "".join(_claim_details(row) for row in rows if row.entries)
    return (
        f'<div class="wide"><table class="claims">{head}{body}</table></div>\n'
        "<p class='quiet'>A claim that several scenarios judge is refuted if one of them refutes it, and shown with "
        "the scenario that decided. Scenarios of another backend profile, or another variant of the relay, have a "
        "line of their own.</p>\n<h3>One by one</h3>\n" + details
    )


def _claim_rows(row: Row) -> str:
    span = max(1, len(row.parts))
    head = (
        f'<th scope="rowgroup" rowspan="{span}"><a class="id" href="#claim-{escape(row.id)}">{escape(row.id)}</a>'
        f'<span class="title">{escape(row.title)}</span></th>'
    )
    if not row.parts:
        head = head.replace(f' href="#claim-{escape(row.id)}"', "")
        return f'<tbody><tr>{head}<td colspan="6">{_verdict("not judged")}</td></tr></tbody>'
    lines = []
    for part in row.parts:
        where = escape(str(part.scenario["scenario"]))
        if part.judged > 1:
            where += f", {len(part.scenarios)} of {part.judged} scenarios"
        if len(row.parts) > 1 and part.label:
            where = f"<b>{escape(part.label)}</b>: {where}"
        expected = _expected(part.claim)
        if not part.as_expected and part.claim["verdict"] == part.claim["expected"]:
            expected = '<strong class="surprise">not as expected in some scenario</strong>'
        lines.append(
            f'<td>{_verdict(part.verdict, part.by_construction)}<span class="where">{where}</span></td>'
            f"{_numbers(part.claim)}<td>{expected}</td>"
        )
        if part.verdict != "verified" and part.claim["examples"]:
            lines.append(f'<td colspan="6" class="story">{_story(part.claim["examples"][0])}</td>')
    head = head.replace(f'rowspan="{span}"', f'rowspan="{len(lines)}"')
    return (
        "<tbody>" + "".join(f"<tr>{head if at == 0 else ''}{line}</tr>" for at, line in enumerate(lines)) + "</tbody>"
    )


def _story(example: Mapping[str, Any]) -> str:
    message = escape(_clipped(example_words(example)))
    replay = f" <code>{escape(str(example['replay']))}</code>" if example.get("replay") else ""
    return f"<p>Seed {escape(str(example['seed']))}: {message}</p>{replay}"


def _numbers(claim: Mapping[str, Any]) -> str:
    words = (trials_words(claim), observed_words(claim), interval_words(claim), limit_words(claim))
    return "".join(f'<td class="n">{escape(each)}</td>' for each in words)


def _claim_details(row: Row) -> str:
    blocks = "".join(_entry(scenario, claim) for scenario, claim in row.entries)
    # What surprises stands open; the rest is one click away.
    state = " open" if any(not part.as_expected for part in row.parts) else ""
    marks = " ".join(_verdict(part.verdict, part.by_construction) for part in row.parts)
    return (
        f'<details id="claim-{escape(row.id)}"{state}><summary><span class="id">{escape(row.id)}</span> '
        f'<span class="title">{escape(row.title)}</span> {marks}</summary>\n{blocks}</details>\n'
    )


def _entry(scenario: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    facts = [
        ("counted", f"{claim['event']}, among {claim['among']}: {trials_words(claim)}"),
        ("observed", f"{observed_words(claim)}, interval {interval_words(claim)}, limit {limit_words(claim)}"),
        ("so", claim.get("why", "")),
        ("looked", decided_words(scenario, claim)),
        ("in strata", strata_words(claim)),
        ("expected", f"{claim['expected']}" + (f": {claim['reason']}" if claim.get("reason") else "")),
    ]
    if "deff" in claim:
        facts.insert(
            2,
            (
                "clustered",
                f"messages of one replication share its faults: they tell as much as {claim['n_effective']:,.0f} "
                f"independent ones (design effect {claim['deff']:.2f})",
            ),
        )
    description = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(message))}</dd>" for name, message in facts if message
    )
    variant = variant_of(scenario)
    note = f' <span class="quiet">{escape(variant)}</span>' if variant else ""
    return (
        f'<div class="entry"><h4>{escape(str(scenario["scenario"]))}{note} '
        f"{_verdict(claim['verdict'], claim.get('by_construction', False))}</h4><dl>{description}</dl>"
        f"{_examples(claim['examples'])}</div>\n"
    )


def _examples(examples: Sequence[Mapping[str, Any]]) -> str:
    items = "".join(_example(each) for each in examples[:EXAMPLES_MAX])
    return f'<ul class="examples">{items}</ul>' if items else ""


def _example(example: Mapping[str, Any]) -> str:
    message = _clipped(example_words(example))
    detail = example.get("detail")
    facts = ""
    if isinstance(detail, Mapping):
        named = [
            (key, value) for key, value in sorted(detail.items()) if key != "text" and value not in (None, "", [], {})
        ]
        facts = "; ".join(f"{key.replace('_', ' ')} {_clipped(str(value))}" for key, value in named)
    facts = f'<span class="facts">{escape(facts)}</span>' if facts else ""
    sentence = f"<p>{escape(message)} {facts}</p>" if message or facts else ""
    replay = f"<code>{escape(str(example['replay']))}</code>" if example.get("replay") else ""
    return f'<li><span class="seed">seed {escape(str(example["seed"]))}</span>{sentence}{replay}</li>'


def _clipped(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"


# What changed.


def _changes(results: Mapping[str, Any], previous: Mapping[str, Any]) -> str:
    before = {(str(scenario["scenario"]), claim["id"]): claim for scenario, claim in claims_of(previous)}
    now = {(str(scenario["scenario"]), claim["id"]): claim for scenario, claim in claims_of(results)}
    lines = []
    for key, claim in now.items():
        where = f"{escape(key[1])} in {escape(key[0])}"
        old = before.get(key)
        if old is None:
            lines.append(f"<li>{where}: new, {_verdict(claim['verdict'])}</li>")
        elif old["verdict"] != claim["verdict"]:
            rates = f"{percent(old['observed'])} → {percent(claim['observed'])}"
            lines.append(f"<li>{where}: {_verdict(old['verdict'])} → {_verdict(claim['verdict'])} ({rates})</li>")
        elif (old["count"], old["n"]) != (claim["count"], claim["n"]):
            rates = f"{percent(old['observed'])} ({trials_words(old)}) → {percent(claim['observed'])}"
            lines.append(f"<li>{where}: {rates} ({trials_words(claim)}), still {escape(claim['verdict'])}</li>")
    lines += [f"<li>{escape(key[1])} in {escape(key[0])}: no longer judged</li>" for key in before if key not in now]
    for scenario in results["scenarios"]:
        old_one = next((each for each in previous["scenarios"] if each["scenario"] == scenario["scenario"]), None)
        if old_one is not None and old_one.get("hash") != scenario.get("hash"):
            lines.append(f"<li>{escape(str(scenario['scenario']))}: its file has changed</li>")
    versions = (str(previous.get("code_version", "")), str(results["code_version"]))
    code = f"code {versions[0]} → {versions[1]}" if versions[0] != versions[1] else f"the same code, {versions[0]}"
    if not lines:
        return f"<p>Nothing: every count is the same ({escape(code)}).</p>"
    more = f"<p class='quiet'>and {len(lines) - _CHANGES_MAX} more</p>" if len(lines) > _CHANGES_MAX else ""
    return f"<p>{escape(code)}</p><ul>{''.join(lines[:_CHANGES_MAX])}</ul>{more}"


# Figures.


def _figures(figures: Mapping[str, str]) -> str:
    drawn = []
    for name, svg in figures.items():
        kind, _, scenario = name.partition("-")
        title, caption = _FIGURE_TITLES.get(name) or _FIGURE_KINDS.get(kind, (name, ""))
        if kind in _FIGURE_KINDS and scenario:
            title += f" <span class='quiet'>{escape(scenario.replace('-', ' '))}</span>"
        drawn.append(f"<figure><h3>{title}</h3><p>{escape(caption)}</p>\n{svg}\n</figure>")
    return "\n".join(drawn)


# Scenarios.


def _scenarios(results: Mapping[str, Any]) -> str:
    return "".join(_scenario(scenario) for scenario in results["scenarios"])


def _scenario(scenario: Mapping[str, Any]) -> str:
    facts = [
        ("profile", variant_of(scenario)),
        ("lane", scenario.get("lane", "")),
        ("mode", scenario.get("mode", "")),
        ("replications", f"{scenario.get('replications', 0):,}"),
        ("root seed", str(scenario.get("root_seed", ""))),
        ("hash", str(scenario.get("hash", ""))[:12]),
        ("strata", "counts and waits are of the worlds that were run, and not weighed" if "strata" in scenario else ""),
    ]
    description = "".join(f"<span><b>{name}</b> {escape(str(message))}</span>" for name, message in facts if message)
    counts = _counts("outcomes", scenario.get("outcomes", {}))
    broken = _verdict("refuted")
    judged = sorted(scenario.get("invariants", {}).items(), key=_by_number)
    invariants = "".join(
        f"<li>{broken} {escape(name)}: {_times(each['breaches'])}{_examples(each.get('examples', ()))}</li>"
        for name, each in judged
        if each["breaches"]
    )
    kept = [name for name, each in judged if not each["breaches"] and each.get("checked", 1)]
    if kept:
        invariants += f"<li>{_verdict('verified')} never broken: {escape(', '.join(kept))}</li>"
    unmet = [name for name, each in judged if not each["breaches"] and not each.get("checked", 1)]
    if unmet:
        invariants += f"<li>{_verdict('inconclusive')} never put to the test: {escape(', '.join(unmet))}</li>"
    invariants = f"<h4>Invariants</h4><ul class='plain'>{invariants}</ul>" if invariants else ""
    waits = "".join(
        _counts(name.replace("_", " "), values)
        for name, values in sorted(scenario.get("latency", {}).items())
        if isinstance(values, Mapping)
    )
    title = f'<span class="title">{escape(str(scenario.get("title", "")))}</span>'
    return (
        f'<details class="scenario"><summary><span class="id">{escape(str(scenario["scenario"]))}</span> {title}'
        f'</summary>\n<p class="facts-line">{description}</p>{counts}{waits}{invariants}</details>\n'
    )


def _by_number(named: tuple[str, Any]) -> tuple[str, int, str]:
    """S2 before S10."""
    letters, digits = re.match(r"([A-Za-z]*)(\d*)", named[0]).groups()  # type: ignore[union-attr]
    return letters, int(digits or 0), named[0]


def _times(breaches: int) -> str:
    return "1 breach" if breaches == 1 else f"{breaches:,} breaches"


def _quantity(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else number(value)


def _counts(title: str, counts: Mapping[str, Any]) -> str:
    shown = [(name, value) for name, value in counts.items() if isinstance(value, (int, float))]
    if not shown:
        return ""
    cells = "".join(f"<span><b>{escape(name.replace('_', ' '))}</b> {_quantity(value)}</span>" for name, value in shown)
    return f'<h4>{escape(title)}</h4><p class="facts-line">{cells}</p>'


# How to replay, and the limits.


def _replay(results: Mapping[str, Any]) -> str:
    first = next(
        (str(each["replay"]) for _, claim in claims_of(results) for each in claim["examples"] if each.get("replay")), ""
    )
    example = f"<pre><code>{escape(first)}</code></pre>" if first else ""
    return (
        "<p>Every example above has a seed and a command. The command runs that one world again, the same to the last "
        "byte, and prints what happened as a timeline: who lost which lock, who saw an empty list, whose run was "
        f"cancelled, and what the customer received.</p>{example}"
        "<p>Its fingerprint must be the one that <code>results.json</code> gives for the seed. If it is not, the code "
        "is another.</p>"
    )


def _limits(results: Mapping[str, Any], timing: Mapping[str, Any] | None) -> str:
    lanes = ", ".join(dict.fromkeys(str(scenario.get("lane", "")) for scenario in results["scenarios"]))
    by_construction = [claim["id"] for _, claim in claims_of(results) if claim.get("by_construction")]
    named = escape(", ".join(dict.fromkeys(by_construction)))
    construction = (
        "<li>“By construction” means that the profile's own numbers were chosen so that the claim is true under it: "
        f"{named}. Such a verdict checks the arithmetic and the code, and says nothing about production.</li>"
        if named
        else ""
    )
    sequential = (
        "<li>Bands are confidence sequences, valid at all looks at once. Those of claims with at most one trial per "
        "replication are exact; those called asymptotic rest on the number of replications being large. Claims without a "
        "rate, and the invariants, are judged on what was run until the rates were decided.</li>"
        if any("sequential" in scenario for scenario in results["scenarios"])
        else ""
    )
    strata = (
        "<li>Rates in strata are weighed with the strata's probabilities; their intervals are Fay and Feuer's. Counts "
        "and waits beside them are those of the worlds that were run.</li>"
        if any("strata" in scenario for scenario in results["scenarios"])
        else ""
    )
    limits = f"""<ul>
<li>The backend is simulated. Its error texts and states are those that were published; how long it takes to free a
thread is an assumption, which the profile names, and the verdicts on recovery stand or fall with it.</li>
{construction}{sequential}{strata}
<li>Intervals are Clopper and Pearson's at 99 %. Claims that stand together share that 1 %; a bound has its own, on one
side. Where one replication holds many messages, the interval is that of the effective number of trials.</li>
<li>“Verified” for a claim of “never” means: not once in these trials. The upper end of its interval says how often it
may still happen.</li>
<li>“Inconclusive” is no pass: either the interval crosses the limit, or the case was never met.</li>
<li>Counted in the lane: {escape(lanes)}.</li>
</ul>"""
    return limits + timing_facts(timing)


def timing_facts(timing: Mapping[str, Any] | None) -> str:
    """What a run took, and where; "" if nobody wrote it down."""
    description = "".join(
        f"<span><b>{escape(name.replace('_', ' '))}</b> {escape(str(value))}</span>"
        for name, value in (timing or {}).items()
        if not isinstance(value, (Mapping, list, tuple))
    )
    return f'<h4>This run</h4><p class="facts-line">{description}</p>' if description else ""
