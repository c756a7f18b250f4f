"""The console examples of a page: what a reader types, and what the page says is printed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

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


def outputs_of(examples: list[Example], port: int, folder: Path, seconds: int = 120) -> list[str]:
    """What the commands print, run one after the other in one shell, with another port in place of the page's 8017.

    In `folder`, where curl is told to wait for no answer longer than ten seconds, and no longer than `seconds` in all.
    """
    (folder / ".curlrc").write_text("max-time = 10\n")
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
