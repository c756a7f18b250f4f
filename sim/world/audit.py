"""The ledger of a relay that keeps one, read at the world's end: what it says became of each message.

The workers are dead by then, so that what is read is what the world left; faults have stopped, and nothing is traced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relaysim.sim.kernel import Host, Kernel
from relaysim.sim.world.target import SentMessage, Target

NAME: Final = "auditor"
_PATIENCE_SECONDS: Final = 600.0
_ATTEMPTS: Final = 5


class AuditError(RuntimeError):
    """The target's `outcome_of` did not return."""


def ledger_of(kernel: Kernel, host: Host, target: Target, messages: Sequence[SentMessage]) -> dict[str, str | None]:
    """Per message what `target.outcome_of(conversation, message_id)` says; None: it has no outcome yet.

    Args:
        kernel: the world's; its clock goes on.
        host: where the target lives.
        target: a life of it that does nothing else.
        messages: what is asked for.

    Raises:
        AuditError: if an answer takes ten minutes of virtual time.
        Exception: what `outcome_of` raises, the fifth time.
    """
    found: dict[str, str | None] = {}

    async def ask() -> None:
        for message in messages:
            for attempt in range(_ATTEMPTS):
                try:
                    found[message.id] = await target.outcome_of(message.conversation, message.id)
                    break
                except Exception:
                    # Redis may pause for seconds even without a fault; whoever asks, asks again.
                    if attempt == _ATTEMPTS - 1:
                        raise

    asking = host.spawn(ask())
    until = kernel.now + _PATIENCE_SECONDS
    while not asking.done():
        if kernel.now >= until:
            raise AuditError(f"outcome_of has not returned for {_PATIENCE_SECONDS:g} s of virtual time")
        kernel.advance_to(min(kernel.now + 1.0, until))
    asking.result()
    return found
