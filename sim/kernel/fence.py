"""The fence around a simulation: clocks and entropy become virtual, ways out raise.

Inside `with Fence():` and while code of an attached kernel runs in this thread:

| reached by                                                  | becomes                                    |
|-------------------------------------------------------------|--------------------------------------------|
| time.time, gmtime, localtime, datetime.now, date.today, ... | virtual time from the kernel's start, UTC, |
|                                                             | plus the `skew_seconds` of the host        |
| time.monotonic, time.perf_counter and their _ns forms       | virtual seconds since the world's start    |
| time.process_time, time.thread_time, their _ns forms        | 0: code takes no virtual time              |
| time.clock_gettime, os.times                                | the same, by the clock that is asked       |
| random.random and the module's other functions              | keyed draws of the host that asks          |
| random.Random(), seed() without a seed                      | seeded by a keyed draw                     |
| os.urandom, os.getrandom, random.SystemRandom, secrets,     | keyed draws of the host that asks          |
| uuid1, uuid4                                                |                                            |
| os.getpid, socket.gethostname, os.uname, platform.node      | the host's number and name, which another  |
|                                                             | host does not have; a next life has another|
|                                                             | number                                     |
| time.sleep, sockets, threads, subprocesses, fork, exec,     | `LeavesSimulationError` at the call site   |
| sending signals, limits of the process; in workers with code|                                            |
| of the user's `sim.threads` and `sim.sockets` simulate these|                                            |
| signal.signal, siginterrupt, pthread_sigmask, set_wakeup_fd | nothing: no signals come                   |
| faulthandler, garbage collection except gc.collect, audit   | nothing: they are this process's           |
| hooks, hooks of asynchronous generators, the switch interval|                                            |
| sys.setrecursionlimit                                       | raises the limit, and never lowers it      |

Names bound early (`from time import monotonic`) are replaced in every loaded module. The ways out are refused by an
audit hook, so no early-bound name can dodge them. Other threads, and code outside a run, see the real thing. When the
block ends everything is as it was, the global random generator's state included.

Not covered: a bound early name kept outside a module's globals (a default argument, a closure, a class attribute),
file access, and C extensions that read clocks by themselves.
"""

from __future__ import annotations

import _thread as _thread_module
import datetime as datetime_module
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from types import TracebackType
from typing import Any, Protocol, Self
from zoneinfo import ZoneInfo

import _time_machine
import time_machine

from relaysim.sim.kernel.draws import Draws
from relaysim.sim.kernel.ignored_calls import ignored_calls
from relaysim.sim.kernel.loading_lines import starts_while_loading
from relaysim.sim.kernel.modules_aside import all_modules
from relaysim.sim.kernel.refusals import LeavesSimulationError, remedy_of_library
from relaysim.sim.kernel.running import current_host, set_running_host
from relaysim.sim.kernel.source_places import place_of_awaiting, place_of_caller
from relaysim.sim.kernel.substitutes import clocks, names_of_hosts


class FencedKernel(Protocol):
    """What the fence needs of the kernel whose world it encloses: its clock, its draws, and who notes an error."""

    @property
    def now(self) -> float: ...

    @property
    def start_seconds(self) -> int: ...

    @property
    def draws(self) -> Draws: ...

    def fail(self, error: BaseException) -> None: ...


_kernel: FencedKernel | None = None
_thread: int = 0

_REFUSED_EVENTS: dict[str, str | Callable[[tuple[Any, ...]], str | None]] = {
    "os.exec": "replacing this process",
    "os.fork": "forking this process",
    "os.kill": "sending a signal",
    "os.killpg": "sending a signal",
    "signal.pthread_kill": "sending a signal",
    "os.forkpty": "forking this process",
    "os.posix_spawn": "starting a process",
    "os.spawn": "starting a process",
    "resource.prlimit": "changing a limit of the process",
    "resource.setrlimit": "changing a limit of the process",
    "os.system": "starting a process",
    "pty.spawn": "starting a process",
    "socket.__new__": "opening a socket",
    "socket.bind": "binding a socket",
    "socket.connect": "connecting a socket",
    "socket.getaddrinfo": "resolving a host name",
    "socket.gethostbyname": "resolving a host name",
    "socket.gethostbyaddr": "resolving a host address",
    "subprocess.Popen": "starting a process",
}


def _inside() -> FencedKernel | None:
    """The kernel whose world this code belongs to, if it does."""
    return _kernel if _kernel is not None and get_ident() == _thread else None


def refuse(what: str, remedy: str = "", *, also_while_loading: bool = False) -> LeavesSimulationError:
    """The error for a way out, also noted for the kernel: code that swallows it must not hide it.

    Args:
        what: was tried.
        remedy: what its author can do about it; "": what is usual.
        also_while_loading: that it is so too where a line starts a server while its module is loaded, which else is told.
    """
    if not also_while_loading:
        remedy = starts_while_loading(sys._getframe(1)) or remedy
    remedy = remedy or remedy_of_library(what, sys._getframe(1))
    error = LeavesSimulationError(what, place_of_caller() or place_of_awaiting(current_host()), remedy)
    if _kernel is not None:
        _kernel.fail(error)
    return error


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _kernel is not None and event in _REFUSED_EVENTS and get_ident() == _thread:
        known = _REFUSED_EVENTS[event]
        what = known(arguments) if callable(known) else known
        if what is not None:
            raise refuse(what)


def refuse_some(event: str, which: Callable[[tuple[Any, ...]], str | None]) -> Callable[[], object]:
    """Refuse those audit events for whose arguments `which` has a name, in place of what was refused of them before;
    returns the undoing."""
    before = _REFUSED_EVENTS.get(event)
    _REFUSED_EVENTS[event] = which
    return (
        partial(_REFUSED_EVENTS.pop, event) if before is None else partial(_REFUSED_EVENTS.__setitem__, event, before)
    )


_audit_installed = False


def _entity() -> str:
    host = current_host()
    return "kernel" if host is None else host.name


class _VirtualTraveller(time_machine.Traveller):
    """time-machine's traveller, reading the kernel's clock; other threads keep the real one."""

    def time_ns(self) -> int:
        kernel = _kernel
        if kernel is None or get_ident() != _thread:
            real: int = _time_machine.original_time_ns()
            return real
        host = current_host()
        now = kernel.now if host is None else kernel.now + host.process.skew_seconds
        return kernel.start_seconds * 1_000_000_000 + round(now * 1e9)


class _KeyedRandom(random.Random):
    """The module `random`'s functions on keyed draws."""

    def seed(self, *args: Any, **kwargs: Any) -> None:
        """Keyed draws have no state to seed."""

    def random(self) -> float:
        kernel = _kernel
        assert kernel is not None
        return kernel.draws.uniform(_entity(), "random.random")

    def getrandbits(self, k: int) -> int:
        if k < 0:
            raise ValueError("number of bits must be non-negative")
        return int.from_bytes(_virtual_bytes((k + 7) // 8, "random.getrandbits"), "big") >> (-k % 8)


def _virtual_bytes(count: int, purpose: str) -> bytes:
    kernel = _kernel
    assert kernel is not None
    entity = _entity()
    octets = kernel.draws.octets
    return b"".join([octets(entity, purpose) for _ in range((count + 7) // 8)])[:count]


class Fence:
    """Installs the virtual clocks and entropy for the length of a `with` block; cheap to hold over many worlds.

    `attach` names the kernel whose code is running; without one everything is real. Nested fences share one
    installation.
    """

    _depth = 0
    _undo: list[Callable[[], None]]
    _outer: list[tuple[FencedKernel | None, int]]

    def __enter__(self) -> Self:
        if Fence._depth == 0:
            Fence._undo, Fence._outer = [], []
            try:
                self._install()
            except BaseException:
                self._uninstall()
                raise
        Fence._depth += 1
        Fence._outer.append((_kernel, _thread))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        global _kernel, _thread
        Fence._depth -= 1
        # A nested fence leaves no kernel attached that the outer one did not have.
        _kernel, _thread = Fence._outer.pop()
        if Fence._depth == 0:
            self._uninstall()

    def attach(self, kernel: FencedKernel | None) -> None:
        """From now on this thread's code belongs to `kernel`'s world; None: to no world."""
        global _kernel, _thread
        if Fence._depth == 0:
            raise RuntimeError("attach a kernel inside `with Fence():`")
        _kernel, _thread = kernel, get_ident()
        # `uuid1` never goes back behind its last time of day; that of another world must not move this one's.
        uuid.__dict__["_last_timestamp"] = None

    def _install(self) -> None:
        global _audit_installed
        if not _audit_installed:
            sys.addaudithook(_audit)
            _audit_installed = True
        undo = Fence._undo

        start = datetime_module.datetime(2025, 11, 4, 12, tzinfo=ZoneInfo("UTC"))
        travel = time_machine.travel(start, tick=True)
        traveller = travel.start()
        undo.append(travel.stop)
        virtual = _VirtualTraveller(traveller._destination_timestamp_ns, traveller._destination_tzname, tick=False)
        virtual.__dict__.update({k: v for k, v in vars(traveller).items() if k == "_orig_tz"})
        time_machine.traveller_stack[-1] = virtual

        state = random.getstate()
        undo.append(lambda: random.setstate(state))

        replacements: dict[int, tuple[object, object]] = {}

        def replace(real: object, substitute: object) -> None:
            replacements[id(real)] = (real, substitute)

        for real, substitute in (*clocks(_inside), *names_of_hosts(_inside)):
            replace(real, substitute)

        # Later Pythons audit these; the earlier ones do not.
        replace(time.sleep, _when_inside(time.sleep, _refuser("time.sleep, which blocks the whole loop,")))
        for name in ("start_new_thread", "start_joinable_thread"):
            if hasattr(_thread_module, name):
                start = getattr(_thread_module, name)
                replace(start, _when_inside(start, _refuser("starting a thread")))
        for name in ("raise_signal", "alarm", "setitimer"):
            if hasattr(signal, name):
                send = getattr(signal, name)
                replace(send, _when_inside(send, _refuser("sending a signal")))
        # A simulated process gets no signals; this one's must stay as they are.
        replace(signal.signal, _when_inside(signal.signal, lambda number, handler: signal.getsignal(number)))
        for real, nothing in ignored_calls():
            replace(real, _when_on_a_host(real, nothing))
        keyed = _KeyedRandom()
        for name, real in sorted(vars(random).items()):
            if getattr(real, "__self__", None) is random._inst:
                replace(real, _when_inside(real, getattr(keyed, name)))
        replace(os.urandom, _when_inside(os.urandom, lambda size: _virtual_bytes(size, "os.urandom")))
        if hasattr(os, "getrandom"):
            octets = _when_inside(os.getrandom, lambda size, flags=0: _virtual_bytes(size, "os.urandom"))
            replace(os.getrandom, octets)

        undo.append(replace_names(replacements, but_in=__name__))

        real_seed = random.Random.seed

        def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
            kernel = _inside()
            if a is None and kernel is not None:
                a = int.from_bytes(kernel.draws.octets(_entity(), "random.Random"), "big")
            real_seed(self, a, version)

        random.Random.seed = seed  # type: ignore[method-assign]
        undo.append(lambda: setattr(random.Random, "seed", real_seed))

        node = uuid.__dict__["_node"]
        uuid.__dict__["_node"] = 0x020000000001
        undo.append(lambda: uuid.__dict__.__setitem__("_node", node))

    def _uninstall(self) -> None:
        global _kernel
        _kernel = None
        while Fence._undo:
            Fence._undo.pop()()


def replace_names(replacements: Mapping[int, tuple[object, object]], *, but_in: str = "") -> Callable[[], None]:
    """Put substitutes in place of objects in the globals of every loaded module, so that names bound early are reached.

    Args:
        replacements: by the `id` of an object, it and its substitute.
        but_in: the name of a module or package that keeps its own names.

    Returns:
        What puts everything back.
    """
    replaced: list[tuple[dict[str, Any], str, object]] = []
    for module in all_modules():
        names = getattr(module, "__dict__", None)
        if not isinstance(names, dict) or _is_in(names.get("__name__"), but_in):
            continue
        if replacements.keys().isdisjoint(map(id, list(names.values()))):
            continue  # nearly every module, and this way it is asked in C
        for key, value in list(names.items()):
            hit = replacements.get(id(value))
            if hit is not None and hit[0] is value:
                replaced.append((names, key, value))
                names[key] = hit[1]

    def restore() -> None:
        for names, key, value in replaced:
            names[key] = value

    return restore


def _is_in(name: Any, package: str) -> bool:
    return name == package or (bool(package) and isinstance(name, str) and name.startswith(f"{package}."))


@contextmanager
def outside() -> Iterator[None]:
    """What runs in this block belongs to no world and no host, though a world runs: clocks and entropy are real."""
    global _kernel
    kernel, host = _kernel, current_host()
    _kernel = None
    set_running_host(None)
    try:
        yield
    finally:
        _kernel = kernel
        set_running_host(host)


def _refuser(what: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise refuse(what)

    return call


def _when_on_a_host(real: Any, virtual: Callable[..., Any]) -> Callable[..., Any]:
    """As `_when_inside`, for what the kernel itself calls too."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **kwargs) if _inside() is None or current_host() is None else virtual(*args, **kwargs)

    return call


def _when_inside(real: Any, virtual: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **kwargs) if _inside() is None else virtual(*args, **kwargs)

    return call
