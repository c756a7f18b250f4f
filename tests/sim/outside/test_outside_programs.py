"""Goal: of a program that is judged nothing is left behind, however its end comes.

Method: real processes, which are looked for by their numbers; a judge of our own that is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relaysim.sim.outside.programs import Guard, Program, ProgramStartError

ROOT = Path(__file__).parents[3]

WITH_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def until(is_so: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError("it does not come to that")


def runs(pid: int) -> bool:
    """Whether a process is there, and no more than its exit status is left of it otherwise."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as held:
        yield held


def program(source: str, tmp_path: Path, guard: Guard) -> Program:
    return Program([sys.executable, "-c", source], {"COLOUR": "blue"}, tmp_path / "log", guard)


def test_it_gets_its_environment_and_its_output_is_kept(tmp_path: Path, guard: Guard) -> None:
    made = program("import os; print(os.environ['COLOUR']); print('and more')", tmp_path, guard)
    made.start()
    until(lambda: not made.is_running)
    assert made.status == 0
    assert made.last_lines(1) == ["and more"]
    assert made.last_lines() == ["blue", "and more"]


def test_a_kill_ends_what_it_has_started_too_and_it_can_start_again(tmp_path: Path, guard: Guard) -> None:
    made = program(WITH_A_CHILD, tmp_path, guard)
    children = []
    for lives in (1, 2):
        made.start()
        until(lambda lives=lives: len(made.last_lines()) == lives)  # type: ignore[misc]
        children.append(int(made.last_lines(1)[0]))
        assert runs(children[-1])
        made.kill()
        assert not made.is_running
        until(lambda: not runs(children[-1]))
    assert children[0] != children[1]


def test_one_that_does_not_listen_to_a_request_to_end_is_killed(tmp_path: Path, guard: Guard) -> None:
    made = program(DEAF, tmp_path, guard)
    made.start()
    until(lambda: made.last_lines() == ["deaf"])
    made.end(seconds=0.1)
    assert made.status == -signal.SIGKILL


def test_one_that_stands_still_ends_too(tmp_path: Path, guard: Guard) -> None:
    made = program("import time; print('there', flush=True); time.sleep(600)", tmp_path, guard)
    made.start()
    until(lambda: made.last_lines() == ["there"])
    made.signal(signal.SIGSTOP)
    made.end()
    assert made.status == -signal.SIGTERM


def test_a_command_that_there_is_not_is_told(tmp_path: Path, guard: Guard) -> None:
    with pytest.raises(ProgramStartError, match=r"no-such-program: cannot be started"):
        Program(["no-such-program"], {}, tmp_path / "log", guard).start()


def test_programs_end_with_whoever_started_them_when_that_is_killed(tmp_path: Path) -> None:
    judge = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from relaysim.sim.outside.programs import Guard, Program
        with Guard() as guard:
            for name in ("kept", "ended"):
                made = Program([sys.executable, "-c", {WITH_A_CHILD!r}], {{}}, Path(sys.argv[1]) / name, guard)
                made.start()
                while not made.last_lines():
                    time.sleep(0.02)
                if name == "ended":
                    made.kill()
            print("ready", flush=True)
            time.sleep(600)
    """)
    started = subprocess.Popen(
        [sys.executable, "-c", judge, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with started:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        child = int((tmp_path / "kept").read_text())
        assert runs(child)
        started.kill()
        until(lambda: not runs(child))
