"""What pytest gets from relaysim, by its entry point: fixtures, seeds, and what a failed test says. docs/testing-your-bot.md
tells it to users.

- The fixtures of `relaysim.sim.pytest_plugin`, and `simulated_services`: the simulated API, Redis and a clock together.
- `@pytest.mark.relaysim_seeds(200)`: a test is run under so many seeds, each a test of its own (`test_it[seed41]`).
- `--relaysim-seeds N` for more or fewer of them, `--relaysim-seed N` for this one only; both also for `relaysim.check` and
  scenario files.
- `*.scenario.toml`: a test for each claim.
- A failed test has a section with its seed, its story, and the line that runs it again.
- Seeds that failed are kept, run first the next time, and named when they pass again (`seed_keeper`).

pytest imports this in every session of an environment that has relaysim: it imports nothing of the simulator, and what does
is imported by the test that needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from relaysim.scenarios.testing.again_line import again_line, name_of_test
from relaysim.scenarios.testing.running_test import RunningTest, begin, end
from relaysim.scenarios.testing.seed_keeper import ATTRIBUTE, FILE, INI, SEPARATOR, SeedKeeper, seed_report
from relaysim.sim.pytest_plugin import load, opened, settings_table, simulations_of

if TYPE_CHECKING:
    from relaysim.scenarios.testing.scenario_items import ScenarioFile
    from relaysim.scenarios.testing.services import SimulatedServices

pytest_plugins = ["relaysim.sim.pytest_plugin"]

MARKER: Final = "relaysim_seeds"
FIXTURE: Final = "relaysim_seed"
_ERRORS: Final = "relaysim.scenarios.testing.check_errors"

_keeper: pytest.StashKey[SeedKeeper] = pytest.StashKey()
_running: pytest.StashKey[RunningTest] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the command line, and the one of the file."""
    group = parser.getgroup("relaysim")
    group.addoption(
        "--relaysim-seeds",
        type=_count,
        metavar="N",
        help="run N seeds, 0 to N-1, wherever a number of them is given: by the marker relaysim_seeds, to relaysim.check, "
        "in scenario files",
    )
    group.addoption(
        "--relaysim-seed",
        type=_seed,
        action="append",
        metavar="N",
        help="run tests that are marked relaysim_seeds, and relaysim.check, under this seed only; can be repeated",
    )
    parser.addini(
        INI, f"where failing seeds are kept, from the root folder; empty: nowhere (default: {FILE})", default=FILE
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and read the seeds that failed before."""
    config.addinivalue_line(
        "markers",
        "relaysim_seeds(200): run the test under so many seeds, or those of an iterable, each as a test of its own; the "
        "fixtures of relaysim take the seed, and the fixture relaysim_seed is it",
    )
    config.addinivalue_line(
        "markers",
        "simulated_services(profile='typical', faults=[...], replies=..., seed=0, ...): settings of the fixture "
        "simulated_services, as of simulated_openai",
    )
    keeper = SeedKeeper(config)
    config.stash[_keeper] = keeper
    config.pluginmanager.register(keeper, "relaysim-seeds")


# Seeds


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each seed: first those that failed before, then the others. Last of all hooks, so that the seed comes last
    in the test's name."""
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is None:
        return
    if "openai_server_session" in metafunc.fixturenames:
        pytest.fail(
            f"@pytest.mark.{MARKER}: openai_server_session begins the same world for each test; take openai_server",
            pytrace=False,
        )
    config = metafunc.config
    seeds: Sequence[int] | None = config.option.relaysim_seed
    if seeds is None:
        known = config.stash[_keeper].known.of(metafunc.definition.nodeid)
        seeds = [*known, *_seeds_of(marker, config.option.relaysim_seeds)]
    if FIXTURE not in metafunc.fixturenames:
        metafunc.fixturenames.append(FIXTURE)
    unique = list(dict.fromkeys(seeds))
    metafunc.parametrize(FIXTURE, unique, indirect=True, ids=[f"seed{seed}" for seed in unique])


def _seeds_of(marker: pytest.Mark, count: int | None) -> Sequence[int]:
    """The seeds that a marker names, or so many."""
    given = marker.args[0] if len(marker.args) == 1 and not marker.kwargs else None
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return range(given if count is None else count)
    if given is not None and not isinstance(given, int | str) and hasattr(given, "__iter__"):
        numbers = list(given)
        if numbers and all(type(number) is int and number >= 0 for number in numbers):
            return numbers if count is None else range(count)
    shown = ", ".join([*map(repr, marker.args), *(f"{name}={value!r}" for name, value in marker.kwargs.items())])
    pytest.fail(
        f"@pytest.mark.{MARKER}({shown}): must be given how many seeds, 1 or more, or the seeds themselves, each 0 or more",
        pytrace=False,
    )


def _count(text: str) -> int:
    return _whole(text, 1)


def _seed(text: str) -> int:
    return _whole(text, 0)


def _whole(text: str, low: int) -> int:
    import argparse

    if not text.isdecimal() or int(text) < low:
        raise argparse.ArgumentTypeError(f"must be a whole number, {low} or more, not {text!r}")
    return int(text)


# Scenario files


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """A scenario file has a test for each of its claims."""
    if not file_path.name.endswith(".scenario.toml"):
        return None
    from relaysim.scenarios.testing.scenario_items import ScenarioFile

    return ScenarioFile.from_parent(parent, path=file_path)


# A test runs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """While it runs, `relaysim.check` knows of it."""
    config = item.config
    only = config.option.relaysim_seed
    running = RunningTest(
        folders=(item.path.parent, config.rootpath),
        only_seeds=None if only is None else tuple(dict.fromkeys(only)),
        seed_count=config.option.relaysim_seeds,
        has_own_seed=item.get_closest_marker(MARKER) is not None,
        known=config.stash[_keeper].known_of(name_of_test(item)),
    )
    if running.has_own_seed:
        running.only_seeds = None
    item.stash[_running] = running
    begin(running)
    try:
        return (yield)
    finally:
        end(running)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Say in a failed test's report what happened and how to run it again, and in each report which seeds were run."""
    report: Any = yield
    if report.failed and call.excinfo is not None:
        _add_section(item, report, call.excinfo.value)
    told = _told_of_seeds(item, report)
    if told:
        setattr(report, ATTRIBUTE, told)
    return report


def _told_of_seeds(item: pytest.Item, report: pytest.TestReport) -> list[list[Any]]:
    running = item.stash.get(_running, None)
    if running is None or hasattr(report, "wasxfail"):
        return []
    if running.has_own_seed:
        seed, name = _seed_of(item), _name_without_seed(item)
        if seed is None or (report.when != "call" and not report.failed) or report.skipped:
            return []
        return [seed_report(name, *([], [seed]) if report.failed else ([seed], []))]
    if report.when != "call" or report.skipped:
        return []
    told = []
    for key, seeds in running.ran.items():
        passed = [seed for seed, failed in seeds.items() if not failed]
        # A test that expects a failure, and gets it, passes.
        failing = [seed for seed, failed in seeds.items() if failed and report.failed]
        if passed or failing:
            name = name_of_test(item) + (SEPARATOR + key if key else "")
            told.append(seed_report(name, passed, failing, running.counts[key]))
    return told


def _seed_of(item: pytest.Item) -> int | None:
    seed = getattr(getattr(item, "callspec", None), "params", {}).get(FIXTURE)
    return seed if isinstance(seed, int) else None


def _name_without_seed(item: pytest.Item) -> str:
    """A test's name without what it is parametrized by, as `pytest_generate_tests` knows it."""
    return name_of_test(item, getattr(item, "originalname", item.name))


# What a failed test says


def _add_section(item: pytest.Item, report: Any, error: BaseException) -> None:
    try:
        section = _section(item, error)
    except Exception as trouble:  # a test's own failure must be told, whatever this makes of it
        section = ("relaysim", f"the story could not be told: {type(trouble).__name__}: {trouble}")
    if section is None:
        return
    if hasattr(report.longrepr, "addsection"):
        report.longrepr.addsection(*section)  # which JUnit's file has too
    else:
        report.sections.append(section)


def _section(item: pytest.Item, error: BaseException) -> tuple[str, str] | None:
    """Title and text; None for a test that has nothing to do with relaysim."""
    errors = sys.modules.get(_ERRORS)
    if errors is not None and isinstance(error, errors.CheckFailedError | errors.NotShownError):
        own = _seed_of(item) if item.get_closest_marker(MARKER) else None
        title = "relaysim" if error.seed is None else f"relaysim: seed {error.seed}"
        again = again_line(item, error.seed if own is None else None)
        lines = [*error.story, f"Run it again: {again}"]
        return title, "\n".join([*lines, f"See more of it: {error.replay}"] if error.replay else lines)
    seed = _seed_of(item) if item.get_closest_marker(MARKER) else None
    simulations = simulations_of(item)
    if not simulations:
        return None if seed is None else (f"relaysim: seed {seed}", f"Run it again: {again_line(item)}")
    from relaysim.scenarios.testing.request_story import request_story

    seeds = [str(each.seed) for each in simulations]
    title = f"relaysim: seed {', '.join(dict.fromkeys(seeds))}"
    lines = [line for each in simulations for line in request_story(each.trace)]
    lines = lines or ["the test asked nothing of what is simulated"]
    return title, "\n".join([*lines, f"Run it again: {again_line(item)}"])


# The simulated API, Redis and a clock together


@pytest.fixture
def simulated_services_settings() -> Mapping[str, Any]:
    """Settings of `simulated_services` for all tests that see this fixture: override it. None are set here."""
    return {}


@pytest.fixture
def simulated_services(
    request: pytest.FixtureRequest, simulated_services_settings: Mapping[str, Any], relaysim_seed: int
) -> Iterator[SimulatedServices]:
    """The simulated Threads API, a simulated Redis and one clock for both, in this process and in virtual time.

    All that `simulated_openai` has, and `redis` for plain code, `async_redis` for coroutines, which `run` also gives to
    functions that take two arguments.
    """
    name = "simulated_services"
    table = settings_table(request, name, simulated_services_settings, relaysim_seed)
    module = load(name, "relaysim.scenarios.testing.services")
    with opened(request, name, table, module.SimulatedServices) as simulated:
        yield simulated
