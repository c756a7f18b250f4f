"""Numbers of an answer in words: each share with what it is counted among, each bound with its confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relaysim.reports.answers.severity import may_never_happen, share_of
from relaysim.reports.claim_kinds import CLAIM_KINDS
from relaysim.reports.claims import LATE, NO_ANSWER, SUM_OF_BREACHES
from relaysim.reports.summary import percent
from relaysim.sim.counted import counted, plural

_SEVERAL: Final = frozenset(
    {SUM_OF_BREACHES, "wrong_conversation", "duplicate_reply", "out_of_order", "over_notices", "undeclared_texts"}
    | {f"breach_{promise}" for promise in ("S12", "S13", "S15")}
)
"""Events that one message may meet several times: they are counted by replies, texts or breaches, not by messages."""

FEW: Final = 10
"""Of fewer trials no percentage is told: one more or less would change it by more than ten points."""

_ANSWERED: Final = "messages that got an answer or an apology"


def share_words(count: int, among: int) -> str:
    """`692 of 6,006 (11.52 %)`; a share is never more than all."""
    if among < FEW:
        return f"{count:,} of {among:,}"
    return f"{count:,} of {among:,} ({percent(min(1.0, count / among))})"


def rate_words(count: int, among: int) -> str:
    """`11.52 %`, or of few trials `1 of 1`, which no percentage makes more of."""
    return f"{count:,} of {among:,}" if among < FEW else percent(count / among)


def observed_words(claim: Mapping[str, Any]) -> str:
    """What was seen of a claim, in a few words of a table."""
    count, trials = claim["count"], claim["n"]
    if not trials and claim["event"] == LATE:
        return NO_ANSWER
    if not trials:
        return "never met" if not count else f"{count:,} times"
    if hit := claim.get("messages_hit"):
        return f"{hit:,} of {trials:,}{_times(hit, count)}"
    if count and (count > trials or not _counts_trials(claim)):
        return f"{count:,} times in {trials:,}"  # no share: one of them may count several times
    if claim.get("nothing_matched"):
        return f"{count:,} of {trials:,}, nothing matched"
    if may_never_happen(claim) and claim["verdict"] == "verified":
        return f"{count:,} of {trials:,}, at most {percent(interval_of(claim)[1])}"
    if may_never_happen(claim) or CLAIM_KINDS[claim["kind"]].reads_series:
        return f"{count:,} of {trials:,}"
    return f"{percent(count / trials)} of {trials:,}" if trials >= FEW else f"{count:,} of {trials:,}"


def claim_words(claim: Mapping[str, Any]) -> str:
    """What was seen of a claim, as a part of a sentence: how many of how many, and what the claim allows."""
    count, trials = claim["count"], claim["n"]
    among = _ANSWERED if claim["event"] == LATE else among_words(claim["among"])
    if CLAIM_KINDS[claim["kind"]].reads_series:
        return f"{trials - count:,} of {counted(trials, 'value')} differ"
    if hit := claim.get("messages_hit"):
        return f"{hit:,} of {trials:,} {among}{_times(hit, count)}"
    if may_never_happen(claim):
        return f"{counted(count, 'time')} in {trials:,} {among}"
    low, high = claim["limit"]
    allowed = f"{low * 100:.6g} – {high * 100:.6g} %" if low and high < 1 else _one_sided(low, high)
    seen = f"{count:,} of {trials:,} {among}"
    return (
        f"{percent(share_of(claim))} ({seen}), where it says {allowed}"
        if trials >= FEW
        else f"{seen}, where it says {allowed}"
    )


def _times(hit: int, count: int) -> str:
    """How many breaches hit those messages, if some of them were hit more than once."""
    return f", {counted(count, 'time')}" if count != hit else ""


def _counts_trials(claim: Mapping[str, Any]) -> bool:
    """Whether each occurrence is one of the trials: of texts, runs or breaches several may belong to one message."""
    return claim["among"] != "messages" or claim["event"] not in _SEVERAL


def _one_sided(low: float, high: float) -> str:
    return f"less than {high * 100:.6g} %" if high < 1 else f"more than {low * 100:.6g} %"


def among_words(name: str) -> str:
    """What a claim counts its event among, in the plural."""
    return {
        "replications": plural("world"),
        "messages": plural("message"),
        "met_active_run": "messages that met an active run",
    }.get(name, name.replace("_", " "))


def interval_of(claim: Mapping[str, Any]) -> tuple[float, float]:
    """A claim's interval, within 0 and 1."""
    low, high = claim["interval"]
    return max(0.0, float(low)), min(1.0, float(high))
