"""Goal: the command keeps its contract with scripts: exit codes, which stream gets what, JSON, colours, no traceback.

Method: `main` in this process on worlds that take no time, and the command itself as a process where streams matter.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import SMALL, observe, observe_differing_lanes, observe_failing, write

from relaysim.reports import figures
from relaysim.reports.claims import TOO_FEW
from relaysim.reports.results import read_results
from relaysim.scenarios import own_relay, runner
from relaysim.scenarios.cli import main
from relaysim.scenarios.scenario_files import INCIDENT, shipped
from relaysim.sim.trace.schema import SCHEMA

COMMAND = [sys.executable, "-m", "relaysim.scenarios"]
ROOT = Path(__file__).parents[2]

# The stand-in's first-retry is 95 % +- 4 %: inconclusive. Within wider limits it is verified.
AS_EXPECTED = SMALL.replace("margin = 0.05", "margin = 0.2").replace("target = 0.9", "target = 0.8")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "_observe", observe)
    _do_not_draw(monkeypatch)


def _do_not_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    # It takes seconds and is tested where it is done.
    monkeypatch.setattr(figures, "draw_all", lambda results: {})


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def verify(*arguments: str) -> int:
    return main(["verify", *arguments, "--jobs", "1"])


# Exit codes


def test_exit_code_0_if_every_verdict_is_as_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(write(tmp_path, AS_EXPECTED)) == 0
    streams = capsys.readouterr()
    assert "Gate: all 3 verdicts are what the scenarios expect; the answer above stays." in streams.out
    assert streams.err.startswith("small: 100 replications in ")
    assert streams.err.endswith(": 2 refuted, 1 verified\n")
    assert streams.err.count("\n") == 1


def test_exit_code_1_if_a_verdict_is_not_as_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(write(tmp_path, AS_EXPECTED.replace('expect = "refuted"', 'expect = "verified"'))) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "wait in small is refuted, not verified; transparent in small is refuted, not verified." in said


def test_exit_code_3_if_the_only_surprise_is_inconclusive(tmp_path: Path) -> None:
    assert verify(write(tmp_path)) == 3


def test_exit_code_4_if_the_lanes_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "_observe", observe_differing_lanes)
    assert verify(write(tmp_path, AS_EXPECTED), "--lane-check", "10") == 4
    streams = capsys.readouterr()
    assert "relaysim: small: the lanes differ at seed 3" in streams.err
    assert "the lanes differ at seed" in streams.err


def test_exit_code_2_and_all_problems_of_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, SMALL.replace("replications = 100", "replications = -1").replace("root_seed = 7", "root_sed = 7"))
    assert verify("small.toml", "nowhere.toml") == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.splitlines() == [
        "relaysim: 4 problems (more: relaysim docs scenarios#the-file)",
        "  small.toml: root_seed: is missing; it says: keys every draw, together with a replication's own number",
        "  small.toml: replications: must be 1 or more, not -1",
        "  small.toml: root_sed: unknown key; did you mean `root_seed`?",
        "  nowhere.toml: there is no such file",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "names no command"),
        (["run", "race"], "--seed is missing, --seed N"),
        (["run", "race", "--seed", "-1"], "must be a whole number, 0 or more, not '-1'"),
        (["verify", "--jobs", "0"], "must be a whole number, 1 or more, not '0'"),
        (["verify", "--replications", "many"], "must be a whole number, 1 or more, not 'many'"),
        (["verify", "--lane", "fast"], "there is no 'fast'; there are: sdk, direct"),
        (["verify", "race", "--name", "../up"], "relaysim: --name ../up: '../up' cannot name a results folder"),
        (["verify", "race", "--set", "x"], "--set x: 'x' sets nothing"),
        (["verify", "race", "--factory", "no_such:make"], "--factory no_such:make: there is no module 'no_such'"),
        (["run", "race", "--seed", "0", "--trace", "no/such/file"], "--trace no/such/file: cannot be written"),
        (["replay", "race", "--seed", "0", "--claim", "lost"], "has this name; did you mean `T1-no-message-lost`?"),
        (["replay", "race", "--seed", "0", "--claim", "zzzz"], "; `relaysim list` has a scenario's claims, and `rel"),
        (["replay", "race", "--seed", "0", "--conversation", "7"], "no delivery, message or conversation 'c7'"),
    ],
)
def test_exit_code_2_for_bad_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert said in streams.err
    assert "Traceback" not in streams.err


BOTS_NOT_DRIVEN = """
class Plain:
    def __init__(self, client, redis, send): ...
    def handle(self, message): return "answered"

def flask_like(environ, start_response): return []

class Starlette:
    async def __call__(self, scope, receive, send): ...

fast_api_like = Starlette()

def address(client, redis, send): return "http://localhost:8000/hook"
"""


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (
            "flask_like",
            "{0}: {1} is a WSGI application, and nobody delivers webhooks to it: name their provider, "
            '--provider KIND or [provider] kind = "..."',
        ),
        (
            "fast_api_like",
            "{0}: {1} is an ASGI application, and nobody delivers webhooks to it: name their provider, "
            '--provider KIND or [provider] kind = "..."',
        ),
        ("address", "{0}: {1} gave a text, 'http://localhost:8000/hook'; {2}"),
    ],
)
def test_exit_code_2_and_one_line_for_a_bot_that_cannot_be_driven(
    factory: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    write(tmp_path, BOTS_NOT_DRIVEN, "bots_not_driven.py")
    name = f"bots_not_driven:{factory}"
    assert verify("race", "--factory", name, "--replications", "2", "--quiet") == 2
    kinds = "an object with `def handle(self, message)`, plain or async, or an ASGI application, or a WSGI application"
    wanted = f"return {kinds}"
    assert capsys.readouterr().err == f"relaysim: {said.format(f'--factory {name}', name, wanted)}\n"


BOT_WITH_MISTAKES = """
class Bot:
    promises = PROMISES
    def __init__(self, client, redis, send): ...
    async def handle(self, message): ...
"""
KEY_MISTAKE = "write {conversation} once, after a prefix, as in 'lock:{conversation}'"


@pytest.mark.parametrize(
    ("promises", "said"),
    [
        (
            '{"lease": {"key": "lock:", "seconds": 1.0}}',
            [
                f"relaysim: {{0}}: {{1}} declares promises.lease.key: {KEY_MISTAKE.replace('{', '{{').replace('}', '}}')}"
            ],
        ),
        (
            '{"leases": {}, "deadline_seconds": "soon"}',
            [
                "relaysim: 2 problems",
                '  {0}: {1} declares promises.deadline_seconds: must be a number, not "soon"',
                "  {0}: {1} declares promises.leases: unknown key; did you mean `lease`?",
            ],
        ),
        (
            '["lease"]',
            ["relaysim: {0}: {1} declares promises: must be a table of what the relay promises, not list"],
        ),
    ],
)
def test_exit_code_2_and_a_line_per_mistake_in_what_a_bot_declares(
    promises: str, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    module = f"bot_with_mistakes_{len(promises)}"
    write(tmp_path, BOT_WITH_MISTAKES.replace("PROMISES", promises), f"{module}.py")
    name = f"{module}:Bot"
    assert verify("race", "--factory", name, "--replications", "2", "--quiet") == 2
    assert capsys.readouterr().err.splitlines() == [line.format(f"--factory {name}", name) for line in said]


def test_an_address_is_no_factory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "race", "--factory", "http://localhost:8000/hook"]) == 2
    assert capsys.readouterr().err == (
        "relaysim: --factory http://localhost:8000/hook: a program behind an address cannot be driven yet; "
        "name a factory: package.module:function\n"
    )


def test_a_relay_that_breaks_the_simulation_is_named_with_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "_observe", observe_failing)
    assert verify(write(tmp_path), "--quiet") == 2
    assert capsys.readouterr().err == (
        "relaysim: small, seed 5: RuntimeError: the relay fell over; see it: "
        f"relaysim replay {tmp_path / 'small.toml'} --seed 5\n"
    )


def test_exit_code_130_without_a_traceback_when_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_observe", interrupted)
    assert verify(write(tmp_path), "--quiet") == 130
    assert capsys.readouterr().err == "relaysim: interrupted\n"


# What is written


def test_verify_writes_the_results_folder_and_prints_the_same_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(write(tmp_path), "--json", "--quiet") == 3
    streams = capsys.readouterr()
    assert streams.err == ""
    folder = (tmp_path / "reports/out/small/latest").resolve()
    assert (tmp_path / "reports/out/latest").resolve() == folder
    assert streams.out == (folder / "results.json").read_text("utf-8")
    results = read_results(folder)
    assert set(results) == {"schema", "code_version", "scenarios", "answer"}
    timing = json.loads((folder / "timing.json").read_text("utf-8"))
    assert timing["jobs"] == 1
    assert timing["replications"] == 100
    assert {"date", "machine", "python", "packages", "peak_memory_bytes", "replications_per_second"} <= set(timing)


def test_results_are_the_same_again_and_with_other_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    _do_not_draw(monkeypatch)
    # Whoever edits the code while this runs changes its version, rightly so.
    monkeypatch.setattr("relaysim.scenarios.timing.code_version", lambda: "pinned")
    for name, jobs in (("a", "1"), ("b", "1"), ("c", "2")):
        arguments = ["--replications", "60", "--lane", "direct", "--lane-check", "0", "--quiet", "--out", name]
        arguments += ["--recheck", "0"]
        assert main(["verify", "race", *arguments, "--jobs", jobs]) == 0
    texts = {(tmp_path / name / "results.json").read_bytes() for name in ("a", "b", "c")}
    assert len(texts) == 1
    assert not (tmp_path / "reports").exists()


def test_replications_set_and_name_are_heeded(tmp_path: Path) -> None:
    verify(write(tmp_path), "--replications", "20", "--name", "mine", "--set", "root_seed=9", "--quiet")
    (scenario,) = read_results(tmp_path / "reports/out/mine/latest")["scenarios"]
    assert (scenario["replications"], scenario["root_seed"]) == (20, 9)
    assert scenario["claims"][1]["examples"][0]["replay"].endswith(" --seed 9 --set root_seed=9 --claim wait")


def test_the_incident_is_what_is_verified_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    verify("--replications", "2", "--quiet")
    results = read_results(tmp_path / "reports/out/incident/latest")
    assert tuple(scenario["scenario"] for scenario in results["scenarios"]) == INCIDENT


# run, replay, list


def test_run_prints_its_fingerprint_on_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "race", "--seed", "3", "--lane", "direct", "--trace", "trace.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["run", "race", "--seed", "3", "--lane", "sdk", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert lines[-1] == f"fingerprint {plain['fingerprint']}"
    assert plain["counts"]["messages"] == 2
    assert (plain["scenario"], plain["seed"], plain["lane"]) == ("race", 3, "sdk")
    records = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text("utf-8").splitlines()]
    assert len(records) == plain["events"]
    for record in records:
        assert tuple(record) == ("time", "entity", "kind", *SCHEMA[record["kind"]]._fields)
    first = records[0]
    assert (first["kind"], first["message_id"], first["conversation"]) == ("message.sent", "c1.m1", "c1")
    assert [record["state"] for record in records if record["kind"] == "run.state"][:2] == ["queued", "cancelling"]


def test_replay_tells_the_story_in_a_screenful(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "race", "--seed", "3", "--lane", "direct"]) == 0
    story = capsys.readouterr().out
    lines = [line for line in story.splitlines() if not line.startswith(("race,", "! ", "fingerprint "))]
    assert len(lines) <= 25
    assert "while a run" in story
    assert main(["replay", "race", "--seed", "3", "--lane", "direct", "--all", "--conversation", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > len(story.splitlines())
    assert main(["replay", "race", "--seed", "3", "--lane", "direct", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["stories"] == [lines]
    assert plain["wrong"]


def test_list_has_every_shipped_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert tuple(each["name"] for each in listed) == shipped()
    assert all(each["title"] and each["claims"] for each in listed)
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(f"{name}: " in text for name in shipped())


# A relay of one's own

BOT = """
import asyncio
from openai import APIError

class Bot:
    def __init__(self, client, redis, send):
        self.threads, self.send = client.beta.threads, send

    async def handle(self, message):
        thread = message.thread_id
        try:
            await self.threads.messages.create(thread, role="user", content=message.text)
            run = await self.threads.runs.create(thread, assistant_id="asst_relaysim")
            while run.status in ("queued", "in_progress", "cancelling"):
                await asyncio.sleep(1)
                run = await self.threads.runs.retrieve(run.id, thread_id=thread)
            page = await self.threads.messages.list(thread, run_id=run.id)
            await self.send(message.conversation, page.data[0].content[0].text.value)
        except APIError:
            await self.send(message.conversation, "Sorry.")

def make(client, redis, send):
    return Bot(client, redis, send)
"""


def test_a_relay_of_ones_own_gets_an_answer_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    _do_not_draw(monkeypatch)
    write(tmp_path, BOT, "naive_bot_for_tests.py")
    # It appends and creates without a lock: the race, a stuck run and the race under every duration show it.
    status = verify(
        *("race", "stuck_run", "--factory", "naive_bot_for_tests:make"),
        *("--replications", "5", "--recheck", "0", "--quiet", "--full"),
    )
    assert status == 1
    text = capsys.readouterr().out
    assert text.startswith("Is naive_bot_for_tests:make safe? No: ")
    assert "expect" not in text
    assert text.count("safe?") == 1  # it is said once
    said = text.splitlines()
    assert any(line.startswith("In race this is false: “the customer does not notice”.") for line in said)
    assert "  See it: relaysim replay race --seed 0 --factory naive_bot_for_tests:make --claim transparent" in said
    assert any(line.startswith("After meeting an active run it waited, in the median: race 0 s") for line in said)
    assert any(line.startswith("Under which waits: none;") for line in said)
    results = read_results(tmp_path / "reports/out/relay/latest")
    assert results["factory"] == "naive_bot_for_tests:make"
    assert [point["free_seconds"] for point in results["waits"]] == list(own_relay.FREE_SECONDS)
    assert all(claim["expected"] == "verified" for each in results["scenarios"] for claim in each["claims"])
    assert str(tmp_path) in sys.path
    sys.path.remove(str(tmp_path))
    sys.modules.pop("naive_bot_for_tests", None)  # worlds load it for each worker anew, and leave nothing of it


def _results(verdict: str) -> dict[str, Any]:
    claim = {
        "id": "transparent",
        "title": "nobody notices",
        "event": "transparency_breaches",
        "verdict": verdict,
        "why": "it is so",
        "examples": [],
    }
    scenario = {
        "scenario": "race",
        "replications": 400,
        "claims": [claim],
        "counts": {"met_active_run": 9},
        "outcomes": {"messages": 800, "lost": 3},
        "latency": {"wait_seconds": {"p50": 2.0, "max": 6.0}},
    }
    return {"factory": "bot:make", "scenarios": [scenario]}


def _points(*got_through: int) -> list[dict[str, Any]]:
    return [
        {"free_seconds": seconds, "met_active_run": 20, "got_through": got}
        for seconds, got in zip(own_relay.FREE_SECONDS, got_through, strict=False)
    ]


def test_the_answer_names_the_longest_time_that_is_survived() -> None:
    assert own_relay.details(_results("verified"), _points(20, 20, 20, 5)) == [
        "After meeting an active run it waited, in the median: race 2 s (at most 6 s).",
        "Under which waits: messages that met an active run get through while it ends within 2 s of its cancel; "
        "where that takes 4 s, 15 of 20 do not.",
    ]
    assert own_relay.details(_results("inconclusive"), _points(20, 20)) == [
        "Not shown: nobody notices (race): it is so.",
        "After meeting an active run it waited, in the median: race 2 s (at most 6 s).",
        "Under which waits: every message that met an active run got through, "
        "even where a cancelled run took 1 s to end.",
    ]
    assert own_relay.details(_results("refuted"), [])[0] == (
        "In race this is false: “nobody notices”. Among 800 messages: 3 messages without an answer."
    )
    results = _results("refuted")
    results["scenarios"][0]["outcomes"] = {"messages": 800}
    results["scenarios"][0]["claims"][0] |= {"event": "conflicts", "count": 7, "n": 400, "among": "replications"}
    assert own_relay.details(results, [])[0] == (
        "In race this is false: “nobody notices”. It counts `conflicts`: 7 in 400 worlds."
    )


def test_what_had_too_few_worlds_is_one_line_per_scenario() -> None:
    results = _results("inconclusive")
    first = results["scenarios"][0]["claims"][0]
    first |= {"reason": TOO_FEW, "why": "did not happen, but 1 replication does not show it; 7 would"}
    results["scenarios"][0]["claims"].append({**first, "title": "all in time"})
    assert own_relay.details(results, [])[0] == (
        "Not shown in race: “nobody notices”, “all in time”: did not happen, but 1 replication does not show it; 7 would."
    )
    assert not any("all in time" in line for line in own_relay.details(results, [])[1:])


@pytest.mark.parametrize(
    ("text", "declares"), [("We closed at six.", True), ("The API said no (409).", False)], ids=["ordinary", "an API's"]
)
def test_what_shows_an_api_is_not_to_be_declared(text: str, declares: bool) -> None:
    results = _results("inconclusive")
    example = {"seed": 1, "detail": {"text": f"c1 was sent {text!r}", "received": [text]}, "replay": "relaysim replay"}
    results["scenarios"][0]["claims"][0] |= {"event": "undeclared_texts", "examples": [example]}
    told = own_relay.details(results, [])[1]
    assert ("or of its `apologies` if it ends a message" in told) is declares
    assert ("no customer should read" in told) is not declares


def test_the_answer_tells_how_a_run_left_behind_is_met_and_who_never_meets_one() -> None:
    results = _results("inconclusive")
    results["scenarios"][0]["claims"][0] |= {"where": "initial_runs_met", "met_replications": 0, "replications": 400}
    told = own_relay.details(results, [])[1]
    assert "the first one that the relay opens by `threads.create`" in told
    assert "`threads.create_and_run` always makes a new thread" in told


def test_a_relay_that_never_met_an_active_run_is_not_said_to_wait_well() -> None:
    results = _results("verified")
    results["scenarios"][0]["counts"] = {"met_active_run": 0}
    assert own_relay.details(results, [])[-1] == (
        "None of its appends was refused because of an active run; nothing is known of how long a refused append would wait."
    )
    results["scenarios"][0]["counts"] = {"met_active_run": 0, "creation_conflicts": 1}
    assert "refused because of an active run, but 1 creation of runs was;" in own_relay.details(results, [])[-1]
    results["scenarios"][0]["counts"] = {"met_active_run": 0, "initial_runs_met": 3}
    assert "although it met 3 runs that had been left behind, by looking" in own_relay.details(results, [])[-1]
    results["scenarios"][0]["counts"] = {"met_active_run": 0, "conflicts": 24}
    assert own_relay.details(results, [])[-1].startswith(
        "Of its appends, 24 met an active run, all of them outside of the handling of a message,"
    )


# Streams


def test_help_loads_nothing_heavy() -> None:
    """Its seconds are in tests/benchmarks; here is what they come from."""
    heavy = (
        "pydantic",
        "simpy",
        "openai",
        "redis",
        "numpy",
        "scipy",
        "matplotlib",
        "rich",
        "fastapi",
        "uvicorn",
        "optuna",
    )
    script = (
        "import sys\nfrom relaysim.scenarios import cli\n"
        f"try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\nprint([m for m in {heavy!r} if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout.endswith("\n[]\n")


def test_colours_are_for_terminals_that_want_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small = ("--replications", "3", "--lane-check", "0", "--quiet", "--out", str(tmp_path))
    assert verify("race", *small) in (0, 1, 3)
    out, err = capfd.readouterr()
    assert "\x1b" not in out
    assert err == ""


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_a_terminal_gets_colours_unless_it_wants_none(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    terminal: Any = _Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    main(["verify", "race", "--replications", "3", "--lane-check", "0", "--jobs", "1", "--quiet"])
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.text)) == (environment == {})


def test_a_reader_who_goes_away_changes_no_exit_code() -> None:
    code = "import sys; from relaysim.scenarios.cli import main; sys.exit(main(['list']))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=300) == 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_an_interrupt_ends_every_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "verify", "race", "--replications", "100000", "--jobs", "2", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        # A shell lets what it starts in the background ignore interrupts, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        _wait_until_workers_are_busy(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert (out, err) == ("", "relaysim: interrupted\n")


def _wait_until_workers_are_busy(pid: int) -> None:
    """Wait until two processes of the group have computed for longer than starting takes, however slow the machine is."""
    for _ in range(300):
        spent = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[2]) == pid and stat.parent.name != str(pid):
                spent.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        if sum(seconds > 3.0 for seconds in spent) >= 2:
            return
        time.sleep(0.2)
    raise AssertionError("the workers do not get to work")


class _Terminal:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("file", "command"), [("chunks.jsonl", "sweep"), ("study.db", "tune")])
@pytest.mark.parametrize("typed", ["verify race --replications 5", "fit relay.log", "compare race --replications 5"])
def test_results_that_another_command_goes_on_from_are_left_alone(
    typed: str,
    file: str,
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("out", file).write_text("")
    Path("out/results.json").write_text("theirs")
    Path("relay.log").write_text("[OpenAI] Message created successfully (attempt 2)\n")
    assert main([*typed.split(), "--quiet", "--out", "out"]) == 2
    said = (
        f"relaysim: out: has the results of `relaysim {command}`, which goes on from {file} there; name another folder"
    )
    assert capsys.readouterr().err.startswith(said)
    assert Path("out/results.json").read_text() == "theirs"


# Without the simulator


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"relaysim {importlib.metadata.version('relaysim')}\n"


def _needs_what_is_absent(arguments: object) -> int:
    raise ModuleNotFoundError("No module named 'rich'", name="rich")


def test_a_missing_requirement_of_the_simulator_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("relaysim.scenarios.cli._is_installed", lambda name: name != "rich")
    monkeypatch.setattr("relaysim.scenarios.commands.list_scenarios.run", _needs_what_is_absent)
    assert main(["list"]) == 2
    assert capsys.readouterr().err == (
        "relaysim: the simulator is not installed (missing: rich); install it with: pip install 'relaysim[sim]'\n"
    )


def test_a_missing_module_of_another_kind_is_no_matter_of_installing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relaysim.scenarios.commands.list_scenarios.run", _needs_what_is_absent)
    with pytest.raises(ModuleNotFoundError):
        main(["list"])


def test_a_bot_of_the_current_folder_comes_before_the_checkout_that_has_a_folder_of_that_name(tmp_path: Path) -> None:
    """Installed from a checkout as README says, whose `relay` and `sim` would else be found first."""
    for name in ("relay", "sim"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "sim" / "own.py").write_text("TEXT = 'hello'\n")
    (tmp_path / "relay" / "main.py").write_text(
        "from sim.own import TEXT\n"
        "class Bot:\n"
        "    def __init__(self, send):\n"
        "        self.send = send\n"
        "    async def handle(self, message):\n"
        "        await self.send(message.conversation, TEXT)\n"
        "def make(openai, redis, send):\n"
        "    return Bot(send)\n"
    )
    # In this process, in two that run worlds, and in one that runs the first worlds again.
    command = [sys.executable, "-P", "-m", "relaysim.scenarios", "verify", "rapid_pair", "--factory", "relay.main:make"]
    small = ["--replications", "49", "--jobs", "2", "--lane", "direct", "--lane-check", "0"]
    done = subprocess.run([*command, *small], cwd=tmp_path, text=True, capture_output=True, check=False)
    assert "Is relay.main:make safe? No: " in done.stdout, done.stderr
    assert '"jobs": 2' in (tmp_path / "reports/out/relay/latest/timing.json").read_text(encoding="utf-8")
