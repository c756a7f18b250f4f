"""Goal: whatever stands in a file or on the command line, a command ends soon, with exit code 2 and one line that names the
file and what is wrong with it, and never with a traceback.

Method: the command in this process; no world is run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from scenario_stand_ins import SMALL, write

from relaysim.scenarios.cli import main
from relaysim.sim.toml_file import BYTES_MAX, DEPTH_MAX, TomlLimitError, parse_toml, read_toml

DEEP: Final = "[" * 5000 + "]" * 5000
TABLES: Final = "{a=" * 3000 + "1" + "}" * 3000
DIGITS: Final = "9" * 5000
LIES_DEEP: Final = "tables or lists lie more than 50 deep inside each other"
RUN: Final = ("run", "race", "--seed", "0")

FILES: Final = {
    "deep.toml": f"x = {DEEP}\n",
    "dotted.toml": ".".join(["a"] * 3000) + " = 1\n",
    "digits.toml": f"root_seed = {DIGITS}\n",
    "long.toml": f'description = "{"x" * 5_000_000}"\n',
    "null.toml": "\0" + SMALL,
    "deep.csv": f"relay.settings.x\n{DEEP}\n",
    "surrogate.toml": 'kind = "script"\nreplies = [{ text = "\\ud83d" }]\n',
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def named(arguments: tuple[str, ...]) -> str:
    """The odd one of the arguments, made there."""
    (name,) = [each for each in arguments if each.partition(".")[2] in ("toml", "csv")]
    path = Path(name)
    if name == "loop.toml":
        path.symlink_to(name)
    elif name == "folder.toml":
        path.mkdir()
    elif name == "zero.toml":
        path.symlink_to("/dev/zero")
    elif name == "pipe.csv":
        os.mkfifo(name)
    elif name == "utf16.toml":
        path.write_bytes(SMALL.encode("utf-16"))
    else:
        write(Path(), FILES[name], name)
    return name


def one_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    lines = streams.err.splitlines()
    (line,) = lines
    assert len(line) < 2100
    return line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "deep.toml", "--seed", "0"), LIES_DEEP),
        (("run", "dotted.toml", "--seed", "0"), LIES_DEEP),
        (("run", "digits.toml", "--seed", "0"), "it has a number of more digits than can be read"),
        (("run", "long.toml", "--seed", "0"), "it has more than 4,000,000 bytes"),
        (("run", "zero.toml", "--seed", "0"), "it has more than 4,000,000 bytes"),
        (("run", "null.toml", "--seed", "0"), "is no TOML: invalid statement (at line 1, column 1)"),
        (("run", "utf16.toml", "--seed", "0"), "line 1 is not UTF-8, as TOML must be"),
        (("run", "loop.toml", "--seed", "0"), "cannot be read: too many levels of symbolic links"),
        (("run", "folder.toml", "--seed", "0"), "cannot be read: is a directory"),
        ((*RUN, "--policy", "deep.toml"), "its tables or lists lie too deep inside each other"),
        ((*RUN, "--policy", "digits.toml"), "has a number that cannot be read"),
        ((*RUN, "--policy", "zero.toml"), "is no file with a policy in it"),
        ((*RUN, "--policy", "long.toml"), "it has more than 4,000,000 bytes"),
        (("serve", "--port", "0", "--faults", "deep.toml"), LIES_DEEP),
        (("serve", "--port", "0", "--replies", "digits.toml"), "it has a number of more digits than can be read"),
        (("serve", "--port", "0", "--replies", "surrogate.toml"), "not a Unicode scalar value (at line 2"),
        (("sweep", "race", "--list", "deep.csv"), LIES_DEEP),
        (("sweep", "race", "--list", "pipe.csv"), "is empty; its first line must name paths"),
        (("tune", "race", "--profiles", "deep.toml"), LIES_DEEP),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_a_file_that_nobody_can_use(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = named(arguments)
    line = one_line(capsys, *arguments)
    assert name in line
    assert said in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*RUN, "--set", f"relay.settings.x={DEEP}"), LIES_DEEP),
        ((*RUN, "--set", f"relay.settings.x={TABLES}"), LIES_DEEP),
        ((*RUN, "--set", f"root_seed={DIGITS}"), "it has a number of more digits than can be read"),
        ((*RUN, "--set", ".".join(["a"] * 5000) + "=1"), "the path has 5,000 steps; at most 50 lead anywhere"),
        ((*RUN, "--set", f"workload.messages[{DIGITS}].at_seconds=1"), "is a list: name an item by its number"),
        ((*RUN, "--set", "limit_seconds=1e400"), "limit_seconds: must be a finite number, not inf"),
        ((*RUN, "--set", 'title="\ud83d"'), "title: must be a text"),
        (("run", "race", "--seed", DIGITS), "must be a whole number, 0 or more"),
        (("run", "a\0b.toml", "--seed", "0"), "cannot be read: its name holds a null character"),
        (("run", "a" * 5000 + ".toml", "--seed", "0"), "cannot be read: file name too long"),
        (("verify", "race", "--out", "a\0b"), "holds a null character"),
        (("verify", "race", "--set", "workload.conversations=1000000000"), "must be at most 100000, not 1000000000"),
        (("verify", "race", "--set", "workers=[{count=1000000000}]"), "must be at most 1000, not 1000000000"),
        (("sweep", "race", "--grid", f"relay.settings.x={DEEP},1"), LIES_DEEP),
        (("serve", "--port", "0", "--set", f"run_seconds={DEEP}"), LIES_DEEP),
    ],
    ids=lambda given: " ".join(given)[:40].replace("\0", "") if isinstance(given, tuple) else "",
)
def test_an_option_that_nobody_can_use(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in one_line(capsys, *arguments)


def test_limits_of_toml_are_what_they_say(tmp_path: Path) -> None:
    def nested(depth: int) -> str:
        return "x = " + "[" * (depth - 1) + "]" * (depth - 1)

    assert parse_toml(nested(DEPTH_MAX))
    with pytest.raises(TomlLimitError):
        parse_toml(nested(DEPTH_MAX + 1))
    path = tmp_path / "file.toml"
    path.write_bytes(b"\xef\xbb\xbfx = 1\n#".ljust(BYTES_MAX, b"#"))
    assert read_toml(path) == {"x": 1}
    path.write_bytes(b"x = 1\n#".ljust(BYTES_MAX + 1, b"#"))
    with pytest.raises(TomlLimitError):
        read_toml(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_nobody_takes_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "relaysim.scenarios", "list", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr == "relaysim: standard output: cannot be written: no space left on device\n"
