"""Goal: a program of Python's asyncio is judged in virtual time: its own waits take none, the same seed is the same world to
the last event, and what cannot be kept on the clock is one line.

Method: a bot of a few lines, in worlds of a minute or more. What is asserted is order and virtual time, never how long a
machine took.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from long_runs import LONG

from relaysim.reports.results import read_results
from relaysim.scenarios.cli import main
from relaysim.sim.outside import program_sockets, stepped_program

BOT = Path(__file__).with_name("asyncio_bot.py")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.toml").write_text(LONG)
    return tmp_path


def judge(*options: str, besides: str = "    pass") -> int:
    arguments = ["judge", "long.toml", "--provider", "whatsapp", "--lockstep", "--quiet", "--out", "out", *options]
    return main([*arguments, "--", sys.executable, str(BOT), textwrap.indent(textwrap.dedent(besides), "    ")])


def test_the_same_seed_plays_the_same_to_the_last_event(here: Path) -> None:
    kept = []
    for _ in range(2):
        assert judge("--copies", "2", "--replications", "2") == 1
        results = read_results(here / "out")
        (entry,) = results["scenarios"]
        kept.append((entry["outcomes"], entry["counts"], (here / "out" / "stories.json").read_text()))
        assert results["outside"]["lockstep"] is True
    assert kept[0] == kept[1]
    assert entry["outcomes"]["messages"] == 6
    assert entry["outcomes"]["succeeded"] == 4, "it met the active run, and said so"


CLOCKS = """
import asyncio, datetime, os, random, secrets, time, uuid

def clocks():
    return [time.time(), time.monotonic(), time.perf_counter(), time.time_ns() / 1e9, time.monotonic_ns() / 1e9,
            datetime.datetime.now().timestamp(), datetime.datetime.now(datetime.timezone.utc).timestamp(),
            time.mktime(time.localtime()), asyncio.get_running_loop().time()]

with open("found", "a") as found:
    before = clocks()
    await asyncio.sleep(3600)
    print(*[round(now - then) for then, now in zip(before, clocks())], file=found)
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 3600)
    except asyncio.TimeoutError:
        print(*[round(now - then) for then, now in zip(before, clocks())], file=found)
    print(await asyncio.to_thread(lambda: "from a thread"), file=found)
    made = datetime.datetime(2026, 1, 2) - datetime.timedelta(days=1)
    print(isinstance(made, datetime.datetime), isinstance(made, datetime.date), made, file=found)
    for draw in (random.random, random.Random().random, uuid.uuid4, lambda: os.urandom(6).hex(), secrets.token_hex,
                 lambda: random.SystemRandom().random(), lambda: list({str(each) for each in "abcdefgh"})):
        print("drawn", draw(), file=found)
"""


def test_every_clock_and_random_number_is_the_simulators(here: Path) -> None:
    (here / "long.toml").write_text(LONG.replace('profile = "typical"', 'profile = "typical"\nlimit_seconds = 9000.0'))
    found = []
    for _ in range(2):
        # So that it lives for two hours, a customer writes after them.
        late = "workload.messages=[{conversation=1, at_seconds=0.1, worker=1}, {conversation=2, at_seconds=8000.0}]"
        assert judge("--copies", "1", "--replications", "1", "--set", late, besides=CLOCKS) == 3
        found.append((here / "found").read_text())
        (here / "found").unlink()
    assert found[0] == found[1]
    lines = found[0].splitlines()
    assert lines[:2] == [" ".join(["3600"] * 9), " ".join(["7200"] * 9)]
    assert lines[2:4] == ["from a thread", "True True 2026-01-01 00:00:00"]
    drawn = [line for line in lines if line.startswith("drawn")]
    assert len(drawn) == len(set(drawn)) == 7


THREADS = """
import asyncio, os, subprocess, time, urllib.request

def sleeper(name, seconds):
    before = time.monotonic()
    time.sleep(seconds)
    with open("found", "a") as found:
        print(name, round(time.monotonic() - before, 3), file=found)

def asker(number):
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/threads", b"{}", {
        "content-type": "application/json", "authorization": "Bearer sk-any", "openai-beta": "assistants=v2"})
    with urllib.request.urlopen(request) as answer:
        answer.read()
    sleeper(f"asker {number}", number)

def caller():
    subprocess.run(["sleep", "0.2"], check=True)
    with open("found", "a") as found:
        print("called", round(time.monotonic() % 1e6 - begun, 6), file=found)

begun = time.monotonic() % 1e6
await asyncio.gather(
    asyncio.to_thread(caller),
    *[asyncio.to_thread(sleeper, f"sleeper {number}", 30 - number) for number in range(3)],
    *[asyncio.to_thread(sleeper, f"twin {number}", 10) for number in range(3)],
    *[asyncio.to_thread(asker, number + 1) for number in range(3)],
)
"""


def test_threads_of_the_loop_sleep_and_ask_on_the_clock_one_after_the_other(here: Path) -> None:
    found = []
    for _ in range(3):
        judge("--copies", "1", "--replications", "1", besides=THREADS)
        found.append((here / "found").read_text().splitlines())
        (here / "found").unlink()
    assert found[0] == found[1] == found[2]
    slept = [("sleeper 0", 30), ("sleeper 1", 29), ("sleeper 2", 28)]
    slept += [(f"twin {number}", 10) for number in range(3)] + [(f"asker {number}", number) for number in (1, 2, 3)]
    assert found[0][0] == "called 0.0", "a process that is waited for takes no time"
    assert sorted(found[0][1:]) == sorted(f"{name} {seconds:.1f}" for name, seconds in slept)


@pytest.mark.parametrize(
    ("besides", "said"),
    [
        ("import time; time.sleep(5)", "w1 waits in time.sleep, in which its event loop stands still, which cannot"),
        ("import subprocess; subprocess.Popen(['sleep', '1'])", "w1 starts a process of its own (subprocess)"),
        ("import os; os.fork() or os._exit(0)", "w1 starts processes of its own (fork)"),
        ("import threading; threading.Thread(target=print).start()", "w1 starts a thread of its own (Thread-1"),
        ("await asyncio.open_connection('192.0.2.1', 80)", "w1 connects to 192.0.2.1:80, which is not simulated"),
        ("while True: await asyncio.sleep(0)", "w1 did not become idle within 1 s of real time"),
        ("while True: pass", "w1 did not become idle within 1 s of real time"),
        ("import os; os._exit(3)", "has ended with status 3: it printed nothing"),
    ],
)
def test_what_cannot_be_kept_on_the_clock_is_one_line(
    besides: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "idle" in said:
        monkeypatch.setattr(stepped_program, "IDLE_SECONDS", 1.0)
        monkeypatch.setattr(program_sockets, "IDLE_SECONDS", 1.0)
    assert judge("--copies", "1", "--replications", "1", besides=f"import asyncio\n{besides}") == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert said in streams.err
    assert streams.err.count("\n") == 1
    assert streams.err.rstrip().endswith("leave --lockstep out") or "status 3" in said


def test_a_copy_that_is_killed_has_forgotten_all(here: Path) -> None:
    killed = '[[host_faults]]\nkind = "crash"\nat_seconds = 20.0\nworkers = [1]\nseconds = 1.0\n'
    (here / "long.toml").write_text(f"{LONG}\n{killed}")
    judge("--copies", "1", "--replications", "1")
    (entry,) = read_results(here / "out")["scenarios"]
    assert entry["fault_hits"]["host_faults"] == [1]
    assert (entry["outcomes"]["lost"], entry["outcomes"]["succeeded"]) == (3, 0)


def test_a_copy_that_is_told_to_end_does_so_in_its_own_way(here: Path) -> None:
    stopped = '[[host_faults]]\nkind = "stop"\nat_seconds = 20.0\nworkers = [1]\nseconds = 1.0\n'
    (here / "long.toml").write_text(f"{LONG}\n{stopped}")
    ending = """
    import asyncio, os, signal
    loop = asyncio.get_running_loop()
    def end():
        with open("told", "w") as told:
            print(round(loop.time()) > 0, file=told)
        loop.call_later(2.0, os._exit, 0)
    loop.add_signal_handler(signal.SIGTERM, end)
    """
    judge("--copies", "1", "--replications", "1", besides=ending)
    (entry,) = read_results(here / "out")["scenarios"]
    assert entry["fault_hits"]["host_faults"] == [1]
    assert (here / "told").read_text() == "True\n"


def test_a_sitecustomize_of_its_own_is_loaded_too(here: Path) -> None:
    (here / "own").mkdir()
    (here / "own" / "sitecustomize.py").write_text('open("loaded", "w").close()\n')
    judge("--copies", "1", "--replications", "1", "--env", f"PYTHONPATH={here / 'own'}")
    assert (here / "loaded").exists()
