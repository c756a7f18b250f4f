"""Goal: a program of Node is judged in virtual time: its own waits take none, the same seed is the same world to the last
event, and what cannot be kept on the clock is one line.

Method: programs of a few lines, of Node's own parts alone, in worlds of a minute or more. What is asserted is order and
virtual time, never how long a machine took.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from long_runs import LONG

from relaysim.reports.results import read_results
from relaysim.scenarios.cli import main
from relaysim.sim.outside import program_sockets, rest, stepped_program

HERE = Path(__file__).parent
BOT = HERE.parents[1] / "programs" / "node_bot.mjs"
CLOCK_BOT = HERE / "clock_bot.mjs"

pytestmark = pytest.mark.skipif(
    not shutil.which("node") and os.environ.get("RELAYSIM_REQUIRE_NODE") != "1", reason="there is no Node here"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.toml").write_text(LONG)
    return tmp_path


def judge(bot: Path, *options: str) -> int:
    arguments = ["judge", "long.toml", "--provider", "whatsapp", "--lockstep", "--quiet", "--out", "out", *options]
    return main([*arguments, "--", "node", str(bot)])


def program(here: Path, source: str) -> Path:
    """A bot that does something more, before it begins."""
    path = here / "bot.mjs"
    path.write_text(f"{source}\nawait import({BOT.as_uri()!r});\n")
    return path


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that was said."""
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1, streams.err
    return streams.err


def test_the_same_seed_plays_the_same_to_the_last_event(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = []
    for _ in range(2):
        assert judge(BOT, "--copies", "2", "--replications", "2") == 1
        results = read_results(here / "out")
        (entry,) = results["scenarios"]
        kept.append((entry["outcomes"], entry["counts"], (here / "out" / "stories.json").read_text()))
        assert results["outside"]["lockstep"] is True
    assert kept[0] == kept[1]
    assert entry["outcomes"]["messages"] == 6
    # It met the active run, and said so.
    assert entry["outcomes"]["succeeded"] == 4
    said = " ".join(capsys.readouterr().out.split())
    assert "Played in virtual time to 2 copies of the program" in said
    assert "the same seed may end differently" not in said
    page = " ".join((here / "out" / "index.html").read_text().split())
    assert "Played in virtual time to 2 copies of the program" in page
    assert "--lockstep" in said


def test_one_world_is_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    stories = []
    for _ in range(2):
        assert judge(BOT, "--seed", "1") == 0
        stories.append(capsys.readouterr().out)
    assert stories[0] == stories[1]
    assert stories[0].startswith("long, seed 1, lane outside: ")


def test_every_clock_and_every_way_to_wait_is_the_simulators(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It measures ten waits of an hour with five clocks, and writes down what it found."""
    scenario = LONG.replace("conversations = 2", "conversations = 1", 1).replace(
        "    { conversation = 2, at_seconds = 0.1 },\n    { conversation = 1, at_seconds = 5.0, worker = 1 },\n", ""
    )
    (here / "long.toml").write_text(
        scenario.replace('profile = "typical"', 'profile = "typical"\nlimit_seconds = 90000.0')
    )
    monkeypatch.setattr(rest, "SILENT_SECONDS", 80_000.0)
    found = []
    for _ in range(2):
        assert judge(CLOCK_BOT, "--seed", "0", "--env", f"FOUND={here / 'found'}") == 0
        found.append((here / "found").read_text())
        (here / "found").unlink()
    assert found[0] == found[1]
    lines = found[0].splitlines()
    assert [line for line in lines if line.startswith("waited")] == [
        f"waited {name}: 3600 3600 3600 3600 3600"
        for name in (
            *(
                "setTimeout",
                "timers.setTimeout",
                "timers/promises",
                "promisify",
                "setInterval",
                "timers/promises every",
            ),
            *("scheduler", "AbortSignal.timeout", "socket.setTimeout", "refreshed"),
        )
    ]
    drawn = [line for line in lines if line.startswith("drawn")]
    assert len(drawn) == len(set(drawn)) == 8


def test_a_copy_that_is_killed_has_forgotten_all(here: Path) -> None:
    killed = '[[host_faults]]\nkind = "crash"\nat_seconds = 20.0\nworkers = [1]\nseconds = 1.0\n'
    (here / "long.toml").write_text(f"{LONG}\n{killed}")
    judge(BOT, "--copies", "1", "--replications", "1")
    (entry,) = read_results(here / "out")["scenarios"]
    assert entry["fault_hits"]["host_faults"] == [1]
    assert (entry["outcomes"]["lost"], entry["outcomes"]["succeeded"]) == (3, 0)


def test_a_copy_that_stands_still_goes_on_where_it_was(here: Path) -> None:
    paused = '[[host_faults]]\nkind = "pause"\nat_seconds = 10.0\nworkers = [1]\nseconds = 100.0\n'
    (here / "long.toml").write_text(f"{LONG}\n{paused}")
    judge(BOT, "--copies", "1", "--replications", "1")
    (entry,) = read_results(here / "out")["scenarios"]
    assert entry["fault_hits"]["host_faults"] == [1]
    assert entry["outcomes"]["succeeded"] == 2


def test_a_redis_that_is_gone_resets_and_refuses_connections_until_it_is_back(here: Path) -> None:
    """It tries to connect each second; what becomes of each try is written down with its second."""
    away = "[[redis_faults]]\nkind = 'restart'\nat_seconds = 3.0\nseconds = 4.5\n"
    (here / "long.toml").write_text(f"{LONG}\n{away}")
    source = """
      import fs from 'node:fs'; import net from 'node:net';
      const { hostname, port } = new URL(process.env.REDIS_URL);
      const note = (what) => fs.appendFileSync('found', `${Math.floor(performance.now() / 1000)} ${what}\\n`);
      const connect = () => net.connect(Number(port), hostname)
        .on('connect', function () { this.write('PING\\r\\n'); note('connected'); })
        .on('data', (data) => note(String(data).trim()))
        .on('error', (error) => { note(error.code); if (performance.now() < 9000) setTimeout(connect, 1000); });
      connect();
    """.replace("PING\\r\\n", "*1\\r\\n$4\\r\\nPING\\r\\n")
    judge(program(here, source), "--replications", "1")
    found = (here / "found").read_text().splitlines()
    assert found[:2] == ["0 connected", "0 +PONG"]
    assert found[2:6] == ["3 ECONNRESET", "4 ECONNREFUSED", "5 ECONNREFUSED", "6 ECONNREFUSED"]
    assert found[6:] == ["7 ECONNREFUSED", "8 connected", "8 +PONG"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import { spawn } from 'node:child_process'; spawn('sleep', ['1']);",
            "w1 starts a process of its own (sleep), which cannot be kept on the clock: leave --lockstep out",
        ),
        (
            "import { Worker } from 'node:worker_threads'; new Worker('0', { eval: true });",
            "w1 starts a thread of its own (worker_threads)",
        ),
        ("fetch('http://example.com/').catch(() => {});", "w1 connects to example.com:80, which is not simulated"),
        ("const on = () => setImmediate(on); on();", "w1 did not become idle within 1 s of real time (Immediate)"),
        ("for (;;);", "w1 did not become idle within 1 s of real time"),
        ("process.exit(3);", "node has ended with status 3: it printed nothing"),
        (
            "await import('./gone.mjs');",
            "node has ended with status 1: Error [ERR_MODULE_NOT_FOUND]: Cannot find module",
        ),
    ],
)
def test_what_cannot_be_kept_on_the_clock_is_one_line(
    source: str, said: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "idle" in said:
        monkeypatch.setattr(stepped_program, "IDLE_SECONDS", 1.0)
        monkeypatch.setattr(program_sockets, "IDLE_SECONDS", 1.0)
    assert judge(program(here, source), "--replications", "1") == 2
    assert said in told(capsys)


def test_a_command_that_the_simulated_redis_does_not_know_is_no_silent_difference(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (
        "import net from 'node:net'; const { hostname, port } = new URL(process.env.REDIS_URL);"
        "net.connect(port, hostname).write('*1\\r\\n$5\\r\\nDEBUG\\r\\n');"
    )
    assert judge(program(here, source), "--replications", "1") == 2
    assert "w1 sends Redis the command DEBUG, which the simulated Redis does not know" in told(capsys)


def test_a_lua_library_that_it_does_not_know_neither(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = "return struct.pack('>I', 1)"
    source = (
        "import net from 'node:net'; const { hostname, port } = new URL(process.env.REDIS_URL);"
        f"const script = {script!r};"
        "const to = net.connect(port, hostname);"
        "to.write(`*3\\r\\n$4\\r\\nEVAL\\r\\n$${script.length}\\r\\n${script}\\r\\n$1\\r\\n0\\r\\n`);"
    )
    assert judge(program(here, source), "--replications", "1") == 2
    assert "w1 sends Redis a script with Lua's struct, which the simulated Redis does not know" in told(capsys)


def test_a_program_that_does_not_report_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepped_program, "IDLE_SECONDS", 1.0)
    arguments = ["judge", "long.toml", "--provider", "whatsapp", "--lockstep", "--quiet"]
    assert main([*arguments, "--", "sleep", "60"]) == 2
    said = told(capsys)
    assert re.search(
        r"w1 does not report, as a program of Node 20 or later or of Python.s asyncio does, within 1 s of real time",
        said,
    )
    assert said.rstrip().endswith("leave --lockstep out")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--speed", "2", "--", "x"], "--lockstep: its worlds are as fast as they can be"),
        (
            ["--redis", "redis://127.0.0.1:6379", "--", "x"],
            "--lockstep: your own Redis is not on the simulator's clock",
        ),
        (["--webhook", "http://127.0.0.1:1/webhook"], "--lockstep: a program that runs already"),
        (["--verification", "--", "x"], "--lockstep: the provider's verification"),
    ],
)
def test_what_does_not_go_with_it_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", "long.toml", "--provider", "whatsapp", "--lockstep", "--quiet", *arguments]) == 2
    assert said in told(capsys)
