"""What of a scenario cannot be played to a program from outside: it is refused, so that nobody takes it for survived."""

from __future__ import annotations

from typing import Final

from relaysim.scenarios.model import Scenario

HOST_FAULTS: Final = ("crash", "stop")
"""What can be done to processes: SIGKILL and SIGTERM."""


def what_cannot_be_played(scenario: Scenario) -> str:
    """The first such part, with the remedy; "" if there is none."""
    for place, is_there in (
        ("redis_faults", bool(scenario.redis_faults)),
        ("workload.initial_runs", bool(scenario.workload.initial_runs)),
        ("workload.foreign_runs_per_minute", bool(scenario.workload.foreign_runs_per_minute)),
        ("workload.interrupts_probability", bool(scenario.workload.interrupts_probability)),
        ("schedule", bool(scenario.schedule)),
        ("tape", scenario.tape is not None),
        ("events", scenario.events is not None),
        ("swarm", scenario.swarm is not None),
        ("strata", scenario.strata is not None and scenario.strata.enabled),
        ("map", scenario.map is not None),
        ("curve", scenario.curve is not None),
    ):
        if is_there:
            return f"{place}: cannot be played to a program from outside; leave it out with --set {place}.drop=true"
    for number, fault in enumerate(scenario.host_faults):
        if fault.kind not in HOST_FAULTS:
            return (
                f"host_faults[{number}]: a {fault.kind} cannot be done to a program from outside; "
                f"there are {' and '.join(HOST_FAULTS)}"
            )
    if scenario.strategy != "independent":
        return f"strategy: {scenario.strategy} draws worlds for the simulator; leave it out"
    return ""
