"""What the judge must know of a world and its relay besides the trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from relaysim.relay.drain.settings import DrainSettings
from relaysim.sim.world.settings import WorldSettings

_ALMOST_ALL: Final = 1 - 2.0**-20
_DEFAULT: Final = DrainSettings()

_latest: list[tuple[WorldSettings, JudgeSettings]] = []
"""The world that was asked for last: thousands of replications have the same."""


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """Numbers that the promises are stated in; all times in seconds.

    lease_prefix              begins the Redis key of each lease; the rest is the conversation
    lease_seconds             how long a lease lasts unless renewed
    sweep_seconds             between two looks for conversations without a holder
    burst_cap_seconds         how long a burst may be collected
    apology_span_seconds      an apology is also for what was accepted at most so long after its oldest message
    send_timeout_seconds      after so long the relay gives up on a send
    step_seconds              after so long the relay gives up on a step of its ledger
    poll_seconds              the shortest regular pause between two looks at a run
    retry_ratio               repetitions allowed per request
    retry_reserve             repetitions allowed on top, per life of a worker
    retry_refill_per_second   repetitions allowed per second on top
    wait_replicas             replicas that confirm an accepted message; 0: a failover may lose what was acknowledged
    lost_seconds              per kind of Redis fault that loses writes, how far back it goes at most
    limit_seconds             virtual time at which the world is cut off; None: it is not
    outcome_seconds           within which a message must end
    slack_seconds             on top of what L2, L3 and L4 allow
    apologies                 texts that are known to be no assistant's
    """

    lease_prefix: str = "relay:lease:"
    lease_seconds: float = 10.0
    sweep_seconds: float = 3.0
    burst_cap_seconds: float = 2.0
    apology_span_seconds: float = 15.0
    send_timeout_seconds: float = 10.0
    step_seconds: float = 3.0
    poll_seconds: float = 0.8 * 0.8
    retry_ratio: float = 0.1
    retry_reserve: float = 10.0
    retry_refill_per_second: float = 0.5
    wait_replicas: int = 0
    lost_seconds: Mapping[str, float] = field(default_factory=dict)
    limit_seconds: float | None = None
    outcome_seconds: float = 90.0
    slack_seconds: float = 1.0
    apologies: frozenset[str] = frozenset()

    @classmethod
    def of_relay(cls, given: Mapping[str, Any], **more: Any) -> Self:
        """From the settings that the relay's factory gets; what is not among them is as by default.

        A value that is of no use here, such as a text for a number, counts as not given: the factory refuses it.
        """

        def number(name: str) -> float:
            value = given.get(name)
            usable = isinstance(value, int | float) and not isinstance(value, bool)
            return value if usable else getattr(_DEFAULT, name)  # type: ignore[return-value]

        prefix = given.get("key_prefix")
        known: dict[str, Any] = {
            "lease_prefix": f"{prefix if isinstance(prefix, str) else _DEFAULT.key_prefix}lease:",
            "lease_seconds": number("lease_seconds"),
            "sweep_seconds": number("sweep_seconds"),
            "burst_cap_seconds": number("burst_cap_seconds"),
            "apology_span_seconds": number("apology_span_seconds"),
            "send_timeout_seconds": number("send_timeout_seconds"),
            "step_seconds": number("store_timeout_seconds") + number("wait_milliseconds") / 1000,
            # Pauses are jittered by a fifth.
            "poll_seconds": 0.8 * min(number("poll_first_seconds"), number("poll_cap_seconds")),
            "retry_ratio": number("retry_budget_ratio"),
            "retry_reserve": number("retry_budget_reserve"),
            "retry_refill_per_second": number("retry_budget_refill_per_second"),
            "wait_replicas": int(number("wait_replicas")),
        }
        return cls(**{**known, **more})

    @classmethod
    def of(cls, world: WorldSettings) -> JudgeSettings:
        """From the settings of a world."""
        if not _latest or _latest[0][0] is not world:
            _latest[:] = [(world, cls._of(world))]
        return _latest[0][1]

    @classmethod
    def _of(cls, world: WorldSettings) -> Self:
        lost: dict[str, float] = {}
        for fault in world.redis_faults:
            if fault.lost_seconds is not None:
                lost[fault.kind] = max(lost.get(fault.kind, 0.0), fault.lost_seconds.sample(_ALMOST_ALL))
        return cls.of_relay(
            world.relay.settings,
            lost_seconds=lost,
            limit_seconds=world.limit_seconds,
            apologies=frozenset((world.relay.friendly_text, world.relay.generic_text)),
        )
