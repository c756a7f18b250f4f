"""Goal: the whole way is walkable as the pages say: a served API, a relay's log, a fitted profile, verdicts, tuned
settings, and the relay that loads them.

Method: every example of docs/full-circle.md and docs/fitting.md, typed as it stands there; without what takes seconds of a
command and is tested where it is done.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest
from console_page import assert_can_be_typed, assert_printed, examples_of, outputs_here, serving

from relaysim.relay import load_policy
from relaysim.reports import figures, tune_figures
from relaysim.scenarios.determinism import recheck
from relaysim.scenarios.tune import sensitivity
from relaysim.sim.backends.profile import load_profile

ROOT = Path(__file__).parents[4]

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")


@pytest.fixture(autouse=True)
def _commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`relaysim` and `python` are this interpreter's, wherever it is installed."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, module in (("relaysim", "-m relaysim.scenarios.cli "), ("python", "")):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module}"$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(autouse=True)
def _short_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process that runs worlds again, no figures, and few points for a search's sensitivities."""
    monkeypatch.setattr(recheck, "SEEDS", 0)
    monkeypatch.setattr(figures, "draw_all", lambda results: {})
    monkeypatch.setattr(tune_figures, "draw_tuning", lambda results: {})
    monkeypatch.setattr(sensitivity, "indices", partial(sensitivity.indices, points=2**6))


def assert_same_shares(out: Path) -> None:
    """The worlds of the fitted profile recover at the first retry as often as the log does, as far as both tell."""
    log, verified = (
        json.loads((out / name / "latest" / "results.json").read_text(encoding="utf-8")) for name in ("fit", "verify")
    )
    (told,) = (each["interval"] for each in log["conflicts"]["endings"] if each["ending"] == "recovered_at_2")
    claims = verified["scenarios"][0]["claims"]
    (simulated,) = (each["interval"] for each in claims if each["id"] == "first-retry")
    assert max(told[0], simulated[0]) < min(told[1], simulated[1])


def test_every_command_of_the_full_circle_can_be_typed() -> None:
    assert_can_be_typed(examples_of(ROOT / "docs" / "full-circle.md"))


@pytest.mark.soak
def test_the_full_circle(tmp_path: Path) -> None:
    serve, *others = examples_of(ROOT / "docs" / "full-circle.md")
    with serving(serve, tmp_path) as port:
        assert_printed(others, outputs_here(others, port, tmp_path))
    profile = load_profile(tmp_path / "reports/out/fit/latest/profile.toml")
    assert profile.name == "fitted"
    assert_same_shares(tmp_path / "reports/out")
    policy = tmp_path / "reports/out/tune/latest/policy.toml"
    assert load_policy(policy).policy == "cancel_and_retry"
    assert tomllib.loads(policy.read_text(encoding="utf-8"))["origin"]["profiles"] == ["fitted"]


def test_the_examples_on_fitting(tmp_path: Path) -> None:
    examples = examples_of(ROOT / "docs" / "fitting.md")
    assert len(examples) == 5
    assert_printed(examples, outputs_here(examples, 8017, tmp_path))
