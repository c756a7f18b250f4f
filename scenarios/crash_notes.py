"""What a process was doing when it died: the seed, and what Python could still say of a crash.

A process that runs worlds for another one keeps a file of its own, in a folder that the other one made: which seed it runs,
and below it what `faulthandler` or the watchdog wrote at the end. Whoever has lost a process reads them.
"""

from __future__ import annotations

import faulthandler
import os
import re
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final

FOLDER_VARIABLE: Final = "RELAYSIM_CRASH_NOTES"
"""The environment variable with the folder, which processes that are started inherit."""

_SEED_BYTES: Final = 256
_OWN: Final = f"{Path(__file__).parents[1]}{os.sep}"
_FRAME: Final = re.compile(r'^  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>.*)$', re.MULTILINE)


@lru_cache(maxsize=1)
def offer_folder() -> Path:
    """Make the folder; processes that are started from now on use it. It goes with this process."""
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="relaysim-"))
    os.environ[FOLDER_VARIABLE] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class CrashNotes:
    """The file of this process; without a folder, or where none can be made, nothing is kept."""

    def __init__(self) -> None:
        self._file = -1
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder or not Path(folder).is_dir():
            return
        try:
            self._file = os.open(Path(folder) / str(os.getpid()), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError:
            return
        from relaysim.sim.kernel import WATCHDOG

        self.runs("")
        os.lseek(self._file, _SEED_BYTES, os.SEEK_SET)
        WATCHDOG.crash_notes = self._file
        faulthandler.enable(self._file, all_threads=False)

    def runs(self, what: str) -> None:
        """From now on this process runs `what`, e.g. `race, seed 7`; "": nothing."""
        if self._file >= 0:
            os.pwrite(self._file, what.encode()[: _SEED_BYTES - 1].ljust(_SEED_BYTES - 1) + b"\n", 0)


@lru_cache(maxsize=1)
def crash_notes() -> CrashNotes:
    """Those of this process."""
    return CrashNotes()


def read_crash_notes() -> str:
    """Of processes that are gone now, what they died of as far as is known, to be put behind "a process died"; it is then
    forgotten."""
    crashed, under_way = [], []
    for file in sorted(offer_folder().iterdir()):
        content = file.read_bytes()
        file.unlink(missing_ok=True)
        what = content[:_SEED_BYTES].decode(errors="replace").strip()
        said = _crash(content[_SEED_BYTES:].decode(errors="replace"))
        if said:
            crashed.append(f"{what}: {said}" if what else said)
        elif what:
            under_way.append(what)
    if crashed:
        return f": {'; '.join(crashed)}"
    seeds = f" while it ran {' or '.join(under_way)}" if under_way else ""
    return f"{seeds}: killed, or out of memory; try fewer --jobs"


def _crash(text: str) -> str:
    """`Segmentation fault: bot.py:3, in handle` of what `faulthandler` writes, or the watchdog's line."""
    lines = text.strip().splitlines()
    if not lines:
        return ""
    if lines[0].startswith("relaysim: "):
        return lines[0].removeprefix("relaysim: ")
    from relaysim.sim.kernel.source_places import is_of_library

    frames = [(each["file"], each["line"], each["name"]) for each in _FRAME.finditer(text)]
    if not frames:
        return lines[0]
    foreign = [frame for frame in frames if not is_of_library(frame[0]) and not frame[0].startswith(_OWN)]
    file, line, name = (foreign or frames)[0]  # the innermost
    what = lines[0].removeprefix("Fatal Python error: ")
    what = "does not come back" if what.startswith(("Current thread", "Thread")) else what
    return f"{what}: {Path(file).name}:{line}, in {name}"
