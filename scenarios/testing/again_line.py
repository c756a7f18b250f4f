"""The line that runs a test again, as it is typed into a POSIX shell from where pytest was started."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

_OF_SETTINGS: Final = ("-o", "-c", "--override-ini", "--config-file", "--rootdir")

if TYPE_CHECKING:
    import pytest


def name_of_test(item: pytest.Item, name: str | None = None) -> str:
    """A test's name in full, or that of `name` beside it. Its `nodeid` may have a group of pytest-xdist's in it."""
    assert item.parent is not None, "only a session has none"
    return f"{item.parent.nodeid}::{item.name if name is None else name}"


def again_line(item: pytest.Item, seed: int | None = None) -> str:
    """The line for this test; `seed`: with this one only, where the test's name has none."""
    config = item.config
    parts = ["pytest", *_settings(config.invocation_params.args), _from_here(config, name_of_test(item))]
    if seed is not None:
        parts += ["--relaysim-seed", str(seed)]
    return " ".join(shlex.quote(part) for part in parts)


def _settings(arguments: Sequence[str]) -> list[str]:
    """Of what was typed after `pytest`, the options that say which settings there are."""
    kept: list[str] = []
    is_value = False
    for argument in map(str, arguments):
        is_name = not is_value and argument in _OF_SETTINGS
        joined = tuple(f"{name}=" if name.startswith("--") else name for name in _OF_SETTINGS)
        if is_value or is_name or argument.startswith(joined):
            kept.append(argument)
        is_value = is_name
    return kept


def _from_here(config: pytest.Config, nodeid: str) -> str:
    """A test's name with its file as it is found from where pytest was started; names count from the root folder."""
    file, separator, rest = nodeid.partition("::")
    here = Path(config.invocation_params.dir)
    path = config.rootpath / file
    return (os.path.relpath(path, here) if here != config.rootpath else file) + separator + rest
