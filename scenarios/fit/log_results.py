"""The content of `results.json` of a fit: what was read, the claims as the logs tell them, the numbers of the profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from relaysim.reports.results import SCHEMA
from relaysim.reports.statistics import rounded
from relaysim.scenarios.fit.estimates import Estimates, predicted
from relaysim.scenarios.fit.log_claims import endings, judge_log, share
from relaysim.scenarios.fit.reading import Reading

KIND = "fit"


def fit_results(reading: Reading, estimates: Estimates, base: str, code_version: str) -> dict[str, Any]:
    """The content of `results.json`."""
    judged, untold = judge_log(reading)
    expected = None if reading.locked else predicted(estimates)  # a profile's cancels free no lock
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "code_version": code_version,
        "base": base,
        "log": {
            **reading.bytes.to_dict(),
            "relay_lines": {each.name.lower(): count for each, count in sorted(_found(reading).items(), key=_by_name)},
            "with_date": reading.unread.dated,
            "other_wording": reading.unread.by_wording,
            "broken_events": reading.unread.events,
        },
        "conflicts": {
            "met": reading.met,
            "ended": reading.ended,
            "attempts": estimates.retries.attempts,
            "attempts_seen": {str(each): count for each, count in sorted(reading.attempts.items())},
            "joined": reading.joined.total(),
            "early": reading.early,
            "cancels_at_check": reading.cancels_at_check,
            "drained": reading.drained,
            "locked": reading.locked,
            "refusals": reading.refusals,
            "refused_alone": reading.refused_alone,
            "waits": list(estimates.retries.waits),
            "waits_from_log": estimates.retries.from_log,
            "endings": [
                {
                    "ending": "failed" if not each else f"recovered_at_{each}",
                    **share(reading, each),
                    "profile": None if expected is None or each not in expected else round(expected[each], 6),
                }
                for each in endings(reading)
            ],
        },
        "runs": dict(sorted(reading.run_endings.items())),
        "outcomes": dict(sorted(reading.outcomes.items())),
        "claims": judged,
        "untold": untold,
        "numbers": [each.to_dict() for each in estimates.numbers],
        "turnbull": [list(each) for each in estimates.steps],
        "curve": _curve(estimates) if estimates.observations else [],
        "retry_seconds": [rounded(sorted(each)[len(each) // 2]) for each in estimates.retries.moments],
    }


def _found(reading: Reading) -> Mapping[Any, int]:
    return reading.unread.found


def _by_name(item: tuple[Any, int]) -> str:
    return str(item[0].name)


def _curve(estimates: Estimates) -> list[list[float]]:
    """The profile's distribution at 60 moments from 20 ms to 30 s."""
    moments = [0.02 * 1500 ** (at / 59) for at in range(60)]
    shares = estimates.freed_by(np.array(moments)).tolist()
    return [[round(at, 4), round(share, 5)] for at, share in zip(moments, shares, strict=True)]
