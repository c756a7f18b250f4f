"""Loaded by Python before a program's own code: clocks, timers and random numbers of its event loop are the simulator's, and
the simulator is told when the program is idle, what it has done since, in order, and when its next timer is due.

It speaks as `lockstep_preload.mjs` does, which tells of the messages. It stands alone, since what is installed beside a
program is the program's affair: nothing but Python's own library, 3.9 or later, is imported. The loop is asyncio's; its
selector is where the program waits, so that is where it is held. Where another module of this name would have been loaded,
it is loaded after this one.

More than 400 lines, because it is one file that is loaded before anything else, and stands alone.
"""

from __future__ import annotations

import os
import sys


def _load_the_next() -> None:
    """Whatever the environment has under this name, as if this were not here."""
    import importlib.machinery
    import importlib.util

    here = os.path.dirname(os.path.abspath(__file__))
    places = [each for each in sys.path if os.path.abspath(each or ".") != here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", places)
    if found is not None and found.loader is not None:
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)


def _enter(given):
    import _socket
    import array
    import asyncio
    import asyncio.base_events
    import asyncio.selector_events
    import datetime
    import errno
    import fcntl
    import functools
    import hashlib
    import heapq
    import json
    import random
    import select
    import selectors
    import signal
    import socket
    import subprocess
    import termios
    import threading
    import time

    rounds_quiet = 3  # looks at the selector in which nothing was found
    own_pid = os.getpid()
    real_sleep = time.sleep

    class State:
        now = float(given["now"])
        log: list = []
        expected: list = []
        awaited = None  # a signal
        control = None
        text = b""
        slept = 0
        processes = 0  # that are being waited for
        refused = False

    connections: dict = {}
    listens: set = set()

    class Tracked:
        __slots__ = ("ended", "fileno", "is_closed", "is_opening", "name", "read", "readers")

        def __init__(self, name, fileno):
            self.name, self.fileno = name, fileno
            self.read, self.readers = 0, 0
            self.ended = self.is_closed = self.is_opening = False

    # The line over which this reports

    def say(message):
        if os.getpid() != own_pid:
            return
        begin_to_report()
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[State.control.send(data) :]
        except OSError:
            vanish()

    def begin_to_report():
        if State.control is None:
            control = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            control.connect(("127.0.0.1", given["ports"][0]))
            control.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            os.set_inheritable(control.fileno(), False)
            State.control = control
            version = ".".join(str(each) for each in sys.version_info[:3])
            say({"pid": own_pid, "version": version, "language": "Python"})

    def vanish():
        os.kill(own_pid, signal.SIGKILL)  # who judged is gone

    def next_message(seconds):
        """The next message; None: none came within so many real seconds (None: wait for it)."""
        while b"\n" not in State.text:
            if seconds is not None and not select.select([State.control], [], [], seconds)[0]:
                return None
            try:
                data = State.control.recv(262144)
            except InterruptedError:
                continue
            if not data:
                vanish()
            State.text += data
        line, _, State.text = State.text.partition(b"\n")
        return json.loads(line)

    def refuse(what):
        if not State.refused and os.getpid() == own_pid:
            State.refused = True
            say({"refused": what})

    # Clocks

    epoch = float(given["epoch"])
    began = State.now

    def unix() -> float:
        return epoch + State.now

    def nanoseconds(seconds: float) -> int:
        return round(seconds * 1e9)

    time.time = unix
    time.time_ns = lambda: nanoseconds(unix())
    time.monotonic = lambda: State.now
    time.monotonic_ns = lambda: nanoseconds(State.now)
    time.perf_counter = lambda: State.now - began
    time.perf_counter_ns = lambda: nanoseconds(State.now - began)
    for name in ("localtime", "gmtime", "ctime"):

        def of_now(seconds=None, before=getattr(time, name)):
            return before(unix() if seconds is None else seconds)

        setattr(time, name, of_now)
    real_asctime, real_strftime = time.asctime, time.strftime
    time.asctime = lambda moment=None: real_asctime(time.localtime() if moment is None else moment)
    time.strftime = lambda form, moment=None: real_strftime(form, time.localtime() if moment is None else moment)

    sleepers = []  # of other threads than the loop's: until when, which of several first, and what wakes it

    def sleep(seconds):
        if seconds <= 0:
            real_sleep(seconds)
        elif threading.current_thread() is threading.main_thread() or asyncio._get_running_loop() is not None:
            refuse("waits in time.sleep, in which its event loop stands still")
        else:
            awake = threading.Lock()
            awake.acquire()
            State.slept += 1
            heapq.heappush(sleepers, (State.now + seconds, State.slept, awake))
            awake.acquire()

    def wake_one():
        """The first thread that has slept long enough; the next one has its turn when this one has had its."""
        if sleepers and sleepers[0][0] <= State.now + 1e-9:
            heapq.heappop(sleepers)[2].release()

    time.sleep = sleep

    class OfAny(type):
        """What the real class made is an instance, too."""

        def __instancecheck__(cls, value):
            return isinstance(value, cls.__mro__[1])

        def __subclasscheck__(cls, other):
            return issubclass(other, cls.__mro__[1])

    real_date, real_datetime = datetime.date, datetime.datetime

    class VirtualDate(real_date, metaclass=OfAny):
        @classmethod
        def today(cls):
            return cls.fromtimestamp(unix())

    class VirtualDatetime(real_datetime, metaclass=OfAny):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(unix(), tz)

        @classmethod
        def today(cls):
            return cls.fromtimestamp(unix())

        @classmethod
        def utcnow(cls):
            return cls.fromtimestamp(unix(), datetime.timezone.utc).replace(tzinfo=None)

    for made, real in ((VirtualDate, real_date), (VirtualDatetime, real_datetime)):
        made.__name__ = made.__qualname__ = real.__name__
        made.__module__ = "datetime"
        setattr(datetime, real.__name__, made)

    # Random numbers

    drawn = [0, b""]

    def octets(count):
        while len(drawn[1]) < count:
            drawn[1] += hashlib.sha256(f"{given['seed']}/{drawn[0]}".encode()).digest()
            drawn[0] += 1
        piece, drawn[1] = drawn[1][:count], drawn[1][count:]
        return piece

    os.urandom = octets
    random._urandom = octets
    if hasattr(os, "getrandom"):
        os.getrandom = lambda size, flags=0: octets(size)
    real_seed = random.Random.seed

    def seed(self, a=None, version=2):
        real_seed(self, int.from_bytes(octets(32), "big") if a is None else a, version)

    random.Random.seed = seed
    random.seed = random._inst.seed  # it was bound before
    random.seed()

    # Processes and threads

    real_popen = subprocess.Popen.__init__

    def popen(self, *args, **options):
        caller = sys._getframe(1)
        if not (caller.f_globals.get("__name__") == "subprocess" and caller.f_code.co_name in ("run", "call")):
            refuse("starts a process of its own (subprocess)")
        real_popen(self, *args, **options)

    subprocess.Popen.__init__ = popen

    def counted(before):
        """A process that is waited for is nothing on the way: a thread that waits for it is not idle."""

        def run(*args, **options):
            State.processes += 1
            try:
                return before(*args, **options)
            finally:
                State.processes -= 1

        return functools.wraps(before)(run)

    subprocess.run, subprocess.call = counted(subprocess.run), counted(subprocess.call)
    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp"):
        if hasattr(os, name):

            def starting(*args, before=getattr(os, name), **options):
                refuse("starts processes of its own (fork)")
                return before(*args, **options)

            setattr(os, name, starting)

    real_start = threading.Thread.start

    def start(self):
        who = str(sys._getframe(1).f_globals.get("__name__", ""))
        if who.partition(".")[0] not in ("asyncio", "concurrent", "anyio"):
            refuse(f"starts a thread of its own ({self.name}, by {who})")
        real_start(self)

    threading.Thread.start = start
    sys.modules["uvloop"] = None  # its waits are not Python's; servers then take asyncio's own loop

    # Connections

    by_number: dict = {}

    def tracked(opened):
        return by_number.get(opened.fileno())

    def note(kind, line, number=0):
        State.log.append([kind, line.name, number])

    def begin(line):
        by_number[line.fileno] = line
        connections[line.name] = line

    def opened_now(self, line):
        line.is_opening = False
        connections[line.name] = line
        note("open", line, self.getpeername()[1])

    base = socket.socket

    def connecting(self, address, before, tells):
        if self.type != socket.SOCK_STREAM and self.family in (socket.AF_INET, socket.AF_INET6):
            refuse("opens a UDP socket")
        elif self.family not in (socket.AF_INET, socket.AF_INET6):
            refuse(f"connects to {address!r}, which is not simulated")
        elif address[0] not in ("127.0.0.1", "localhost", "::1") or address[1] not in given["ports"]:
            refuse(f"connects to {address[0]}:{address[1]}, which is not simulated")
        else:
            try:
                result = before(self, address)
            except BlockingIOError:
                result = errno.EINPROGRESS
                line = Tracked(f"o{self.getsockname()[1]}", self.fileno())
                line.is_opening = True
                by_number[line.fileno] = line
                raise
            if not result or result == errno.EISCONN:
                line = Tracked(f"o{self.getsockname()[1]}", self.fileno())
                by_number[line.fileno] = line
                opened_now(self, line)
            elif tells and result == errno.EINPROGRESS:
                line = Tracked(f"o{self.getsockname()[1]}", self.fileno())
                line.is_opening = True
                by_number[line.fileno] = line
            return result
        return before(self, address)

    real_connect, real_connect_ex = base.connect, base.connect_ex
    base.connect = lambda self, address: connecting(self, address, real_connect, False)
    base.connect_ex = lambda self, address: connecting(self, address, real_connect_ex, True)
    real_getsockopt = base.getsockopt

    def getsockopt(self, level, option, *size):
        found = real_getsockopt(self, level, option, *size)
        if level == socket.SOL_SOCKET and option == socket.SO_ERROR and not size:
            line = tracked(self)
            if line is not None and line.is_opening:
                if found == 0:
                    opened_now(self, line)
                else:
                    by_number.pop(line.fileno, None)
        return found

    base.getsockopt = getsockopt
    real_accept = base.accept

    def accept(self):
        taken, peer = real_accept(self)
        if self.family in (socket.AF_INET, socket.AF_INET6):
            begin(Tracked(f"i{peer[1]}", taken.fileno()))
        return taken, peer

    base.accept = accept

    def reading(before, measure):
        def read(self, *args, **options):
            line = tracked(self)
            if line is None:
                return before(self, *args, **options)
            line.readers += 1
            try:
                result = before(self, *args, **options)
            finally:
                line.readers -= 1
            if not (len(args) > 1 and args[-1] & socket.MSG_PEEK):
                count = measure(result)
                line.read += count
                line.ended = line.ended or not count
            return result

        return read

    base.recv = reading(base.recv, len)
    base.recv_into = reading(base.recv_into, int)
    base.recvfrom = reading(base.recvfrom, lambda result: len(result[0]))
    base.recvmsg = reading(base.recvmsg, lambda result: len(result[0]))

    def writing(before):
        def write(self, data, *args, **options):
            line = tracked(self)
            result = before(self, data, *args, **options)
            if line is not None:
                written = memoryview(data).nbytes if result is None else result
                if written:
                    note("write", line, written)
            return result

        return write

    base.send, base.sendall = writing(base.send), writing(base.sendall)
    if hasattr(base, "sendmsg"):
        real_sendmsg = base.sendmsg

        def sendmsg(self, *args, **options):
            result = real_sendmsg(self, *args, **options)
            line = tracked(self)
            if line is not None and result:
                note("write", line, result)
            return result

        base.sendmsg = sendmsg
    real_shutdown, real_close, real_listen = base.shutdown, base.close, base.listen

    def shutdown(self, how):
        line = tracked(self)
        if line is not None and how != socket.SHUT_RD:
            note("end", line)
        real_shutdown(self, how)

    def close(self):
        number = self.fileno()
        line = by_number.pop(number, None)
        if line is not None and not line.is_opening:
            line.is_closed = True
            note("close", line)
        if number >= 0 and number in doors:
            listens.discard(doors.pop(number))
        real_close(self)

    doors: dict = {}

    def listen(self, *backlog):
        real_listen(self, *backlog)
        if self.family in (socket.AF_INET, socket.AF_INET6):
            doors[self.fileno()] = port = self.getsockname()[1]
            listens.add(port)

    base.shutdown, base.close, base.listen = shutdown, close, listen

    # Where the event loop waits

    def has_arrived(one, selector):
        name, count, ends = one
        line = connections.get(name)
        if line is None:
            return False
        if line.is_closed:
            return True
        if line.read >= count and (not ends or line.ended):
            return True
        try:
            wants = selector.get_key(line.fileno).events & selectors.EVENT_READ
        except (KeyError, ValueError, RuntimeError):
            wants = line.readers  # a thread that waits for it
        return not wants and is_here(line, count, ends)  # the program wants nothing more for now

    def is_here(line, count, ends):
        """Whether what nobody reads has come at least to this machine."""
        try:
            waiting = array.array("i", [0])
            fcntl.ioctl(line.fileno, termios.FIONREAD, waiting)
            if line.read + waiting[0] < count:
                return False
            if not ends:
                return True
            asked = select.poll()
            asked.register(line.fileno, getattr(select, "POLLRDHUP", select.POLLHUP))
            return bool(asked.poll(0))
        except OSError:
            return True

    def take_signal(name):
        number = getattr(signal, name)
        handler = signal.getsignal(number)
        State.awaited = name
        if callable(handler):

            def once(*args):
                State.awaited = None
                signal.signal(number, handler)
                signal.siginterrupt(number, False)
                return handler(*args)

            signal.signal(number, once)
            signal.siginterrupt(number, False)

    class Held:
        """The loop's selector; it waits only for what the simulator says."""

        def __init__(self, loop, selector):
            self._loop, self._selector = loop, selector
            self._busy: list = []

        def __getattr__(self, name):
            return getattr(self._selector, name)

        def select(self, timeout=None):
            found = self._selector.select(0)
            if found or (timeout is not None and timeout <= 0) or os.getpid() != own_pid:
                return found
            quiet = 0
            while True:
                State.expected = [each for each in State.expected if not has_arrived(each, self._selector)]
                self._busy = ["subprocess"] * bool(State.processes)
                self._busy += ["signal"] * bool(State.awaited) + ["input"] * bool(State.expected)
                found = self._selector.select(0.001 if self._busy else 0)
                if found:
                    return found
                if self._busy:
                    quiet = 0
                    if self._was_asked(0):
                        return []
                    continue
                quiet += 1
                if quiet < rounds_quiet:
                    continue
                self._report(timeout)
                quiet = 0
                if self._was_asked(None):
                    return []

        def _report(self, timeout):
            scheduled = self._loop._scheduled
            due = None if timeout is None or not scheduled else scheduled[0]._when
            if sleepers:
                due = sleepers[0][0] if due is None else min(due, sleepers[0][0])
            log, State.log = State.log, []
            say({"log": log, "due": due, "listens": sorted(listens)})
            for kind, name, _ in log:
                if kind == "close":
                    connections.pop(name, None)

        def _was_asked(self, seconds):
            """Take a message if there is one; whether it is another instant now."""
            message = next_message(seconds)
            if message is None or "again" in message:
                return False
            if "why" in message:
                say({"busy": self._busy})
                return False
            if State.log:
                say({"late": State.log})
                return False
            State.now = message["now"]
            wake_one()
            State.expected = message["expect"]
            if message.get("signal"):
                take_signal(message["signal"])
            if message["comes"]:
                say({"set": True})
            return True

    asyncio.base_events.BaseEventLoop.time = lambda self: State.now
    real_init = asyncio.selector_events.BaseSelectorEventLoop.__init__

    def init(self, *args, **options):
        real_init(self, *args, **options)
        if os.getpid() == own_pid:
            begin_to_report()
        self._selector = Held(self, self._selector)

    asyncio.selector_events.BaseSelectorEventLoop.__init__ = init


if os.environ.get("RELAYSIM_LOCKSTEP"):
    import json as _json

    _enter(_json.loads(os.environ["RELAYSIM_LOCKSTEP"]))
_load_the_next()
