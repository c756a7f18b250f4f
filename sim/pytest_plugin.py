"""Fixtures for other people's test suites: the simulated Threads API in process, and on a socket.

    def test_the_bot_answers(simulated_openai):
        bot = MyBot(simulated_openai.client)
        assert bot.answer("hello") == "Reply 1 to: hello"

| fixture                 | gives                                                                              |
|-------------------------|------------------------------------------------------------------------------------|
| `simulated_openai`      | an `InProcessOpenAI`: in process, virtual time, same every run                     |
| `openai_server`         | a `ServedOpenAI`: a server on a free port, for any language                        |
| `openai_server_session` | the same, one for the whole session, with a fresh world for each test that uses it |

Both classes are in `relaysim.sim.backends.threads.fixtures`.

`relaysim_seed` is the seed of a test that the marker `relaysim_seeds` runs under several; all of these fixtures take it.

Settings come from the fixtures `simulated_openai_settings`, `openai_server_settings` (and `openai_server_session_settings`,
of session scope), which a conftest.py may override, and above them from the markers `@pytest.mark.simulated_openai(...)`
and `@pytest.mark.openai_server(...)`, the closest last. docs/testing-your-bot.md tells more.

`relaysim.scenarios.testing.plugin` loads this module in every session of an environment that has relaysim. It lives outside
`relaysim.sim.doors`, whose import takes a while and needs the simulator's dependencies: nothing of the simulator is imported
before a fixture is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from relaysim.sim.backends.threads.fixtures import InProcessOpenAI, ServedOpenAI

T = TypeVar("T")

_OF_SERVER = ("speed",)
_ON_SOCKET = {"latency": False}

_QUIET = "ignore:.*(Assistants API is deprecated|deprecated in favor of).*:DeprecationWarning"
_QUIET_TOO = "ignore:deprecated$:DeprecationWarning"
"""The SDK says so at every call under `client.beta`; that API is what is simulated."""

_QUIETENED = frozenset({"simulated_openai", "simulated_services", "openai_server", "openai_server_session"})

_session_server: pytest.StashKey[ServedOpenAI] = pytest.StashKey()

simulations_key: pytest.StashKey[list[InProcessOpenAI | ServedOpenAI]] = pytest.StashKey()
"""Of a test: the simulated APIs that are open in it, for whoever tells what happened there."""


def simulations_of(item: pytest.Item) -> list[InProcessOpenAI | ServedOpenAI]:
    """The simulated APIs that a test uses and that are open."""
    found = list(item.stash.get(simulations_key, ()))
    server = item.session.stash.get(_session_server, None)
    if server is not None and "openai_server_session" in getattr(item, "fixturenames", ()):
        found.append(server)
    return found


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line(
        "markers",
        "simulated_openai(profile='typical', faults=[...], replies=..., seed=0, ...): settings of the fixture "
        "simulated_openai, as of relaysim.sim.doors.simulation.ApiSettings",
    )
    config.addinivalue_line(
        "markers",
        "openai_server(speed=20, profile='typical', faults=[...], replies=..., seed=0, ...): settings of the fixture "
        "openai_server, and how many virtual seconds pass per real second",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Quieten the SDK's deprecation warnings in the tests that use the fixtures; the others' are theirs."""
    used = getattr(item, "fixturenames", ())
    if not _QUIETENED.isdisjoint(used):
        item.add_marker(pytest.mark.filterwarnings(_QUIET), append=False)
        item.add_marker(pytest.mark.filterwarnings(_QUIET_TOO), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A fresh world in the session's server, for each test that uses it."""
    server = item.session.stash.get(_session_server, None)
    if server is not None and "openai_server_session" in getattr(item, "fixturenames", ()):
        server.reset()


@pytest.fixture
def relaysim_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test, one of those of `@pytest.mark.relaysim_seeds(...)`; 0 where there is no such marker."""
    return int(getattr(request, "param", 0))


@pytest.fixture
def simulated_openai_settings() -> Mapping[str, Any]:
    """Settings of `simulated_openai` for all tests that see this fixture: override it. None are set here."""
    return {}


@pytest.fixture
def openai_server_settings() -> Mapping[str, Any]:
    """Settings of `openai_server` for all tests that see this fixture: override it. None are set here."""
    return {}


@pytest.fixture(scope="session")
def openai_server_session_settings() -> Mapping[str, Any]:
    """Settings of `openai_server_session`: override it, with session scope. None are set here."""
    return {}


@pytest.fixture
def simulated_openai(
    request: pytest.FixtureRequest, simulated_openai_settings: Mapping[str, Any], relaysim_seed: int
) -> Iterator[InProcessOpenAI]:
    """The simulated Threads API in this process, in virtual time: clients, clock, faults, and what is stored.

    `run` runs coroutine functions at the same time; `client` is for plain code, whose `time.sleep` takes virtual time.
    """
    name = "simulated_openai"
    table = settings_table(request, name, simulated_openai_settings, relaysim_seed)
    module = load(name, "relaysim.sim.backends.threads.fixtures")
    with opened(request, name, table, module.InProcessOpenAI) as simulated:
        yield simulated


@pytest.fixture
def openai_server(
    request: pytest.FixtureRequest, openai_server_settings: Mapping[str, Any], relaysim_seed: int
) -> Iterator[ServedOpenAI]:
    """The simulated Threads API on a free port of this machine, at 20 virtual seconds per real second.

    Nothing in the environment changes: `environment()` has the variables for whoever wants them.
    """
    name = "openai_server"
    table = settings_table(request, name, openai_server_settings, relaysim_seed)
    with _serve(request, name, table) as server:
        yield server


@pytest.fixture(scope="session")
def openai_server_session(
    request: pytest.FixtureRequest, openai_server_session_settings: Mapping[str, Any]
) -> Iterator[ServedOpenAI]:
    """One server for the whole session, at one address, with a fresh world for each test that uses it.

    For programs that are started once. What fixtures of a wider scope than the test have created in it is gone by the
    next test.
    """
    name = "openai_server_session"
    with _serve(request, name, _table(name, openai_server_session_settings)) as server:
        request.session.stash[_session_server] = server
        yield server
        del request.session.stash[_session_server]


def settings_table(request: pytest.FixtureRequest, name: str, of_fixture: Any, seed: int) -> dict[str, Any]:
    """The settings of the fixture `name` for a test: what its settings' fixture gives, what the markers say, and the seed,
    if the test runs under several: the same world two hundred times would show nothing."""
    table = _table(name, of_fixture) | _marked(request, name)
    return table | ({"seed": seed} if request.node.get_closest_marker("relaysim_seeds") else {})


def _serve(request: pytest.FixtureRequest, name: str, table: dict[str, Any]) -> AbstractContextManager[ServedOpenAI]:
    options = {option: table.pop(option) for option in _OF_SERVER if option in table}
    speed = options.get("speed", 1.0)
    if isinstance(speed, bool) or not isinstance(speed, int | float):
        pytest.fail(f"{name}: speed: must be a number of virtual seconds per real second, not {speed!r}", pytrace=False)
    module = load(name, "relaysim.sim.backends.threads.fixtures")
    opener: Callable[..., ServedOpenAI] = partial(module.ServedOpenAI, **options)
    return opened(request, name, _ON_SOCKET | table, opener)


@contextmanager
def opened(
    request: pytest.FixtureRequest,
    name: str,
    table: Mapping[str, Any],
    opener: Callable[..., AbstractContextManager[T]],
) -> Iterator[T]:
    """What `opener` makes of checked settings, open; the test fails, in one sentence, if they have mistakes.

    While it is open, `simulations_of` has it. A profile of the user's own is looked for beside the test, and then in the
    root folder.
    """
    module = load(name, "relaysim.sim.doors.given_settings")
    of_test = request.scope == "function"
    folders = [request.path.parent] if of_test else []
    message, made = "", None
    try:
        given = module.settings_of(table, *folders, request.config.rootpath)
        with module.profile_errors_reworded(given.settings):
            made = opener(given.settings, replies=given.replies)
    except ValueError as error:
        message = str(error)
    if made is None:
        pytest.fail(f"{name}: {message}", pytrace=False)
    with made as simulated:
        found: list[Any] = request.node.stash.setdefault(simulations_key, []) if of_test else []
        found.append(simulated)
        try:
            yield simulated
        finally:
            found.remove(simulated)


def load(name: str, module: str) -> ModuleType:
    """A module of the simulator for the fixture `name`; the test fails, in one sentence, where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0].lstrip("_")
        if missing == "relaysim":
            raise
    pytest.fail(
        f"the fixture {name} needs the simulator, and {missing} is not installed: install `relaysim[sim]`",
        pytrace=False,
    )


def _table(name: str, given: Any) -> dict[str, Any]:
    """Settings as an overridden fixture gives them: a mapping, or an `ApiSettings`."""
    if isinstance(given, Mapping):
        return dict(given)
    fields = getattr(given, "model_fields_set", None)
    if fields is None:
        pytest.fail(f"{name}_settings must be a mapping or an ApiSettings, not {given!r}", pytrace=False)
    return {field: getattr(given, field) for field in sorted(fields)}


def _marked(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """Settings of the markers, the closest last."""
    table: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(name))):
        if marker.args:
            pytest.fail(f"@pytest.mark.{name} takes its settings by name, such as profile='typical'", pytrace=False)
        table |= marker.kwargs
    return table
