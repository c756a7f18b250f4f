"""What a story tells of deliveries: which worker takes a message, how often, and what was not acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relaysim.reports.story_lines import Rank
from relaysim.sim.trace.schema import HandlingStart, WebhookFailed


class WebhookLines:
    """Of one story.

    Args:
        line: adds a line: time, who, text, rank, and facts by name.
    """

    def __init__(self, line: Callable[..., Any]) -> None:
        self._line = line
        self._overdue: set[str] = set()

    def taken(self, time: float, who: str, event: HandlingStart) -> None:
        """A worker begins with a delivery."""
        message_id, number = event.message_id, event.delivery_number
        again = f" again (delivery {number})" if number > 1 else ""
        rank = Rank.REDELIVERED if again else Rank.STARTED
        if number == 2 and message_id in self._overdue:
            rank = Rank.OVERDUE
        self._line(time, who, f"takes {message_id}{again}", rank, delivery=event.delivery, messages=(message_id,))

    def not_acknowledged(self, time: float, who: str, event: WebhookFailed) -> None:
        """A delivery has failed. Where the deadline was missed everything else may follow from that, the first time."""
        message_id = event.delivery.rpartition("#")[0]
        is_first = event.reason == "deadline missed" and message_id not in self._overdue
        if is_first:
            self._overdue.add(message_id)
        rank = Rank.OVERDUE if is_first else Rank.REDELIVERED
        self._line(time, who, f"was not acknowledged: {event.reason}", rank, loud=is_first, messages=(message_id,))
