"""What a scenario's worlds put a relay to, by the names of `relaysim.reports.answers.untried.WORDS`.

Whether nobody got another customer's reply is not shown where one customer writes, and so on: an answer that calls a relay
safe names what was not tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from relaysim.reports.answers.untried import WORDS
from relaysim.scenarios.model import Scenario

_EXPECTED_MIN = 5.0
"""How many webhooks must be expected to come twice by chance: less than 1 % of such runs then hold none."""

_DEATHS = frozenset({"crash", "stop"})
_REPEATING = frozenset({"duplicate", "lost_ack"})


def tried(scenario: Scenario, messages: int, hits: Mapping[str, Sequence[int]]) -> list[str]:
    """What these worlds of a scenario tried; a fault counts only if it has hit.

    Args:
        scenario: whose worlds they are.
        messages: how many messages customers wrote in them.
        hits: how often each fault hit, by the list that it stands in, see `World.fault_hits`.
    """
    workload = scenario.workload
    by_customer = Counter(message.conversation for message in workload.messages)
    bursts = workload.bursts
    died = bool(_hit_kinds(scenario, "host_faults", hits) & _DEATHS)
    repeats = scenario.provider is not None or workload.redeliver_seconds is not None
    found = {
        "strangers": len(by_customer) > 1 or (bursts is not None and workload.conversations > 1),
        "order": any(count > 1 for count in by_customer.values()) or (bursts is not None and bursts.messages_mean > 1),
        "repeats": workload.duplicate_probability * messages >= _EXPECTED_MIN
        or bool(_hit_kinds(scenario, "webhook_faults", hits) & _REPEATING)
        or (died and repeats),
        "crashes": died,
        "redis": bool(_hit_kinds(scenario, "redis_faults", hits)),
        "api": bool(_hit_kinds(scenario, "faults", hits)),
        "sends": bool(_hit_kinds(scenario, "send_faults", hits)),
    }
    return [name for name in WORDS if found[name]]


def _hit_kinds(scenario: Scenario, name: str, hits: Mapping[str, Sequence[int]]) -> frozenset[str]:
    """The kinds of those faults of a list that have hit; explored worlds have further ones behind the scenario's own."""
    faults = (*getattr(scenario, name), *getattr(scenario.explored, name))
    return frozenset(fault.kind for fault, count in zip(faults, hits.get(name, ()), strict=False) if count)
