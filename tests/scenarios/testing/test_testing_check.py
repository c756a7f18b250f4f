"""Goal: `relaysim.check` passes only what was shown, and says of everything else what was wrong, under which seed.

Method: small bots of a user's, each right or wrong in one way, in a scenario of two messages.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checked_bots import ANSWERED, BOTS, TRANSPARENT, scenario

import relaysim
from relaysim.reports.timeline import LINES_MAX
from relaysim.scenarios.cli import main
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.testing import judging
from relaysim.scenarios.testing.running_test import RunningTest, begin, end
from relaysim.scenarios.testing.world_story import WorldStory

pytestmark = pytest.mark.usefixtures("one_session")

SEEDS = 30


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, in which the test runs. Nobody tells `check` of this test: it is as under unittest."""
    (tmp_path / "judged_bot.py").write_text(BOTS)
    (tmp_path / "two.toml").write_text(scenario("judged_bot:sound", TRANSPARENT))
    (tmp_path / "rates.toml").write_text(scenario("judged_bot:sound", ANSWERED))
    (tmp_path / "twice.toml").write_text(scenario("judged_bot:twice"))
    (tmp_path / "bare.toml").write_text(scenario("judged_bot:sound"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("relaysim.scenarios.testing.running_test._current", [])
    return tmp_path


@pytest.fixture
def running() -> Iterator[Any]:
    """Begins a test of which `check` knows."""
    begun: list[RunningTest] = []

    def run(**facts: Any) -> RunningTest:
        begun.append(RunningTest(**facts))
        begin(begun[-1])
        return begun[-1]

    yield run
    for test in begun:
        end(test)


def failure(*arguments: Any, **options: Any) -> relaysim.CheckFailedError:
    with pytest.raises(relaysim.CheckFailedError) as raised:
        relaysim.check(*arguments, **options)
    return raised.value


def not_shown(*arguments: Any, **options: Any) -> relaysim.NotShownError:
    with pytest.raises(relaysim.NotShownError) as raised:
        relaysim.check(*arguments, **options)
    return raised.value


@pytest.fixture(scope="module")
def forgotten(tmp_path_factory: pytest.TempPathFactory, one_session: None) -> tuple[list[int], list[int]]:
    """Under which of `SEEDS` seeds the forgetful bot forgets nothing, and under which everything."""
    folder = tmp_path_factory.mktemp("counting")
    (folder / "judged_bot.py").write_text(BOTS)
    (folder / "rates.toml").write_text(scenario("judged_bot:sound", ANSWERED))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        counted = {
            seed: relaysim.check(None, "rates.toml", seeds=[seed], settings={"relay.factory": "judged_bot:forgetful"})
            for seed in range(SEEDS)
        }
    answered = {seed: checked.counts["answered"] for seed, checked in counted.items()}
    return [seed for seed, count in answered.items() if count == 2], [
        seed for seed, count in answered.items() if count < 2
    ]


def test_a_sound_relay_passes_and_says_what_was_shown() -> None:
    checked = relaysim.check("judged_bot:sound", "two.toml", seeds=8)
    assert checked.scenario == "two"
    assert checked.seeds == tuple(range(8))
    assert set(checked.verdicts.values()) == {"verified"}
    assert {"transparent", "in-time", "within-cost"} <= set(checked.verdicts)
    assert (checked.counts["messages"], checked.counts["answered"]) == (16, 16)


def test_a_relay_that_forgets_is_told_with_its_seeds_and_a_story(forgotten: tuple[list[int], list[int]]) -> None:
    _, failing = forgotten
    assert 1 <= len(failing) <= 20, "some seeds are wrong, and some are right"
    error = failure("judged_bot:forgetful", "two.toml", seeds=SEEDS)
    title, *claims = str(error).splitlines()
    first = ", ".join(map(str, failing[:5])) + (", ..." if len(failing) > 5 else "")
    assert title == f"judged_bot:forgetful in two fails under {len(failing)} of {SEEDS} seeds: {first}"
    assert f"“the customer does not notice” is false under {first}" in claims
    assert error.seed == failing[0]
    assert len(error.story) <= LINES_MAX
    assert error.story[0] == f"two, seed {failing[0]}, lane sdk: Two messages of one customer"
    assert any("was never answered" in line for line in error.story)


def test_its_command_shows_the_same_breach(
    capsys: pytest.CaptureFixture[str], forgotten: tuple[list[int], list[int]]
) -> None:
    error = failure("judged_bot:forgetful", "two.toml", seeds=forgotten[1][:1])
    program, *arguments = error.replay.split()
    assert program == "relaysim"
    assert main(arguments) == 0
    breach = next(line for line in error.story if line.startswith("! ")).removeprefix("! ")
    assert breach in " ".join(capsys.readouterr().out.split())


def test_without_pytest_the_traceback_tells_the_story(forgotten: tuple[list[int], list[int]]) -> None:
    error = failure("judged_bot:forgetful", "two.toml", seeds=forgotten[1][:1])
    printed = "".join(traceback.format_exception(error))
    assert all(line in printed for line in error.story)
    assert f"See it again: {error.replay}" in printed
    assert "relaysim.CheckFailedError: judged_bot:forgetful in two fails" in printed


def test_seeds_that_failed_are_run_first_and_alone_while_they_fail(
    running: Any, forgotten: tuple[list[int], list[int]]
) -> None:
    bad = forgotten[1][0]
    test = running(known={"two judged_bot:forgetful": [bad]})
    error = failure("judged_bot:forgetful", "two.toml", seeds=10_000)
    assert str(error).startswith(
        f"judged_bot:forgetful in two fails under 1 of 1 seed: {bad} (this seed failed before; no other was run)"
    )
    assert test.ran == {"two judged_bot:forgetful": {bad: True}}


def test_seeds_that_failed_and_do_not_any_more_are_told_and_all_others_run(running: Any) -> None:
    test = running(known={"two judged_bot:sound": [3, 700]})
    checked = relaysim.check("judged_bot:sound", "two.toml", seeds=8)
    assert checked.seeds == (3, 700, 0, 1, 2, 4, 5, 6, 7)
    assert checked.counts["messages"] == 16, "one that nobody asked for says nothing about a rate"
    assert test.ran == {"two judged_bot:sound": {3: False, 700: False}}


def test_chosen_seeds_do_not_move_a_rate(running: Any, forgotten: tuple[list[int], list[int]]) -> None:
    good, bad = forgotten
    test = running(known={'two relay.factory="judged_bot:forgetful"': bad})
    settings = {"relay.factory": "judged_bot:forgetful"}
    checked = relaysim.check(None, "rates.toml", seeds=good, settings=settings)
    assert checked.seeds == (*bad, *good)
    assert checked.counts["messages"] == checked.counts["answered"] == 2 * len(good)
    assert test.ran == {'two relay.factory="judged_bot:forgetful"': dict.fromkeys(bad, False)}


def test_the_command_line_may_ask_for_one_seed(running: Any, forgotten: tuple[list[int], list[int]]) -> None:
    good, bad = forgotten
    running(only_seeds=(good[0],), known={"two judged_bot:forgetful": bad})
    assert relaysim.check("judged_bot:forgetful", "two.toml", seeds=SEEDS).seeds == (good[0],)


def test_the_command_line_may_ask_for_more_or_fewer(running: Any) -> None:
    running(seed_count=2)
    assert relaysim.check("judged_bot:sound", "two.toml", seeds=10_000).seeds == (0, 1)
    assert relaysim.check("judged_bot:sound", "two.toml", seeds=[5]).seeds == (5,), "what is named is meant"


def test_of_few_worlds_no_rate_is_judged() -> None:
    settings = {"relay.factory": "judged_bot:silent"}
    relaysim.check(None, "rates.toml", seeds=6, settings=settings)
    error = failure(None, "rates.toml", seeds=40, settings=settings)
    assert "“most messages are answered” is false: 0 % (0 of 40 worlds), where it says more than 60 %" in str(error)
    unclear = not_shown(None, "rates.toml", seeds=7)
    assert str(unclear).startswith("judged_bot:sound in two: 7 seeds do not show it\n“most messages are answered”: ")


def test_lost_messages_count_where_no_claim_is_about_them() -> None:
    error = failure("judged_bot:silent", "bare.toml", seeds=2)
    assert "4 of 4 messages got nothing, and no claim is about that" in str(error)
    assert error.seed == 0


def test_what_customers_notice_counts_where_no_claim_is_about_it() -> None:
    for factory, file in (("judged_bot:twice", "bare.toml"), (None, "twice.toml")):
        error = failure(factory, file, seeds=2)
        assert str(error).startswith("judged_bot:twice in two fails under 0, 1")
        assert "4 replies to messages that had one already, and no claim is about that" in str(error)


def test_an_adapter_that_does_not_work_is_neither_right_nor_wrong() -> None:
    for seeds in (7, [1]):
        error = not_shown("judged_bot:broken", "two.toml", seeds=seeds)
        assert "nothing is judged: " in str(error)
        assert "KeyError" in str(error)
        assert "judged_bot.py" in str(error)


def test_a_call_that_is_not_simulated_is_neither() -> None:
    error = not_shown("judged_bot:moderating", "two.toml", seeds=7)
    assert "nothing is judged: " in str(error)
    assert "/fine_tuning/jobs" in str(error)


def test_a_seed_that_gives_two_worlds_is_told(
    monkeypatch: pytest.MonkeyPatch, forgotten: tuple[list[int], list[int]]
) -> None:
    monkeypatch.setattr(judging, "world_story", lambda *_: WorldStory(["a story"], "another"))
    error = failure("judged_bot:forgetful", "two.toml", seeds=forgotten[1][:1])
    assert f"seed {error.seed} gave two worlds; why, says: relaysim doctor two.toml" in str(error)


def test_a_shipped_relay_is_held_to_what_its_scenario_expects() -> None:
    checked = relaysim.check(None, "race", seeds=7)
    assert checked.verdicts["transparent"] == "refuted"
    text = scenario("judged_bot:sound", TRANSPARENT).replace("reason = ", 'expect = "refuted"\nreason = ')
    Path("expects.toml").write_text(text)
    error = failure(None, "expects.toml", seeds=7)
    assert "“the customer does not notice” holds, and refuted was expected" in str(error)


def test_a_function_stands_for_its_name(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(project)
    import judged_bot  # type: ignore[import-not-found]

    try:
        assert relaysim.check(judged_bot.sound, "two.toml", seeds=1).counts["answered"] == 2
        for factory in (judged_bot.lambda_factory, judged_bot.Factories.make):
            with pytest.raises(ValueError, match=r"factory: .* is no function of a module, .*; move it to the top"):
                relaysim.check(factory, "two.toml", seeds=1)
    finally:
        del sys.modules["judged_bot"]


def test_values_of_the_scenario_can_be_set_and_stand_in_the_command() -> None:
    error = failure("judged_bot:silent", "two.toml", seeds=1, settings={"workload.messages[1].at_seconds": 3.5})
    assert "--set 'workload.messages[1].at_seconds=3.5'" in error.replay
    assert error.replay.endswith("--factory judged_bot:silent --claim transparent")


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (("judged_bot:sound", "two.toml"), {"seeds": 0}, ValueError, r"seeds: must be 1 or more, not 0"),
        (("judged_bot:sound", "two.toml"), {"seeds": []}, ValueError, r"seeds: there are none"),
        (("judged_bot:sound", "two.toml"), {"seeds": [-1]}, ValueError, r"seeds: must be 0 to \d+, not -1"),
        (("judged_bot:sound", "two.toml"), {"seeds": "200"}, TypeError, r"seeds: must be how many, or their numbers"),
        (("judged_bot:sound", "two.toml"), {"seeds": [1.5]}, TypeError, r"seeds: must be whole numbers, not 1\.5"),
        (("judged_bot:sound", "two.toml"), {"seeds": True}, TypeError, r"seeds: must be how many"),
        (
            ("judged_bot:sound", "two.toml"),
            {"lane": "drect"},
            ValueError,
            r"^lane: must be sdk or direct, not 'drect'$",
        ),
        (("judged_bot:sound", "two.toml"), {"jobs": 0}, ValueError, r"jobs: must be a whole number, 1 or more"),
        ((7, "two.toml"), {}, TypeError, r"factory: must be a function, or its name"),
        (
            ("judged_bot:sound", "two.toml"),
            {"settings": {"x": object()}},
            TypeError,
            r"settings: x: .* nothing that TOML",
        ),
        (("judged_bot:sound", "tow.toml"), {}, ScenarioError, r"^tow\.toml: there is no such file$"),
        (("judged_bot:sound", "rapid_pear"), {}, ScenarioError, r"did you mean `rapid_pair`\?"),
        (("judged_bot:sond", "two.toml"), {}, ScenarioError, r"judged_bot has no 'sond'; did you mean sound\?$"),
        (("no_bot:make", "two.toml"), {}, ScenarioError, r"there is no module 'no_bot'; run from the folder"),
        (
            ("judged_bot:sound", "two.toml"),
            {"settings": {"replication": 3}},
            ScenarioError,
            r"replication: unknown key",
        ),
        (("judged_bot:sound", "two.toml"), {"provider": "whatsup"}, ScenarioError, r"provider"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    arguments: tuple[Any, ...], options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as raised:
        relaysim.check(*arguments, **options)
    assert "\n" not in str(raised.value)


def test_in_a_coroutine_it_says_how_to_call_it() -> None:
    async def directly() -> None:
        relaysim.check("judged_bot:sound", "two.toml", seeds=1)

    async def in_a_thread() -> relaysim.Checked:
        return await asyncio.to_thread(relaysim.check, "judged_bot:sound", "two.toml", seeds=1)

    with pytest.raises(RuntimeError, match=r"call it from a plain function, or by `await asyncio.to_thread"):
        asyncio.run(directly())
    assert asyncio.run(in_a_thread()).counts["answered"] == 2


def test_a_bad_scenario_shows_the_caller_s_line_alone() -> None:
    with pytest.raises(ScenarioError) as raised:
        relaysim.check("judged_bot:sound", "tow.toml")
    assert [Path(str(each.path)).name for each in raised.traceback] == ["test_testing_check.py", "checking.py"]


def test_what_is_on_the_path_stays_as_it_was() -> None:
    before = list(sys.path)
    relaysim.check("judged_bot:sound", "two.toml", seeds=1)
    assert sys.path == before
    assert "judged_bot" not in sys.modules


def test_importing_relaysim_and_the_relay_imports_nothing_of_the_simulator() -> None:
    program = """
import sys
import relaysim
assert sorted(relaysim.__all__) == relaysim.__all__ and set(relaysim.__all__) <= set(dir(relaysim))
print(sorted(name for name in sys.modules if name.startswith("relaysim")))
import relaysim.relay
print([name for name in sys.modules if name.startswith(("relaysim.sim", "relaysim.scenarios", "relaysim.reports", "simpy"))])
print(relaysim.CheckFailedError.__module__, "relaysim.sim" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['relaysim']", "[]", "relaysim False"]
