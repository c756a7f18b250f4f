"""Goal: a command says what it will cost, how far it is and how long it still takes; never more often than one can read.

Method: a clock and streams of the test's own, and what stands on them.
"""

from __future__ import annotations

import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import SMALL, observe, write

from relaysim.reports import figures
from relaysim.scenarios import runner
from relaysim.scenarios.cli import main
from relaysim.scenarios.progress import Reporter, long_words, names_words, rate_words, reporter, short_words
from relaysim.scenarios.runner import Cost, Progress
from relaysim.scenarios.timing import earlier_seconds, timing
from relaysim.scenarios.work_left import Work


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def chunk(shown: Reporter, clock: Clock, kind: str, worlds: int, seconds: float) -> None:
    """So many worlds are done by one of one process."""
    update = shown.part(kind)
    clock.now += seconds
    update(Progress(0, 0, 0.0, 0, kind, worlds, seconds))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines_of(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_what_a_long_command_costs_is_said_once_after_the_first_worlds(clock: Clock) -> None:
    stream = io.StringIO()
    with reporter(quiet=False, stream=stream, clock=clock) as shown:
        shown.plan("drain_faults", {"a": 5000}, jobs=1)
        assert lines_of(stream) == []
        chunk(shown, clock, "a", 20, 3.0)
        assert lines_of(stream) == ["relaysim: 5,000 worlds of drain_faults, about 12 minutes on one core"]
        chunk(shown, clock, "a", 20, 3.0)
        assert len(lines_of(stream)) == 1


def test_with_an_earlier_run_it_is_said_before_anything_is_run(clock: Clock) -> None:
    stream = io.StringIO()
    with reporter(quiet=False, stream=stream, clock=clock) as shown:
        shown.plan("drain_faults", {"a": 5000}, jobs=2, earlier={"a": 0.3})
    assert lines_of(stream) == [
        "relaysim: 5,000 worlds of drain_faults, about 12 minutes on 2 cores, as the last run took"
    ]


def test_until_the_first_worlds_are_measured_an_estimate_is_announced(clock: Clock) -> None:
    with reporter(quiet=False, stream=io.StringIO(), clock=clock) as shown:
        shown.plan("race", {"a": 50}, jobs=1)
        clock.now += 3.0
        assert shown.left_words() == "estimating ..."
        clock.now += 40.0
        assert shown.left_words() == "time left unknown"


def test_what_costs_as_another_kind_is_no_reason_to_say_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    with reporter(quiet=False, stream=stream, clock=clock) as shown:
        shown.plan("incident", {"a": 100, "drain: a": 100}, jobs=1, like={"drain: a": "a"})
        chunk(shown, clock, "a", 10, 1.0)
        assert lines_of(stream) == ["relaysim: 200 worlds of incident, about 20 seconds on one core"]
        chunk(shown, clock, "drain: a", 10, 3.0)
        assert shown.left_words() == "36 s left"


def test_a_short_command_is_not_announced(clock: Clock) -> None:
    stream = io.StringIO()
    with reporter(quiet=False, stream=stream, clock=clock) as shown:
        shown.plan("race", {"a": 50}, jobs=1, earlier={"a": 0.1})
        for _ in range(5):
            chunk(shown, clock, "a", 10, 1.0)
    assert lines_of(stream) == []


def test_where_nothing_tells_how_long_that_is_said(clock: Clock) -> None:
    stream = io.StringIO()
    with reporter(quiet=False, stream=stream, clock=clock) as shown:
        shown.plan("race and drain", {"a": 50, "b": 50}, jobs=1)
        for _ in range(6):
            chunk(shown, clock, "a", 5, 10.0)
    assert lines_of(stream) == [
        "relaysim: 100 worlds of race and drain on one core; how long they take is not known yet",
        "a: 30 of 100 worlds, at least 40 s left",
    ]


def test_plain_lines_come_no_more_often_than_every_30_seconds(clock: Clock) -> None:
    stream, times, before = io.StringIO(), [], 0
    with reporter(quiet=False, stream=stream, clock=clock) as shown:
        shown.plan("race", {"a": 1000}, jobs=1)
        for _ in range(1000):
            chunk(shown, clock, "a", 1, 0.7)
            if len(lines_of(stream)) > before:
                times.append(clock.now)
                before = len(lines_of(stream))
    assert all(later - earlier >= 30.0 for earlier, later in pairwise(times))
    assert 20 <= len(times) <= 24
    assert lines_of(stream)[1] == "a: 44 of 1,000 worlds, 11 min left"


def test_lines_of_trials_are_for_a_terminal_alone(clock: Clock) -> None:
    stream, terminal = io.StringIO(), Terminal()
    for each in (stream, terminal):
        with reporter(quiet=False, stream=each, clock=clock) as shown:
            shown.done("trial 1", Cost(1.0, 10), "fine", minor=True)
            shown.done("race", Cost(1.0, 10), "fine")
    assert lines_of(stream) == ["race: 10 replications in 1.0 s, 10/s: fine"]
    assert "trial 1: 10 replications in 1.0 s, 10/s: fine" in terminal.getvalue()


def test_quiet_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with reporter(quiet=True, stream=stream, clock=clock) as shown:
        shown.plan("race", {"a": 5000}, jobs=1, earlier={"a": 10.0})
        chunk(shown, clock, "a", 5, 100.0)
        shown.say("a line")
        shown.done("race", Cost(), "fine")
        shown.last("drawing the page")
    assert stream.getvalue() == ""
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def on_screen(terminal: Terminal) -> str:
    """All that was drawn, without control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())


def test_on_a_terminal_one_bar_goes_over_all_parts(terminal: Terminal, clock: Clock) -> None:
    with reporter(quiet=False, stream=terminal, clock=clock) as shown:
        shown.plan("race and drain", {"race": 50, "drain": 50}, jobs=1)
        for _ in range(4):
            chunk(shown, clock, "race", 10, 1.0)
        assert shown.left_words() == "at least 1 s left"
        chunk(shown, clock, "drain", 10, 2.0)
        assert shown.left_words() == "9 s left"
        shown.done("race", Cost(seconds=10.0, replications=100), "as expected")
    assert "50/100" in on_screen(terminal)
    assert "8.3/s" in on_screen(terminal)
    assert "9 s left" in on_screen(terminal)
    assert "race: 100 replications in 10.0 s, 10/s: as expected" in on_screen(terminal)


def test_what_comes_after_the_worlds_is_named_and_its_time_goes_on(terminal: Terminal, clock: Clock) -> None:
    with reporter(quiet=False, stream=terminal, clock=clock) as shown:
        shown.plan("race", {"race": 10}, jobs=1)
        chunk(shown, clock, "race", 10, 1.0)
        shown.last("drawing the page")
        clock.now += 7.0
        assert (shown.name, shown.left_words()) == ("drawing the page", "for 7 s")
    assert "drawing the page" in on_screen(terminal)


def test_what_may_end_before_and_what_has_a_limit_is_at_most(clock: Clock) -> None:
    with reporter(quiet=False, stream=io.StringIO(), clock=clock) as shown:
        shown.plan("race", {"a": 1000}, jobs=1, at_most=True, seconds_max=60)
        chunk(shown, clock, "a", 10, 5.0)
        chunk(shown, clock, "a", 10, 5.0)
        assert shown.left_words() == "at most 50 s left"
        shown.spared(["a"])
        assert shown.counts == (20, 20)
        assert shown.fraction == 1.0


def test_a_log_of_unknown_size_has_no_time_left(terminal: Terminal, clock: Clock) -> None:
    with reporter(quiet=False, stream=terminal, clock=clock) as shown:
        shown.plan("logs", {}, jobs=1, unit="megabyte")
        clock.now += 2.0
        shown.passed("read", 30)
        assert shown.left_words() == "time left unknown"
    assert "30/" not in on_screen(terminal)


@pytest.mark.parametrize(
    ("seconds", "short", "long"),
    [
        (0.4, "0 s", "0 seconds"),
        (99.4, "99 s", "99 seconds"),
        (100.0, "2 min", "2 minutes"),
        (5900.0, "98 min", "98 minutes"),
        (7500.0, "2 h 5 min", "2.1 hours"),
    ],
)
def test_times_in_words(seconds: float, short: str, long: str) -> None:
    assert (short_words(seconds), long_words(seconds)) == (short, long)


def test_names_in_words() -> None:
    assert names_words(["a"]) == "a"
    assert names_words(["a", "b", "c"]) == "a, b and c"
    assert names_words(["a", "b", "c", "d"]) == "a, b and 2 more"


# Earlier runs


def test_an_earlier_run_counts_if_it_was_of_the_same(tmp_path: Path) -> None:
    costs = {"race": Cost(10.0, 100), "drain": Cost(4.0, 10)}
    told = timing(costs, jobs=2, of={"race": "abc direct", "drain": "def direct"})
    (tmp_path / "timing.json").write_text(json.dumps(told))
    asked = {"race": "abc direct", "drain": "def sdk", "other": "ghi direct"}
    assert earlier_seconds(tmp_path, asked) == {"race": 0.2}
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest/timing.json").write_text('{"scenarios": 5}')
    assert earlier_seconds(tmp_path, asked) == {"race": 0.2}
    assert earlier_seconds(tmp_path / "nowhere", asked) == {}


# Commands


def test_a_command_that_was_run_before_says_what_it_will_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "_observe", observe)
    monkeypatch.setattr(figures, "draw_all", lambda results: {})
    file = write(tmp_path, SMALL)
    main(["verify", file, "--jobs", "1", "--recheck", "0", "--quiet"])
    assert capsys.readouterr().err == ""
    results = (tmp_path / "reports/out/small/latest/results.json").read_bytes()
    place = tmp_path / "reports/out/small/latest/timing.json"
    told: dict[str, Any] = json.loads(place.read_text())
    told["scenarios"]["small"]["seconds"] = 1200.0
    place.write_text(json.dumps(told))
    main(["verify", file, "--jobs", "1", "--recheck", "0"])
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "relaysim: 100 worlds of small, about 20 minutes on one core, as the last run took"
    assert (tmp_path / "reports/out/small/latest/results.json").read_bytes() == results


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0.0, "0.0/s"), (0.004, "0.2/min"), (0.3, "18/min"), (1.0, "1.0/s"), (9.5, "9.5/s"), (2500.0, "2,500/s")],
)
def test_slow_worlds_have_a_rate_too(rate: float, words: str) -> None:
    assert rate_words(rate) == words


def test_what_is_known_bounds_the_time_left_from_below() -> None:
    work = Work(jobs=2)
    work.plan("a", 10)
    work.plan("b", 90)
    assert work.seconds_left_at_least() is None
    work.did("a", 4, 8.0, 4.0)
    assert work.seconds_left(4.0) is None
    assert work.seconds_left_at_least() == pytest.approx(6.0)
    work.did("a", 6, 12.0, 10.0)
    assert work.seconds_left_at_least() is None
    work.did("new", 1, 1.0, 11.0)
    assert work.is_open
    assert work.seconds_left_at_least() is None
