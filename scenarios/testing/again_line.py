"""The line that runs a test again, as it is typed into a POSIX shell from where pytest was started."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def again_line(config: pytest.Config, nodeid: str, seed: int | None = None) -> str:
    """The line for this test; `seed`: with this one only, where the test's name has none."""
    parts = ["pytest"]
    if config.option.inifilename:
        parts += ["-c", str(config.option.inifilename)]
    if config.option.rootdir:
        parts += ["--rootdir", str(config.option.rootdir)]
    for override in config.option.override_ini or ():
        parts += ["-o", override]
    parts.append(_from_here(config, nodeid))
    if seed is not None:
        parts += ["--relaysim-seed", str(seed)]
    return " ".join(shlex.quote(part) for part in parts)


def _from_here(config: pytest.Config, nodeid: str) -> str:
    """A test's name with its file as it is found from where pytest was started; names count from the root folder."""
    file, separator, rest = nodeid.partition("::")
    here = Path(config.invocation_params.dir)
    path = config.rootpath / file
    return (os.path.relpath(path, here) if here != config.rootpath else file) + separator + rest
