"""Faults of sending a text to a customer, as scenario files write them.

Channels offer no idempotency key. Of a refused text it is certain that it was not sent; after a timeout it is not known,
and cannot be found out, whether the customer has it.

| kind                | the customer               | `send`                                         |
|---------------------|----------------------------|------------------------------------------------|
| `refused`           | gets nothing               | raises `SendRefused`, whose `not_sent` is true |
| `unknown_delivered` | gets the text              | raises `TimeoutError`, after `seconds`         |
| `unknown_lost`      | gets nothing               | raises `TimeoutError`, after `seconds`         |
| `slow`              | gets the text, but later   | returns `seconds` later than it would          |
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from relaysim.sim.faults import EventFault
from relaysim.sim.kernel.distributions import Constant, Seconds


class SendRefused(Exception):
    """The channel refused a text: it was surely not sent, and may be offered again."""

    not_sent = True


class SendFault(EventFault):
    """One fault of sending: what happens, to which texts, how often and when. The first in the list that hits decides."""

    kind: Literal["refused", "unknown_delivered", "unknown_lost", "slow"] = Field(
        description="`refused`: the channel says that it did not send; `unknown_delivered`: the text arrives, and the "
        "relay's call times out; `unknown_lost`: it times out, and the text does not arrive; `slow`: it takes longer"
    )
    seconds: Seconds = Field(
        default_factory=lambda: Constant(kind="constant", value=10.0),
        description="until the call times out, or how much longer a slow one takes. 10 unless given",
    )

    @model_validator(mode="after")
    def _a_refusal_takes_no_time_of_its_own(self) -> SendFault:
        if self.kind == "refused" and "seconds" in self.model_fields_set:
            raise ValueError(
                "`seconds` does not belong to kind 'refused', which takes as long as any send: leave it out"
            )
        return self
