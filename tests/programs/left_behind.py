"""What a command has started, and what it has left: processes, ports and folders, as Linux shows them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

PATIENCE_SECONDS = 60.0


def processes_of(temporary: Path) -> dict[int, str]:
    """The processes that have this folder for temporary files, or that work in it, with their command lines.

    A Valkey writes its title over its environment, and works where its data are.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named = f"TMPDIR={temporary}".encode() in (process / "environ").read_bytes().split(b"\0")
            if named or (process / "cwd").readlink().is_relative_to(temporary):
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(process.name)] = line
        except OSError:  # it has just ended, or is somebody else's
            continue
    return found


def ports_of(processes: Iterable[int]) -> set[int]:
    """At which ports they listen."""
    held = set()
    for number in processes:
        for descriptor in Path(f"/proc/{number}/fd").glob("*"):
            try:
                held.add(str(descriptor.readlink()))
            except OSError:
                continue
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(line[1].split(":")[1], 16) for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in held}


def listens(port: int) -> bool:
    """Whether anybody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assert_nothing_is_left(temporary: Path, ports: Iterable[int]) -> None:
    """No process, no port, nothing in the folder; soon, since who was killed is cleared up after."""
    until(lambda: not processes_of(temporary), lambda: processes_of(temporary))
    until(lambda: not any(map(listens, ports)), lambda: [each for each in ports if listens(each)])
    until(lambda: not list(temporary.iterdir()), lambda: list(temporary.rglob("*")))


def until(is_so: Callable[[], bool], told: Callable[[], object] = lambda: "") -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError(f"it does not come to that: {told()}")
        time.sleep(0.02)
