"""`relaysim.check`: somebody's relay judged in some worlds of a scenario, for a test of any framework."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from relaysim.scenarios.load import load
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.runner import here_on_path
from relaysim.scenarios.testing.check_errors import Checked
from relaysim.scenarios.testing.judging import Judging
from relaysim.scenarios.testing.running_test import checked_key, running_test
from relaysim.scenarios.toml_text import toml_value
from relaysim.sim.doors.clients import LANES

if TYPE_CHECKING:
    from relaysim.scenarios.runner import Lane

SEEDS: Final = 100
"""How many worlds `check` runs unless told otherwise."""

SEED_MAX: Final = 2**63 - 1


def check(
    factory: str | Callable[..., Any] | None,
    scenario: str | Path,
    *,
    seeds: int | Iterable[int] = SEEDS,
    provider: str | None = None,
    settings: Mapping[str, Any] | None = None,
    lane: Lane | None = None,
    jobs: int = 1,
) -> Checked:
    """Judge a relay in some worlds of a scenario, as `relaysim verify SCENARIO --factory FACTORY` does.

        def test_each_message_is_answered():
            relaysim.check("bot:make", "rapid_pair", seeds=200)

    In a test that pytest runs, seeds that failed before are run first (docs/testing-your-bot.md).

    Args:
        factory: the relay: `"package.module:function"`, that function itself, or the name of a web application, which
            needs a `provider`. Each life of a worker imports its module anew. None: the relay that the scenario names,
            with the verdicts that it expects.
        scenario: a shipped scenario's name, or the path of a file, from the test's folder or the current one.
        seeds: how many worlds, numbered from 0, or their numbers; 0 to 2^63 - 1. Of fewer than 7 only what happened in
            them is judged, and no rate.
        provider: whose webhooks the relay gets: `whatsapp`, `twilio`, `evolution`, `telegram`, `slack` or `custom`; None:
            the scenario's.
        settings: values of the scenario to set, by their dotted paths, as of `--set`; durations are in seconds.
        lane: `sdk` (with the SDK's own code) or `direct`; None: the scenario's, which is `sdk` for a given factory.
        jobs: processes, 1 or more; fewer than 49 worlds stay in this one.

    Returns:
        What was found; whoever only wants to know whether something is wrong needs none of it.

    Raises:
        CheckFailedError: an AssertionError: a claim is false, or messages were left without anything. Its message names
            the claims and their seeds, its `story` tells one world in 25 lines at most.
        NotShownError: an AssertionError: nothing was refuted, and nothing shown: the relay could not run as it does, a
            world did not come to its end, or more worlds are needed for a rate.
        ScenarioError: a ValueError: the scenario or the factory cannot be used; a line for each mistake, with its file,
            the place in it, and what to do.
        ValueError, TypeError: `seeds`, `jobs`, `lane` or `factory` is not as above.
        RuntimeError: it is called from a coroutine, whose event loop would stand in the way of the worlds'.
    """
    __tracebackhide__ = True
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "relaysim.check brings event loops of its own: call it from a plain function, or by "
            "`await asyncio.to_thread(relaysim.check, ...)`"
        )
    numbers = _numbers(seeds)
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"jobs: must be a whole number, 1 or more, not {jobs!r}")
    if lane is not None and lane not in LANES:
        raise ValueError(f"lane: must be sdk or direct, not {lane!r}")
    name = _name_of(factory)
    test = running_test()
    if test is not None and test.only_seeds is not None:
        numbers = test.only_seeds
    elif test is not None and test.seed_count is not None and isinstance(seeds, int):
        numbers = tuple(range(test.seed_count))
    with modules_found(() if test is None else test.folders):
        given = _found(scenario, () if test is None else test.folders)
        sets = [] if provider is None else [f'provider={{ kind = "{provider}" }}']
        sets += [f"{path}={_toml(path, value)}" for path, value in (settings or {}).items()]
        try:
            loaded = load(given, sets, name)
        except ScenarioError as error:
            raise error.with_traceback(None) from None  # the caller's line is what matters
        key = checked_key(loaded.name, name, sets)
        known = () if test is None or test.only_seeds is not None else test.known.get(key, ())
        judging = Judging(loaded, lane, test=test, key=key)
        return judging.judge_seeds(numbers, known, jobs=jobs)


@contextmanager
def modules_found(folders: Sequence[Path]) -> Iterator[None]:
    """While it is held, modules of the current directory and of these folders are found, after all others."""
    before = list(sys.path)
    try:
        here_on_path()
        sys.path += [str(folder) for folder in folders if str(folder) not in sys.path]
        yield
    finally:
        sys.path[:] = before


def _numbers(seeds: int | Iterable[int]) -> tuple[int, ...]:
    if isinstance(seeds, bool) or not isinstance(seeds, int | Iterable) or isinstance(seeds, str):
        raise TypeError(f"seeds: must be how many, or their numbers, not {seeds!r}")
    if isinstance(seeds, int):
        if seeds < 1:
            raise ValueError(f"seeds: must be 1 or more, not {seeds}; one seed alone is seeds=[{max(seeds, 0)}]")
        return tuple(range(seeds))
    numbers = tuple(dict.fromkeys(seeds))
    if not numbers:
        raise ValueError("seeds: there are none, and nothing would be judged")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"seeds: must be whole numbers, not {number!r}")
        if not 0 <= number <= SEED_MAX:
            raise ValueError(f"seeds: must be 0 to {SEED_MAX}, not {number}")
    return numbers


def _name_of(factory: str | Callable[..., Any] | None) -> str | None:
    """What a relay is named by, `package.module:function`."""
    if factory is None or isinstance(factory, str):
        return factory
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", None)
    if not callable(factory) or module is None or name is None:
        raise TypeError(f"factory: must be a function, or its name as package.module:function, not {factory!r}")
    if getattr(sys.modules.get(module), name, None) is not factory:
        raise ValueError(
            f"factory: {module}.{name} is no function of a module, which each life of a worker imports anew; "
            "move it to the top of a module, or name it: package.module:function"
        )
    return f"{module}:{name}"


def _found(scenario: str | Path, folders: Sequence[Path]) -> str:
    """A scenario as `load` takes it: a path that is not there from the current directory may be there from a folder."""
    text = str(scenario)
    is_path = isinstance(scenario, Path) or text.endswith(".toml") or "/" in text
    if not is_path or Path(text).is_file():
        return f"./{text}" if isinstance(scenario, Path) and not text.endswith(".toml") and "/" not in text else text
    return next((str(folder / text) for folder in folders if (folder / text).is_file()), text)


def _toml(path: str, value: Any) -> str:
    try:
        return toml_value(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"settings: {path}: {value!r} is nothing that TOML can write") from error
