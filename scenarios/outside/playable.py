"""What of a scenario cannot be played to a program from outside: it is refused, so that nobody takes it for survived."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from relaysim.scenarios.model import Scenario
from relaysim.scenarios.outside.config import JudgeConfig
from relaysim.sim.faults.worker_events import PLAIN

HOST_FAULTS: Final = ("crash", "stop", "pause")
"""What can be done to processes: SIGKILL, SIGTERM and SIGSTOP."""

_UNSEEN: Final = ("lease.taken", "lease.released")
"""Events of workers that nobody sees from outside."""

_FORGETFUL: Final = ("restart", "failover")
"""What would be done to a Redis that is not ours."""


def what_cannot_be_played(scenario: Scenario, config: JudgeConfig) -> str:
    """The first such part, with the remedy; "" if there is none."""
    for place, is_there in (
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
    if scenario.workload.initial_runs and scenario.workload.conversations > 1:
        return (
            "workload.initial_runs: of several customers nobody outside knows for whom a program opens a thread; "
            "set workload.conversations=1"
        )
    if unplayable := _of_running(scenario, config) or _of_hosts(scenario) or _of_redis(scenario, config):
        return unplayable
    if scenario.strategy != "independent":
        return f"strategy: {scenario.strategy} draws worlds for the simulator; leave it out"
    return ""


def _of_running(scenario: Scenario, config: JudgeConfig) -> str:
    if not config.runs_already:
        return ""
    for place in ("host_faults", "redis_faults"):
        if faults := getattr(scenario, place):
            why = f"a {faults[0].kind} cannot be done to a program that was not started here"
            return f"{place}[0]: {why}; write its command after a --, or leave it out with --set {place}=[]"
    return ""


def _of_hosts(scenario: Scenario) -> str:
    for number, fault in enumerate(scenario.host_faults):
        place = f"host_faults[{number}]"
        if fault.kind not in HOST_FAULTS:
            kinds = f"{', '.join(HOST_FAULTS[:-1])} and {HOST_FAULTS[-1]}"
            return f"{place}: a {fault.kind} cannot be done to a program from outside; there are {kinds}"
        if fault.on is not None and not _is_seen(fault.on):
            return f"{place}.on: {fault.on} is not seen from outside; name a request, a Redis command, or send"
    return ""


def _is_seen(pattern: str) -> bool:
    if any(fnmatchcase(event, pattern) for event in _UNSEEN):
        return any(fnmatchcase(event, pattern) for event in PLAIN if event not in _UNSEEN)
    return True


def _of_redis(scenario: Scenario, config: JudgeConfig) -> str:
    if config.redis is None:
        return ""
    for number, fault in enumerate(scenario.redis_faults):
        if fault.kind in _FORGETFUL:
            why = f"a {fault.kind} would take scripts and data from your own Redis"
            return f"redis_faults[{number}]: {why}; leave out --redis"
    return ""
