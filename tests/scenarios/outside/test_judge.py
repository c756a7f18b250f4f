"""Goal: a program in whatever language is judged by one command, its flaw is named with a story, and what keeps it from
being judged is one line.

Method: a program of a few lines, whose flaws are known, and runs that take no time.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relaysim.reports.results import read_results
from relaysim.scenarios.cli import main
from relaysim.sim.outside import readiness, rest
from tests.programs.left_behind import assert_nothing_is_left, ports_of, processes_of, until

BOT = Path(__file__).parents[2] / "programs" / "tiny_bot.py"

SMALL = """
schema = 1
name = "small"
title = "Two customers, two messages each"
root_seed = 5
replications = 2
profile = "typical"

[profile_overrides]
run_seconds = 0.3
queue_seconds = 0.05
slow_probability = 0.0
stuck_probability = 0.0
failure_probability = 0.0

[relay]
factory = "relaysim.relay:check_then_act"

[workload]
conversations = 2
messages = [
    { conversation = 1, at_seconds = 0.1 },
    { conversation = 2, at_seconds = 0.1 },
    { conversation = 1, at_seconds = 2.5 },
]

[[claims]]
id = "transparent"
title = "the customer does not notice"
kind = "never"
event = "transparency_breaches"
expect = "verified"
reason = "nobody has said otherwise"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rest, "SETTLED_SECONDS", 1.5)
    monkeypatch.setattr(rest, "SILENT_SECONDS", 8.0)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


def judged_program(how: str) -> tuple[str, ...]:
    return sys.executable, str(BOT), how


def judge(how: str, *options: str) -> int:
    return main(["judge", "small.toml", "--provider", "whatsapp", *options, "--", sys.executable, str(BOT), how])


def test_one_without_a_flaw_breaks_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge("right", "--replications", "2", "--copies", "1", "--out", "out", "--quiet")
    results = read_results(here / "out")
    (entry,) = results["scenarios"]
    assert entry["outcomes"]["messages"] == 6
    assert entry["outcomes"]["covered"] == entry["outcomes"]["succeeded"] == 6
    assert {name: each["breaches"] for name, each in entry["invariants"].items() if each["breaches"]} == {}
    assert all(each["verdict"] != "refuted" for each in entry["claims"])
    assert "the same seed may end differently" in " ".join(capsys.readouterr().out.split())
    assert results["outside"] == {"command": [sys.executable, str(BOT), "right"], "copies": 1, "speed": 1.0}


@pytest.mark.parametrize(
    ("how", "count", "story"),
    [("twice", "duplicate_reply", "received"), ("silent", "lost", "was never answered")],
)
def test_a_flaw_is_named_with_its_story(
    how: str, count: str, story: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(how, "--replications", "2", "--out", "out", "--quiet") == 1
    said = capsys.readouterr().out
    assert said.startswith(f"Is {Path(sys.executable).name} {BOT.name}")
    assert "safe? No:" in " ".join(said.split())
    line = "relaysim judge small.toml --seed 0 --provider whatsapp --claim transparent -- "
    line += shlex.join([sys.executable, str(BOT), how])
    results = read_results(here / "out")
    (entry,) = results["scenarios"]
    assert (entry["counts"] | entry["outcomes"])[count] > 0
    (claim,) = (each for each in entry["claims"] if each["id"] == "transparent")
    assert claim["examples"][0]["replay"] == line
    assert line in said
    stories = json.loads((here / "out" / "stories.json").read_text())
    assert "transparent" in stories[0]["of"]
    assert story in json.dumps(stories[0])


def test_it_stops_once_its_answer_is_certain_and_says_early_what_is_known(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge("twice", "--max", "3", "--parallel", "1", "--out", "out") == 1
    (entry,) = read_results(here / "out")["scenarios"]
    assert (entry["replications"], entry["sequential"]) == (1, {"error": 0.01, "maximum": 3, "looks": [1]})
    streams = capsys.readouterr()
    assert "It stopped once nothing could change the answer: small after 1 of at most 3 worlds." in " ".join(
        streams.out.split()
    )
    (early,) = (line for line in streams.err.splitlines() if line.startswith("small, so far (1 world, "))
    assert "safe? No: " in early


def test_a_copy_that_is_killed_starts_again_and_what_it_had_is_lost(here: Path) -> None:
    killed = '[[host_faults]]\nkind = "crash"\nat_seconds = 0.6\nworkers = [1]\nseconds = 0.3\n'
    (here / "small.toml").write_text(f"{SMALL}\n{killed}")
    assert judge("right", "--replications", "1", "--out", "out", "--quiet") == 1
    (entry,) = read_results(here / "out")["scenarios"]
    assert entry["fault_hits"]["host_faults"] == [1]
    # It had acknowledged both first messages and kept them in its memory; the third came to its next life.
    assert (entry["outcomes"]["lost"], entry["outcomes"]["succeeded"]) == (2, 1)


def test_a_scenarios_seconds_are_counted_from_when_the_program_can_answer(here: Path) -> None:
    """It takes longer to start than bursts and faults last."""
    faults = "faults = [{ kind = 'status', status = 400, route = 'messages.create', window_seconds = [0.0, 2.0] }]"
    bursts = (
        "bursts = { messages_mean = 1, gap_seconds = 0, first_seconds = 0.1, pause_seconds = 9, duration_seconds = 1 }"
    )
    scenario = SMALL.replace("root_seed", f"{faults}\nroot_seed").replace(
        "conversations = 2", f"conversations = 2\n{bursts}"
    )
    (here / "small.toml").write_text(scenario)
    judge("late", "--replications", "1", "--out", "out", "--quiet")
    (entry,) = read_results(here / "out")["scenarios"]
    assert entry["outcomes"]["messages"] == 5
    assert entry["fault_hits"]["faults"] == [4]


AFTER_REST = """
[[faults]]
kind = "status"
status = 500
window_seconds = [100.0, 200.0]

[[webhook_faults]]
kind = "late"
window_seconds = [100.0, 200.0]
seconds = 5.0
"""


def test_a_fault_whose_window_begins_after_the_world_has_come_to_rest_has_never_been_met(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "small.toml").write_text(SMALL + AFTER_REST)
    assert judge("right", "--replications", "1", "--out", "out", "--quiet") == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "never met: faults[0], webhook_faults[0] hit nothing" in said
    (entry,) = read_results(here / "out")["scenarios"]
    assert entry["fault_hits"] == {"faults": [0], "webhook_faults": [0]}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("[swarm]\n", "swarm: cannot be played"),
        ('[[host_faults]]\nkind = "skew"\nat_seconds = 1\nseconds = 1\n', "host_faults[0]: a skew cannot be done"),
    ],
)
def test_what_cannot_be_played_is_refused(part: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "small.toml").write_text(f"{SMALL}\n{part}")
    assert judge("right", "--quiet") == 2
    err = capsys.readouterr().err
    assert said in err
    assert "(more: relaysim docs judge#what-is-played)" in err


@pytest.mark.skipif(
    not shutil.which("node") and os.environ.get("RELAYSIM_REQUIRE_NODE") != "1", reason="there is no Node here"
)
def test_a_program_of_another_language_meets_the_active_run(here: Path) -> None:
    """The incident, at a server of Node: a second message while a run is active."""
    # Long enough, however late the second message's webhook is.
    soon = SMALL.replace("run_seconds = 0.3", "run_seconds = 7.0").replace("at_seconds = 2.5", "at_seconds = 1.0")
    (here / "small.toml").write_text(soon)
    arguments = ("small.toml", "--provider", "whatsapp", "--replications", "1", "--out", "out", "--quiet")
    assert main(["judge", *arguments, "--", "node", str(BOT.with_name("node_bot.mjs"))]) == 1
    (entry,) = read_results(here / "out")["scenarios"]
    assert entry["outcomes"]["succeeded"] == 2
    assert "while a run run_" in (here / "out" / "stories.json").read_text()


def test_a_line_that_plays_a_world_again_has_the_options_that_it_hangs_on(here: Path) -> None:
    environment = "GREETING={provider} and more"
    options = ("--copies", "1", "--env", environment, "--set", "workload.conversations=3", "--replications", "1")
    assert judge("twice", *options, "--out", "out", "--quiet") == 1
    (claim,) = (each for each in read_results(here / "out")["scenarios"][0]["claims"] if each["id"] == "transparent")
    words = shlex.split(claim["examples"][0]["replay"])
    assert words[:2] == ["relaysim", "judge"]
    again = words[words.index("--copies") : words.index("--claim")]
    assert again == ["--copies", "1", "--provider", "whatsapp", *options[2:6]]
    assert words[words.index("--") + 1 :] == [sys.executable, str(BOT), "twice"]


def test_another_speed_is_said_wherever_the_answer_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program's own waits stay real: it polls every 0.05 s, which are 0.2 s here."""
    judge("right", "--replications", "1", "--speed", "4", "--out", "out", "--quiet")
    said = " ".join(capsys.readouterr().out.split())
    results = read_results(here / "out")
    assert results["outside"]["speed"] == 4.0
    assert results["scenarios"][0]["outcomes"]["covered"] == 3
    page = " ".join((here / "out" / "index.html").read_text().split())
    assert "safe at speed 4?" in results["answer"]["title"]
    for shown in (said, page):
        assert "safe at speed 4?" in shown
        assert "Played to 1 copy of the program at speed 4: customers" in shown
        assert "this says nothing of production" in shown
    assert "Played in real time" not in said


def test_a_program_finds_the_providers_address_and_the_scenarios_variables(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evolution's bots read where it is, from names of which a scenario gives another value than the world has."""
    (here / "small.toml").write_text(f'{SMALL}\n[environment]\nGREETING = "Olá"\n')
    source = (
        "import os, urllib.request, sys; "
        "url = os.environ['EVOLUTION_API_URL']; "
        "assert url == os.environ['RELAYSIM_PROVIDER_URL'], url; "
        "sys.exit(f\"{os.environ['GREETING']} {sys.argv[1] == os.environ['PORT']}\")"
    )
    arguments = ["small.toml", "--provider", "evolution", "--replications", "1", "--quiet"]
    assert main(["judge", *arguments, "--", sys.executable, "-c", source, "{port}"]) == 2
    assert "has ended with status 1: Olá True" in capsys.readouterr().err


def test_a_text_of_unknown_fate_is_cut_off_without_a_word_of_the_server(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fault = "[[send_faults]]\nkind = 'unknown_delivered'\nseconds = 0.2\n"
    (here / "small.toml").write_text(f"{SMALL}\n{fault}")
    judge("right", "--replications", "1", "--out", "out", "--quiet")
    (entry,) = read_results(here / "out")["scenarios"]
    assert entry["fault_hits"]["send_faults"] == [3]
    assert entry["outcomes"]["covered"] == 3
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == []


def test_one_world_is_told_as_a_story(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge("twice", "--seed", "1", "--claim", "transparent", "--quiet") == 0
    told = capsys.readouterr().out
    assert told.startswith("small, seed 1, lane outside: ")
    found = re.search(r"another reply to (c[12]\.m1), which had one already", told)
    assert found is not None
    assert f"sends {found[1]}" in told


def test_the_page_promises_of_a_world_in_real_time_what_holds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge("twice", "--replications", "1", "--out", "out", "--quiet") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"Is python {BOT.name} twice safe? No:" in re.sub(r"python[\d.]*", "python", said), "no folders in a title"
    assert "happened in a world that this line plays again; mend what the story shows:" in said
    page = " ".join((here / "out" / "index.html").read_text(encoding="utf-8").split())
    assert "it may end differently" in page
    assert "Counted in the lane: outside." in page
    assert "what it does in Redis, and in whose handling it calls, was not seen" in page
    for promise in (
        "the same to the last byte",
        "fingerprint must be",
        "who lost which lock",
        "outside of <code>handle",
    ):
        assert promise not in page
    assert judge("twice", "--seed", "0", "--all", "--quiet") == 0, "what a story that leaves lines out names"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["small.toml", "--provider", "whatsapp"], "there is no program to judge: write it after a --"),
        (["small.toml", "--", "no-such-program"], "small.toml: has no provider"),
        (["small.toml", "--provider", "pigeon", "--", "x"], "--provider: there is no provider 'pigeon'"),
        (["small.toml", "--provider", "whatsapp", "--", "no-such-program"], "no-such-program: cannot be started"),
        (["small.toml", "--provider", "whatsapp", "--speed", "0", "--", "x"], "--speed: "),
        (["small.toml", "--provider", "whatsapp", "--env", "X", "--", "x"], "--env X: write NAME=VALUE"),
        (["small.toml", "--provider", "whatsapp", "--webhook", "here", "--", "x"], "--webhook: "),
        (["none.toml", "--provider", "whatsapp", "--", "x"], "none.toml"),
        (
            ["small.toml", "--provider", "whatsapp", "--max", "2", "--replications", "2", "--", "x"],
            "--max: is for runs",
        ),
        (["--config", "none.toml", "--", "x"], "none.toml: cannot be read"),
        (
            ["small.toml", "--provider", "whatsapp", "--", sys.executable, str(BOT), "ends"],
            "has ended with status 1: there is no configuration",
        ),
    ],
)
def test_what_keeps_it_from_being_judged_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", "--quiet", "--out", "out", *arguments]) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("relaysim: ")
    assert said in streams.err
    assert streams.err.count("\n") == 1


def test_one_that_listens_nowhere_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(readiness, "START_SECONDS", 0.5)
    assert judge("deaf", "--replications", "1", "--quiet") == 2
    assert "nothing listens at http://127.0.0.1:" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_nothing_is_left_behind_whatever_ends_it(number: signal.Signals, status: int, here: Path) -> None:
    with _judging(here, "child") as judging:
        until(lambda: _kinds(here) >= {"bot", "valkey", "child"}, lambda: processes_of(here / "tmp"))
        # The API's, the Redis' and the program's; and what the Redis writes.
        until(lambda: len(ports_of(processes_of(here / "tmp"))) >= 3)
        until(lambda: bool(list((here / "tmp").glob("relaysim-judge-*/**/appendonlydir"))))
        ports = ports_of(processes_of(here / "tmp"))
        judging.send_signal(number)
        assert judging.wait(timeout=60) == status
    assert_nothing_is_left(here / "tmp", ports)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_nothing_is_left_behind_of_a_program_that_does_not_start(here: Path) -> None:
    with _judging(here, "ends") as judging:
        assert judging.wait(timeout=60) == 2
    assert_nothing_is_left(here / "tmp", ())


def _judging(here: Path, bot: str) -> subprocess.Popen[bytes]:
    """The command, with a folder of its own for temporary files."""
    (here / "tmp").mkdir()
    command = [sys.executable, "-m", "relaysim.scenarios", "judge", "small.toml", "--provider", "whatsapp", "--quiet"]
    return subprocess.Popen(
        [*command, "--", sys.executable, str(BOT), bot],
        env={**os.environ, "PYTHONPATH": str(BOT.parents[2]), "TMPDIR": str(here / "tmp")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _kinds(here: Path) -> set[str]:
    """What runs: the program, its child, a Valkey."""
    parts = {"bot": "tiny_bot.py child", "valkey": "valkey-server", "child": "time.sleep"}
    lines = processes_of(here / "tmp").values()
    return {kind for kind, part in parts.items() if any(part in line for line in lines)}


def test_one_that_is_never_ready_is_told(
    monkeypatch: pytest.MonkeyPatch, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(readiness, "START_SECONDS", 0.5)
    (here / "relaysim.toml").write_text("[judge]\nready = '/health'\n")  # which it answers with 501
    assert judge("right", "--replications", "1", "--quiet") == 2
    assert "/health (`ready`) was not answered with 200 0.5 s after" in capsys.readouterr().err


def test_the_file_says_what_a_team_settles_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "--init"]) == 0
    written = (here / "relaysim.toml").read_text()
    assert 'command = ["node", "server.js"]' in written
    assert main(["judge", "--init"]) == 2
    assert "relaysim.toml: is there already" in capsys.readouterr().err
    line = shlex.join([sys.executable, str(BOT), "right"])
    (here / "relaysim.toml").write_text(
        f"[judge]\ncommand = {json.dumps(line)}\nprovider = 'whatsapp'\nscenarios = ['small.toml']\n"
    )
    main(["judge", "--replications", "1", "--quiet", "--out", "out"])
    assert read_results(here / "out")["scenarios"][0]["outcomes"]["succeeded"] == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[judge]\ncopies = 0\n", "relaysim.toml: judge.copies: "),
        ("[judge]\ncommnd = 'x'\n", "relaysim.toml: judge.commnd: "),
        ("[judge\n", "relaysim.toml: "),
        ("[judge]\nprovider = 'pigeon'\n", "relaysim.toml: judge.provider: "),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(
    text: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "relaysim.toml").write_text(text)
    assert main(["judge", "--quiet", "--", "x"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
