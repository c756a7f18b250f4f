"""What stays of a scenario when another relay takes the place of the one that it was written for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from relaysim.reports.claims import REPLICATIONS
from relaysim.scenarios.document import Document, claim_id, extend
from relaysim.sim.world.variations import RELAY_SETTINGS

OWED: Final = "what a relay owes its customers"
"""Why a claim is expected to hold of a relay that nobody here has seen."""


_OWED_BY_ANY: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "id": "in-time",
        "title": "each answer or apology comes in time",
        "kind": "never",
        "event": "late",
        "among": "messages",
        "expect": "verified",
        "reason": OWED,
    },
    {
        "id": "within-cost",
        "title": "no conversation takes more requests or runs than the limits allow",
        "kind": "never",
        "event": "over_cost",
        "among": "messages",
        "expect": "verified",
        "reason": "needless requests and runs are paid for, and count against the account's rate limits",
    },
    {
        "id": "few-notices",
        "title": "no message brings more notices than the limits allow, and none comes when nobody waits",
        "kind": "never",
        "event": "over_notices",
        "among": "messages",
        "expect": "verified",
        "reason": OWED,
    },
    {
        "id": "own-texts",
        "title": "what it writes by itself is declared, or only what relays usually write",
        "kind": "absent",
        "event": "undeclared_texts",
        "among": "messages",
        "expect": "verified",
        "reason": "what no run wrote is known to the relay's author alone",
    },
)
"""Judged of somebody's own relay, beside the claims of its scenario."""


def is_somebodys_own(factory: str) -> bool:
    """Whether a factory that a file names is of no relay that ships."""
    return not factory.startswith("relaysim.")


def of_another_relay(document: Document) -> Document:
    """A scenario as somebody's own relay meets it: without the settings of the relay that it was written for, and with the
    claims on any relay, each expected to hold. What an incident's relay breaks is no excuse for another one."""
    changed = extend({}, document)
    leave_out_its_settings(changed)
    if isinstance(claims := changed.get("claims"), list):
        changed["claims"] = claims_on_any_relay(claims)
    return changed


def leave_out_its_settings(document: Document) -> None:
    """Leave out what was written for a certain relay: its settings and libraries, those of groups of workers, and what
    explored worlds vary of them."""
    relay = document.get("relay")
    of_relay = relay.items() if isinstance(relay, dict) else ()
    document["relay"] = {key: value for key, value in of_relay if key not in ("settings", "libraries")}
    explored = document.get("explored")
    vary = explored.get("vary") if isinstance(explored, dict) else None
    if isinstance(explored, dict) and isinstance(vary, dict):
        kept_values = {path: values for path, values in vary.items() if not path.startswith(RELAY_SETTINGS)}
        variants = [each for each in explored.get("variants", ()) if not _is_of_relay(each)]
        document["explored"] = {**explored, "vary": kept_values, "variants": variants}
    groups = document.get("workers")
    if isinstance(groups, list):
        document["workers"] = [_without_settings(group) for group in groups]


def claims_on_any_relay(claims: Sequence[Any]) -> list[Any]:
    """Those of scope `any`, which are expected to be verified."""
    return [
        {**claim, "expect": "verified", "reason": OWED, "by_construction": False}
        for claim in claims
        if isinstance(claim, dict) and claim.get("scope", "any") == "any"
    ]


def with_what_is_owed(claims: Sequence[Any], document: Document, dropped: Collection[str] = ()) -> list[Any]:
    """The claims of a scenario's document, and those on what any relay owes.

    Args:
        claims: one with the id of such a claim says what is to be different of it.
        document: the scenario's.
        dropped: ids of such claims that are left out.
    """
    owed = {claim["id"]: claim for claim in _OWED_BY_ANY}
    if "strata" in document:  # where trials are whole replications
        owed = {name: {**claim, "among": REPLICATIONS} for name, claim in owed.items()}
    ids = [claim_id(claim) for claim in claims]
    changed = [
        {**owed.get(name, {}), **claim} if name in owed else claim for name, claim in zip(ids, claims, strict=True)
    ]
    return [*changed, *(dict(claim) for name, claim in owed.items() if name not in ids and name not in dropped)]


def _without_settings(group: Any) -> Any:
    return {key: value for key, value in group.items() if key != "settings"} if isinstance(group, dict) else group


def _is_of_relay(variant: Any) -> bool:
    values = variant.get("values") if isinstance(variant, dict) else None
    return isinstance(values, dict) and any(path.startswith(RELAY_SETTINGS) for path in values)
