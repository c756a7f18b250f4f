"""Goal: what code of a worker prints is told in its world and nowhere else, and no world is another one for it.

Method: a bot in a folder of its own, in worlds of one and of two lives.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from relaysim.reports.timeline import render_timeline
from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.problems import ScenarioError
from relaysim.sim.backends import backend_named
from relaysim.sim.process.output import LINE_MAX, Output
from relaysim.sim.world import run_world
from relaysim.sim.world.session import Result

BOT = """
import sys
print("loaded", object())
error = sys.stderr
class Bot:
    def __init__(self, send): self.send = send
    def handle(self, message):
        print("one", end=" ")
        print("two\\nthree", file=error, flush=True)
        for number in range(5): print(number, id(self))
        sys.__stdout__.buffer.write(b"octets\\xff\\n")
        self.send(message.conversation, "Sorry")
def make(client, redis, send): return Bot(send)
def fails(client, redis, send):
    print("looks for its settings")
    raise RuntimeError("none there")
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("printing_bot_for_tests.py").write_text(BOT, "utf-8")


def world() -> Result:
    """The race with that bot."""
    scenario = load("race", factory="printing_bot_for_tests:make")
    return run_world(scenario.world_settings(), root_seed=1, seed=0, keep_trace=True)


def test_it_is_in_the_trace_line_by_line_and_no_part_of_the_fingerprint(capfd: pytest.CaptureFixture[str]) -> None:
    first, second = world(), world()
    assert capfd.readouterr() == ("", "")
    printed = [each[3] for each in first.records or () if each[2] == "printed" and each[3][0] == "c1.m1#1"]
    assert [(each.stream, each.text.partition(" ")[0]) for each in printed] == [
        *[("stderr", "two"), ("stderr", "three"), ("stdout", "one")],
        *[("stdout", str(number)) for number in range(1, 5)],
        ("stdout", "octets\\xff"),
    ]
    assert first.fingerprint == second.fingerprint
    assert [each for each in first.records or () if each[2] == "printed"] != [
        each for each in second.records or () if each[2] == "printed"
    ]


def test_a_story_has_the_last_lines_and_how_many_there_were_before() -> None:
    told = render_timeline(world().records or [], 200, "c1", roles=backend_named("threads").roles)
    prints = [line.partition("prints ")[2] for line in told if "c1.m1  prints" in line]
    assert len(prints) == 3
    assert prints[0].startswith("5 lines, and then “3 ")
    assert prints[2] == "“octets\\xff”"


def test_a_bot_that_cannot_be_loaded_says_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"RuntimeError: none there; printed before: .*looks for its settings$"):
        load("race", factory="printing_bot_for_tests:fails")
    Path("failing_bot_for_tests.py").write_text('print("reads  it")\n1 / 0\n', "utf-8")
    with pytest.raises(ScenarioError, match=r"division by zero; printed before: reads it$"):
        load("race", factory="failing_bot_for_tests:make")


def test_json_is_all_that_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["run", "race", "--seed", "0", "--factory", "printing_bot_for_tests:make", "--json"]
    assert main(asked) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("{")
    assert printed.err == ""


def test_a_stream_is_as_one_of_a_process() -> None:
    lines: list[tuple[str, str]] = []
    output = Output("stdout", lambda stream, line: lines.append((stream, line)))
    assert (output.isatty(), output.writable(), output.encoding) == (False, True, "utf-8")
    output.writelines(["a", "b\n", "x" * (LINE_MAX + 1)])
    output.close()
    print("", file=output)
    assert lines == [("stdout", "ab"), ("stdout", "x" * LINE_MAX), ("stdout", "x")]
    with pytest.raises(OSError, match="fileno"):
        output.fileno()
    with pytest.raises(TypeError, match="must be str, not bytes"):
        output.write(b"a")  # type: ignore[arg-type]
    assert sys.stdout is not output
