"""Faults of the webhooks that bring customers' messages, as scenario files write them.

Providers deliver at least once and in no order. A duplicate is delivered again although nothing failed; a late delivery
is overtaken by others; after a lost acknowledgement the provider, who cannot know better, delivers again.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from relaysim.sim.faults import AtOccasions, EventFault
from relaysim.sim.kernel.distributions import Constant, Seconds


class WebhookFault(EventFault):
    """One fault of webhooks: what happens, to which deliveries, how often and when."""

    kind: Literal["duplicate", "late", "lost_ack"] = Field(
        description="`duplicate`: a message's first delivery is followed by a second one; `late`: a delivery takes longer; "
        "`lost_ack`: the relay's acknowledgement of a delivery is lost, so that the provider delivers again"
    )
    seconds: Seconds = Field(
        default_factory=lambda: Constant(kind="constant", value=20.0),
        description="from the first delivery to the duplicate; how much later; or from the lost acknowledgement to the "
        "next delivery. 20 unless given",
    )

    @model_validator(mode="after")
    def _late_says_how_much(self) -> WebhookFault:
        if self.kind == "late" and "seconds" not in self.model_fields_set:
            raise ValueError("kind 'late' needs `seconds`, how much longer the delivery takes")
        return self

    @property
    def when(self) -> AtOccasions:
        """When it strikes: it watches the occasions that are named like its kind."""
        return super().when._replace(pattern=self.kind)
