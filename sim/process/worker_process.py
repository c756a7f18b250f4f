"""Lives of workers as processes: while code of one runs, its modules, environment and logging are the ones in place.

Only one of them is in place at a time, and stays there until another worker's code runs: kernel code in between needs
none. A world without code of the user's has no `WorkerProcesses`, and pays nothing.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from logging import Logger, getLogger
from threading import get_ident
from types import ModuleType
from typing import Any, Final, TypeVar

from relaysim.sim.kernel import CancelledTask, Host, outside
from relaysim.sim.kernel.fence import refuse_some, replace_names
from relaysim.sim.kernel.installation import Installation
from relaysim.sim.process.address_free import names_without_addresses
from relaysim.sim.process.file_calls import CHANGES, FileCalls, changes, install
from relaysim.sim.process.libraries import Libraries
from relaysim.sim.process.loading import Finder
from relaysim.sim.process.opened_files import OpenedFiles
from relaysim.sim.process.output import Output
from relaysim.sim.process.own_files import REAL, OwnFiles
from relaysim.sim.process.own_state import FixedHandlers, LibraryLoggers, OwnState
from relaysim.sim.process.user_code import user_code_of
from relaysim.sim.threads import MAIN_IDENT, Block, Threads, drive
from relaysim.sim.threads import install as install_threads

T = TypeVar("T")

_running: WorkerProcess | None = None
"""Whose code runs at this moment, in the thread of the worlds."""

_thread = 0
"""The thread that the worlds are in. What other threads of this process do meanwhile is no worker's: the watchdog reads
files at any moment, and an executor's thread may import something."""


def running_process() -> WorkerProcess | None:
    """The process whose code runs; None in the kernel's code, outside worlds, and in all threads but the worlds'."""
    return _running if _running is not None and get_ident() == _thread else None


def _is_running() -> bool:
    return running_process() is not None


def _running_threads() -> Threads | None:
    process = running_process()
    return None if process is None else process.threads


class WorkerProcess:
    """One life of one worker. Made by `WorkerProcesses.begin`.

    Attributes:
        name: the worker's.
        opened: what it has opened of the worker's files.
        threads: they, once it has started.
    """

    def __init__(self, world: WorkerProcesses, name: str, files: OwnFiles) -> None:
        self.name = name
        self._world = world
        self.modules: dict[str, ModuleType] = {}
        self.names: set[str] = set()
        self.names_without_addresses: dict[str, object] = {}
        self.loggers_shown = len(world.base_loggers)
        self.state = world.base_state.copy_for_another_process()
        self.opened = OpenedFiles(files, world.folder, self.run)
        self.threads: Threads | None = None

    def start(self, host: Host, function: Callable[[], T]) -> T:
        """Run the first code of this life: it loads its modules. From now on whatever runs on the host is this life's."""
        loop = host.loop
        loop.cancelled = partial(self._world.cancelled, host.name)
        self.threads = Threads(host, self.run, partial(self._world.blocked, host.name), loop.cancelled)
        drive(self.threads, loop, host, MAIN_IDENT)
        loop.call = partial(self.run, loop.call)  # type: ignore[method-assign]
        try:
            return self.threads.call(partial(self._load, function))
        finally:
            self._world.logging_is_set_up()

    def _load(self, function: Callable[[], T]) -> T:
        if self._world.libraries is not None:
            self._world.libraries.add_to_path()
        printed = partial(self._world.printed, self.name)
        # Also under the names by which code reaches past what was put in their place.
        sys.stdout = sys.__stdout__ = Output("stdout", printed)  # type: ignore[assignment, misc]
        sys.stderr = sys.__stderr__ = Output("stderr", printed)  # type: ignore[assignment, misc]
        return function()

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

    def run_outside(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run code of the simulator's for this life, as no life's."""
        global _running
        outer, _running = _running, None
        try:
            return function(*args, **kwargs)
        finally:
            _running = outer


class WorkerProcesses:
    """All lives of a world whose factory is in this module. Call `close` at the world's end.

    Attributes:
        module_name: the factory's module.
        present: the life whose modules are in place; None: what was there before.
        base_state: what was in place before the world, besides modules.
        base_loggers: the loggers of libraries.
        folder: the current directory, with which each life begins.
        libraries: the bot's own, in place while a life is; None: it shares those of this program.
        blocked: told when code has held up the loop of its process: the host's name, and how.
        printed: told of each line that a worker prints: its name, `stdout` or `stderr`, and the line.
        cancelled: told of each task that a worker's code has cancelled: its name, and which.
    """

    def __init__(
        self,
        module_name: str,
        blocked: Callable[[str, Block], None] = lambda host, block: None,
        libraries: Libraries | None = None,
        printed: Callable[[str, str, str], None] = lambda name, stream, line: None,
        cancelled: Callable[[str, CancelledTask], None] = lambda name, task: None,
    ) -> None:
        self.blocked = blocked
        self.cancelled = cancelled
        self.printed = printed
        self.libraries = libraries
        self.user_code = user_code_of(module_name, "" if libraries is None else libraries.folder)
        self.present: WorkerProcess | None = None
        self.base_state = OwnState()
        self._base_modules: dict[str, ModuleType] = {}
        self.base_loggers: dict[str, Any] = Logger.manager.loggerDict
        self._handlers = FixedHandlers(getLogger().handlers)
        self._library_loggers = LibraryLoggers()
        self._library_loggers.note(self.base_loggers)
        self._lives: list[WorkerProcess] = []  # also past ones: what they keep is not dropped while the world lives
        self._files: dict[str, OwnFiles] = {}
        self.module_name = module_name
        self.folder = REAL["getcwd"]()
        global _thread
        _thread = get_ident()
        self._finder = Finder(self.user_code, self._outside, self._register, self._names, libraries)
        Isolation.install()
        sys.meta_path.insert(0, self._finder)

    def begin(self, name: str, files_of: str | None = None) -> WorkerProcess:
        """A new life of a worker, without any module yet; what an earlier one has open is closed.

        Args:
            name: the worker's.
            files_of: whose files it has; by default the worker's own.
        """
        owner = name if files_of is None else files_of
        for earlier in self._lives:
            if earlier.name == owner:
                earlier.opened.cut()
        files = self._files.get(owner)
        if files is None:
            files = self._files[owner] = OwnFiles(partial(Isolation.present().make_folder, owner))
        life = WorkerProcess(self, name, files)
        self._lives.append(life)
        return life

    def tell_still_blocked(self) -> None:
        """Nothing happens any more: tell of code that holds up the loop of its process still."""
        for life in self._lives:
            if life.threads is not None:
                life.threads.tell_still_blocked()

    def end_threads(self) -> None:
        """The world is over: end whatever code of it still waits."""
        for life in self._lives:
            if life.threads is not None:
                life.threads.end()

    def close(self) -> None:
        """Put everything back that was in place before the world."""
        global _running
        _running = None  # also if an interrupt came while a turn was ended
        self.exchange(None)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        self._library_loggers.restore()
        for life in self._lives:
            life.state.undo_environment(self.base_state)
            life.opened.cut()
        self._lives.clear()
        self._files.clear()
        Isolation.present().remove_folders()

    def exchange(self, life: WorkerProcess | None) -> None:
        """Put a life's modules and state in place of the present one's; None: what was there before."""
        modules, present = sys.modules, self.present
        if life is present:
            return
        if present is None:
            names = self.user_code.loaded(modules)
            self._base_modules = {name: modules.pop(name) for name in names}
            self.base_state.take()
            if self.libraries is not None:
                self.libraries.put(_is_running, self.module_name.partition(".")[0])
        else:
            present.modules = {name: modules.pop(name) for name in present.names if name in modules}
            present.state.take()
        if life is None:
            if self.libraries is not None:
                self.libraries.take_back()
            modules.update(self._base_modules)
            self.base_state.put()
        else:
            modules.update(life.modules)
            life.state.put()
            getLogger().handlers = self._handlers
        self.present = life
        self._show_library_loggers()

    def logging_is_set_up(self) -> None:
        """Log lines go to the trace and nowhere else, whatever user code has made of the root logger or of libraries'."""
        root = getLogger()
        root.handlers, root.filters = self._handlers, []
        self._library_loggers.restore()

    def _register(self, name: str) -> None:
        assert self.present is not None
        self.present.names.add(name)

    def _names(self) -> dict[str, object]:
        assert self.present is not None
        if not self.present.names_without_addresses:
            self.present.names_without_addresses = names_without_addresses()
        return self.present.names_without_addresses

    @contextmanager
    def _outside(self) -> Iterator[None]:
        """For what all lives share: it belongs to no world, and its loggers are everybody's."""
        global _running
        process, _running = _running, None
        own_loggers = Logger.manager.loggerDict
        Logger.manager.loggerDict = self.base_loggers
        try:
            with outside():
                yield
        finally:
            Logger.manager.loggerDict = own_loggers
            _running = process
            self._library_loggers.note(self.base_loggers)
            self._show_library_loggers()

    def _show_library_loggers(self) -> None:
        life, own = self.present, Logger.manager.loggerDict
        if life is not None and life.loggers_shown != len(self.base_loggers):
            life.loggers_shown = len(self.base_loggers)
            for name in self.base_loggers.keys() - own.keys():
                own[name] = self.base_loggers[name]


class Isolation(Installation):
    """What worlds with code of the user's need. It is to be installed before that code is watched, since looking through all
    loaded modules takes time that is not the code's."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = ""
        self._has_folders = False

    def _install(self, undo: ExitStack) -> None:
        """Make what reaches past a process harmless: nothing that runs at this process's end, or at its signals."""
        replacements = {
            id(real): (real, _in_process(real, instead))
            for real, instead in (
                (atexit.register, _register_at_exit),
                (atexit.unregister, lambda function: None),
                (signal.signal, lambda number, handler: signal.getsignal(number)),
            )
        }
        undo.callback(replace_names(replacements))
        undo.callback(install(FileCalls(running_process)))
        undo.callback(install_threads(_running_threads))
        for event in CHANGES:
            undo.callback(refuse_some(event, partial(self._past_substitutes, event)))
        with outside():
            temporary = tempfile.gettempdir()
        self._folder = os.path.join(temporary, f"relaysim-files-{os.getpid()}-{next(_numbers)}")

    def make_folder(self, name: str) -> str:
        """An empty folder for the files of one worker of the present world."""
        for folder in (self._folder, made := os.path.join(self._folder, name)):
            with suppress(FileExistsError):
                REAL["mkdir"](folder, 0o700)
        self._has_folders = True
        return made

    def remove_folders(self) -> None:
        """Remove what the workers of the present world have written."""
        if self._has_folders:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._has_folders = False

    def _past_substitutes(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        """What an audit event means that a worker's code caused without `open` or `os`; None: it may."""
        path = arguments[0]
        if running_process() is None or not isinstance(path, str | bytes) or not changes(event, arguments):
            return None
        text = os.fsdecode(path)
        if self._folder in text or text in ("", ":memory:") or text.startswith(("/dev/", "file:")):
            return None
        return f"changing {text} past `open`, `os` and `sqlite3.connect`"


_AT_EXIT: Final = {"register": atexit.register}
_numbers = itertools.count(1)


def _register_at_exit(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    # The one function that Python registers itself, at a first use, and for everybody.
    if function == weakref.finalize._exitfunc:  # type: ignore[attr-defined]
        _AT_EXIT["register"](function)
    return function


def _in_process(real: Callable[..., Any], instead: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **kwargs) if running_process() is None else instead(*args, **kwargs)

    return call
