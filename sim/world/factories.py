"""Finding the relay under test: `package.module:function`.

A factory of the user's is a function of one life of a worker: each life imports its modules anew (`relaysim.sim.process`).
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

from relaysim.sim.kernel import WATCHDOG, Fence, Guard, Kernel, SimulatorError, error_text, named
from relaysim.sim.kernel.loading_lines import discard_begun, starts_while_loading
from relaysim.sim.process import Isolation, WorkerProcesses, is_shared, libraries_in, running_process
from relaysim.sim.providers import PROVIDERS
from relaysim.sim.world.own_clients import prepare_environment

T = TypeVar("T")


PRINTED_MAX: Final = 3
_PRINTED_CHARACTERS_MAX: Final = 200


class FactoryError(ValueError):
    """The named factory cannot be used; the message says why and what to do."""


def module_of(name: str) -> str:
    """The name of the module that a factory is in."""
    return name.partition(":")[0]


def resolve(name: str, variables: Mapping[str, str] | None = None, libraries: str | None = None) -> Callable[..., Any]:
    """The factory of that name. Outside worlds it is there to be looked at: one of the user's is imported in a process and
    a world of its own.

    Args:
        name: `package.module:function`.
        variables: what that process has in its environment besides what this one has.
        libraries: the folder of the relay's own libraries, if it has some.

    Raises:
        FactoryError: if the module cannot be imported, has no such name, or the name is no callable.
    """
    return _looked_at(module_of(name), lambda: import_factory(name), variables, libraries)


def file_of(name: str) -> Path | None:
    """The file of the module that a factory is in, found as `resolve` finds it; None if there is none."""

    def find() -> Path | None:
        try:
            spec = find_spec(module_of(name))  # which imports the packages that it is in
        except Exception:
            return None
        return None if spec is None or spec.origin is None else Path(spec.origin)

    return _looked_at(module_of(name), find)


def _looked_at(
    module_name: str,
    look: Callable[[], T],
    variables: Mapping[str, str] | None = None,
    libraries: str | None = None,
) -> T:
    if running_process() is not None or is_shared(module_name):
        return look()

    def looked() -> T:
        prepare_environment()
        os.environ.update(variables or {})
        return look()

    kernel = Kernel()
    own_libraries = None if libraries is None else libraries_in(libraries)
    printed: deque[str] = deque(maxlen=PRINTED_MAX)
    with WATCHDOG, Fence() as fence, Isolation():
        Isolation.install()
        with Guard():
            fence.attach(kernel)
            processes = WorkerProcesses(
                module_name, libraries=own_libraries, printed=lambda name, stream, line: printed.append(line)
            )
            try:
                host = kernel.host("w1")
                return processes.begin(host.name).start(host, looked)
            except FactoryError as error:
                raise FactoryError(f"{error}{printed_words(printed)}") from error
            finally:
                kernel.close()
                processes.close()


def printed_words(lines: Sequence[str]) -> str:
    """What code printed last before it failed, to stand behind what is said of that; "" if it printed nothing."""
    told = [" ".join(line.split())[:_PRINTED_CHARACTERS_MAX] for line in lines if line.strip()]
    return f"; printed before: {' | '.join(told[-PRINTED_MAX:])}" if told else ""


def import_factory(name: str) -> Callable[..., Any]:
    """The factory of that name as it is imported here: by the life of a worker, if one runs.

    Raises:
        FactoryError: if the module cannot be imported, has no such name, or the name is no callable.
        SimulatorError: loading it left the simulation, or never came to its end.
    """
    module_name, separator, attribute = name.partition(":")
    if not separator or not module_name or not attribute:
        raise FactoryError(
            f"factory {name!r}: write it as package.module:function, e.g. relaysim.relay:cancel_and_retry"
        )
    if module_name == "__main__":
        raise FactoryError(
            f"factory {name!r}: each life of a worker loads its modules anew, which the script that runs cannot be; "
            "put it into a module of its own"
        )
    try:
        module = sys.modules.get(module_name)
        if module is None or not is_shared(module_name):  # else nothing of anybody's would run
            with Guard():
                module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            remedy = "run from the folder that holds it, or install it"
            if module_name.endswith(".py"):
                remedy = f"a module is named without its .py: {name.replace('.py:', ':', 1)}"
            raise FactoryError(f"factory {name!r}: there is no module {error.name!r}; {remedy}") from error
        raise FactoryError(f"factory {name!r}: importing {module_name} failed: {error_text(error)}") from error
    except SimulatorError as error:
        discard_begun(error)
        raise
    except Exception as error:
        starting = starts_while_loading(error)
        discard_begun(error)
        why = _absent_variable(error) or named(error) + (f"; {starting}" if starting else "")
        raise FactoryError(f"factory {name!r}: importing {module_name} failed: {why}") from error
    factory = getattr(module, attribute, None)
    if factory is None:
        public = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        close = difflib.get_close_matches(attribute, public, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"it offers {', '.join(public) or 'nothing to call'}"
        raise FactoryError(f"factory {name!r}: {module_name} has no {attribute!r}; {hint}")
    if not callable(factory):
        raise FactoryError(f"factory {name!r}: {module_name}.{attribute} cannot be called; name a function or a class")
    made: Callable[..., Any] = factory
    return made


def _absent_variable(error: BaseException) -> str | None:
    """What to do about code that asks for a variable of its environment that is not there; None if it is not that."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if not isinstance(error, KeyError) or place is None or place.tb_frame.f_code is not _LOOK_UP:
        return None
    name = error.args[0]
    kinds = [kind.model_fields["kind"].default for kind in PROVIDERS if name in kind().environment]
    of_provider = f"; {' and '.join(f'--provider {kind}' for kind in kinds)} would give it" if kinds else ""
    return f"it wants the variable {name}: give it with --set environment.{name}=VALUE or in [environment]{of_provider}"


_LOOK_UP: Final = type(os.environ).__getitem__.__code__
