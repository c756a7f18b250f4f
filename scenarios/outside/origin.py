"""Where a scenario that is played to a program came from: the lines that play it again name the program."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from relaysim.scenarios.model import Origin, Scenario


class OutsideOrigin(Origin):
    """An origin whose lines are of the command `judge`."""

    options: str = ""
    """Those of the command line that its worlds hang on, and after a -- the program, if it was named there."""

    def replay_template(self, further: Mapping[str, Any] | None = None) -> str:
        """The command that plays one seed again. The program is free to do something else then: it runs in real time."""
        further_sets = "".join(f" --set {shlex.quote(f'{name}={value}')}" for name, value in (further or {}).items())
        return f"relaysim judge {shlex.quote(self.given)} --seed {{seed}}{further_sets}{self.options}"


def judged_from_outside(scenario: Scenario, options: str) -> Scenario:
    """The scenario, with such an origin."""
    origin = OutsideOrigin(**{each.name: getattr(scenario.origin, each.name) for each in fields(Origin)})
    object.__setattr__(origin, "options", options)
    scenario._origin = origin
    return scenario
