"""What the judge must know of a world besides the trace: what its relay promises, and how the world was disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final

from relaysim.sim.trace.operation_roles import OperationRoles
from relaysim.sim.world.judge.promises import NOTHING_DECLARED, Promises
from relaysim.sim.world.settings import Limits, WorldSettings

_ALMOST_ALL: Final = 1 - 2.0**-20


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """What is judged, and what excuses; all times in seconds.

    roles           what the API's operations do
    promises        what the relay declares
    lost_seconds    per kind of Redis fault that loses writes, how far back it goes at most
    limit_seconds   virtual time at which the world is cut off; None: it is not
    slack_seconds   on top of what L2, L3 and L4 allow
    apologies       texts that are known to be apologies: the scenario's, and those that the relay declares
    notices         texts that are declared to be neither answers nor apologies: the scenario's, and those of the relay
    limits          what an answer may take
    order_seconds   how fine the relay is told when a message was written; 0: exactly, infinite: it is not
    """

    roles: OperationRoles
    promises: Promises = NOTHING_DECLARED
    lost_seconds: Mapping[str, float] = field(default_factory=dict)
    limit_seconds: float | None = None
    slack_seconds: float = 1.0
    apologies: frozenset[str] = frozenset()
    notices: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    order_seconds: float = 0.0

    @classmethod
    def of(
        cls, world: WorldSettings, promises: Promises, roles: OperationRoles, *, gets_requests: bool = False
    ) -> JudgeSettings:
        """For worlds of these settings, whose relay promises this and whose API has this lock.

        `gets_requests`: it gets a provider's webhooks as requests, and knows of a message what is in there.
        """
        lost: dict[str, float] = {}
        for fault in world.redis_faults:
            if fault.lost_seconds is not None:
                lost[fault.kind] = max(lost.get(fault.kind, 0.0), fault.lost_seconds.sample(_ALMOST_ALL))
        return cls(
            promises=promises,
            lost_seconds=lost,
            limit_seconds=world.limit_seconds,
            apologies=frozenset((world.relay.friendly_text, world.relay.generic_text, *promises.apologies)),
            notices=frozenset((*world.relay.notices, *promises.notices)),
            roles=roles,
            limits=world.limits,
            order_seconds=_order_seconds(world, gets_requests),
        )


def _order_seconds(world: WorldSettings, gets_requests: bool) -> float:
    if world.provider is None:
        return 0.0 if world.workload.tells_time else inf
    return world.provider.order_seconds if gets_requests else 0.0
