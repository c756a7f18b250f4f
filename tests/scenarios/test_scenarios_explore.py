"""`relaysim explore` finds, shrinks, keeps what it found as a file that other commands run, and says how hard it looked."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from scenario_stand_ins import write

from relaysim.reports.answer_terminal import screen
from relaysim.reports.answers import answer_of
from relaysim.scenarios.cli import main
from relaysim.scenarios.explore import hunting
from relaysim.scenarios.explore.cases import Case
from relaysim.scenarios.explore.delta_debugging import fewest, shortest
from relaysim.scenarios.explore.hunting import Breach, Effort, breaches_in, hunt
from relaysim.scenarios.explore.kept import kept_text
from relaysim.scenarios.explore.shrinking import Shrunk, as_one_world
from relaysim.scenarios.load import load
from relaysim.sim.world import Result
from relaysim.sim.world.settings import FAULT_LISTS

RACE = ["explore", "race", "--lane", "direct", "--jobs", "1", "--quiet"]


DRAIN = ["--set", "relay.factory=relaysim.relay:drain", "--set", "relay.settings={}", "--set", "workers=[{count=2}]"]

CLAIMS = (
    '[{{ id = "t", title = "t", kind = "never", event = "answered", among = "messages", '
    'expect = "{expect}", reason = "r" }}]'
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_found_is_small_and_kept_and_fails_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RACE, "--worlds", "5", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    found = said["found"]
    assert said["worlds"] == found["seed"] + 1
    assert len(found["deviations"]) <= 5
    assert len(found["story"]) <= 22
    assert max(len(row) for row in found["story"]) <= 80
    kept = str(tmp_path / found["kept"])
    assert load(kept).tape is not None
    assert main(["verify", kept, "--out", "out", "--quiet", "--full"]) == 1
    assert " ".join(found["text"].split()) in " ".join(capsys.readouterr().out.split())
    # All replications of it are one world, and replay shows it.
    prints = set()
    for seed in ("0", "7"):
        assert main(["replay", kept, "--seed", seed, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        prints.add(told["fingerprint"])
        assert found["text"] in told["wrong"]
    assert len(prints) == 1


def test_what_was_found_passes_once_it_is_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where its faults were left with nothing to hit."""
    assert main([*RACE, "--worlds", "5", "--json"]) == 1
    kept = Path(json.loads(capsys.readouterr().out)["found"]["kept"])
    kept.write_text(kept.read_text() + '\n[[faults]]\nkind = "connect_error"\nprobability = 0.0\n')
    verify = ["verify", str(kept), "--quiet", "--recheck", "0", "--out", str(tmp_path / "out")]
    assert main(verify) == 1
    assert main([*verify, *DRAIN]) == 0


def test_a_file_that_is_kept_has_the_very_settings_of_its_world() -> None:
    """Also where a scenario leaves out what is there by default: a new try after an apology, here."""
    scenario = load("drain_responses")
    assert scenario.workload.try_again_seconds is None
    settings = as_one_world(scenario.world_settings(), scenario.root_seed, 0)
    case = Case(settings, 0, {}, {})
    breach = Breach("breach_S1", "one")
    shrunk = Shrunk(0, case, breach, Result({}, "", None), 1, 0.0, is_minimal=True)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "kept.toml"
        path.write_text(kept_text(scenario, shrunk))
        kept = load(str(path)).world_settings()
    assert kept.workload == settings.workload
    assert (kept.relay, kept.redis, kept.liveness, kept.workers) == (
        settings.relay,
        settings.redis,
        settings.liveness,
        settings.workers,
    )
    assert [getattr(kept, name) for name in FAULT_LISTS] == [getattr(settings, name) for name in FAULT_LISTS]


def test_claims_that_are_expected_to_be_refuted_are_passed_over_if_that_is_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A relay that keeps every promise, and a claim that nobody is answered."""
    claims = {each: "claims=" + CLAIMS.format(expect=each) for each in ("refuted", "verified")}
    expected = [*RACE, *DRAIN, "--worlds", "2", "--set", claims["refuted"]]
    assert main(expected) == 1
    capsys.readouterr()
    assert main([*expected, "--unexpected"]) == 0
    assert "expects it to be refuted: answered" in " ".join(capsys.readouterr().out.split())
    assert main([*RACE, *DRAIN, "--worlds", "2", "--set", claims["verified"], "--unexpected"]) == 1


def _screen(printed: str, answer: Any) -> list[str]:
    """The lines before the story, after a look at whether a terminal of 80 columns shows them on its first screen."""
    lines = printed.splitlines()
    rows = lines[: next((at for at, line in enumerate(lines) if line.startswith("conversation ")), len(lines))]
    wide = [line for line in rows if len(line) > 80]
    assert all(line.strip() in answer["commands"] or line.startswith(("Kept: ", "Page: ")) for line in wide), printed
    assert sum(max(1, -(-len(line) // 80)) for line in rows) < 24, printed
    return rows


def test_the_first_screen_says_what_was_found_and_what_to_do_and_the_story_follows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*RACE, "--worlds", "5", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert main([*RACE, "--worlds", "5"]) == 1
    printed = capsys.readouterr().out
    answer, found = said["answer"], said["found"]
    rows = " ".join(" ".join(_screen(printed, answer)).split())
    assert rows.startswith(answer["title"])
    assert answer["title"] == "Broken in race, seed 0: “the customer does not notice”; 2 messages and 2 workers show it"
    for sentence in (*answer["found"], *answer["advice"]):
        assert " ".join(sentence.split()) in rows
    assert answer["commands"] == [f"relaysim replay {found['kept']} --seed 0", f"relaysim verify {found['kept']}"]
    assert "\n".join(found["story"]) in printed
    assert "struck" not in printed
    assert main([*RACE, "--worlds", "5", "--full"]) == 1
    assert "0 pairs of a fault and an event that it struck" in capsys.readouterr().out


def test_the_page_beside_it_begins_alike_and_has_the_story_as_lanes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RACE, "--worlds", "5", "--out", "kept", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    page = html.unescape(Path(said["found"]["kept"]).with_suffix(".html").read_text(encoding="utf-8"))
    plain = page.replace("\u00a0", " ")
    assert f"<title>{said['answer']['title']}</title>" in plain
    head = plain[: plain.index("<main>")]
    for sentence in (*said["answer"]["found"], *said["answer"]["advice"], *said["answer"]["commands"]):
        assert sentence in head
    assert "What it came from" in plain
    assert "a run cancelled by another worker than its own" in plain
    assert "<script" not in page


def test_where_nothing_is_found_it_says_how_hard_it_looked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RACE, *DRAIN, "--worlds", "3"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Nothing went wrong in 3 worlds of race: at most 63.16 % of such worlds break what is judged" in said
    assert "worlds, which are no sample of production" in said
    assert "orders of five successive key events, and 0 pairs of a fault" in said
    assert "relaysim explore race --set relay.factory=relaysim.relay:drain" in said
    assert "--worlds 12 --lane direct" in said
    assert not list(Path().iterdir())


def test_what_struck_is_on_the_first_screen_where_nothing_is_found() -> None:
    met = [{"fault": f"redis fault {at}", "event": "GET", "count": at} for at in range(40)]
    answer = answer_of({**NOTHING, "met": met})
    lines = [text for text, _ in screen(answer)]
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    assert any("redis fault 39" in line for line in lines)
    assert any("more, with --full" in line for line in lines)
    assert "The time was over after 30 worlds of 300." in answer.found


NOTHING: dict[str, Any] = {
    "kind": "exploration",
    "scenario": "drain_faults",
    "strategy": "portfolio",
    "worlds": 30,
    "worlds_max": 300,
    "orders": 2000,
    "rate_bound": 0.095,
    "passed_over": [],
    "further": "relaysim explore drain_faults --worlds 1200",
    "found": None,
}


class InThisProcess:
    """Takes the place of processes, which take seconds to start."""

    def __init__(self, jobs: int) -> None:
        assert jobs == 2

    def run(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        return (function(*each) for each in calls)


def test_the_same_is_found_by_one_process_and_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several look at worlds beyond the first failing one, which must not count."""
    monkeypatch.setattr(hunting, "LocalEngine", InThisProcess)
    monkeypatch.setattr(hunting, "_WAVE", 3)
    scenario = load("race", ["strategy=portfolio"])
    one, alone = hunt(scenario, worlds=6, seconds=None, lane="direct", jobs=1)
    other, together = hunt(scenario, worlds=6, seconds=None, lane="direct", jobs=2)
    assert one == other
    assert alone.orders == together.orders
    assert (alone.worlds, alone.met) == (together.worlds, together.met)


def test_a_world_that_is_on_a_tape_already_is_not_explored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = '{schema}\nname = "taped"\nextends = "rapid_pair"\ntitle = "one"\n[tape]\nseed = 3\n'
    path = write(tmp_path, text.format(schema="schema = 1"), "taped.toml")
    assert main(["explore", path, "--quiet", "--strategy", "independent"]) == 2
    assert "has a tape" in capsys.readouterr().err


def test_a_breach_is_what_must_stay_zero() -> None:
    observation = {
        "counts": {"breach_S1": 2, "breach_S2": 0, "lost": 1},
        "details": {"breach_S1": [{"text": "one", "conversation": "c1"}, {"text": "two"}]},
    }
    (found,) = breaches_in(observation, ("breach_S1", "breach_S2"))
    assert (found.event, found.text, found.conversation) == ("breach_S1", "one", "c1")


def test_the_bound_on_what_was_never_seen() -> None:
    assert Effort().rate_bound() == 1.0
    assert Effort(worlds=300).rate_bound() == pytest.approx(0.00994, abs=1e-5)


@pytest.mark.parametrize("needed", [[], [3], [0, 9], [1, 4, 5, 8]])
def test_of_what_fails_together_exactly_that_is_left(needed: list[int]) -> None:
    tried: list[int] = []

    def fails(kept: object) -> bool:
        tried.append(1)
        return set(needed) <= set(kept)  # type: ignore[call-overload]

    assert fewest(list(range(10)), fails) == needed
    assert len(tried) < 60


@pytest.mark.parametrize("needed", range(11))
def test_the_shortest_beginning_that_fails(needed: int) -> None:
    assert shortest(10, lambda number: number >= needed) == needed
