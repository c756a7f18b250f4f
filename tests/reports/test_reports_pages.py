"""Goal: terminal, figures and page show every verdict to everyone: in any colours, anywhere, without a network."""

from __future__ import annotations

import copy
import io
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from report_samples import sample_results, sample_timing

from relaysim.reports.claims import ClaimSpec, Tally, judge
from relaysim.reports.drawing import standalone, svgs
from relaysim.reports.figures import draw_all
from relaysim.reports.results import build_results
from relaysim.reports.summary import INCIDENT_CLAIMS, clustered_words, observed_words, summarise
from relaysim.reports.terminal import console_for, print_report
from relaysim.reports.verify_page import verify_html


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return sample_results()


@pytest.fixture(scope="module")
def figures(results: dict[str, Any]) -> dict[str, str]:
    return svgs(draw_all(results))


@pytest.fixture(scope="module")
def page(results: dict[str, Any], figures: dict[str, str]) -> str:
    return verify_html(results, timing=sample_timing(), previous=results, figures=figures)


def printed(results: dict[str, Any]) -> str:
    stream = io.StringIO()
    print_report(console_for(stream), results)
    return stream.getvalue()


# The summary.


def test_every_claim_has_one_row_even_if_nobody_judged_it(results: dict[str, Any]) -> None:
    assert [row.id for row in summarise(results)] == list(INCIDENT_CLAIMS)
    assert len(INCIDENT_CLAIMS) == 11
    empty = summarise(build_results("v", []))
    assert [row.text for row in empty] == ["not judged"] * 11


def test_variants_stand_side_by_side_unless_they_agree(results: dict[str, Any]) -> None:
    text = {row.id: row.text for row in summarise(results)}
    assert text["first-retry"] == "claimed: verified (by construction) / typical: refuted"
    assert text["transparent"] == "refuted"
    assert text["race-wait"] == "verified"


def test_one_refutation_refutes_a_variant_and_a_surprise_decides() -> None:
    def block(name: str, verdict: str, expected: str, n: int, variant: str = "") -> dict[str, Any]:
        claim = {"id": "transparent", "verdict": verdict, "expected": expected, "n": n, "examples": []}
        return {"scenario": name, "profile": "profiles/claimed.toml", "variant": variant, "claims": [claim]}

    blocks = [
        block("a", "verified", "verified", 900),
        block("b", "refuted", "refuted", 800),
        block("c", "refuted", "verified", 5),
        block("d", "inconclusive", "verified", 1),
    ]
    (part,) = summarise(build_results("v", blocks), ids=())[0].parts
    assert (part.verdict, part.scenario["scenario"], part.scenarios, part.judged) == ("refuted", "c", ("b", "c"), 4)
    assert part.where == "c (2 of 4 scenarios say so)"
    assert not part.as_expected
    blocks.append(block("e", "verified", "verified", 5, variant="cancel_error=raise"))
    row = summarise(build_results("v", blocks), ids=())[0]
    assert row.text == "claimed: refuted / cancel_error=raise: verified"


# The terminal.


def test_the_summary_prints_each_id_once_and_everything_that_is_asked_of_it(results: dict[str, Any]) -> None:
    lines = printed(results).splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("Claims, scenario by scenario"))
    summary = lines[:start]
    for identifier in INCIDENT_CLAIMS:
        assert sum(line.split()[:1] == [identifier] for line in summary) == 1, identifier
    row = next(line for line in summary if line.split()[:1] == ["first-retry"])
    assert re.split(r"\s{2,}", row.strip()) == [
        "first-retry",
        "claimed: incident",
        "✔ verified (by construction)",
        "36,012 / 40,000",
        "90.03 %",
        "89.58 – 90.46 %",
        "89 – 91 %",
    ]


def test_what_went_wrong_has_a_seed_and_a_command_that_can_be_copied(results: dict[str, Any]) -> None:
    text = printed(results)
    assert "✘ transparent in race, seed 3: worker-2 cancelled run_Zk4fHt90" in text
    assert "\n      relaysim replay race --seed 3 --claim transparent\n" in text
    assert "✘ invariant S5 broken in incident, 5 breaches, seed 9" in text
    assert "expected" not in text.lower()


def test_elsewhere_than_on_a_terminal_nothing_is_cut_and_nothing_is_coloured(results: dict[str, Any]) -> None:
    from rich.console import Console

    text = printed(results)
    assert "\x1b" not in text
    assert "…" not in text
    stream = io.StringIO()
    print_report(Console(file=stream, width=60), results)
    for identifier in INCIDENT_CLAIMS:
        assert identifier in stream.getvalue()


def test_no_color_is_honoured_and_a_narrow_terminal_still_has_every_id(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    print_report(Console(file=stream, width=80, force_terminal=True), results)
    text = stream.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", text)
    for identifier in INCIDENT_CLAIMS:
        assert identifier in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    at = lines.index("first-retry")
    assert [line.rstrip() for line in lines[at + 1 : at + 5]] == [
        "  ✔ verified (by construction)  claimed: incident",
        "      36,012 / 40,000: 90.03 %, interval 89.58 – 90.46 %, limit 89 – 91 %",
        "  ✘ refuted  typical: incident_typical",
        "      35,020 / 40,000: 87.55 %, interval 87.06 – 88.03 %, limit 89 – 91 %",
    ]
    assert "      relaysim replay incident_typical --seed 9 --claim first-retry" in lines


def test_a_long_command_is_never_broken() -> None:
    from rich.console import Console

    tally = Tally()
    tally.add(1, 1, {"seed": 1, "fingerprint": "", "detail": {}})
    command = "relaysim replay incident --seed 1 " + "--set waits=[1,2,3] " * 12 + "--factory bot:make"
    claim = judge(ClaimSpec(id="x", title="t", kind="never", event="lost"), tally, replay=command)
    stream = io.StringIO()
    results = build_results("v", [{"scenario": "s", "claims": [claim]}])
    print_report(Console(file=stream, width=80, force_terminal=True, color_system=None), results)
    assert f"      {command} --claim x\n" in stream.getvalue()


def test_markup_in_a_detail_stays_text() -> None:
    tally = Tally()
    tally.add(1, 1, {"seed": 1, "fingerprint": "", "detail": {"text": "[red]boo[/nonsense] :smile:"}})
    claim = ClaimSpec(id="x", title="t", kind="never", event="lost")
    text = printed(build_results("v", [{"scenario": "s", "claims": [judge(claim, tally)]}]))
    assert "[red]boo[/nonsense] :smile:" in text


# Figures.


def test_figures_are_the_same_bytes_every_time(results: dict[str, Any], figures: dict[str, str]) -> None:
    assert svgs(draw_all(copy.deepcopy(results))) == figures


def test_every_figure_says_in_words_what_it_shows(figures: dict[str, str]) -> None:
    for name, svg in figures.items():
        assert f'role="img" aria-labelledby="{name}-title {name}-text"' in svg
        description = re.search(r"<desc[^>]*>(.*?)</desc>", svg, re.S)
        assert description
        assert len(description[1]) > 40
    assert "first-retry: verified in 2 cells, refuted in 14, inconclusive in 4" in figures["map-incident"]
    assert "at 90: 5.83 % (4.67 – 7.23 %)" in figures["curve-peak-hour-before"]


def test_a_verdict_in_a_figure_is_a_symbol_too(figures: dict[str, str]) -> None:
    for name in ("map-incident", "forest"):
        assert all(symbol in figures[name] for symbol in "✔✘?")


def test_a_figure_is_a_valid_file_of_its_own(figures: dict[str, str]) -> None:
    for svg in figures.values():
        root = ElementTree.fromstring(standalone(svg).encode())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "prefers-color-scheme: dark" in standalone(svg)


def test_without_data_there_is_no_figure() -> None:
    assert draw_all(build_results("v", [{"scenario": "s", "claims": []}])) == {}
    empty = {"x": {"name": "load", "values": [1]}, "points": [{"x": 1, "n": 0, "observed": None}]}
    assert draw_all(build_results("v", [{"scenario": "s", "claims": [], "curve": empty}])) == {}


# The page.


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_and_runs_nothing(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert not tags.names & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    links = [value for name, value in tags.attributes if name in ("href", "src", "action", "srcset")]
    assert all(link.startswith("#") for link in links)
    assert {link[1:] for link in links} <= set(tags.ids)
    assert len(tags.ids) == len(set(tags.ids))
    assert not re.search(r"https?:|url\((?!#)|@import|@font-face|javascript:", page)
    assert len(page.encode()) < 2 * 1024 * 1024


def test_claims_come_first_then_what_changed_then_the_rest(page: str) -> None:
    order = re.findall(r'<section id="([a-z]+)"', page)
    assert order == ["claims", "changes", "figures", "scenarios", "replay", "limits"]
    assert "prefers-color-scheme: dark" in page
    for identifier in INCIDENT_CLAIMS:
        assert page.index(f">{identifier}<") < page.index('id="changes"')


def test_a_breach_is_told_as_a_sentence_with_its_command(page: str) -> None:
    plain = page.replace("&quot;", '"')
    assert "worker-2 cancelled run_Zk4fHt90, which was answering m1 of conversation c1 in worker-1" in plain
    assert "<code>relaysim replay race --seed 3 --claim transparent</code>" in plain
    assert "answering m1; received the apology; run run_Zk4fHt90" in plain


def test_five_examples_are_enough() -> None:
    claim = judge(ClaimSpec(id="x", title="t", kind="never", event="lost"), Tally.of_single_trials(9, 9))
    claim["examples"] = [{"seed": 1000 + at, "fingerprint": "", "replay": f"replay-{at}"} for at in range(9)]
    page = verify_html(build_results("v", [{"scenario": "s", "claims": [claim]}]))
    assert "replay-4<" in page
    assert "replay-5<" not in page


def test_everything_foreign_is_escaped() -> None:
    evil = "<script>alert(1)</script>\"'&"
    tally = Tally()
    tally.add(1, 1, {"seed": 1, "fingerprint": evil, "detail": {"text": evil, evil: evil}})
    claim = judge(ClaimSpec(id=evil, title=evil, kind="never", event=evil, reason=evil), tally, replay=evil)
    scenario = {
        "scenario": evil,
        "title": evil,
        "hash": evil,
        "lane": evil,
        "mode": evil,
        "profile": evil,
        "root_seed": 1,
        "claims": [claim],
        "invariants": {evil: {"breaches": 1, "examples": claim["examples"]}},
        "outcomes": {evil: 3},
        "latency": {evil: {evil: 1.5}},
    }
    results = build_results(evil, [scenario])
    page = verify_html(results, timing={evil: evil}, previous=build_results("", [{**scenario, "claims": []}]))
    assert "<script" not in page
    assert "alert(1)" in page
    Tags().feed(page)


def test_an_invariant_that_no_world_put_to_the_test_is_not_said_to_be_kept(results: dict[str, Any]) -> None:
    results["scenarios"][0]["invariants"] = {
        "S10-kept": {"breaches": 0, "checked": 7, "examples": []},
        "S2-kept": {"breaches": 0, "checked": 7, "examples": []},
        "S9-unmet": {"breaches": 0, "checked": 0, "examples": []},
    }
    page = verify_html(results)
    assert "never broken: S2-kept, S10-kept<" in page
    assert "never put to the test: S9-unmet<" in page


def test_what_changed_since_the_last_run(results: dict[str, Any]) -> None:
    before = copy.deepcopy(results)
    claim = before["scenarios"][1]["claims"][0]
    claim["verdict"], claim["count"], claim["observed"] = "verified", 36_000, 0.9
    before["scenarios"][3]["hash"] = "other"
    del before["scenarios"][2]["claims"][0]
    page = verify_html(results, previous=before).replace("\u00a0", " ")
    changes = re.sub(r"<[^>]+>", "", page[page.index('id="changes"') : page.index('id="scenarios"')])
    assert "first-retry in incident_typical: ✔ verified → ✘ refuted (90.00 % → 87.55 %)" in changes
    assert "race-wait in race: new, ✔ verified" in changes
    assert "stuck_run: its file has changed" in changes
    assert len(re.findall("still|→", changes)) == 2


def test_a_page_that_grows_too_heavy_is_refused(results: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="weighs"):
        verify_html(results, figures={"forest": "x" * 3_000_000})


def test_a_relay_of_somebody_s_own_has_rows_for_what_was_judged_alone(results: dict[str, Any]) -> None:
    only = [{**results["scenarios"][0], "claims": results["scenarios"][0]["claims"][:1]}]
    few = {**results, "scenarios": only}
    assert [row.id for row in summarise({**few, "factory": "bot:make"})] == [only[0]["claims"][0]["id"]]
    assert {row.id for row in summarise(few)} == INCIDENT_CLAIMS.keys()


def test_what_happened_more_often_than_there_are_trials_is_no_share() -> None:
    assert observed_words({"count": 26, "n": 18, "observed": 26 / 18}) == "1.44 each"
    assert observed_words({"count": 9, "n": 18, "observed": 0.5}) == "50.00 %"


def test_one_independent_trial_stands_in_the_singular() -> None:
    words = clustered_words({"deff": 12.0, "trials_max": 1, "n_effective": 1.0})
    assert "of at most 1 trial; those seen scatter like 1 independent one (" in words


def test_where_claims_stand_below_each_other_each_number_has_its_columns_name() -> None:
    page = verify_html(sample_results())
    (table,) = re.findall(r'<table class="claims">.*?</table>', page, re.DOTALL)
    heads = re.findall(r'<th scope="col" class="n">(.*?)</th>', table)
    assert len(heads) == 4
    rows = [re.findall(r'<td class="n"(?: data-head="(.*?)")?>', row) for row in table.split("<tr>")]
    numbers = [row for row in rows if row]
    assert len(numbers) > 3
    assert all(row == heads for row in numbers)
    assert re.search(
        r"@media screen and \(max-width: 40rem\) \{.*?\.claims \.n::before \{ content: attr\(data-head\)",
        page,
        re.DOTALL,
    )
