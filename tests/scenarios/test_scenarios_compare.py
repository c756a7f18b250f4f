"""Goal: policies are compared in the very same worlds, each with the settings that are its own, whatever the processes.

Method: worlds that take no time and differ by policy, for the numbers and the command; the simulator itself, in few
worlds, for what only it can show: that worlds are the same, and that a replay is the world that was counted.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

import pytest
from scenario_stand_ins import SMALL, observe, observe_failing, write

from relaysim.reports.results import canonical
from relaysim.scenarios import runner
from relaysim.scenarios.cli import main
from relaysim.scenarios.policy_comparison import Comparison, compare_policies, load_comparison, settings_named_by
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.runner import Batch, run_batches
from relaysim.sim.world import INVARIANTS, WorldSettings

TWO = ("check_then_act", "cancel_and_retry")
GROUPS = (
    SMALL
    + """
[[workers]]
count = 3

[[workers]]
count = 1
settings = { chat_lock_prefix = "other:", thread_lock_prefix = "other thread:" }
"""
)
OWN_BOT = """
class Bot:
    def __init__(self, client, redis, send):
        self.send = send

    async def handle(self, message):
        await self.send(message.conversation, "a moment, please")


def make(client, redis, send, *, chat_lock_prefix="lock:"):
    return Bot(client, redis, send)


def deaf(client, redis, send):
    return object()
"""


def observe_policies(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """Two messages; cancel_and_retry loses one in every tenth replication, check_then_act in every fifth."""
    observation = observe(settings, root_seed, seed, lane)
    every = 5 if settings.relay.factory == "relaysim.relay:check_then_act" else 10
    lost = int(seed % every == every - 1)
    seconds = 1.0 + 0.25 * (seed % 7)
    observation["counts"] |= {
        "answered": 2 - lost,
        "lost": lost,
        "failed": lost,
        "generic_failure": lost,
        "friendly_failure": 0,
        "transparency_breaches": lost,
        "requests": 20 + seed % 3 + every,
        "redis_commands": 8,
    }
    observation["series"]["reply_seconds"] = [seconds] * (2 - lost)
    return observation


@pytest.fixture
def small(tmp_path: Path) -> Comparison:
    return load_comparison(write(tmp_path), TWO)


def compared(comparison: Comparison, **changed: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"code_version": "v", "observe": observe_policies, "resamples": 50, **changed}
    return compare_policies(comparison, **settings)[0]


def _by_name(results: Mapping[str, Any]) -> dict[str, Any]:
    return {policy["policy"]: policy for policy in results["policies"]}


# Numbers


def test_policies_are_measured_in_the_same_worlds(small: Comparison) -> None:
    results = compared(small)
    policies = _by_name(results)
    assert list(policies) == list(TWO)
    assert [policy["measures"]["lost"]["value"] for policy in policies.values()] == [0.1, 0.05]
    assert [policy["counts"]["messages"] for policy in policies.values()] == [200, 200]
    assert [sorted(policy["invariants"]) for policy in policies.values()] == [sorted(INVARIANTS)] * 2
    (difference,) = results["differences"]
    assert (difference["policy"], difference["against"]) == TWO
    lost = difference["measures"]["lost"]
    assert lost["value"] == 0.05
    assert lost["worlds_differing"] == 10
    assert lost["interval"][0] < 0.05 < lost["interval"][1]
    # Every world has 5 requests fewer, or 2.5 per message: pairing leaves no error at all.
    assert difference["measures"]["requests"] == {"value": -2.5, "interval": None, "worlds_differing": 100}
    assert difference["example"]["seed"] == 4
    assert difference["example"]["failed"] == [1, 0]


def test_unanswered_messages_count_as_waiting_for_ever(small: Comparison) -> None:
    policies = _by_name(compared(small))
    for policy, waits in (("check_then_act", "inf"), ("cancel_and_retry", 2.5)):
        assert policies[policy]["measures"]["or_never_p95"]["value"] == waits
        assert policies[policy]["measures"]["replied_p95"]["value"] == 2.5


def test_results_do_not_depend_on_processes_or_on_how_seeds_were_cut(small: Comparison) -> None:
    reference = canonical(compared(small, jobs=1))
    assert canonical(compared(small, jobs=2)) == reference
    batches = [Batch("a", small.scenario.to_json(), 50, "direct", claims=(), rows=True)]
    whole = run_batches(batches, observe=observe_policies, chunk_size=50)[0]["a"]
    cut = run_batches(batches, observe=observe_policies, chunk_size=7)[0]["a"]
    assert cut == whole
    assert sorted(whole.rows) == list(range(50))
    assert whole.rows[9].counts[:4] == (2, 1, 0, 1)
    assert list(whole.rows[9].reply_seconds) == [1.5]


def test_rows_are_kept_only_if_asked_for(small: Comparison) -> None:
    batch = Batch("a", small.scenario.to_json(), 5, "direct")
    assert run_batches([batch], observe=observe)[0]["a"].rows == {}


def test_the_order_of_the_policies_is_the_order_of_the_columns_alone(tmp_path: Path) -> None:
    there = compared(load_comparison(write(tmp_path), TWO))
    back = compared(load_comparison(write(tmp_path), TWO[::-1]))
    assert _by_name(there) == _by_name(back)
    assert there["differences"] == back["differences"]
    assert [policy["policy"] for policy in back["policies"]] == list(TWO[::-1])


# Whose settings


def test_a_scenarios_own_settings_are_for_the_policy_that_it_names(tmp_path: Path) -> None:
    path = write(tmp_path)
    comparison = load_comparison(path, TWO, ["relay.settings.attempts=5", "workload.conversations=2"])
    settings = {policy.name: policy.scenario.relay.settings for policy in comparison.policies}
    assert settings == {"check_then_act": {}, "cancel_and_retry": {"attempts": 5}}
    assert {policy.scenario.workload.conversations for policy in comparison.policies} == {2}


def test_one_policy_can_be_given_settings(tmp_path: Path) -> None:
    given = ["check_then_act.poll_attempts=7", "check_then_act.workers[1].chat_lock_prefix=mine:"]
    comparison = load_comparison(write(tmp_path, GROUPS), TWO, settings=given)
    first, second = comparison.policies
    assert first.scenario.relay.settings == {"poll_attempts": 7}
    assert first.scenario.workers[1].settings == {"chat_lock_prefix": "mine:", "thread_lock_prefix": "other thread:"}
    assert second.scenario.relay.settings == {}
    assert second.scenario.workers[1].settings["chat_lock_prefix"] == "other:"


def test_workers_keep_the_settings_that_a_policy_names_and_the_results_say_what_was_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _own_bot(tmp_path, monkeypatch)
    comparison = load_comparison(write(tmp_path, GROUPS), [*TWO, "compared_bot:make"])
    groups = {policy.name: policy.scenario.workers[1].settings for policy in comparison.policies}
    both = {"chat_lock_prefix": "other:", "thread_lock_prefix": "other thread:"}
    assert groups == {
        "check_then_act": both,
        "cancel_and_retry": both,
        "compared_bot:make": {"chat_lock_prefix": "other:"},
    }
    policies = _by_name(compared(comparison, replications=2))
    assert policies["check_then_act"]["left_out"] == []
    assert policies["compared_bot:make"]["left_out"] == [
        {"workers": "w4", "settings": {"thread_lock_prefix": "other thread:"}}
    ]
    assert policies["compared_bot:make"]["workers"] == [{"workers": "w4", "settings": {"chat_lock_prefix": "other:"}}]


class _Keys(TypedDict, total=False):
    waits: int
    patience: float


def test_what_a_factory_names() -> None:
    def unpacks(client: Any, redis: Any, send: Any, *, telemetry: Any = None, **settings: Unpack[_Keys]) -> None: ...

    def takes_all(client: Any, redis: Any, send: Any, **settings: Any) -> None: ...

    def unreadable(client: Nowhere, redis: Any, send: Any, mine: int = 1, **settings: Unpack[_Keys]) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    class Bot:
        def __init__(self, client: Any, redis: Any, send: Any, retries: int = 3, **rest: Unpack[_Keys]) -> None: ...

    assert settings_named_by(unpacks) == {"telemetry", "waits", "patience"}
    assert settings_named_by(takes_all) == frozenset()
    assert settings_named_by(unreadable) == {"mine", "waits", "patience"}
    assert settings_named_by(Bot) == {"retries", "waits", "patience"}
    assert "chat_lock_prefix" in settings_named_by(importlib.import_module("relay").check_then_act)


def test_the_policy_that_others_are_compared_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _own_bot(tmp_path, monkeypatch)
    path = write(tmp_path)
    assert load_comparison(path, TWO).against == "cancel_and_retry"
    assert load_comparison(path, ["compared_bot:make", "relaysim.relay:check_then_act"]).against == "compared_bot:make"


def test_a_relay_from_elsewhere_runs_in_lane_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _own_bot(tmp_path, monkeypatch)
    path = write(tmp_path)
    assert load_comparison(path, TWO).lane(None) == "direct"
    foreign = load_comparison(path, ["compared_bot:make", "check_then_act"])
    assert foreign.lane(None) == "sdk"
    assert foreign.lane("direct") == "direct"
    own = load_comparison(path, ["compared_bot:make", "check_then_act"], ["relay.factory=compared_bot:make"])
    assert own.lane(None) == "direct"  # the scenario's author has chosen


def _own_bot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "compared_bot.py").write_text(OWN_BOT, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "compared_bot", raising=False)


# What is wrong


@pytest.mark.parametrize(
    ("policies", "settings", "said"),
    [
        (
            ["check_then_act"],
            [],
            "--policies: a comparison needs at least two policies, there is only 'check_then_act'",
        ),
        ([], [], "--policies: a comparison needs at least two policies, there is none"),
        (["check_then_act", "relaysim.relay:check_then_act"], [], "--policies: 'check_then_act' is named twice"),
        (
            ["cancel_and_retry", "check_than_act"],
            [],
            "--policies check_than_act: there is no policy 'check_than_act'; did you",
        ),
        (["cancel_and_retry", "no_such:make"], [], "--policies no_such:make: there is no module 'no_such'"),
        (
            ["cancel_and_retry", "a b"],
            [],
            "--policies a b: there is no policy 'a b'; over threads there are: check_then_act",
        ),
        (["cancel_and_retry", "compared_bot:deaf"], [], "--policies compared_bot:deaf: compared_bot:deaf gave object"),
        (
            TWO,
            ["check_then_act.attempts=2"],
            "--policies check_then_act: relaysim.relay:check_then_act cannot be built with thes",
        ),
        (TWO, ["drain.attempts=2"], "--settings drain.attempts=2: begins with no policy that is compared"),
        (TWO, ["check_then_act.attempts"], "--settings check_then_act.attempts: 'attempts' sets nothing"),
        (TWO, ["check_then_act.workers[9].x=1"], "--policies check_then_act: workers has 1 items"),
    ],
)
def test_bad_policies_are_one_clear_problem(
    policies: list[str], settings: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _own_bot(tmp_path, monkeypatch)
    with pytest.raises(ScenarioError) as caught:
        load_comparison(write(tmp_path, SMALL + "\n[[workers]]\ncount = 2\n"), policies, settings=settings)
    assert str(caught.value).startswith(said)
    assert len(caught.value.problems) == 1


def test_a_bad_scenario_is_complained_of_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_comparison(write(tmp_path, SMALL.replace("root_seed = 7", "root_seed = -7")), TWO)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path / 'small.toml'}: root_seed: must be 0 or more, not -7"
    ]


# The command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "_observe", observe_policies)
    # Drawing takes seconds and is tested where it is done.
    monkeypatch.setattr(importlib.import_module("relaysim.reports.comparison_figures"), "draw_comparison", lambda _: {})
    write(tmp_path)
    return "small.toml"


def command(*arguments: str) -> int:
    return main(["compare", *arguments, "--jobs", "1"])


def test_the_command_prints_tables_and_writes_a_folder(here: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(here, "--policies", ",".join(TWO), "--full") == 0
    streams = capsys.readouterr()
    assert streams.out.startswith("check_then_act is worse than cancel_and_retry in breaches; ")
    assert "Differences from cancel_and_retry, with 99 % intervals" in streams.out
    assert "Report: reports/out/compare-small/latest/index.html\n" in streams.out
    assert streams.err.startswith("small: 200 replications in ")
    assert streams.err.endswith(": check_then_act, cancel_and_retry\n")
    folder = Path("reports/out/compare-small/latest")
    written = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert (written["schema"], written["kind"], written["replications"], written["resamples"]) == (
        1,
        "comparison",
        100,
        2000,
    )
    assert json.loads((folder / "timing.json").read_text(encoding="utf-8"))["replications"] == 200
    assert Path("reports/out/latest").readlink().parent == Path("compare-small")


def test_json_is_the_results_file(here: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(here, "--policies", ",".join(TWO), "--json", "--quiet", "--out", "out", "--replications", "9") == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    assert streams.out == Path("out/results.json").read_text(encoding="utf-8")
    assert json.loads(streams.out)["replications"] == 9
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["small.toml", "--policies", "drain"], "relaysim: --policies: a comparison needs at least two policies"),
        (["small.toml", "--policies", "a,b", "--settings", "c.x=1"], "relaysim: --settings c.x=1: begins with no pol"),
        (["nowhere.toml"], "relaysim: nowhere.toml: there is no such file"),
        (["small.toml", "--policies", ",".join(TWO), "--name", "../up"], "relaysim: --name ../up: '../up' cannot name"),
        (["small.toml", "--policies", ",".join(TWO), "--out", "small.toml"], "relaysim: --out small.toml: cannot be m"),
        (["small.toml", "--factory", "relaysim.relay:drain"], "there is no option --factory"),
    ],
)
def test_exit_code_2_for_bad_usage(
    arguments: list[str], said: str, here: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert said in streams.err
    assert "Traceback" not in streams.err


def test_a_policy_that_breaks_the_simulation_is_named_with_its_world(
    here: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_observe", observe_failing)
    assert command(here, "--policies", "check_then_act,cancel_and_retry", "--quiet") == 2
    assert capsys.readouterr().err == (
        "relaysim: small with check_then_act, seed 5: RuntimeError: the relay fell over; see it: "
        "relaysim replay small.toml --seed 5 --set relay.factory=relaysim.relay:check_then_act\n"
    )


# The simulator itself


def test_a_replay_is_the_world_that_was_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    comparison = load_comparison("race", TWO, settings=["check_then_act.poll_interval_seconds=0.5"])
    results = compare_policies(comparison, code_version="v", replications=2, resamples=10)[0]
    (difference,) = results["differences"]
    summaries, _ = run_batches(
        [
            Batch(policy.name, policy.scenario.to_json(), 2, "direct", claims=(), fingerprints=2)
            for policy in comparison.policies
        ]
    )
    for policy in results["policies"]:
        assert policy["fingerprint"] == summaries[policy["policy"]].fingerprint
        words = shlex.split(policy["replay"].replace("{seed}", "1"))
        assert words[:2] == ["relaysim", "replay"]
        assert main([*words[1:], "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["fingerprint"] == summaries[policy["policy"]].fingerprints[1]
    assert difference["measures"]["lost"]["value"] == 0.5  # the fix's reply covers what was refused before it


def test_the_same_worlds_for_every_policy() -> None:
    from relaysim.sim.world import run_world

    comparison = load_comparison("race", TWO)
    sent = []
    for policy in comparison.policies:
        settings, root_seed = policy.scenario.world_settings(), policy.scenario.root_seed
        records = run_world(settings, root_seed=root_seed, seed=3, lane="direct", keep_trace=True).records
        assert records is not None
        arrivals = ("message.sent", "handling.start")
        sent.append([(time, kind, fields) for time, _, kind, fields in records if kind in arrivals])
    assert sent[0] == sent[1]
    assert len(sent[0]) == 4


def test_the_documentation_names_every_key_and_measure(small: Comparison) -> None:
    page = (Path(__file__).parents[2] / "docs" / "comparing-policies.md").read_text(encoding="utf-8")
    results = compared(small)
    (difference,) = results["differences"]
    named = [*results, *results["policies"][0], *difference, *difference["measures"], *difference["example"]]
    named += [key for measure in difference["measures"].values() for key in measure]
    assert [name for name in named if f"`{name}`" not in page] == []


def test_what_the_help_suggests_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    settings = re.search(r"e\.g\. (check_then_act\S+), or one group of its workers with (\S+);", told)
    sets = re.search(r"e\.g\. (relay\.settings\S+) or (workload\S+);", told)
    named = re.search(r"by default (\w+), (\w+), (\w+);", told)
    assert settings is not None
    assert sets is not None
    assert named is not None
    assert len(load_comparison("peak_hour", named.groups(), [], settings.groups()).policies) == 3
    assert len(load_comparison("race", named.groups(), sets.groups()).policies) == 3
