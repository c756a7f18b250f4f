"""Goal: `relaysim fit` keeps the commands' contract, judges what a log tells, and writes a profile that scenarios load.

Method: the command in this process on small logs; the profile through the loader and one world.
"""

from __future__ import annotations

import gzip
import html
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from fit_logs import Backend, relay_log

from relaysim.reports.drawing import svgs
from relaysim.reports.fit_figures import draw_fit
from relaysim.reports.fit_page import fit_html
from relaysim.reports.fit_words import CLAIMED
from relaysim.scenarios.cli import main
from relaysim.scenarios.fit.log_claims import CANNOT, JUDGED, judge_log
from relaysim.scenarios.fit.profile_file import profile_table, profile_text
from relaysim.scenarios.fit.reading import FAILED, Reading, read_logs
from relaysim.scenarios.load import load
from relaysim.sim.backends.profile import load_profile, read_profile_table, shipped_profiles
from relaysim.sim.world import run_world


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def log(name: str = "relay.log", conflicts: int = 400, **options: Any) -> str:
    Path(name).write_text(relay_log(Backend(0.62, 1.05), conflicts, 3, **options), encoding="utf-8")
    return name


def fit(*arguments: str) -> int:
    return main(["fit", *arguments, "--quiet", "--out", "out"])


def results() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path("out/results.json").read_text(encoding="utf-8"))
    return read


# What it writes


def test_the_folder_and_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(log()) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "figures",
        "index.html",
        "profile.toml",
        "results.json",
        "timing.json",
    ]
    assert sorted(path.name for path in Path("out/figures").iterdir()) == ["endings.svg", "freed.svg"]
    streams = capsys.readouterr()
    assert streams.out.startswith("Of 400 conflicts in the log ")
    assert "Profile: out/profile.toml" in streams.out
    assert streams.err == ""


def test_the_line_to_judge_by_names_the_profile_of_the_run_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", log(), "--quiet"]) == 0
    printed = capsys.readouterr().out
    (line,) = (each.strip() for each in printed.splitlines() if "relaysim verify" in each)
    assert line == "relaysim verify incident_typical --set profile=reports/out/fit/latest/profile.toml"
    (run,) = (each for each in Path("reports/out/fit").iterdir() if not each.is_symlink())
    assert main(["report", str(run)]) == 0
    assert f"--set profile={run}/profile.toml" in capsys.readouterr().out
    assert main([*line.split()[1:], "--replications", "1", "--quiet", "--recheck", "0", "--lane-check", "0"]) in (
        0,
        1,
        3,
    )


def test_the_same_log_gives_the_same_bytes_however_it_is_cut_into_files() -> None:
    text = Path(log()).read_text(encoding="utf-8")
    assert fit("relay.log") == 0
    first = {path.name: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert fit("relay.log") == 0
    again = {path.name: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    for each in (first, again):
        del each["timing.json"], each["index.html"]  # which tells what the run took
    assert first == again
    middle = text.index("\n", len(text) // 2) + 1
    Path("1.log").write_text(text[:middle], encoding="utf-8")
    Path("2.log").write_text(text[middle:], encoding="utf-8")
    ended = results()["conflicts"]["endings"]
    assert fit("1.log", "2.log") == 0
    assert [(each["ending"], each["count"], each["n"]) for each in results()["conflicts"]["endings"]] == [
        (each["ending"], each["count"], each["n"]) for each in ended
    ]


def test_json_is_what_the_folder_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(log(), "--json") == 0
    assert json.loads(capsys.readouterr().out) == results()


def test_scenarios_load_the_profile_as_it_is() -> None:
    fit(log())
    profile = load_profile("out/profile.toml")
    base = load_profile("typical")
    assert profile.name == "fitted"
    assert profile.basis["cancel_seconds"].startswith("fitted from 400 conflicts")
    assert profile.run_seconds == base.run_seconds
    assert profile.basis["run_seconds"] == base.basis["run_seconds"]
    Path("mine.toml").write_text('schema = 1\nextends = "incident"\nname = "mine"\nprofile = "out/profile.toml"\n')
    scenario = load("mine.toml")
    assert scenario.backend.cancel_seconds == profile.cancel_seconds
    assert scenario.backend.basis["request_seconds"] == profile.basis["request_seconds"]
    done = run_world(scenario.world_settings(), root_seed=1, seed=1, lane="direct")
    assert done.observation["counts"]["messages"] == 2


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_profile_survives_being_written(name: str) -> None:
    table = read_profile_table(name)
    written = tomllib.loads(profile_text(profile_table(table, "x", 'a "quoted" \\ title', ()), "comment"))
    assert {**written, "name": table["name"], "title": table["title"]} == table
    assert written["title"] == 'a "quoted" \\ title'


# The claims


def entries(reading: Reading) -> dict[str, dict[str, Any]]:
    judged, untold = judge_log(reading)
    assert [each["id"] for each in judged if each["id"] in {other["id"] for other in untold}] == []
    assert {each["id"] for each in [*judged, *untold]} == set(JUDGED) | set(CANNOT)
    return {each["id"]: each for each in judged}


def counted(recovered_2: int, recovered_3: int, failed: int) -> Reading:
    """Endings evenly mixed, as independent conflicts are."""
    reading = Reading()
    left = {2: recovered_2, 3: recovered_3, FAILED: failed}
    for ending, count in left.items():
        if ending:
            reading.recovered[ending] = count
    reading.failed_after[3] = failed
    total = sum(left.values())
    given = dict.fromkeys(left, 0)
    for number in range(1, total + 1):
        ending = max(left, key=lambda each: left[each] * number / total - given[each])
        given[ending] += 1
        reading.portions.add(ending)
    reading.met = total
    return reading


def test_the_claim_is_verified_by_a_log_that_shows_it() -> None:
    judged = entries(counted(36_000, 3_600, 400))
    assert {name: judged[name]["verdict"] for name in ("first-retry", "second-retry", "polite-failure")} == {
        "first-retry": "verified",
        "second-retry": "verified",
        "polite-failure": "verified",
    }
    assert (judged["first-retry"]["count"], judged["first-retry"]["n"]) == (36_000, 40_000)


def test_the_claim_is_refuted_by_a_log_that_shows_something_else() -> None:
    judged = entries(counted(30_000, 7_000, 3_000))
    assert {judged[name]["verdict"] for name in ("first-retry", "second-retry", "polite-failure")} == {"refuted"}


def test_conflicts_that_fail_together_tell_less() -> None:
    apart, together = counted(3_600, 360, 40), Reading()
    together.recovered.update({2: 3_600, 3: 360})
    together.failed_after[3] = 40
    for ending, count in ((2, 1_800), (FAILED, 40), (3, 360), (2, 1_800)):
        for _ in range(count):
            together.portions.add(ending)
    wide = entries(together)["polite-failure"]["interval"]
    narrow = entries(apart)["polite-failure"]["interval"]
    assert wide[0] < narrow[0]
    assert wide[1] > 2 * narrow[1]


def test_waits_and_outcomes_are_told_by_events_alone() -> None:
    without = entries(read_logs([log("lines.log")]))
    assert "race-wait" not in without
    assert "success" not in without
    name = log("events.log", events=True)
    lines = [
        json.dumps(
            {
                "timestamp": "2025-11-04T12:00:00.000000Z",
                "level": "info",
                "event": "outcome",
                "conversation": f"{number:08x}",
                "outcome": "friendly_apology" if number % 50 == 0 else "answered",
                "seconds": 9.5,
                "messages": 1,
            }
        )
        for number in range(5000)
    ]
    with Path(name).open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    judged = entries(read_logs([name]))
    assert (judged["race-wait"]["verdict"], judged["race-wait"]["values"]) == ("verified", [2.0, 2.0])
    assert (judged["stuck-wait"]["verdict"], judged["stuck-wait"]["values"]) == ("verified", [6.0, 6.0])
    assert (judged["success"]["count"], judged["success"]["n"], judged["success"]["verdict"]) == (4900, 5000, "refuted")
    assert (judged["error-target"]["count"], judged["error-target"]["verdict"]) == (100, "refuted")


def test_one_run_taken_away_refutes_that_nobody_notices() -> None:
    reading = counted(90, 9, 1)
    assert "transparent" not in entries(reading)
    reading.taken_away = 1
    assert entries(reading)["transparent"]["verdict"] == "refuted"


def test_sentences_of_claims_speak_of_the_log() -> None:
    reading = Reading()
    for number in range(300):  # in runs, as an outage makes them
        reading.portions.add(2 if number % 50 < 45 else FAILED)
    judged = entries(reading)
    assert any("portions" in each["why"] for each in judged.values())
    assert not [each["why"] for each in judged.values() if "replication" in each["why"]]


# The page


def test_intervals_of_claims_say_their_true_confidence(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(log(), "--full") == 0
    said = capsys.readouterr().out
    page = Path("out/index.html").read_text(encoding="utf-8")
    judged = {each["id"]: each for each in results()["claims"]}
    assert judged["first-retry"]["confidence"] == pytest.approx(1 - 0.01 / 3)
    for shown in (said, html.unescape(page).replace("\xa0", " ")):
        assert "at 99.67 %" in shown
        assert "99.67 %: its share of the family's 99 %" in " ".join(shown.split())


def test_conflicts_without_an_ending_are_told_in_the_title(capsys: pytest.CaptureFixture[str]) -> None:
    Path("begun.log").write_text("[OpenAI] Active run detected during message creation (attempt 1/3)\n" * 7)
    assert fit("begun.log") == 0
    title = "The log tells no ending of 7 conflicts"
    assert capsys.readouterr().out.startswith(f"{title}\n")
    assert title in Path("out/index.html").read_text(encoding="utf-8")


def test_conflicts_whose_run_nobody_cancelled_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        "[OpenAI] Active run detected during message creation (attempt 1/3)",
        "[Relay] The error names no run, so none is cancelled",
        "[OpenAI] Waiting 3000ms before retry...",
        "[OpenAI] Message created successfully (attempt 2)",
    ]
    Path("unnamed.log").write_text("\n".join(lines * 30) + "\n")
    assert fit("unnamed.log") == 0
    said = capsys.readouterr().out
    assert "does not say what was waited" not in said
    assert results()["conflicts"]["waits"][0] == 3.0
    assert "30 refusals named no run, so none was cancelled" in said


def test_the_page_has_every_part_and_escapes_what_came_from_the_log() -> None:
    name = log(events=True)
    with Path(name).open("a", encoding="utf-8") as file:
        file.write(
            '{"timestamp": "2025-11-04T12:00:00.000000Z", "level": "info", "event": "outcome", '
            '"conversation": "0000000a", "outcome": "<script>", "seconds": 1, "messages": 1}\n'
        )
    fit(name)
    page = Path("out/index.html").read_text(encoding="utf-8")
    for anchor in ("endings", "claims", "numbers", "figures", "log", "limits"):
        assert f'<section id="{anchor}"' in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    drawn = svgs(draw_fit(results()))
    assert fit_html(results(), figures=drawn) == fit_html(results(), figures=svgs(draw_fit(results())))


def test_a_log_that_identifies_nothing_still_has_a_page_and_a_profile(capsys: pytest.CaptureFixture[str]) -> None:
    Path("few.log").write_text("[OpenAI] Message created successfully (attempt 2)\n" * 12)
    assert fit("few.log", "--full") == 0
    assert "only 12 messages met an active run" in capsys.readouterr().out
    assert load_profile("out/profile.toml").cancel_seconds == load_profile("typical").cancel_seconds
    assert "kept" in {each["status"] for each in results()["numbers"]}


# What the user can put right


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["absent.log"],
            "relaysim: absent.log: cannot be read: no such file or directory"
            " (more: relaysim docs fitting#what-it-reads)\n",
        ),
        (["."], "relaysim: .: is a folder; name the logs in it (more: relaysim docs fitting#what-it-reads)\n"),
        (["other.log"], "relaysim: other.log: none of 2 lines is the relay's; give logs with its lines "),
        (
            ["relay.log", "relay.log"],
            "relaysim: relay.log: is named twice (more: relaysim docs fitting#what-it-reads)\n",
        ),
        (
            ["relay.log", "./relay.log"],
            "relaysim: ./relay.log: is the same file as relay.log, and would be counted twice",
        ),
        (
            ["relay.log", "link.log"],
            "relaysim: link.log: is the same file as relay.log, and would be counted twice"
            " (more: relaysim docs fitting#what-it-reads)\n",
        ),
        (
            ["broken.gz"],
            "relaysim: broken.gz: none of 0 lines is the relay's; compressed data break off or are damaged; ",
        ),
        (
            ["relay.log", "--profile-from", "typicl"],
            "relaysim: --profile-from: no profile named 'typicl'; shipped are ",
        ),
        (
            ["relay.log", "--profile-from", "absent.toml"],
            "relaysim: --profile-from: there is no file absent.toml (more: relaysim docs scenarios#profiles)\n",
        ),
        (["relay.log", "--profile-from", "bad.toml"], "relaysim: --profile-from bad.toml: is no TOML: "),
        (
            ["relay.log", "--profile-from", "short.toml"],
            "relaysim: 12 problems"
            " (more: relaysim docs scenarios#profiles)\n  --profile-from short.toml: title: is missing",
        ),
        (
            ["relay.log", "--profile-from", "nan.toml"],
            "relaysim: --profile-from nan.toml: cancel_seconds.median: must be a finite number, not nan"
            " (more: relaysim docs scenarios#profiles)\n",
        ),
    ],
)
def test_one_clear_error(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    log(conflicts=20)
    Path("other.log").write_text("hello\nworld\n")
    Path("bad.toml").write_text("name = \n")
    Path("short.toml").write_text('name = "short"\n')
    claimed = profile_text(read_profile_table("claimed"), "")
    Path("nan.toml").write_text(claimed.replace("median = 0.62", "median = nan"), encoding="utf-8")
    Path("link.log").symlink_to("relay.log")
    Path("broken.gz").write_bytes(gzip.compress(b"[OpenAI]")[:9])
    assert fit(*arguments) == 2
    streams = capsys.readouterr()
    assert streams.err.startswith(said)
    assert streams.out == ""


@pytest.mark.parametrize("option", ["--out", "--name"])
def test_an_empty_folder_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    log(conflicts=20)
    before = sorted(Path().iterdir())
    assert main(["fit", "relay.log", option, ""]) == 2
    assert f"{option}: is empty" in capsys.readouterr().err
    assert sorted(Path().iterdir()) == before


def test_a_folder_has_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "relay.log", "--out", "one", "--name", "two"]) == 2
    assert "--name and --out exclude each other; leave one out" in capsys.readouterr().err


def test_the_claimed_shares_are_those_of_the_scenario() -> None:
    claims = {each.id: each.target for each in load("incident").claims}
    names = {"recovered_at_2": "first-retry", "recovered_at_3": "second-retry", "failed": "polite-failure"}
    assert {ending: claims[name] for ending, name in names.items()} == dict(CLAIMED)
