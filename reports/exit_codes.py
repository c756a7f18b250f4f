"""The exit status that the results of `verify` mean.

Scenarios say which verdicts they expect, and a gate asks whether those came. Of somebody's own relay the question is
whether it is safe; what its own file expects to be false, with a reason, lets a gate pass, and the answer still says No.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relaysim.reports.answers.of_relay import Safety, safety_of, unjudged_breaches, unjudged_losses
from relaysim.reports.determinism import is_deterministic
from relaysim.reports.results import claims_of

EXIT_AS_EXPECTED: Final = 0
EXIT_UNEXPECTED: Final = 1
EXIT_INCONCLUSIVE: Final = 3
EXIT_NOT_DETERMINISTIC: Final = 4

_SHIPS: Final = "relaysim."
"""With what the names of all relays begin that ship."""

_OF_SAFETY: Final[Mapping[Safety, int]] = {
    "safe": EXIT_AS_EXPECTED,
    "unsafe": EXIT_UNEXPECTED,
    "not shown": EXIT_INCONCLUSIVE,
    "not judged": EXIT_INCONCLUSIVE,
    "not deterministic": EXIT_NOT_DETERMINISTIC,
}


def exit_status(results: Mapping[str, Any]) -> int:
    """0 if every verdict is as expected; 1 if one is not; 3 if the only ones that are not are inconclusive; 4, whatever the
    verdicts are, if a seed gave two worlds.

    Of somebody's own relay: 0 if it is safe as far as these worlds show, 1 if it is not, 3 if neither is shown.
    """
    if "factory" in results:
        return _OF_SAFETY[safety_of(results, _as_a_gate)]
    if not is_deterministic(results):
        return EXIT_NOT_DETERMINISTIC
    beside = of_own_relays(results)
    if unjudged_losses(beside) or unjudged_breaches(beside):
        return EXIT_UNEXPECTED
    unexpected = [claim["verdict"] for _, claim in claims_of(results) if not is_as_wanted(results, claim)]
    if not unexpected:
        return EXIT_AS_EXPECTED
    return EXIT_INCONCLUSIVE if all(verdict == "inconclusive" for verdict in unexpected) else EXIT_UNEXPECTED


def of_own_relays(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """The results of those scenarios that are of somebody's own relay: all of them, or some beside relays that ship."""
    if "factory" in results:
        return results
    scenarios = [each for each in results["scenarios"] if not str(each.get("factory", _SHIPS)).startswith(_SHIPS)]
    return {**results, "scenarios": scenarios}


def is_as_wanted(results: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether the claim's verdict lets a gate pass: it is the one that its scenario expects, of somebody's own relay
    "verified" unless its own file says otherwise."""
    return bool(claim["verdict"] == claim["expected"])


def expected_words(results: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """What was expected, where that is to be said: of somebody's own relay only where its file expects something else than
    that a claim holds."""
    return "" if "factory" in results and claim["expected"] == "verified" else f"expected {claim['expected']}"


def _as_a_gate(claim: Mapping[str, Any]) -> str:
    """What a verdict on somebody's own relay counts as: what was expected passes, what was mended unexpectedly does not."""
    if claim["verdict"] == claim["expected"]:
        return "verified"
    return "refuted" if claim["verdict"] == "verified" else str(claim["verdict"])
