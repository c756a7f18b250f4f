"""Lives of workers as processes: while code of one runs, its modules, environment and logging are the ones in place.

Only one of them is in place at a time, and stays there until another worker's code runs: kernel code in between needs
none. A world without code of the user's has no `WorkerProcesses`, and pays nothing.
"""

from __future__ import annotations

import atexit
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from logging import Logger, getLogger
from types import ModuleType, TracebackType
from typing import Any, ClassVar, Self, TypeVar

from relaysim.sim.kernel import Host, outside
from relaysim.sim.kernel.fence import replace_names
from relaysim.sim.process.loading import Finder
from relaysim.sim.process.own_state import FixedHandlers, LibraryLoggers, OwnState
from relaysim.sim.process.user_code import user_code_of

T = TypeVar("T")

_running: WorkerProcess | None = None
"""Whose code runs at this moment."""


def running_process() -> WorkerProcess | None:
    """The process whose code runs; None in the kernel's code, and outside worlds."""
    return _running


class WorkerProcess:
    """One life of one worker. Made by `WorkerProcesses.begin`.

    Attributes:
        name: the worker's.
    """

    def __init__(self, world: WorkerProcesses, name: str) -> None:
        self.name = name
        self._world = world
        self.modules: dict[str, ModuleType] = {}
        self.names: set[str] = set()
        self.state = world.base_state.for_another()

    def start(self, host: Host, function: Callable[[], T]) -> T:
        """Run the first code of this life: it loads its modules. From now on whatever runs on the host is this life's."""
        loop = host.loop
        loop.drain, loop.call = partial(self.run, loop.drain), partial(self.run, loop.call)  # type: ignore[method-assign]
        try:
            return host.call(function)
        finally:
            self._world.logging_is_set_up()

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run code of this life."""
        global _running
        if self._world.present is not self:
            self._world.exchange(self)
        outer, _running = _running, self
        try:
            return function(*args)
        finally:
            _running = outer


class WorkerProcesses:
    """All lives of a world whose factory is in this module. Call `close` at the world's end.

    Attributes:
        present: the life whose modules are in place; None: what was there before.
        base_state: what was in place before the world, besides modules.
    """

    def __init__(self, module_name: str) -> None:
        self.user_code = user_code_of(module_name)
        self.present: WorkerProcess | None = None
        self.base_state = OwnState()
        self._base_modules: dict[str, ModuleType] = {}
        self._base_loggers: dict[str, Any] = Logger.manager.loggerDict
        self._handlers = FixedHandlers(getLogger().handlers)
        self._library_loggers = LibraryLoggers()
        self._library_loggers.note(self._base_loggers)
        self._lives: list[WorkerProcess] = []  # also past ones: what they keep is not dropped while the world lives
        self._finder = Finder(self.user_code, self._outside, self._register)
        _isolation().install()
        sys.meta_path.insert(0, self._finder)

    def begin(self, name: str) -> WorkerProcess:
        """A new life of a worker, without any module yet."""
        life = WorkerProcess(self, name)
        self._lives.append(life)
        return life

    def close(self) -> None:
        """Put everything back that was in place before the world."""
        self.exchange(None)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        self._library_loggers.put_back()
        for life in self._lives:
            life.state.undo_environment(self.base_state)
        self._lives.clear()

    def exchange(self, life: WorkerProcess | None) -> None:
        """Put a life's modules and state in place of the present one's; None: what was there before."""
        modules, present = sys.modules, self.present
        if life is present:
            return
        if present is None:
            names = self.user_code.loaded(modules)
            self._base_modules = {name: modules.pop(name) for name in names}
            self.base_state.take()
        else:
            present.modules = {name: modules.pop(name) for name in present.names if name in modules}
            present.state.take()
        if life is None:
            modules.update(self._base_modules)
            self.base_state.put()
        else:
            modules.update(life.modules)
            life.state.put()
            getLogger().handlers = self._handlers
            self._show_library_loggers()
        self.present = life

    def logging_is_set_up(self) -> None:
        """Log lines go to the trace and nowhere else, whatever user code has made of the root logger or of libraries'."""
        root = getLogger()
        root.handlers, root.filters = self._handlers, []
        self._library_loggers.put_back()

    def _register(self, name: str) -> None:
        assert self.present is not None
        self.present.names.add(name)

    @contextmanager
    def _outside(self) -> Iterator[None]:
        """For what all lives share: it belongs to no world, and its loggers are everybody's."""
        global _running
        process, _running = _running, None
        own_loggers = Logger.manager.loggerDict
        Logger.manager.loggerDict = self._base_loggers
        try:
            with outside():
                yield
        finally:
            Logger.manager.loggerDict = own_loggers
            _running = process
            self._library_loggers.note(self._base_loggers)
            self._show_library_loggers()

    def _show_library_loggers(self) -> None:
        own = Logger.manager.loggerDict
        if own is not self._base_loggers:
            for name in self._base_loggers.keys() - own.keys():
                own[name] = self._base_loggers[name]


class Isolation:
    """What is installed once for many worlds, and only when the first of them has code of the user's.

    A context manager; nested ones share one installation, which the outermost takes away.
    """

    _held: ClassVar[list[Isolation]] = []

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        Isolation._held.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        Isolation._held.remove(self)
        while self._undo:
            self._undo.pop()()

    def install(self) -> None:
        """Make what reaches past a process harmless: nothing that runs at this process's end, or at its signals."""
        if self._undo:
            return
        replacements = {
            id(real): (real, _in_process(real, instead))
            for real, instead in (
                (atexit.register, lambda function, *args, **kwargs: function),
                (atexit.unregister, lambda function: None),
                (signal.signal, lambda number, handler: signal.getsignal(number)),
            )
        }
        self._undo.append(replace_names(replacements))


def _isolation() -> Isolation:
    if not Isolation._held:
        raise RuntimeError("make WorkerProcesses inside `with Isolation():`")
    return Isolation._held[0]


def _in_process(real: Callable[..., Any], instead: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **kwargs) if _running is None else instead(*args, **kwargs)

    return call
