"""Goal: what goes wrong around a program goes wrong from outside as the scenario says, at times and at what it does:
each fault is counted when it fired, and what cannot be played is refused.

Method: one judged world with several faults, whose program keeps what it has acknowledged in Redis; all is read from what is
left of that world.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.outside.config import JudgeConfig
from relaysim.scenarios.outside.playable import what_cannot_be_played
from relaysim.scenarios.outside.trials import Trials
from relaysim.sim.outside import rest
from tests.scenarios.outside.test_judge import SMALL, judged_program

FAULTS = """
[[host_faults]]
kind = "crash"
on = "served:runs.create"
nth = [1]
seconds = 0.3

[[host_faults]]
kind = "pause"
on = "redis:SADD"
nth = [1]
seconds = 1.0

[[host_faults]]
kind = "pause"
at_seconds = 500
seconds = 1.0

[[redis_faults]]
kind = "failover"
command = "SADD"
nth = [2]
seconds = 0.5

[[redis_faults]]
kind = "slow"
at_seconds = 0.0
seconds = 3.0
delay_seconds = 0.02
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What is left of one world."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "small.toml").write_text(SMALL.replace("at_seconds = 2.5", "at_seconds = 7.0") + FAULTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest, "SETTLED_SECONDS", 1.5)
        patch.setattr(rest, "SILENT_SECONDS", 20.0)
        config = JudgeConfig(command=judged_program("stores"), provider="whatsapp", parallel=1)
        scenario = load(str(folder / "small.toml"), ['provider={ kind = "whatsapp", path = "/webhook" }'])
        assert what_cannot_be_played(scenario, config) == ""
        with Trials(config, 1) as trials:
            trials.observe_of("small")(scenario.world_settings(), scenario.root_seed, 0, "sdk")
            yield trials.kept(scenario, "sdk", 0)


LOST = """
[[faults]]
kind = "response_lost"
route = "threads.create"
nth = [1]

[[faults]]
kind = "read_timeout"
route = "messages.create"
nth = [1]

[[faults]]
kind = "connect_error"
route = "runs.create"
nth = [1]

[[faults]]
kind = "truncated"
route = "runs.retrieve"
nth = [1]

[[faults]]
kind = "reset"
route = "runs.retrieve"
nth = [3]

[[faults]]
kind = "malformed"
route = "messages.list"
nth = [1]
"""

FAILURES = {
    "response_lost": (0, "ReadTimeout"),
    "read_timeout": (0, "ReadTimeout"),
    "connect_error": (0, "ConnectError"),
    "truncated": (0, "RemoteProtocolError"),
    "reset": (0, "ReadError"),
    "malformed": (200, "malformed"),
}


def test_an_answer_that_is_lost_or_damaged_has_failed_once_its_client_knows_and_the_world_does_not_wait_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.toml").write_text(SMALL + LOST)
    monkeypatch.setattr(rest, "SETTLED_SECONDS", 1.5)
    monkeypatch.setattr(rest, "SILENT_SECONDS", 5.0)
    config = JudgeConfig(command=judged_program("repeats"), provider="whatsapp", parallel=1)
    scenario = load(
        str(tmp_path / "small.toml"), ['provider={ kind = "whatsapp", path = "/webhook" }', "limit_seconds=90"]
    )
    with Trials(config, 1) as trials:
        trials.observe_of("small")(scenario.world_settings(), scenario.root_seed, 0, "sdk")
        played = trials.kept(scenario, "sdk", 0)
    struck = {each.fields.request_id: each.fields.fault for each in _named(played, "fault")}
    assert sorted(struck.values()) == sorted(FAILURES)
    seen = {each.fields.request_id: each for each in _named(played, "response")}
    for request_id, fault in struck.items():
        answer = seen[request_id].fields
        assert (answer.status, answer.failure) == FAILURES[fault], fault
    left = {each.fields.request_id: each.time for each in _named(played, "request")}
    for request_id, fault in struck.items():
        waited = seen[request_id].time - left[request_id]
        assert 0.9 < waited < 5.0 if FAILURES[fault][1] == "ReadTimeout" else waited < 0.9, fault
    assert {each.fields.failure for name, each in seen.items() if name not in struck} == {None}
    assert played.observation["counts"]["lost"] == 0
    assert played.records[-1].time < 60.0, "nobody waits for these answers any more"


def test_an_answer_that_comes_when_its_client_has_gone_has_not_reached_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.toml").write_text(SMALL.replace("run_seconds = 0.3", "run_seconds = 0.3\nrequest_seconds = 2.5"))
    monkeypatch.setattr(rest, "SETTLED_SECONDS", 1.5)
    config = JudgeConfig(command=judged_program("repeats"), provider="whatsapp", parallel=1)
    scenario = load(
        str(tmp_path / "small.toml"), ['provider={ kind = "whatsapp", path = "/webhook" }', "limit_seconds=8"]
    )
    with Trials(config, 1) as trials:
        trials.observe_of("small")(scenario.world_settings(), scenario.root_seed, 0, "sdk")
        played = trials.kept(scenario, "sdk", 0)
    answers = _named(played, "response")
    assert len(answers) > 3
    assert {(each.fields.status, each.fields.failure) for each in answers} == {(0, "ReadTimeout")}


KILLED_AS_IT_SENDS = """
[[host_faults]]
kind = "crash"
on = "send"
nth = [1]
seconds = 0.3
"""


def test_a_copy_that_is_killed_as_it_sends_leaves_no_traceback_of_the_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "small.toml").write_text(SMALL.replace("at_seconds = 2.5", "at_seconds = 7.0") + KILLED_AS_IT_SENDS)
    monkeypatch.setattr(rest, "SETTLED_SECONDS", 1.5)
    monkeypatch.setattr(rest, "SILENT_SECONDS", 5.0)
    config = JudgeConfig(command=judged_program("stores"), provider="whatsapp", parallel=1)
    scenario = load(
        str(tmp_path / "small.toml"),
        ['provider={ kind = "whatsapp", path = "/webhook" }', "profile_overrides.send_seconds=1.0"],
    )
    with Trials(config, 1) as trials:
        trials.observe_of("small")(scenario.world_settings(), scenario.root_seed, 0, "sdk")
        played = trials.kept(scenario, "sdk", 0)
    assert played.observation["fault_hits"] == {"host_faults": [1]}
    assert played.observation["counts"]["lost"] == 0
    said = "".join(capfd.readouterr()) + caplog.text
    assert "Traceback" not in said
    assert "Exception" not in said


def _named(played: Any, *kinds: str) -> list[Any]:
    return [each for each in played.records if each.kind in kinds]


def test_each_fault_is_counted_when_it_fired(played: Any) -> None:
    assert played.observation["fault_hits"] == {"host_faults": [1, 1, 0], "redis_faults": [1, 1]}


def test_a_copy_is_killed_when_the_api_has_processed_a_request_of_a_kind(played: Any) -> None:
    (crash,) = _named(played, "host.crash")
    created = {each.fields.request_id for each in _named(played, "request") if each.fields.operation == "runs.create"}
    served = next(each for each in _named(played, "served") if each.fields.request_id in created)
    assert crash.time >= served.time
    assert len(_named(played, "host.restart")) == 1
    between = [each for each in _named(played, "request") if served.time < each.time < crash.time]
    assert not [each for each in between if each.fields.operation == "runs.create"]


def test_a_copy_stands_still_and_goes_on(played: Any) -> None:
    (pause,), (resume,) = _named(played, "host.pause"), _named(played, "host.resume")
    assert resume.time - pause.time == pytest.approx(1.0, abs=1e-6)
    asked = [each.time for each in _named(played, "request", "send")]
    assert not [time for time in asked if pause.time + 0.5 < time < resume.time]
    assert [time for time in asked if time > resume.time]


def test_its_redis_is_slow_and_gone_as_the_trace_says(played: Any) -> None:
    told = [(each.kind, each.fields.fault) for each in _named(played, "redis.fault", "redis.back")]
    assert sorted(told) == [
        *[("redis.back", "failover"), ("redis.back", "slow")],
        *[("redis.fault", "failover"), ("redis.fault", "slow")],
    ]


def test_what_it_kept_in_redis_is_answered(played: Any) -> None:
    assert played.observation["counts"]["lost"] == 0


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (
            '[[host_faults]]\nkind = "slow"\nat_seconds = 1\ndelay_seconds = 1\n',
            "host_faults[0]: a slow cannot be done",
        ),
        ('[[host_faults]]\nkind = "crash"\non = "lease.taken"\n', "host_faults[0].on: lease.taken is not seen"),
        ("[swarm]\n", "swarm: cannot be played"),
    ],
)
def test_what_cannot_be_played_is_refused_with_its_place(
    part: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(f"{SMALL}\n{part}")
    assert main(["judge", str(tmp_path / "small.toml"), "--provider", "whatsapp", "--", *judged_program("right")]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
