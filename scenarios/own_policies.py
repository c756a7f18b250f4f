"""The relay's own policies: over which APIs each works, and whether a scenario has one that speaks its API.

A policy over an API that it does not speak would look like one that loses every message, so it is refused.

The relay is imported when it is asked for: what only looks at scenarios does not wait for the SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from relaysim.sim.backends import DEFAULT

HOME: Final = "relaysim.relay:"
"""Where the relay's own policies are found."""


class Mismatch(NamedTuple):
    """A policy that does not speak an API: what is wrong, and what to do."""

    message: str
    suggestion: str


def apis_of(policy: str) -> tuple[str, ...] | None:
    """The APIs over which one of the relay's own policies works; None: it is none of them."""
    from relaysim.relay.policy_file import POLICIES, SHOWN_ONLY

    known = POLICIES.get(policy)
    return SHOWN_ONLY.get(policy) if known is None else known.apis


def policies_over(api: str) -> list[str]:
    """The relay's own policies that work over an API."""
    from relaysim.relay.policy_file import POLICIES, SHOWN_ONLY

    return [name for name in (*POLICIES, *SHOWN_ONLY) if api in (apis_of(name) or ())]


def mismatch(policy: str, api: str) -> Mismatch | None:
    """What is wrong with a policy in a scenario on an API; None: it speaks it, or is none of the relay's own."""
    apis = apis_of(policy)
    if apis is None or api in apis:
        return None
    message = f"{policy} works over {' and '.join(apis)}, and this scenario's API is {api}"
    return Mismatch(message, f"over {api} there are {', '.join(policies_over(api))}")


def untold(policy: str, settings: Mapping[str, Any], api: str) -> Mismatch | None:
    """What is wrong with the settings of a policy that speaks several APIs and is told which: it is told another one."""
    from relaysim.relay.policy_file import POLICIES

    if policy not in POLICIES or "api" not in POLICIES[policy].settings.rules():
        return None
    told = settings.get("api", DEFAULT)
    if told == api:
        return None
    message = (
        f"{policy} is told by its setting `api` over which API it works, here {told}, and this scenario's is {api}"
    )
    return Mismatch(message, f"set it: --set relay.settings.api={api}")
