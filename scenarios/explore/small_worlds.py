"""Small worlds in which a failure is looked for once more: one customer, few messages, one or two faults.

What struck in the failing world, and at which events, says where to strike in a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from relaysim.scenarios.explore.cases import Trial
from relaysim.sim.faults.worker_events import Events
from relaysim.sim.kernel import DrawKey, Draws, Record
from relaysim.sim.kernel.distributions import Constant
from relaysim.sim.trace.schema import named
from relaysim.sim.world import WorldSettings
from relaysim.sim.world.settings import FAULT_LISTS, ScriptedMessage, Workload

_STOPS_WORKERS: Final = ("crash", "pause")

_FAULTS_STOP_SECONDS: Final = 60.0
"""When the faults of a small world stop, unless its scenario stops them earlier."""

_NEARLY_ALWAYS: Final = 0.9
"""What strikes always is not drawn, so that no tape could leave it out."""


class Struck(NamedTuple):
    """A fault of a failing world, by its list and its place there, and an event at which it struck; "" if at none."""

    list_name: str
    place: int
    event: str = ""


def strikes_of(trial: Trial) -> Mapping[DrawKey, Struck]:
    """What the strikes of a run were, in their order; what is no strike of a fault is left out."""
    at_events = _events_struck(trial)
    found = {}
    for key in trial.recording.strikes:
        owner, _, place = key.purpose.rpartition(" ")[2].rpartition("-")
        when = trial.recording.times.get(key[:2], {}).get(key.number)
        if key.entity.startswith("host-fault-"):
            place, _, worker = key.entity.removeprefix("host-fault-").partition(" ")
            found[key] = Struck("host_faults", int(place), at_events.get((worker, when), ""))
        elif owner != "fault" or not place.isdecimal():
            continue
        elif key.entity == "redis":
            found[key] = Struck("redis_faults", int(place))
        elif key.purpose.startswith("redis "):
            found[key] = Struck("redis_faults", int(place), at_events.get(("redis", when), ""))
        elif key.purpose.startswith("webhook "):
            found[key] = Struck("webhook_faults", int(place))
        elif key.purpose.startswith("send "):
            found[key] = Struck("send_faults", int(place))
        else:  # an attempt at a request, whose operation is in its entity's second place
            found[key] = Struck("faults", int(place), key.entity.split("/")[1] if "/" in key.entity else "")
    return found


def _events_struck(trial: Trial) -> dict[tuple[str, float | None], str]:
    """At which event a worker was struck, and at which command Redis was, by name and time."""
    reader = Events()
    latest: dict[str, str] = {}
    found: dict[tuple[str, float | None], str] = {}
    for time, entity, kind, fields in trial.result.records or ():
        told: Any = named(kind, fields)
        if kind in ("host.crash", "host.pause"):
            found[entity, time] = latest.get(entity, "")
        elif kind == "redis.fault":
            found["redis", time] = str(told.command)
        event = reader.read(Record(time, entity, kind, told))
        if event is not None:
            latest[event.worker] = event.name
    return found


def small_world(
    settings: WorldSettings, draws: Draws, attempt: int, struck: Sequence[Struck], last: Struck | None, is_stuck: bool
) -> WorldSettings:
    """The settings of a small world; all that is not one of the faults chosen is off.

    Args:
        settings: the failing world's.
        draws, attempt: key what is chosen.
        struck: what struck there.
        last: the last one that the failure needs, if that is known: it is among those chosen.
        is_stuck: whether a run was stuck there.
    """

    def uniform(purpose: str, index: int = 0) -> float:
        return draws.uniform(f"small world {attempt}", purpose, index)

    chosen = {struck[int(uniform("fault", number) * len(struck))] for number in range(2)} if struck else set()
    if len(chosen) > 1 and uniform("one fault") < 0.4:
        chosen.pop()
    if last is not None:
        chosen = {last, *sorted(chosen)[: int(2.0 * uniform("more faults"))]}
    by_place = {(each.list_name, each.place): each.event for each in sorted(chosen)}
    changed: dict[str, Any] = {}
    for name in FAULT_LISTS:
        changed[name] = tuple(
            _made_likely(fault, by_place[name, place], uniform(f"how likely {name}", place))
            if (name, place) in by_place
            else fault.model_copy(update={"probability": 0.0})
            for place, fault in enumerate(getattr(settings, name))
        )
    changed["workload"] = _one_customer(settings.workload, uniform)
    if settings.liveness is not None:
        stop = min(settings.liveness.faults_stop_seconds, _FAULTS_STOP_SECONDS)
        changed["liveness"] = settings.liveness.model_copy(update={"faults_stop_seconds": stop})
    profile = settings.profile
    likely = 0.4 if is_stuck and uniform("stuck") < 0.5 else 0.0
    changed["profile"] = profile.model_copy(update={"stuck_probability": likely})
    strategies = ("independent", "speed-classes", "pct", "surw")
    changed["strategy"] = strategies[int(uniform("strategy") * len(strategies))]
    return settings.model_copy(update=changed)


def _one_customer(workload: Workload, uniform: Callable[..., float]) -> Workload:
    """Up to four messages of one customer: some successive ones of the failing world, or others."""
    count = 1 + int(4 * uniform("messages"))
    given = sorted(each.at_seconds.sample(0.5) for each in workload.messages if _is_of_the_first(each, workload))
    at, times = 1.0, []
    if given and uniform("given messages") < 0.5:
        first = int(uniform("first message") * max(1, len(given) - count + 1))
        times = [1.0 + each - given[first] for each in given[first : first + count]]
    else:
        for number in range(count):
            times.append(at)
            at += 0.05 * 400.0 ** uniform("gap", number)
    messages = tuple(
        ScriptedMessage(conversation=1, at_seconds=Constant(kind="constant", value=round(each, 3))) for each in times
    )
    return workload.model_copy(
        update={
            "conversations": 1,
            "bursts": None,
            "messages": messages,
            "answers_probability": min(workload.answers_probability, 0.5),
        }
    )


def _is_of_the_first(message: ScriptedMessage, workload: Workload) -> bool:
    return message.conversation == workload.messages[0].conversation


def _made_likely(fault: Any, event: str, u: float) -> Any:
    """A fault as small worlds have it: seldom more often than a few times, and likely at the event that it struck."""
    likely = max(fault.probability, 0.3) if u < 0.5 else 1.0
    changed: dict[str, Any] = {"probability": min(likely, _NEARLY_ALWAYS)}
    kind, on = fault.kind, getattr(fault, "on", None)
    if kind in _STOPS_WORKERS:
        once = 1 + int(2.0 * u) % 2
        if event and u < 0.8:
            changed |= {"at_seconds": None, "on": event, "nth": None, "site_probability": 1.0, "times": once}
        else:
            changed |= {"at_seconds": None, "on": "*", "nth": None, "site_probability": 0.2, "times": 2}
    elif on is not None:
        changed["times"] = 2 if fault.nth is None else 1
    elif event and hasattr(fault, "route"):
        changed |= {"route": event, "nth": None, "site_probability": 1.0}
    elif event and hasattr(fault, "command") and not fault.lasts:
        changed |= {"command": event, "nth": None, "site_probability": 1.0}
    return fault.model_copy(update=changed)
