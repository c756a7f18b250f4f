"""The console examples of a page: what a reader types, and what the page says is printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from relaysim.scenarios.cli import command_parser, main

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "=-=-= {} =-=-="


class Example(NamedTuple):
    """One command, which may have several lines, and its expected output, in which `...` stands for anything."""

    command: str
    expected: str

    def matches(self, printed: str) -> bool:
        """Whether that is what the page says."""
        pattern = ".*".join(re.escape(part) for part in self.expected.split("..."))
        return re.fullmatch(pattern, printed, re.DOTALL) is not None

    @property
    def arguments(self) -> list[str] | None:
        """Of `relaysim`, if the command is that alone: no pipe, no redirection, nothing for a shell to replace."""
        words = shlex.shlex(self.command.replace("\\\n", " "), posix=True, punctuation_chars=True)
        words.whitespace_split = True
        name, *arguments = words
        special = set(words.punctuation_chars) | {"$", "`", "*"}
        return None if name != "relaysim" or any(special & {*each} for each in arguments) else arguments


def examples_of(page: Path) -> list[Example]:
    """The examples of all blocks, in order."""
    examples = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            count = next((i for i, line in enumerate(lines[1:], start=1) if f"{line} "[:2] != "> "), len(lines))
            command = "\n".join([lines[0], *(line[2:] for line in lines[1:count])])
            examples.append(Example(command, "\n".join(lines[count:])))
    return examples


def assert_printed(examples: list[Example], printed: list[str]) -> None:
    """Every example printed what the page says; those that did not are shown together."""
    assert len(examples) == len(printed)
    wrong = [f"$ {one.command}\n{got}" for one, got in zip(examples, printed, strict=True) if not one.matches(got)]
    assert not wrong, "\n\n".join(wrong)


def assert_can_be_typed(examples: list[Example]) -> None:
    """Every command of ours is one that the command line takes, with options that it knows; none is run."""
    typed = [arguments for each in examples if (arguments := each.arguments)]
    assert typed
    for arguments in typed:
        _, unknown = command_parser().parse_known_args(arguments)
        assert not unknown, arguments


@contextmanager
def serving(example: Example, folder: Path) -> Iterator[int]:
    """The port at which the example's `relaysim serve` answers until the end, once it has said what the page says."""
    command = shlex.split(example.command)
    assert command[:2] == ["relaysim", "serve"]
    server = subprocess.Popen(
        [sys.executable, "-m", "relaysim.scenarios.cli", *command[1:], "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    try:
        assert server.stdout is not None
        banner = [server.stdout.readline() for _ in example.expected.splitlines()]
        port = banner[0].removesuffix("/v1\n").rpartition(":")[2]
        assert_printed([example], ["".join(banner).replace(port, "8017").rstrip("\n")])
        yield int(port)
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert server.returncode == 0


def outputs_of(examples: list[Example], port: int, folder: Path, seconds: int = 120) -> list[str]:
    """What the commands print, run one after the other in one shell, with another port in place of the page's 8017.

    In `folder`, where curl is told to wait for no answer longer than a minute, and no longer than `seconds` in all.
    """
    (folder / ".curlrc").write_text("max-time = 60\n")
    script = []
    for number, example in enumerate(examples):
        script += [f"echo; echo '{_MARK.format(number)}'", example.command.replace("8017", str(port))]
    done = subprocess.run(
        ["bash"],
        input="\n".join(script),
        cwd=folder,
        env={**os.environ, "CURL_HOME": str(folder), "no_proxy": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    marks = "|".join(re.escape(_MARK.format(number)) for number in range(len(examples)))
    printed = re.split(rf"^(?:{marks})\n", done.stdout, flags=re.MULTILINE)[1:]
    return [text.replace(str(port), "8017").strip("\n") for text in printed]


def outputs_here(examples: list[Example], port: int, folder: Path) -> list[str]:
    """As `outputs_of`, with `relaysim` run in this process where a command is that alone: it takes seconds to start."""
    printed = []
    for example in examples:
        if example.arguments is None:
            printed += outputs_of([example], port, folder)
            continue
        with chdir(folder), StringIO() as stream:
            with redirect_stdout(stream), redirect_stderr(stream):
                main([each.replace("8017", str(port)) for each in example.arguments])
            printed.append(stream.getvalue().replace(str(port), "8017").strip("\n"))
    return printed
