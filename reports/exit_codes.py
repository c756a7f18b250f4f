"""The exit status that the results of `verify` mean.

Shipped and own scenarios say which verdicts they expect, and a gate asks whether those came. Of somebody's own relay nobody
knows what to expect: there the question is whether it is safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relaysim.reports.answers.of_relay import Safety, safety_of
from relaysim.reports.determinism import is_deterministic
from relaysim.reports.results import claims_of

EXIT_AS_EXPECTED: Final = 0
EXIT_UNEXPECTED: Final = 1
EXIT_INCONCLUSIVE: Final = 3
EXIT_NOT_DETERMINISTIC: Final = 4

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

    Of a relay that `--factory` or `--app` named: 0 if it is safe as far as these worlds show, 1 if it is not, 3 if neither
    is shown.
    """
    if "factory" in results:
        return _OF_SAFETY[safety_of(results)]
    if not is_deterministic(results):
        return EXIT_NOT_DETERMINISTIC
    unexpected = [claim["verdict"] for _, claim in claims_of(results) if not is_as_wanted(results, claim)]
    if not unexpected:
        return EXIT_AS_EXPECTED
    return EXIT_INCONCLUSIVE if all(verdict == "inconclusive" for verdict in unexpected) else EXIT_UNEXPECTED


def is_as_wanted(results: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether the claim's verdict lets a gate pass: of a relay of one's own "verified", else what its scenario expects."""
    wanted = "verified" if "factory" in results else claim["expected"]
    return bool(claim["verdict"] == wanted)
