"""Goal: in somebody's suite `relaysim.check`, scenario files and the fixtures say what happened and how to run it again.

Method: suites of somebody else's, run in this process.
"""

from __future__ import annotations

import json
import re
from typing import Any

import openai
import pytest
import scipy.optimize
import scipy.special
from checked_bots import ANSWERED, BOTS, TRANSPARENT, scenario

from relaysim.reports.timeline import LINES_MAX
from relaysim.scenarios.testing import checking, judging, request_story, scenario_items
from relaysim.scenarios.testing.services import SimulatedServices

pytest_plugins = ["pytester"]

CHECKING = """
import pytest
import relaysim

def test_it():
    relaysim.check("judged_bot:BOT", "two.scenario.toml", seeds=8)
"""


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Load what is loaded at first use: a suite that ran in this process would take it along when it ends."""
    assert all((checking, judging, request_story, scenario_items, scipy.optimize, scipy.special))
    with SimulatedServices() as simulated:
        simulated.client.beta.threads.create()
        simulated.redis.get("key")
    openai.OpenAI(api_key="sk-none").close()  # what talks to sockets is loaded with the first such client


@pytest.fixture
def run(pytester: pytest.Pytester) -> Any:
    """Run somebody's suite, in which every warning is an error."""
    (pytester.path / "judged_bot.py").write_text(BOTS)

    def run(files: dict[str, str], *arguments: str) -> pytest.RunResult:
        for name, text in files.items():
            (pytester.path / name).parent.mkdir(exist_ok=True)
            (pytester.path / name).write_text(text)
        return pytester.runpytest_inprocess("-W", "error", *arguments)

    return run


def section_of(result: pytest.RunResult, title: str) -> list[str]:
    """The lines of the first section with this title, as the terminal shows them."""
    titles = (index for index, line in enumerate(result.outlines) if re.fullmatch(rf"-+ {re.escape(title)} -+", line))
    start = next(titles)
    rest = result.outlines[start + 1 :]
    end = next(index for index, line in enumerate(rest) if re.match(r"(=+|_+|-+) .* (=+|_+|-+)$", line))
    return rest[:end]


def kept(pytester: pytest.Pytester) -> Any:
    return json.loads((pytester.path / ".relaysim" / "seeds.json").read_text())["seeds"]


# relaysim.check


def test_a_check_that_fails_tells_its_story_and_its_line(run: Any, pytester: pytest.Pytester) -> None:
    only = {"two.scenario.toml": scenario("judged_bot:sound", TRANSPARENT), "test_bot.py": CHECKING}
    failing = {**only, "test_bot.py": CHECKING.replace("BOT", "silent")}
    result = run(failing, "test_bot.py", "--junitxml=junit.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E * relaysim.CheckFailedError: judged_bot:silent in two fails under 8 of 8 seeds: 0, 1,*"]
    )
    told = section_of(result, "relaysim: seed 0")
    again = "Run it again: pytest test_bot.py::test_it --relaysim-seed 0"
    more = "See more of it: relaysim replay two.scenario.toml --seed 0 --factory judged_bot:silent --claim transparent"
    assert told[-2:] == [again, more]
    story = told[:-2]
    assert 4 <= len(story) <= LINES_MAX
    assert "c1.m1 was never answered" in story[1]
    result.stdout.no_fnmatch_line("*judging.py*")  # only the test's own lines
    assert again in (pytester.path / "junit.xml").read_text()
    key = "test_bot.py::test_it | two judged_bot:silent"
    assert kept(pytester) == {key: {"failing": [0, 1, 2, 3, 4]}}
    result.stdout.fnmatch_lines([f"{key}: fails under 8 of 8 seeds: 0, 1, 2, 3, 4 and 3 more"])

    again_alone = run(failing, "test_bot.py", "--relaysim-seed", "3")
    again_alone.stdout.fnmatch_lines(["E * judged_bot:silent in two fails under 1 of 1 seed: 3"])
    first = run(failing, "test_bot.py")
    first.stdout.fnmatch_lines(["E * fails under 5 of 5 seeds: * (these seeds failed before; no other was run)"])

    (pytester.path / "judged_bot.py").write_text(BOTS.replace("return Silent(", "return Bot("))
    mended = run(failing, "test_bot.py")
    mended.assert_outcomes(passed=1)
    mended.stdout.fnmatch_lines([f"{key}: mended: 0, 1, 2, 3, 4 failed before and passed now"])
    assert kept(pytester) == {key: {"mended": [0, 1, 2, 3, 4]}}


def test_a_failure_that_the_test_expects_is_not_kept(run: Any, pytester: pytest.Pytester) -> None:
    text = CHECKING.replace("BOT", "silent").replace(
        "    relaysim.check", "    with pytest.raises(relaysim.CheckFailedError):\n        relaysim.check"
    )
    run(
        {"two.scenario.toml": scenario("judged_bot:sound", TRANSPARENT), "test_bot.py": text}, "test_bot.py"
    ).assert_outcomes(passed=1)
    assert not (pytester.path / ".relaysim").exists()


def test_a_scenario_and_a_bot_are_found_beside_the_test(run: Any, pytester: pytest.Pytester) -> None:
    (pytester.path / "judged_bot.py").unlink()
    files = {
        "tests/two.toml": scenario("judged_bot:sound", TRANSPARENT),
        "tests/judged_bot.py": BOTS,
        "tests/test_bot.py": CHECKING.replace("BOT", "sound")
        .replace("two.scenario.toml", "two.toml")
        .replace("8", "1"),
    }
    run(files).assert_outcomes(passed=1)


def test_one_seed_to_a_test(run: Any, pytester: pytest.Pytester) -> None:
    text = """
import pytest
import relaysim

@pytest.mark.relaysim_seeds(2)
def test_it(relaysim_seed):
    relaysim.check("judged_bot:silent", "two.scenario.toml", seeds=[relaysim_seed])
"""
    files = {"two.scenario.toml": scenario("judged_bot:sound", TRANSPARENT), "test_bot.py": text}
    result = run(files, "test_bot.py")
    result.assert_outcomes(failed=2)
    assert "Run it again: pytest 'test_bot.py::test_it[seed1]'" in section_of(result, "relaysim: seed 1")
    assert kept(pytester) == {"test_bot.py::test_it": {"failing": [0, 1]}}


def test_a_check_that_shows_nothing_says_why(run: Any) -> None:
    files = {
        "two.scenario.toml": scenario("judged_bot:sound", TRANSPARENT),
        "test_bot.py": CHECKING.replace("BOT", "broken"),
    }
    result = run(files, "test_bot.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * relaysim.NotShownError: judged_bot:broken in two: nothing is judged: *KeyError*"])
    assert section_of(result, "relaysim") == ["Run it again: pytest test_bot.py::test_it"]


def test_a_failure_before_the_first_request_says_that_there_was_none(run: Any) -> None:
    result = run({"test_bot.py": "def test_it(simulated_openai):\n    assert 1 == 2\n"})
    result.assert_outcomes(failed=1)
    told = section_of(result, "relaysim: seed 0")
    assert told == ["the test asked nothing of what is simulated", "Run it again: pytest test_bot.py::test_it"]


# Scenario files


def test_a_scenario_file_has_a_test_for_each_claim(run: Any, pytester: pytest.Pytester) -> None:
    files = {"two.scenario.toml": scenario("judged_bot:silent", TRANSPARENT, ANSWERED)}
    result = run(files, "-v")
    # Of what any relay owes, a bot that answers nobody leaves open only whether answers come in time.
    result.assert_outcomes(failed=2 + 1, passed=3)
    names = ["two.scenario.toml::transparent", "two.scenario.toml::answered"]
    result.stdout.fnmatch_lines([f"{name} *FAILED*" for name in names])
    result.stdout.fnmatch_lines(["judged_bot:silent in two fails under 12 of 12 seeds: 0, 1, 2, 3, 4, ..."])
    told = section_of(result, "relaysim: seed 0")
    result.stdout.fnmatch_lines(["judged_bot:silent in two fails over 12 seeds"])
    result.stdout.fnmatch_lines(
        ["“most messages are answered” is false: 0 % (0 of 12 worlds), where it says more than 60 %"]
    )
    assert "c1.m1 was never answered" in told[1]
    assert told[-2] == f"Run it again: pytest {names[0]} --relaysim-seed 0"
    result.stdout.fnmatch_lines([f"FAILED {names[0]} - judged_bot:silent in two fails *"])
    assert kept(pytester) == {names[0]: {"failing": [0, 1, 2, 3, 4]}}
    by_keyword = run(files, "-k", "transparent")
    by_keyword.assert_outcomes(failed=1, deselected=5)
    by_keyword.stdout.fnmatch_lines(["*two fails under 5 of 5 seeds: * (these seeds failed before; no other was run)"])
    by_line = pytester.runpytest_inprocess(names[0], "--relaysim-seed", "0")
    by_line.assert_outcomes(failed=1)
    mended = run({"two.scenario.toml": scenario("judged_bot:sound", TRANSPARENT, ANSWERED)})
    mended.assert_outcomes(passed=2 + 4)
    mended.stdout.fnmatch_lines([f"{names[0]}: mended: 0, 1, 2, 3, 4 failed before and passed now"])


def test_its_worlds_are_run_once_for_all_of_its_claims(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    run_batches = judging.run_batches

    def counting(batches: Any, **options: Any) -> Any:
        ran.append(sum(batch.count for batch in batches))
        return run_batches(batches, **options)

    monkeypatch.setattr(judging, "run_batches", counting)
    given = scenario("judged_bot:sound", TRANSPARENT, ANSWERED)
    run({"two.scenario.toml": given}).assert_outcomes(passed=2 + 4)  # and what any relay owes
    assert ran == [12]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            scenario("judged_bot:sound", TRANSPARENT).replace("replications", "replication"),
            "replication: unknown key; did you*",
        ),
        (
            scenario("judged_bot:sond", TRANSPARENT),
            "relay.factory: judged_bot has no 'sond'; did you mean sound[?] (more: relaysim docs scenarios#relayundertest)",
        ),
        (
            scenario("judged_bot:sound"),
            "claims: there are none, and nothing would be tested; add a [[][[]claims]] table*",
        ),
        ("schema = ", "is no TOML: *"),
        (
            scenario("judged_bot:sound", TRANSPARENT, TRANSPARENT),
            "claims[[]1[]].id: 'transparent' is the id of claims[[]0], too (more: relaysim docs scenarios#claimentry)",
        ),
    ],
)
def test_a_bad_scenario_file_is_told_with_file_place_and_remedy(run: Any, text: str, line: str) -> None:
    result = run({"tests/two.scenario.toml": text, "test_other.py": "def test_other(): pass"})
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"tests/two.scenario.toml: {line}"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("E  *")


def test_other_toml_files_are_none_of_ours(run: Any) -> None:
    result = run(
        {"two.toml": "nothing of ours", "scenario.toml": "likewise", "test_other.py": "def test_other(): pass"}
    )
    result.assert_outcomes(passed=1)


# The fixtures


def test_a_failure_under_the_fixtures_tells_what_was_asked_for(run: Any, pytester: pytest.Pytester) -> None:
    text = """
import openai
import pytest

@pytest.mark.simulated_openai(seed=9, overrides={"run_seconds": {"kind": "constant", "value": 10.0}})
def test_it(simulated_openai):
    threads = simulated_openai.client.beta.threads
    thread = threads.create()
    threads.runs.create(thread.id, assistant_id="asst_x")
    threads.messages.create(thread.id, role="user", content="and another thing")
"""
    result = run({"test_bot.py": text}, "--junitxml=junit.xml")
    result.assert_outcomes(failed=1)
    told = section_of(result, "relaysim: seed 9")
    assert told[-1] == "Run it again: pytest test_bot.py::test_it"
    refusal = " ".join(" ".join(told[3:-1]).split())
    assert re.search(
        r"! test messages\.create on thread_\w+: 400 Can't add messages to thread_\w+ while a run run_\w+ is active\.$",
        refusal,
    )
    assert "relaysim: seed 9" in (pytester.path / "junit.xml").read_text()


def test_on_a_socket_and_in_setup_and_under_a_fixture_of_the_suite_s_own(run: Any) -> None:
    text = """
import pytest

@pytest.fixture
def thread(simulated_openai):
    return simulated_openai.client.beta.threads.retrieve("thread_unknown")

def test_setup(thread):
    pass

@pytest.mark.openai_server(speed=0)
def test_socket(openai_server):
    openai_server.client().beta.threads.create()
    assert openai_server.threads == []
"""
    result = run({"test_bot.py": text})
    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines(["* test * threads.retrieve on thread_unknown: 404 No thread found with id *"])
    result.stdout.fnmatch_lines(["*0.000   client  threads.create: 200 thread_*"])


def test_a_test_that_has_nothing_to_do_with_it_has_no_section(run: Any) -> None:
    result = run({"test_other.py": "def test_other(): assert 0"})
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*relaysim:*")
    result.stdout.no_fnmatch_line("Run it again*")


def test_a_story_that_cannot_be_told_hides_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_story, "request_story", lambda *_: 1 / 0)
    result = run({"test_bot.py": "def test_it(simulated_openai):\n    assert simulated_openai.now == 1\n"})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *assert 0.0 == 1*", "the story could not be told: ZeroDivisionError: division by zero"]
    )


def test_api_redis_and_clock_together(run: Any) -> None:
    text = """
import asyncio
import time

import pytest
import redis

def test_plain_code(simulated_services):
    store = simulated_services.redis
    assert store.set("lock", "a", nx=True, ex=10) is True
    assert store.set("lock", "b", nx=True, ex=10) is None
    simulated_services.client.beta.threads.create()
    time.sleep(10)
    assert simulated_services.now > 10
    assert store.get("lock") is None
    assert store.pipeline().set("x", 1).incr("x").execute() == [True, 2]
    assert store.eval("return redis.call('GET', KEYS[1])", 1, "x") == b"2"
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.lpush("x", 1)

def test_waits_take_virtual_time(simulated_services):
    store = simulated_services.redis
    assert store.blpop(["queue"], timeout=3) is None
    assert 3 <= simulated_services.now < 3.1
    channel = store.pubsub()
    channel.subscribe("c")
    assert channel.get_message(timeout=1)["type"] == "subscribe"
    store.publish("c", "hi")
    assert channel.get_message(timeout=1)["data"] == b"hi"
    before = simulated_services.now
    assert channel.get_message(timeout=7) is None
    assert 7 <= simulated_services.now - before < 7.1

def test_workers_have_a_redis_each(simulated_services):
    async def worker(client, store):
        if await store.set("lock", "w", nx=True, ex=10):
            await client.beta.threads.create()
            return "first"
        await asyncio.sleep(11)
        return await store.set("lock", "w", nx=True, ex=10)

    async def without_redis(client):
        return (await client.beta.threads.create()).id

    results = simulated_services.run(worker, worker, without_redis)
    assert sorted(map(str, results[:2])) == ["True", "first"]
    assert results[2].startswith("thread_")
    assert simulated_services.redis.get("lock") == b"w"

@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_left(simulated_services, number):
    assert simulated_services.redis.keys() == []
    simulated_services.redis.set("left", 1)

def test_fails(simulated_services):
    assert simulated_services.redis.set("key", 1) is None

def test_three_arguments(simulated_services):
    async def worker(client, store, more): ...
    with pytest.raises(TypeError, match="its client and its Redis, as far as it takes them; .* needs client, store, more"):
        simulated_services.run(worker)

@pytest.mark.simulated_services(profile="x")
def test_bad_settings(simulated_services): ...
"""
    result = run({"test_bot.py": text})
    result.assert_outcomes(passed=6, failed=1, errors=1)
    assert any(re.search(r"test  SET key: OK$", line) for line in section_of(result, "relaysim: seed 0"))
    result.stdout.fnmatch_lines(["simulated_services: profile x: no profile named 'x'; shipped are *"])


# What it costs those who do not use it


def test_a_suite_without_relaysim_imports_nothing_of_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_of_the_simulator_is_imported():
            ours = {name for name in sys.modules if name.startswith("relaysim")}
            rooms = {name for name in ours if not name.startswith("relaysim.scenarios.testing")}
            assert rooms == {
                "relaysim", "relaysim.scenarios", "relaysim.sim", "relaysim.sim.counted", "relaysim.sim.pytest_plugin"
            }
            assert not {"openai", "simpy", "pydantic", "redis", "numpy"} & set(sys.modules)
        """
    )
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert not (pytester.path / ".relaysim").exists()
