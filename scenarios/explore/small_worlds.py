"""Small worlds in which a failure is looked for once more: one customer, few messages, one or two faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relaysim.sim.kernel import Draws
from relaysim.sim.kernel.distributions import Constant
from relaysim.sim.world import WorldSettings
from relaysim.sim.world.settings import FAULT_LISTS, ScriptedMessage


def small_world(
    settings: WorldSettings, draws: Draws, attempt: int, struck: Sequence[tuple[str, int]], is_stuck: bool
) -> WorldSettings:
    """The settings of a small world; all that is not one of the faults that struck is off."""

    def uniform(purpose: str, index: int = 0) -> float:
        return draws.uniform(f"small world {attempt}", purpose, index)

    chosen = {struck[int(uniform("fault", number) * len(struck))] for number in range(2)} if struck else set()
    if len(chosen) > 1 and uniform("one fault") < 0.4:
        chosen.pop()
    changed: dict[str, Any] = {}
    for name in FAULT_LISTS:
        changed[name] = tuple(
            _made_likely(fault) if (name, place) in chosen else fault.model_copy(update={"probability": 0.0})
            for place, fault in enumerate(getattr(settings, name))
        )
    workload = settings.workload
    if workload.bursts is not None:
        at, messages = 1.0, []
        for number in range(1 + int(4 * uniform("messages"))):
            messages.append(ScriptedMessage(conversation=1, at_seconds=Constant(kind="constant", value=round(at, 3))))
            at += 0.05 * 400.0 ** uniform("gap", number)
        changed["workload"] = workload.model_copy(
            update={
                "conversations": 1,
                "bursts": None,
                "messages": tuple(messages),
                "answers_probability": min(workload.answers_probability, 0.5),
            }
        )
    if settings.liveness is not None:
        stop = min(settings.liveness.faults_stop_seconds, 60.0)
        changed["liveness"] = settings.liveness.model_copy(update={"faults_stop_seconds": stop})
    profile = settings.profile
    likely = 0.4 if is_stuck and uniform("stuck") < 0.5 else 0.0
    changed["profile"] = profile.model_copy(update={"stuck_probability": likely})
    strategies = ("independent", "speed-classes", "pct", "surw")
    changed["strategy"] = strategies[int(uniform("strategy") * len(strategies))]
    return settings.model_copy(update=changed)


def _made_likely(fault: Any) -> Any:
    """A fault as small worlds have it: seldom more often than a few times, and likely then."""
    changed: dict[str, Any] = {"probability": max(fault.probability, 0.3)}
    if getattr(fault, "on", None) is not None:
        changed["times"] = 2 if fault.nth is None else 1
    elif getattr(fault, "at_seconds", None) is not None and fault.kind in ("crash", "pause"):
        changed |= {"at_seconds": None, "on": "*", "site_probability": 0.2, "times": 2}
    return fault.model_copy(update=changed)
