"""The table of run states as the control API shows it."""

from __future__ import annotations

from typing import Final

from relaysim.sim.backends.state_table import Evidence
from relaysim.sim.backends.threads.control_models import MoveEntry, RuleEntry, StateEntry, States
from relaysim.sim.backends.threads.states import EXPIRY_SECONDS, RULES, STATES, TRANSITIONS, mermaid

_EVIDENCE: Final[dict[str, str]] = {
    Evidence.CAPTURED: "a wire capture or a traceback in a public report",
    Evidence.DOCUMENTED: "official documentation or the OpenAPI text",
    Evidence.RELIED_ON: "public client code depends on it",
    Evidence.INFERRED: "none of these: a choice of this simulator",
}


def show_states() -> States:
    """The table of run states."""
    return States(
        states=[StateEntry(**state._asdict()) for state in STATES],
        moves=[MoveEntry(**move._asdict()) for move in TRANSITIONS],
        rules=[RuleEntry(**{**rule._asdict(), "states": list(rule.states)}) for rule in RULES],
        evidence=_EVIDENCE,
        expiry_seconds=EXPIRY_SECONDS,
        mermaid=mermaid(),
    )
