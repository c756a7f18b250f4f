"""A shrunk failure as a scenario file: every choice of its world stands in it, so that each command runs it again."""

from __future__ import annotations

import re
from typing import Any, Final

from relaysim.scenarios.explore.shrinking import Shrunk
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.toml_text import toml_file
from relaysim.sim.backends.profile import Profile
from relaysim.sim.world.judge.catalogue import PROMISES
from relaysim.sim.world.settings import FAULT_LISTS

_NOT_OF_ONE_WORLD: Final = (
    "strategy",
    "swarm",
    "strata",
    "map",
    "curve",
    "variant",
    "check_lanes",
    "schedule",
    "explored",
)


def kept_name(scenario: Scenario, shrunk: Shrunk) -> str:
    """How the scenario of a failure is called, e.g. `drain_faults-S10-17`."""
    return f"{scenario.name}-{_id_of(shrunk.breach.event)}-{shrunk.seed}"


def _id_of(event: str) -> str:
    """An event as part of a name, e.g. `S10`, `model-calls-3`."""
    return re.sub(r"\W+", "-", event.removeprefix("breach_").replace("_", "-"))


def kept_text(scenario: Scenario, shrunk: Shrunk) -> str:
    """The file's text."""
    settings = shrunk.case.settings
    document = {key: value for key, value in scenario.origin.document.items() if key not in _NOT_OF_ONE_WORLD}
    if settings.schedule:
        document["schedule"] = _plain(settings.schedule)
    document |= {
        "name": kept_name(scenario, shrunk),
        "title": f"{shrunk.breach.event}, as found in {scenario.name}",
        "description": shrunk.breach.text,
        "replications": 1,
        "workers": _plain(settings.workers),
        "workload": _plain((settings.workload,))[0],
        "tape": _plain((shrunk.case.tape,))[0],
        "claims": [_claim(shrunk.breach.event)],
    }
    if settings.liveness is not None:
        document["liveness"] = _plain((settings.liveness,))[0]
    for name in FAULT_LISTS:
        document.pop(name, None)
        if faults := getattr(settings, name):
            document[name] = _plain(faults)
    if settings.relay.settings != scenario.relay.settings:
        document["relay"] = {**document.get("relay", {}), "settings": settings.relay.settings}
    drawn = _drawn_of_profile(scenario.backend, settings.profile)
    if not any(key.purpose == "stuck" for key in shrunk.case.strikes):
        drawn.pop("stuck_probability", None)  # a strike happens below its probability
    if drawn:
        document["profile_overrides"] = {**document.get("profile_overrides", {}), **drawn}
    document.pop("extends", None)
    lines = [
        f"Found by `relaysim explore {scenario.origin.given}`, seed {shrunk.seed}, and shrunk: {shrunk.breach.text}",
        "`relaysim replay THIS_FILE --seed 0` shows it; `relaysim verify THIS_FILE` passes once it is mended.",
    ]
    return toml_file("\n".join(lines), document)


def _drawn_of_profile(given: Profile, used: Profile) -> dict[str, Any]:
    """The numbers of the profile that the strategy had drawn anew."""
    plain = used.model_dump(mode="json", exclude={"basis"}, exclude_none=True)
    return {name: value for name, value in plain.items() if getattr(given, name) != getattr(used, name)}


def _claim(event: str) -> dict[str, Any]:
    promise = event.removeprefix("breach_")
    checked = f"checked_{promise}" if promise in PROMISES else "replications"
    return {
        "id": _id_of(event),
        "title": PROMISES.get(promise, event.replace("_", " ")).replace("-", " "),
        "kind": "never",
        "event": event,
        "among": checked,
        "expect": "verified",
        "reason": "it happened once, in this very world, and must not again",
    }


def _plain(tables: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Tables as a file has them: what is as by default is left out; what is not there, and would be by default, is false."""
    made = []
    for table in tables:
        plain = _without_nulls(table.model_dump(mode="json", exclude_defaults=True))
        # Of tables of several kinds the kind says which one it is, whether or not it is a default.
        made.append({"kind": table.kind, **plain} if hasattr(table, "kind") else plain)
    return made


def _without_nulls(plain: Any) -> Any:
    """TOML has no null: where a table has left out what is there by default, it says false."""
    if isinstance(plain, dict):
        return {key: False if value is None else _without_nulls(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_without_nulls(each) for each in plain]
    return plain
