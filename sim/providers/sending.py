"""How often a bot has sent to each customer, measured against a provider's limit."""

from __future__ import annotations

from relaysim.sim.providers.provider import Limit


class Allowance:
    """What is left of a limit, customer by customer: credit for `burst` texts, which comes back one by one.

    This is how 131056 of WhatsApp is documented: a burst borrows from the texts of the future.

    Args:
        limit: how often.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._due: dict[str, float] = {}

    def wait(self, conversation: str, now: float) -> float:
        """For how many seconds no text to this customer is taken; 0: one may be sent, and is counted."""
        seconds, burst = self._limit
        due = max(self._due.get(conversation, now), now)
        wait = due - now - seconds * (burst - 1)
        if wait > 1e-9:
            return wait
        self._due[conversation] = due + seconds
        return 0.0
