"""A copy of a program that runs only when the simulator lets it: one thing happens to it, and it is waited for.

The program's own timers, clocks and random numbers are replaced by what is loaded before it (`lockstep_preload.mjs` or
`lockstep_python/sitecustomize.py`), which also tells what the program has done, in order, and when its next timer is due.
Bytes come over real sockets. That it is idle is known, and not guessed:

- the preload has read all that was written to each of its connections, and has turned its event loop until nothing was
  ready, with no request to the system under way;
- each byte that it says it has written has arrived here;
- on Linux the process' other threads are asleep, which work for the first; if one was not, the preload looks once more.

Should it do something after all, before the next thing happens to it, that is noticed then, and ends the world.

Where that does not come about within `IDLE_SECONDS` of real time, the program cannot be judged in this way.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from relaysim.sim.outside.program_sockets import IDLE_SECONDS, REMEDY, LockstepError, ProgramSockets
from relaysim.sim.outside.programs import Program

PRELOAD: Final = Path(__file__).with_name("lockstep_preload.mjs")
PYTHON_PRELOAD: Final = Path(__file__).with_name("lockstep_python")
VARIABLE: Final = "RELAYSIM_LOCKSTEP"
NODE_MIN: Final = 20
_RUNNING: Final = (b"R", b"D")
_GONE_SECONDS: Final = 5.0


class Happened(NamedTuple):
    """Something that the program did.

    kind        `open`, `write`, `end` or `close`
    connection  its name: `o` and the program's port, of one that it opened, `i` and our port, of one that it took
    port        with `open`: where it connected to
    data        with `write`: what it wrote
    """

    kind: str
    connection: str
    port: int = 0
    data: bytes = b""


class Report(NamedTuple):
    """What the program did until it was idle.

    happened  in the order in which it did it
    due       the virtual second at which its next timer is due; None: it has none
    listens   the ports on which it listens
    ended     it is no longer there
    """

    happened: Sequence[Happened]
    due: float | None
    listens: frozenset[int]
    ended: bool = False


class SteppedProgram:
    """One copy, over all its lives.

    Args:
        name: what errors call it.
        program: the command, with all that it finds in its environment but what is added here.
        doors: sockets that listen, where it finds the services.
        epoch: what Unix time it is at virtual 0.

    Attributes:
        program: as given.
        is_launched: a life of it has begun, and was not killed.
    """

    def __init__(self, name: str, program: Program, doors: Sequence[socket.socket], epoch: float) -> None:
        self.program = program
        self._name = name
        self._epoch = epoch
        self._sockets = ProgramSockets(doors)
        self._given = dict(program.environment)
        self._plans: list[Callable[[], object]] = []
        self._is_set = False
        self._pid = 0
        self.is_launched = False

    # Lives

    def launch(self, now: float, seed: str) -> None:
        """Begin a life at a virtual second.

        Args:
            now: the second.
            seed: of its random numbers.

        Raises:
            ProgramStartError: there is no such command.
        """
        self._sockets.forget()
        self._plans, self._pid, self._is_set = [], 0, False
        given = {"now": now, "epoch": self._epoch, "seed": seed, "ports": self._sockets.ports}
        options = f"{self._given.get('NODE_OPTIONS', os.environ.get('NODE_OPTIONS', ''))} --import={PRELOAD.as_uri()}"
        python = self._given.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        self.program.environment = {
            "PYTHONHASHSEED": "0",
            **self._given,
            VARIABLE: json.dumps(given),
            "NODE_OPTIONS": options.strip(),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(PYTHON_PRELOAD), python))),
        }
        self.program.start()
        self.is_launched = True

    def until_begun(self) -> Report:
        """What it did, once launched, until it was idle.

        Raises:
            LockstepError: it does not report, or does not become idle.
        """
        until = time.monotonic() + IDLE_SECONDS
        while not self._pid:
            self._wait(until, f"does not report, as a program of Node {NODE_MIN} or later or of Python's asyncio does,")
            if self._sockets.has_heard:
                first = self._sockets.next_heard()
                self._pid, version = first["pid"], str(first["version"])
                self._is_python = first.get("language") == "Python"
                if not self._is_python and int(version.lstrip("v").partition(".")[0]) < NODE_MIN:
                    raise LockstepError(
                        f"{self._name} runs on Node {version}, and not on {NODE_MIN} or later: {REMEDY}"
                    )
            elif self._sockets.ended:
                return self._last_report()
        return self._until_idle(until)

    def until_gone(self) -> None:
        """It reports no more: wait for its end, of which the system tells a moment later."""
        until = time.monotonic() + _GONE_SECONDS
        while self.program.is_running and time.monotonic() < until:
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL. Its connections are closed, as the system does it."""
        self.is_launched = False
        self.program.kill()
        self._sockets.drop_all()

    def close(self) -> None:
        """End it, and listen no more."""
        self.program.kill()
        self._sockets.close_doors()

    # What happens to it

    def step(self, now: float, *, timers: bool = False, told: signal.Signals | None = None) -> Report:
        """Let it be this virtual second, and let what was planned come to it.

        Args:
            now: the second.
            timers: let those that are due fire.
            told: a signal that it gets, too.

        Raises:
            LockstepError: it does not become idle, or does what cannot be kept on the clock.
        """
        if self._sockets.ended:
            return self._last_report()
        until = time.monotonic() + IDLE_SECONDS
        plans, self._plans = self._plans, []
        if told is not None:
            plans.append(partial(self.program.signal, told))
        lines = self._sockets.lines.items()
        message = {
            "now": now,
            "expect": [[name, line.planned, line.finished] for name, line in lines if line.planned or line.finished],
            "timers": timers,
            "comes": bool(plans),
            "signal": None if told is None else told.name,
        }
        self._sockets.tell(message)
        while plans and not self._is_set and not self._sockets.ended:
            self._sort(self._heard(until, "did not become idle"))
        self._is_set = False
        for plan in plans:
            plan()
        return self._until_idle(until)

    def let_connect(self, port: int, *, lets: bool) -> None:
        """Whether connections to this port of the doors' are taken from now on; otherwise they are refused."""
        if lets:
            self._sockets.open(port)
        else:
            self._sockets.shut(port)

    def write(self, connection: str, data: bytes) -> None:
        """Write to one of its connections, in the next step."""
        line = self._sockets.lines.get(connection)
        if line is not None and not line.finished:
            line.planned += len(data)
            self._plans.append(partial(self._sockets.write, line, data))

    def finish(self, connection: str) -> None:
        """Write nothing more there, from the next step on."""
        line = self._sockets.lines.get(connection)
        if line is not None and not line.finished:
            line.finished = True
            self._plans.append(partial(_shut, line.socket))

    def drop(self, connection: str, *, reset: bool) -> None:
        """Close our end in the next step; `reset`: as a server does that has forgotten it."""
        line = self._sockets.lines.get(connection)
        if line is not None:
            line.finished = True
            self._plans.append(partial(self._sockets.close, line, reset=reset))

    def connect(self, port: int) -> str:
        """Open a connection to it in the next step; its name. It must listen there."""
        name = self._sockets.reserve()
        self._plans.append(partial(self._connect, name, port))
        return name

    def _connect(self, name: str, port: int) -> None:
        try:
            self._sockets.connect(name, port)
        except OSError as error:
            raise LockstepError(f"{self._name} no longer listens at port {port}: {REMEDY}") from error

    # Until it is idle

    def _until_idle(self, until: float) -> Report:
        happened: list[Happened] = []
        switched: Mapping[str, bytes] | None = None
        while True:
            reported = None
            while reported is None and (heard := self._heard(until, "did not become idle")):
                reported = self._sort(heard)
            if reported is None:
                return Report([*happened, *self._left()], None, frozenset(), ended=True)
            happened += [self._happened(each, until) for each in reported["log"]]
            is_idle = self._is_asleep(until)
            if is_idle and self._has_threads:
                # A thread of Python that waits for its turn is asleep, too. It has its turn while the first one waits for
                # us: if none has run since the report before, and nothing has happened, none will.
                before, switched = switched, self._switched()
                is_idle = before == switched and not reported["log"]
            if is_idle:
                return Report(happened, reported["due"], frozenset(reported["listens"]))
            self._sockets.tell({"again": True})

    def _switched(self) -> Mapping[str, bytes]:
        """Of each thread but the first, how often it has run and stopped."""
        folder = f"/proc/{self._pid}/task"
        found: dict[str, bytes] = {}
        with suppress(OSError):
            for each in os.listdir(folder):  # noqa: PTH208
                if each != str(self._pid):
                    text = Path(folder, each, "status").read_bytes()
                    found[each] = b" ".join(line for line in text.splitlines() if b"ctxt_switches" in line)
        return found

    def _sort(self, heard: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """What it reports, if that is among what was heard.

        Raises:
            LockstepError: it tells of what cannot be kept on the clock.
        """
        reported = None
        for told in heard:
            if "refused" in told:
                raise LockstepError(f"{self._name} {told['refused']}, which cannot be kept on the clock: {REMEDY}")
            if "late" in told:
                raise LockstepError(
                    f"{self._name} did something after it was idle ({told['late'][0][0]} of a connection), so its order "
                    f"is not that of the seed: {REMEDY}"
                )
            self._is_set = self._is_set or "set" in told
            if "log" in told:
                reported = told
        return reported

    def _happened(self, each: Sequence[Any], until: float) -> Happened:
        kind, name, number = each
        sockets = self._sockets
        while name not in sockets.lines and not sockets.ended:
            self._wait(until, "opened a connection that did not arrive")
        line = sockets.lines.get(name)
        if kind == "open" or line is None:
            return Happened(kind, name, port=number)
        if kind == "write":
            while len(line.received) < number and not sockets.ended:
                self._wait(until, "wrote bytes that did not arrive")
            data = bytes(line.received[:number])
            del line.received[:number]
            return Happened(kind, name, data=data)
        if kind == "close":
            sockets.close(line)
            del sockets.lines[name]
        return Happened(kind, name)

    def _is_asleep(self, until: float) -> bool:
        """Whether no thread but the first runs, of Python's not that one either; returns once none does."""
        first = str(self._pid)
        folder = f"/proc/{first}/task"
        was_asleep = True
        while True:
            try:
                threads = os.listdir(folder)  # noqa: PTH208, which takes three times as long
            except OSError:
                return True  # another system, or it has just ended
            self._has_threads = self._is_python and len(threads) > 1
            looked_at = threads if self._has_threads else [each for each in threads if each != first]
            if not any(_state(f"{folder}/{each}/stat") in _RUNNING for each in looked_at):
                return was_asleep
            was_asleep = False
            if time.monotonic() > until:
                raise self._not_idle("did not become idle")
            self._sockets.pump(0.0)

    def _heard(self, until: float, otherwise: str) -> list[dict[str, Any]]:
        """The messages that come next; none: it has ended."""
        while not self._sockets.has_heard and not self._sockets.ended:
            self._wait(until, otherwise)
        return self._sockets.heard()

    def _wait(self, until: float, otherwise: str) -> None:
        sockets = self._sockets
        sockets.pump(min(0.2, max(0.0, until - time.monotonic())))
        if not self._pid and not self.program.is_running:
            sockets.pump(0.0)
            sockets.ended = sockets.ended or not sockets.has_heard
        if time.monotonic() > until and not sockets.has_heard:
            raise self._not_idle(otherwise)

    def _not_idle(self, what: str) -> LockstepError:
        busy = ""
        if self._pid:
            self._sockets.tell({"why": True})
            self._sockets.pump(0.2)
            found = [each["busy"] for each in self._sockets.heard() if "busy" in each]
            busy = f" ({', '.join(sorted(set(found[0])))})" if found and found[0] else ""
        return LockstepError(f"{self._name} {what} within {IDLE_SECONDS:g} s of real time{busy}: {REMEDY}")

    def _last_report(self) -> Report:
        return Report(self._left(), None, frozenset(), ended=True)

    def _left(self) -> list[Happened]:
        """What it wrote before it ended: of each connection in turn, since nobody can say in which order."""
        if not self._sockets.lines:
            return []
        self._sockets.pump(0.0)
        lines = self._sockets.lines.items()
        left = [Happened("write", name, data=bytes(line.received)) for name, line in lines if line.received]
        left += [Happened("close", name) for name, _ in lines]
        self._sockets.drop_all()
        return left


def _shut(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_WR)


def _state(place: str) -> bytes:
    """What a thread does, as Linux says it: S, asleep; a thread that has just ended counts as that."""
    try:
        file = os.open(place, os.O_RDONLY)
        try:
            return os.read(file, 256).rpartition(b")")[2][1:2]
        finally:
            os.close(file)
    except OSError:
        return b"S"
