"""Goal: the whole way is walkable as the pages say: a served API, a relay's log, a fitted profile, verdicts, tuned
settings, and the relay that loads them.

Method: every example of docs/full-circle.md and docs/fitting.md, typed as it stands there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from console_page import Example, examples_of, outputs_of

from relay import load_policy
from sim.openai.profile import load_profile

ROOT = Path(__file__).parents[4]

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")


@pytest.fixture(autouse=True)
def _commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`relaysim` and `python` are this interpreter's, wherever it is installed."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, module in (("relaysim", "-m scenarios.cli "), ("python", "")):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module}"$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def assert_printed(examples: list[Example], printed: list[str]) -> None:
    assert len(examples) == len(printed)
    wrong = [f"$ {one.command}\n{got}" for one, got in zip(examples, printed, strict=True) if not one.matches(got)]
    assert not wrong, "\n\n".join(wrong)


def test_the_full_circle(tmp_path: Path) -> None:
    serve, *others = examples_of(ROOT / "docs" / "full-circle.md")
    command = shlex.split(serve.command)
    assert command[:2] == ["relaysim", "serve"]
    server = subprocess.Popen(
        [sys.executable, "-m", "scenarios.cli", *command[1:], "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().removesuffix("/v1\n").rpartition(":")[2]
        assert_printed(others, outputs_of(others, int(port), tmp_path, seconds=400))
    finally:
        server.terminate()
        server.communicate(timeout=10)
    profile = load_profile(tmp_path / "reports/out/fit/profile.toml")
    assert profile.name == "fitted"
    policy = tmp_path / "reports/out/tune/policy.toml"
    assert load_policy(policy).policy == "cancel_and_retry"
    assert tomllib.loads(policy.read_text(encoding="utf-8"))["origin"]["profiles"] == ["fitted"]


def test_the_examples_on_fitting(tmp_path: Path) -> None:
    examples = examples_of(ROOT / "docs" / "fitting.md")
    assert len(examples) == 5
    assert_printed(examples, outputs_of(examples, 8017, tmp_path))
