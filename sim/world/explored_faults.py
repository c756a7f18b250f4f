"""The settings of worlds that are explored: which faults a world meets, where and how often (see `exploration`), and what
else it has that its scenario's own worlds have not."""

from __future__ import annotations

from typing import Any, TypeVar

from relaysim.sim.kernel import Draws
from relaysim.sim.kernel.distributions import Distribution, Uniform
from relaysim.sim.world.exploration import ExploringDraws, mixture_of
from relaysim.sim.world.settings import FAULT_LISTS, WorldSettings
from relaysim.sim.world.variations import RELAY_SETTINGS, with_value


def explored(settings: WorldSettings, root_seed: int, seed: int) -> tuple[WorldSettings, Draws]:
    """A world's settings and its draws under its strategy; see `Strategy`."""
    plain = Draws(root_seed, seed)
    mixture = mixture_of(settings.strategy, plain)
    chooser = _Chooser(plain)
    settings = _varied(settings, chooser)
    if settings.workload.bursts is not None and settings.strategy == "portfolio":
        # Who writes as soon as a text has come meets the relay while it lets go of the conversation.
        answers = max(settings.workload.answers_probability, 0.7 * chooser.uniform("answers") - 0.2)
        workload = settings.workload.model_copy(update={"answers_probability": answers})
        settings = settings.model_copy(update={"workload": workload})
    if mixture.faults == "given":
        return settings, ExploringDraws(root_seed, seed, mixture.latencies)
    changed: dict[str, Any] = {name: chooser.weighed(name, getattr(settings, name)) for name in FAULT_LISTS}
    if mixture.faults == "moments":
        changed["host_faults"] = chooser.at_moments_of_workers(settings.host_faults)
        changed["redis_faults"] = chooser.at_sites("redis_faults", settings.redis_faults)
        changed["faults"] = chooser.at_sites("faults", settings.faults)
    stuck = settings.profile.stuck_probability
    if stuck > 0 and chooser.uniform("stuck on") < 0.5:
        changed["profile"] = settings.profile.model_copy(
            update={"stuck_probability": max(stuck, 0.5 * 10.0 ** (-2.0 * chooser.uniform("stuck weight")))}
        )
    return settings.model_copy(update={**changed, "swarm": None}), ExploringDraws(root_seed, seed, mixture.latencies)


def _varied(settings: WorldSettings, chooser: _Chooser) -> WorldSettings:
    """The settings with the further faults of explored worlds, and some of their other values."""
    given = settings.explored
    changed: dict[str, Any] = {name: getattr(settings, name) + getattr(given, name) for name in FAULT_LISTS}
    values: dict[str, Any] = {}
    for path, others in given.vary.items():
        if chooser.uniform(f"vary {path}") < given.vary_probability:
            values[path] = others[int(chooser.uniform(f"vary {path}", 1) * len(others))]
    for position, variant in enumerate(given.variants):
        if chooser.uniform("variant", position) < variant.probability:
            values |= variant.values
    for path, value in values.items():
        table, _, key = path.rpartition(".")
        if table == RELAY_SETTINGS:
            relay = changed.get("relay", settings.relay)
            changed["relay"] = relay.model_copy(update={"settings": {**relay.settings, key: value}})
        else:
            changed[table] = with_value(changed.get(table, getattr(settings, table)), key, value)
    # What was drawn is drawn: a world that is made of this one does not vary once more.
    return settings.model_copy(update={**changed, "explored": type(given)()})


F = TypeVar("F", bound=Any)


class _Chooser:
    """Draws which faults a world meets. One that is left out keeps its place, with probability 0, since places key draws."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        # From half of the faults to nearly none: many at once hide each other, and excuse what a relay does.
        self._off = 0.5 + 0.48 * self.uniform("off")

    def uniform(self, purpose: str, index: int = 0) -> float:
        """A keyed draw."""
        return self._draws.uniform("exploration", purpose, index)

    def weighed(self, name: str, faults: tuple[F, ...]) -> tuple[F, ...]:
        """Most of them off, the others at a tenth to ten times their probability, on a logarithmic scale."""
        made = []
        for position, fault in enumerate(faults):
            weight = 10.0 ** (2.0 * self.uniform(f"{name} weight", position) - 1.0)
            likely = fault.probability
            probability = (
                0.0 if self.uniform(f"{name} off", position) < self._off else min(max(likely, 0.9), likely * weight)
            )
            made.append(fault.model_copy(update={"probability": probability}))
        return tuple(made)

    def at_sites(self, name: str, faults: tuple[F, ...]) -> tuple[F, ...]:
        """Those that watch occasions strike few kinds of them, and often; the others are weighed."""
        made = []
        for position, (fault, weighed) in enumerate(zip(faults, self.weighed(name, faults), strict=True)):
            if fault.probability == 0.0 or getattr(fault, "lasts", False) or fault.nth is not None:
                made.append(weighed)
                continue
            off = self.uniform(f"{name} site off", position) < self._off
            probability = 0.0 if off else 10.0 ** (-1.3 * self.uniform(f"{name} site weight", position))
            changed: dict[str, Any] = {"probability": probability, "site_probability": 0.2}
            if not off and fault.window_seconds is None and self.uniform(f"{name} site outage", position) < 0.3:
                # For a while nothing of that kind works, and all else does.
                begin = 120.0 * self.uniform(f"{name} site outage", position + 1000)
                lasting = 4.0 * 10.0 ** (1.4 * self.uniform(f"{name} site outage", position + 2000))
                changed |= {"probability": 1.0, "window_seconds": (begin, begin + lasting)}
            made.append(fault.model_copy(update=changed))
        return tuple(made)

    def at_moments_of_workers(self, faults: tuple[F, ...]) -> tuple[F, ...]:
        """The first fault of each kind that stops a worker strikes at few kinds of event; the others of its kind are off."""
        made = []
        seen: set[str] = set()
        for position, (fault, weighed) in enumerate(zip(faults, self.weighed("host_faults", faults), strict=True)):
            if fault.kind not in ("crash", "stop", "pause") or fault.probability == 0.0:
                made.append(weighed)
                continue
            off = fault.kind in seen or self.uniform("moment off", position) < 0.5 * self._off
            seen.add(fault.kind)
            changed = {
                "at_seconds": None,
                "on": "*",
                "nth": None,
                "probability": 0.0 if off else 10.0 ** (-1.5 * self.uniform("moment weight", position)),
                "site_probability": 0.12,
                "times": 1 + int(6 * self.uniform("moment times", position)),
            }
            if fault.kind == "pause":
                changed["seconds"] = self._pause_seconds(fault.seconds, position)
            if self.uniform("moment later", position) < 0.5:
                # Between two things that the worker does: while it waits, or a request is on its way.
                longest = 0.05 * 10.0 ** (2.5 * self.uniform("moment later", position + 1000))
                changed["after_seconds"] = Uniform(kind="uniform", low=0.0, high=longest)
            made.append(fault.model_copy(update=changed))
        return tuple(made)

    def _pause_seconds(self, given: Distribution, position: int) -> Distribution:
        """As the scenario has it; or short, so that the worker goes on under the lease that it had; or each about equally
        long, in some worlds about as long as whatever the relay must not outlast."""
        kind = self.uniform("pause", position)
        if kind < 0.3:
            return given
        if kind < 0.6:
            return Uniform(kind="uniform", low=0.05, high=6.0)
        least = 2.0 * 10.0 ** self.uniform("pause", position + 1000)
        return Uniform(kind="uniform", low=least, high=1.25 * least)
