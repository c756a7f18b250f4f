"""Where a scenario that is played to a program came from: the lines that play it again name the program."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from relaysim.scenarios.model import Origin, Scenario
from relaysim.scenarios.outside.config import JudgeConfig


class OutsideOrigin(Origin):
    """An origin whose lines are of the command `judge`."""

    program: str = ""

    def replay_template(self, further: Mapping[str, Any] | None = None) -> str:
        """The command that plays one seed again. The program is free to do something else then: it runs in real time."""
        return f"relaysim judge {shlex.quote(self.given)} --seed {{seed}} {self.program}"


def judged_from_outside(scenario: Scenario, config: JudgeConfig) -> Scenario:
    """The scenario, with such an origin."""
    origin = OutsideOrigin(**{each.name: getattr(scenario.origin, each.name) for each in fields(Origin)})
    program = f"--webhook {shlex.quote(config.webhook)}" if config.runs_already else f"-- {shlex.join(config.command)}"
    object.__setattr__(origin, "program", program)
    scenario._origin = origin
    return scenario
