"""Which settings are searched, in which ranges, and where the search begins.

Values lie on a grid, so that a policy file reads well and the same candidate is not run twice. Settings that are not
listed keep the scenario's value. The relay's poll interval is not searched for `cancel_and_retry`: it has no part in
clearing a conflict, and the requests saved by looking less often would be paid by customers who wait for a reply that is
there already. For `drain`, whose objectives count the whole way to the reply, polling is searched.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from relaysim.relay import RetrySettings
from relaysim.relay.policy_file import POLICIES
from relaysim.relay.policy_settings import Cancels
from relaysim.relay.wait_settings import WaitSettings
from relaysim.reports.statistics import rounded
from relaysim.scenarios.tune.closed_form import Backend, expected

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting: `choices`, or numbers from `low` to `high` in steps of `step` (whole if all three are)."""

    name: str
    low: float = 0.0
    high: float = 0.0
    step: float = 1.0
    choices: tuple[Any, ...] = ()

    @property
    def is_integer(self) -> bool:
        """Whether its values are whole numbers."""
        return all(isinstance(each, int) for each in (self.low, self.high, self.step))

    def distribution(self) -> BaseDistribution:
        """As Optuna has it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.is_integer:
            return IntDistribution(int(self.low), int(self.high), step=int(self.step))
        return FloatDistribution(self.low, self.high, step=self.step)

    def value(self, drawn: Any) -> Any:
        """The setting for a drawn value: on the grid to the last digit, which binary steps are not."""
        return drawn if self.choices or self.is_integer else round(float(drawn), 3)

    def holds(self, value: Any) -> bool:
        """Whether a value lies on the grid."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-6

    def describe(self) -> dict[str, Any]:
        """As results have it."""
        if self.choices:
            return {"name": self.name, "choices": list(self.choices)}
        return {"name": self.name, "low": self.low, "high": self.high, "step": self.step}


_WAITS = (
    Parameter("attempts", 1, 6, 1),
    Parameter("first_wait_seconds", 0.25, 4.0, 0.05),
    Parameter("factor", 1.0, 4.0, 0.1),
    Parameter("max_wait_seconds", 1.0, 20.0, 0.5),
    Parameter("jitter", choices=("none", "equal", "full")),
    Parameter("wait_after_last_failure", choices=(True, False)),
)
#: A turn lasts longer than a cancel, so that more patience may pay.
_LOCK_WAITS = (
    Parameter("attempts", 1, 10, 1),
    Parameter("first_wait_seconds", 0.25, 10.0, 0.25),
    *_WAITS[2:],
)

SPACES: Mapping[str, tuple[Parameter, ...]] = {
    "cancel_and_retry": (*_WAITS, Parameter("cancels", choices=("each_conflict", "first_conflict"))),
    "cancel_and_retry_as_run": (
        *_WAITS,
        Parameter("cancels", choices=("each_conflict", "first_conflict")),
        Parameter("check_patience_seconds", 0.0, 30.0, 0.5),
        Parameter("check_poll_seconds", 0.25, 2.0, 0.25),
    ),
    "retry_on_lock": _LOCK_WAITS,
    "quiet_window": (*_LOCK_WAITS, Parameter("quiet_seconds", 0.5, 10.0, 0.25)),
    "drain": (
        Parameter("burst_gap_seconds", 0.0, 3.0, 0.1),
        Parameter("burst_cap_seconds", 0.5, 6.0, 0.5),
        Parameter("lease_seconds", 4.0, 30.0, 1.0),
        Parameter("sweep_seconds", 1.0, 10.0, 0.5),
        Parameter("poll_first_seconds", 0.2, 3.0, 0.1),
        Parameter("poll_factor", 1.0, 2.0, 0.05),
        Parameter("poll_cap_seconds", 0.5, 6.0, 0.1),
        Parameter("poll_hint", choices=(True, False)),
    ),
}
"""The policies that can be tuned, and what is searched of each."""

#: Of the closed form's best, so many are where the search begins.
_ADVISED = 4
#: The present waits grow beyond no sensible limit: a cap that none of them reaches says the same.
_NO_CAP = 20.0
_CAP = "max_wait_seconds"


def names(policy: str) -> tuple[str, ...]:
    """The settings that are searched."""
    return tuple(parameter.name for parameter in SPACES[policy])


CLOSED_FORM = "cancel_and_retry"
"""The policy that arithmetic knows, see `closed_form`."""


def made(policy: str, settings: Settings) -> Any:
    """The policy's settings as it has them, defaults included."""
    return POLICIES[policy].settings(**settings)


def present(policy: str, base: Settings) -> dict[str, Any] | None:
    """The scenario's own settings as a point of the space, or None where they lie outside it."""
    own = made(policy, base)
    point = {name: getattr(own, name) for name in names(policy)}
    if isinstance(own, WaitSettings):
        if own.waits is not None:
            return None
        if point[_CAP] is None:
            point[_CAP] = _NO_CAP
            if max(own.planned_waits, default=0.0) > _NO_CAP:
                return None
    return point if all(each.holds(point[each.name]) for each in SPACES[policy]) else None


def starts(policy: str, base: Settings, backends: Sequence[Backend]) -> list[dict[str, Any]]:
    """Where the search begins: the present settings, their neighbours, no fix at all, and what arithmetic advises."""
    here = present(policy, base)
    if policy != CLOSED_FORM:
        return [] if here is None else [here]
    middle = here or {
        "attempts": 3,
        "first_wait_seconds": 2.0,
        "factor": 2.0,
        _CAP: _NO_CAP,
        "jitter": "none",
        "wait_after_last_failure": True,
        "cancels": "each_conflict",
    }
    points = [] if here is None else [here]
    points += [
        {**middle, "attempts": 1, "wait_after_last_failure": False},
        {**middle, "wait_after_last_failure": False},
        {**middle, "wait_after_last_failure": False, "cancels": "first_conflict"},
        {**middle, "attempts": 4, "wait_after_last_failure": False, "cancels": "first_conflict"},
    ]
    points += _advised(base, backends)
    return [point for at, point in enumerate(points) if point not in points[:at]]


def settings_of(policy: str, base: Settings, point: Settings) -> dict[str, Any]:
    """The relay's settings for a point: the scenario's, with those searched in their place."""
    waits = issubclass(POLICIES[policy].settings, WaitSettings)
    kept = {name: value for name, value in base.items() if not (waits and name == "waits")}
    return {**kept, **{each.name: each.value(point[each.name]) for each in SPACES[policy]}}


#: What the relay makes its waits of.
_OF_WAITS = {"first_wait_seconds", "factor", _CAP, "waits", "wait_after_last_failure"}


def effective(policy: str, settings: Settings) -> dict[str, Any]:
    """What the relay does with some settings: equal where two say the same in other words."""
    own = made(policy, settings)
    if not isinstance(own, WaitSettings):
        return asdict(own)
    waits = tuple(rounded(wait) for wait in own.planned_waits)
    others = {name: value for name, value in asdict(own).items() if name not in _OF_WAITS}
    return others | {"waits": waits, "jitter": own.jitter if any(waits) else "none"}


_CANCELS: tuple[Cancels, ...] = ("each_conflict", "first_conflict")
_ATTEMPTS = (1, 2, 3, 4, 5, 6)
_FIRST_WAITS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0)
_FACTORS = (1.0, 1.2, 1.5, 2.0, 3.0, 4.0)
_CAPS = (4.0, 8.0, 20.0)


@cache
def grid() -> tuple[RetrySettings, ...]:
    """The space of `cancel_and_retry` as the closed form looks at it: no jitter, no useless last wait, and settings that
    wait alike once."""
    found: dict[tuple[Any, ...], RetrySettings] = {}
    for cancels, attempts, first, factor, cap in itertools.product(_CANCELS, _ATTEMPTS, _FIRST_WAITS, _FACTORS, _CAPS):
        settings = RetrySettings(
            attempts=attempts,
            first_wait_seconds=first,
            factor=factor,
            max_wait_seconds=cap,
            wait_after_last_failure=False,
            cancels=cancels,
        )
        found.setdefault((cancels, attempts, tuple(settings.planned_waits)), settings)
    return tuple(found.values())


def _advised(base: Settings, backends: Sequence[Backend]) -> list[dict[str, Any]]:
    """The grid's points that the closed form expects to gain most on the present settings, at the worst."""
    from relaysim.scenarios.tune.objectives import gain

    now = [expected(RetrySettings(**base), backend).as_tuple() for backend in backends]
    scored = []
    for settings in grid():
        then = [expected(settings, backend).as_tuple() for backend in backends]
        scored.append((gain(then, now), {name: getattr(settings, name) for name in names(CLOSED_FORM)}))
    scored.sort(key=lambda each: -each[0])  # stable: equals stay in the grid's order
    return [point for _, point in scored[:_ADVISED]]
