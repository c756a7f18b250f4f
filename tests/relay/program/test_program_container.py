"""The container file: what it starts is there, and so is every variable that it names."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from relaysim.relay.program.variables import BY_NAME

ROOT = Path(__file__).resolve().parents[3]
TEXT = re.sub(r"\\\n", "", (ROOT / "docker" / "Containerfile").read_text(encoding="utf-8"))
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_it_starts_the_command_that_the_extra_brings() -> None:
    (entry,) = [line for line in LINES if line.startswith("ENTRYPOINT ")]
    assert json.loads(entry.removeprefix("ENTRYPOINT ")) == ["relaysim-relay"]
    assert PROJECT["scripts"]["relaysim-relay"] == "relaysim.relay.program.main:main"
    (install,) = [line for line in LINES if "pip install" in line]
    assert "'.[relay]'" in install
    assert "constraints.txt" in install
    assert "relay" in PROJECT["optional-dependencies"]


def test_its_variables_and_its_port_are_those_of_the_program() -> None:
    named = {*re.findall(r"\bRELAY_[A-Z_]+\b", TEXT)}
    assert {"RELAY_HOST", "RELAY_PORT"} <= named <= {*BY_NAME}
    assert f"EXPOSE {BY_NAME['RELAY_PORT'].default}" in LINES


def test_its_health_check_is_a_program() -> None:
    (check,) = [line for line in LINES if line.startswith("HEALTHCHECK ")]
    command = json.loads(check.partition(" CMD ")[2])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "health check", "exec")
    assert "/healthz" in command[2]


def test_it_names_no_registry_and_runs_without_rights() -> None:
    images = [line.split()[1] for line in LINES if line.startswith("FROM ")]
    assert len(images) == 2
    assert all("/" not in image for image in images)
    assert any(re.fullmatch(r"USER [1-9][0-9]+", line) for line in LINES)
