"""S16: what customers wrote does not stay in the relay's store."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.findings import Findings
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.world_facts import WorldFacts


def check_forgotten(
    history: History,
    ledger: Mapping[str, str | None],
    disturbances: Disturbances,
    facts: WorldFacts,
    findings: Findings,
) -> None:
    """S16: once a message has ended, nothing that its customer wrote is left in Redis under a key that does not run out. Of
    a relay that declares so.

    Would miss: texts of fewer than twelve characters, or that are stored in another form than as they were written, and
    those of which another message has the words and waits.
    """
    waiting = {each.text for each in history.messages.values() if ledger.get(each.id) is None}
    for message in history.messages.values():
        if message.accepted is None or ledger.get(message.id) is None:
            continue
        findings.check("S16")
        key = facts.kept.get(message.id)
        if key is None or message.text in waiting or disturbances.acknowledged_writes_lost(message.accepted, inf):
            continue
        findings.breach(
            "S16",
            f"what {message.conversation} had written in {message.id}, which has ended {ledger[message.id]}, stays in Redis "
            f"under {key}",
            message=message.id,
            conversation=message.conversation,
        )
