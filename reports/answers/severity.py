"""How bad a refuted claim is, so that the worst one can be named first.

What customers feel comes before everything else; then counts how many of all messages (or worlds, where those are counted)
lie beyond what the claim allows; then how many trials say so. A rate alone would put 1 of 2 before 30 of 120.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from relaysim.reports.claim_kinds import CLAIM_KINDS
from relaysim.reports.claims import REPLICATIONS, TRANSPARENCY_PARTS

MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "wrong_conversation": ("reply", "sent to another conversation"),
    "lost": ("message", "without an answer"),
    "duplicate_reply": ("reply", "to messages that had one already"),
    "out_of_order": ("reply", "sent after a reply to a later message"),
    "apology_despite_cover": ("message", "with an apology although answered"),
    "late": ("message", "whose answer or apology came too late"),
    "over_cost": ("message", "of conversations that cost more than the limits allow"),
    "over_notices": ("notice", "too many, or sent when nobody waited"),
    "answered_but_apologised": ("message", "with an apology although an answer was ready"),
    "breach_S12": ("reach", "into another conversation (S12)"),
    "breach_S13": (
        "breach",
        "of what a conversation must hold (S13: each message once and whole, and what was said before)",
    ),
    "breach_S14": ("message", "stored after one that was written later (S14)"),
    "breach_S15": ("text", "with words that no run wrote, or not all that it wrote (S15)"),
}
"""Per count what is counted, in the singular, and what is wrong with it; the gravest first."""

_FELT: Final = frozenset(
    {"transparency_breaches", "failed", "generic_failure", "succeeded", "late", *TRANSPARENCY_PARTS}
)
"""Events that a customer notices, or whose absence he does."""

Severity = tuple[bool, float, int]
Judged = tuple[Mapping[str, Any], Mapping[str, Any]]
"""A scenario of the results, and one of its claims."""


def share_of(claim: Mapping[str, Any]) -> float | None:
    """The observed share of a claim's trials, never more than all of them; None without a trial.

    What must never happen may happen more often than there are trials: several breaches to one message.
    """
    count, trials = claim["count"], claim["n"]
    return min(1.0, count / trials) if trials else None


@dataclass(frozen=True, slots=True)
class Totals:
    """How many messages and worlds there were in all, of which each claim counts a part."""

    messages: int = 0
    worlds: int = 0

    @classmethod
    def of(cls, scenarios: Iterable[Mapping[str, Any]]) -> Totals:
        """Of some scenarios of the results, each counted once."""
        once = list({id(each): each for each in scenarios}.values())
        messages = sum(int(each.get("outcomes", {}).get("messages", 0)) for each in once)
        return cls(messages, sum(int(each.get("replications", 0)) for each in once))


def severity(claim: Mapping[str, Any], totals: Totals | None = None) -> Severity:
    """How bad it is that a claim is refuted; the larger, the worse.

    Args:
        totals: of the scenarios beside which it stands; None: of its own trials alone.
    """
    low, high = claim["limit"]
    share, trials = share_of(claim), claim["n"]
    if share is None:
        share, trials = 1.0 if claim["count"] else low, claim["count"]
    beyond = max(low - share, share - high, 0.0)
    if totals is not None:
        among = totals.worlds if claim["among"] == REPLICATIONS else totals.messages
        beyond *= trials / max(among, trials, 1)
    return claim["event"] in _FELT, beyond, claim["n"]


def worst_refuted(judged: Iterable[Judged]) -> Judged | None:
    """The worst refuted claim, with its scenario; of equally bad ones the first. None if none is refuted."""
    every = list(judged)
    totals = Totals.of(scenario for scenario, _ in every)
    refuted = [each for each in every if each[1]["verdict"] == "refuted"]
    return max(refuted, key=lambda each: severity(each[1], totals), default=None)


def may_never_happen(claim: Mapping[str, Any]) -> bool:
    """Whether a single occurrence of a claim's event matters."""
    return CLAIM_KINDS[claim["kind"]].is_about_occurrence
