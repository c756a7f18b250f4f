"""The fixtures that others use: what they promise to a suite that is not ours, and that they cost the others nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import scipy.optimize
import scipy.special

from relaysim.scenarios.testing import checking, scenario_items
from relaysim.scenarios.testing.services import SimulatedServices
from relaysim.sim.backends.threads.fixtures import ServedOpenAI
from relaysim.sim.kernel import Fence

pytest_plugins = ["pytester"]

DOCUMENT = Path(__file__).parents[3] / "docs" / "testing-your-bot.md"

FIRST = "The first failing seed"
"""The section whose bot fails, and is then mended."""

MENDED = """
        if run.status != "completed":
            return "Sorry, something went wrong. Please write again."
"""

_BLOCK = re.compile(r"^```(python|javascript|toml)\n(?:#|//) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module", autouse=True)
def loaded() -> Iterator[None]:
    """Load what is loaded at first use. A suite that ran in this process would take it along when it ends, and what is left
    (httpx2) would go on with the old copies of what others import anew (httpcore2). And hold the fence, which looks through
    thousands of modules when it is put up.
    """
    assert all((checking, scenario_items, scipy.optimize, scipy.special))
    with SimulatedServices() as simulated:
        simulated.client.beta.threads.create()
        simulated.redis.get("key")
    with ServedOpenAI(speed=0.0) as served:
        served.client().beta.threads.create()
        with httpx2.Client(trust_env=False) as client:
            assert client.get(f"{served.control_url}/clock").status_code == 200
    with Fence():
        yield


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Any:
    """Somebody else's suite, in which every warning is an error."""

    def run(*files: tuple[str, str], arguments: tuple[str, ...] = ()) -> pytest.RunResult:
        for name, text in files:
            (pytester.path / name).write_text(text)
        return pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider", *arguments)

    return run


# The document


class Section(NamedTuple):
    """The files of one section of the document."""

    title: str
    files: list[tuple[str, str]]


def sections() -> Iterator[Section]:
    """The sections with examples; a file name that comes again in a section ends it."""
    for part in re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]:
        files = [(name, text) for _, name, text in _BLOCK.findall(part)]
        if files:
            yield Section(part.partition("\n")[0], files)


@pytest.mark.parametrize(
    "section", [pytest.param(section, id=section.title) for section in sections() if section.title != FIRST]
)
def test_every_example_of_the_document_works(section: Section, suite: Any) -> None:
    if any(name.endswith(".mjs") for name, _ in section.files) and shutil.which("node") is None:
        pytest.skip("node is not installed")
    names = [name for name, _ in section.files]
    assert len(set(names)) == len(names)
    result = suite(*section.files, arguments=("--relaysim-seeds", "2"))
    outcomes = result.parseoutcomes()
    assert result.ret == 0
    assert set(outcomes) == {"passed"}, outcomes
    assert outcomes["passed"] >= sum(text.count("\ndef test_") for _, text in section.files)


def test_the_first_failing_seed_of_the_document_fails_as_it_says_and_is_mended_as_it_says(
    suite: Any, pytester: pytest.Pytester
) -> None:
    """All 200 seeds are run by tests/release/test_wheel.py."""
    text = DOCUMENT.read_text()
    (section,) = (section for section in sections() if section.title == FIRST)
    first, last = (
        "- relaysim: seed 80 -",
        "Run it again: pytest 'test_bot.py::test_a_second_message_is_answered[seed80]'",
    )
    seeds = [argument for seed in (80, 141, 0, 7) for argument in ("--relaysim-seed", str(seed))]
    failed = suite(*section.files, arguments=tuple(seeds))
    failed.assert_outcomes(failed=2, passed=2)

    def told(lines: list[str]) -> list[str]:
        start = next(index for index, line in enumerate(lines) if first in line)
        return lines[start : lines.index(last, start) + 1]

    assert told([line.removeprefix("    ") for line in text.splitlines()]) == told(failed.outlines)
    assert "fails under 2 of 200 seeds: 80, 141" in text
    failed.stdout.fnmatch_lines(["*test_a_second_message_is_answered: fails under 2 of 4 seeds: 80, 141"])
    line = "        run = self.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=self.assistant_id)"
    assert textwrap.indent(line + MENDED, "    ").rstrip() in text
    mended = dict(section.files)
    assert line in mended["bot.py"]
    mended["bot.py"] = mended["bot.py"].replace(line, line + MENDED.rstrip())
    passed = suite(*mended.items(), arguments=tuple(seeds))
    passed.assert_outcomes(passed=4)
    mended_line = "test_bot.py::test_a_second_message_is_answered: mended: 80, 141 failed before and passed now"
    passed.stdout.fnmatch_lines([mended_line])
    assert mended_line in text


def test_every_block_of_the_document_is_an_example() -> None:
    text = DOCUMENT.read_text()
    named = sum(text.count(f"```{language}") for language in ("python", "javascript", "toml"))
    assert len(_BLOCK.findall(text)) == named == text.count("```") / 2
    assert len(list(sections())) >= 9


# The cost of having it


def test_it_is_found_by_its_entry_point(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--fixtures", "-q")
    for fixture in (
        "simulated_services",
        "relaysim_seed",
        "simulated_openai",
        "openai_server",
        "openai_server_session",
    ):
        assert any(line.startswith(f"{fixture} ") for line in result.outlines), fixture
    pytester.runpytest_inprocess("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.simulated_openai(*", "@pytest.mark.openai_server(*", "@pytest.mark.relaysim_seeds(*"]
    )


def test_importing_it_imports_nothing_of_the_simulator() -> None:
    program = """
import sys
import pytest
before = set(sys.modules)
import relaysim.sim.pytest_plugin
print(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] not in sys.stdlib_module_names))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['relaysim', 'relaysim.sim', 'relaysim.sim.pytest_plugin']"


WITHOUT = """
import sys
for name in ("simpy", "pydantic", "time_machine", "uvicorn", "fastapi", "fakeredis", "scipy", "matplotlib"):
    sys.modules[name] = None
"""


def test_without_the_simulators_dependencies_only_the_fixtures_fail(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(WITHOUT)
    pytester.makepyfile(
        """
        def test_of_something_else(): pass
        def test_in_process(simulated_openai): pass
        def test_served(openai_server): pass
        """
    )
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(
        ["the fixture simulated_openai needs the simulator, and * is not installed: install `rel*"]
    )
    result.stdout.fnmatch_lines(
        ["the fixture openai_server needs the simulator, and * is not installed: install `relay*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_a_suite_that_does_not_use_it_sees_no_difference(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys, time, warnings
        import pytest

        def test_nothing_is_imported():
            assert "relaysim.sim.doors" not in sys.modules

        def test_clocks_are_real():
            assert type(time.sleep).__name__ == "builtin_function_or_method"

        def test_deprecations_are_its_own():
            with pytest.raises(DeprecationWarning):
                warnings.warn("The Assistants API is deprecated in favor of the Responses API", DeprecationWarning)
        """
    )
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*warning*")
    result.stderr.no_fnmatch_line("*warning*")


# The fixtures in a suite


def test_durations_and_other_tests_stay_real(suite: Any) -> None:
    result = suite(
        (
            "test_clocks.py",
            """
import time

def test_virtual(simulated_openai):
    time.sleep(5000)
    assert simulated_openai.now == time.monotonic() == 5000

def test_real():
    begin = time.monotonic()
    time.sleep(0.001)
    assert 0 < time.monotonic() - begin < 60
    assert time.time() > 1_762_257_600 + 86_400
""",
        ),
        arguments=("--durations=0", "-vv"),
    )
    result.assert_outcomes(passed=2)
    durations = [float(line.split("s ")[0]) for line in result.outlines if re.match(r"\d+\.\d+s (setup|call)", line)]
    assert len(durations) == 4
    assert all(0 <= duration < 60 for duration in durations)


def test_the_same_test_sees_the_same_ids(suite: Any) -> None:
    files = (
        "test_ids.py",
        """
import asyncio

def test_ids(simulated_openai):
    async def bot(client):
        thread = await client.beta.threads.create()
        run = await client.beta.threads.runs.create(thread.id, assistant_id="asst_x")
        return thread.id, run.id
    print("IDS", simulated_openai.run(bot, bot), simulated_openai.now)
""",
    )
    printed = [[line for line in suite(files, arguments=("-s",)).outlines if "IDS" in line] for _ in range(2)]
    assert printed[0] == printed[1]
    assert len(printed[0]) == 1


def test_the_closest_setting_counts(suite: Any) -> None:
    result = suite(
        (
            "conftest.py",
            """
import pytest

@pytest.fixture
def simulated_openai_settings():
    return {"replies": "from conftest", "profile": "bad_day", "seed": 1}
""",
        ),
        (
            "test_settings.py",
            """
import pytest
from relaysim.sim.doors.simulation import ApiSettings

pytestmark = pytest.mark.simulated_openai(profile="claimed", replies="from the module")

def reply(simulated):
    thread = simulated.client.beta.threads.create()
    simulated.client.beta.threads.runs.create(thread.id, assistant_id="asst_x")
    simulated.advance(120)
    return simulated._api.settings, simulated.transcript(thread.id)[-1][1]

def test_module(simulated_openai):
    settings, said = reply(simulated_openai)
    assert (settings.profile, settings.seed, said) == ("claimed", 1, "from the module")

class TestClass:
    @pytest.fixture
    def simulated_openai_settings(self):
        return ApiSettings(seed=5)

    @pytest.mark.simulated_openai(replies=lambda turn: "from the test")
    def test_test(self, simulated_openai):
        settings, said = reply(simulated_openai)
        assert (settings.profile, settings.seed, said) == ("claimed", 5, "from the test")
""",
        ),
    )
    result.assert_outcomes(passed=2)


def test_a_profile_is_found_beside_the_test(suite: Any, pytester: pytest.Pytester) -> None:
    profile = Path(__file__).parents[3] / "sim" / "backends" / "profiles" / "typical.toml"
    folder = pytester.mkdir("suite")
    (folder / "slow.toml").write_text(profile.read_text().replace('name = "typical"', 'name = "slow"'))
    result = suite(
        (
            "suite/test_profile.py",
            """
import pytest

@pytest.mark.simulated_openai(profile="slow.toml")
def test_in_process(simulated_openai):
    assert simulated_openai._api.profile.name == "slow"

@pytest.mark.openai_server(profile="slow.toml", speed=0)
def test_served(openai_server):
    assert openai_server._server.server.api.profile.name == "slow"
""",
        )
    )
    result.assert_outcomes(passed=2)


BAD_SETTINGS = {
    "simulated_openai('typical')": "@pytest.mark.simulated_openai takes its settings by name*",
    "simulated_openai(profil='x')": "simulated_openai: profil: unknown field; did you mean `profile`[?]",
    "simulated_openai(profile='x')": "simulated_openai: profile x: no profile named 'x'; shipped are *",
    "simulated_openai(seed=-1)": "simulated_openai: seed: must be 0 or more, not -1",
    "simulated_openai(faults=[{'kind': 'status', 'status': 200}])": (
        "simulated_openai: faults[[]0[]].status: must be 400 or more, not 200"
    ),
    "simulated_openai(replies=[])": "simulated_openai: replies: an empty sequence says nothing*",
    "simulated_openai(overrides={'run_second': 3})": (
        "simulated_openai: profile typical: run_second: unknown field; did you mean `run_seconds` or `send_seconds`[?]"
    ),
    "openai_server(speed='fast')": "openai_server: speed: must be a number of virtual seconds per real second*",
    "openai_server(speed=-1)": "openai_server: speed must be 0 (a manual clock) or a positive number*",
    "openai_server(sped=1)": "openai_server: sped: unknown field*",
}


def test_bad_settings_fail_the_test_in_one_sentence(suite: Any) -> None:
    tests = [
        f"@pytest.mark.{marker}\ndef test_{number}({marker.partition('(')[0]}):\n    pass\n"
        for number, marker in enumerate(BAD_SETTINGS)
    ]
    result = suite(("test_bad.py", "\n".join(["import pytest\n", *tests])))
    result.assert_outcomes(errors=len(BAD_SETTINGS))
    result.stdout.fnmatch_lines(list(BAD_SETTINGS.values()))
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")
    assert not [line for line in result.outlines if line.startswith("E  ")]


def test_a_failing_coroutine_shows_its_own_line_first(suite: Any) -> None:
    result = suite(
        (
            "test_traceback.py",
            """
import openai

async def bot(client):
    await client.beta.threads.create()
    assert 1 + 1 == 3

def test_coroutine(simulated_openai):
    simulated_openai.run(bot)

def test_plain(simulated_openai):
    simulated_openai.client.beta.threads.retrieve("thread_unknown")
""",
        ),
        arguments=("--tb=short",),
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["test_traceback.py:6: in bot", "*assert 1 + 1 == 3", "E   assert (1 + 1) == 3"])
    result.stdout.fnmatch_lines(
        ["E   openai.NotFoundError: Error code: 404 - No thread found with id 'thread_unknown'."]
    )
    assert not [line for line in result.outlines if "in_process.py" in line]


def test_what_a_test_leaves_behind_does_not_reach_the_next(suite: Any) -> None:
    result = suite(
        (
            "test_left.py",
            """
import asyncio
import pytest

async def hangs(client):
    await asyncio.Event().wait()

@pytest.mark.parametrize("number", [1, 2])
def test_left(simulated_openai, number):
    assert (simulated_openai.now, simulated_openai.threads, simulated_openai.faults) == (0, [], ())
    simulated_openai.run(hangs, until=10)
    simulated_openai.client.beta.threads.create()
    simulated_openai.add_fault("connect_error")

@pytest.mark.parametrize("number", [1, 2])
def test_server(openai_server, number):
    assert openai_server.threads == []
    openai_server.client().beta.threads.create()
""",
        )
    )
    result.assert_outcomes(passed=4)


def test_a_replier_that_raises_on_a_server_fails_the_test(suite: Any) -> None:
    result = suite(
        (
            "test_replier.py",
            """
import pytest

@pytest.mark.openai_server(speed=0, replies=lambda turn: 1 / 0)
def test_it(openai_server):
    threads = openai_server.client().beta.threads
    threads.runs.create(threads.create().id, assistant_id="asst_x")
    openai_server.advance(600)
""",
        )
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E * the simulator or a test's replier raised 1 error;*"])


def test_a_test_on_a_loop_of_its_own_is_not_stopped(suite: Any) -> None:
    result = suite(
        (
            "test_loop.py",
            """
import asyncio
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_it(simulated_openai):
    await asyncio.sleep(0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    thread = simulated_openai.client.beta.threads.create()
    [found] = simulated_openai.run(lambda client: client.beta.threads.retrieve(thread.id))
    assert found == thread
    await asyncio.sleep(0.01)
""",
        )
    )
    result.assert_outcomes(passed=1)


def test_fixtures_of_a_suite_may_use_it_before_the_test_does(suite: Any) -> None:
    result = suite(
        (
            "test_setup.py",
            """
import time
import pytest

@pytest.fixture
def thread_id(simulated_openai):
    time.sleep(100)
    yield simulated_openai.client.beta.threads.create().id
    time.sleep(100)
    assert simulated_openai.now > 300

def test_it(thread_id, simulated_openai):
    assert simulated_openai.now > 100
    time.sleep(100)
""",
        )
    )
    result.assert_outcomes(passed=1)
