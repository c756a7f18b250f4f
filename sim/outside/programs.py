"""Copies of a command: started, watched, killed and started again; nothing of them is left behind.

Each copy leads a process group of its own, so that what it starts ends with it. A guard, a small process that waits on a
pipe of ours, kills the groups when this process ends in whatever way, `kill -9` included, and removes what they wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_GUARD: Final = """
import json, os, shutil, signal, sys, time
groups, folders = set(), []
for line in sys.stdin:
    change, what = json.loads(line)
    if change == "folder":
        folders.append(what)
    else:
        (groups.add if change == "watch" else groups.discard)(what)
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
for folder in folders:  # in which somebody who is just being killed may still write
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
        time.sleep(0.1)
"""

_LAUNCH: Final = """
import os, sys
if not sys.stdin.readline():
    sys.exit(1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
try:
    os.execvp(sys.argv[1], sys.argv[1:])
except OSError as error:
    sys.exit(f"{sys.argv[1]}: cannot be started ({error.strerror})")
"""
"""Becomes the command once it is told to, which is when the guard knows of it; else it ends with whoever started it."""

TERM_SECONDS: Final = 5.0
"""How long a copy has to end after SIGTERM, before it is killed."""

_ERROR: Final = re.compile(r"(\w+\.)*\w*(Error|Exception)\b.*:|error:")
"""A line that begins with an error's name, as Node and Python write them."""


class ProgramStartError(Exception):
    """The command cannot be started, or ended at once; the message says why."""


class Guard:
    """Kills process groups, and removes folders, when its block or this process ends, however that ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        # In a session of its own, so that a signal to our group does not reach it before it has done its work.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.wait()

    def watch(self, group: int) -> None:
        """From now on this group ends with us."""
        self._tell("watch", group)

    def forget(self, group: int) -> None:
        """This group has ended; its number may be somebody else's soon."""
        self._tell("forget", group)

    def remove(self, folder: Path) -> None:
        """At the end this folder is gone."""
        self._tell("folder", str(folder.resolve()))

    def _tell(self, change: str, what: int | str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps([change, what]) + "\n")
            self._process.stdin.flush()


class Program:
    """One copy of a command. What it prints is in `log`.

    Args:
        command: the program and its arguments.
        environment: variables beside those of this process.
        log: file to which both of its streams are appended.
        guard: ends it if this process does not.
        folder: where it runs; None: where this process does.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        guard: Guard,
        folder: Path | None = None,
    ) -> None:
        self.command = tuple(command)
        self.environment = dict(environment)
        self.log = log
        self._guard = guard
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its first process has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status of its last life; None: it runs, or was never started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start a life of it.

        Raises:
            ProgramStartError: there is no such command.
        """
        if self.is_running:
            raise RuntimeError("it runs already")
        if shutil.which(self.command[0], path={**os.environ, **self.environment}.get("PATH")) is None:
            raise ProgramStartError(f"{self.command[0]}: cannot be started (there is no such program)")
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCH, *self.command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment},
                cwd=self._folder,
                start_new_session=True,
            )
        self._guard.watch(self._process.pid)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"go\n")
            self._process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes; none are left is no error."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it as a power cut does: all its processes, at once."""
        if self._process is None:
            return
        self.signal(signal.SIGKILL)
        self._process.wait()
        self._guard.forget(self._process.pid)

    def end(self, seconds: float = TERM_SECONDS) -> None:
        """Ask it to end, wait so long, and kill what is left of it."""
        if self._process is None:
            return
        self.signal(signal.SIGCONT)  # one that is stopped hears nothing
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def last_lines(self, count: int = 5) -> list[str]:
        """What it printed last; where an error is named, as Node does above its stack, that line and what follows."""
        if not self.log.exists():
            return []
        text = self.log.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        named = [place for place, line in enumerate(lines) if _ERROR.match(line)]
        return lines[named[-1] :][:count] if named else lines[-count:]
