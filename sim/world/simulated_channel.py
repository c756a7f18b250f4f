"""The channel: what carries a relay's texts to the customers, and fails at times.

The trace gets `send` when a text sets off; right after it, if the relay said which messages the text ends, `send.for`
with their ids; and right after that, where the world has faults of sends, `send.fate`: `delivered`, `refused`,
`unknown_delivered` or `unknown_lost`, as it will turn out. A worker that dies meanwhile takes nothing back.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from relaysim.sim.faults import FaultPlan
from relaysim.sim.kernel import Host, Kernel, current_context
from relaysim.sim.trace.schema import TextEnds, TextFate, TextSent
from relaysim.sim.world.send_faults import SendFault, SendRefused
from relaysim.sim.world.target import Send

if TYPE_CHECKING:
    from relaysim.sim.world.customers import Customer

CHARACTERS_MAX: Final = 1_000_000
"""The longest text that can be sent; public channels take some thousands."""

_UNKNOWN: Final = ("unknown_delivered", "unknown_lost")
_FATES: Final = ("refused", *_UNKNOWN)


class Channel:
    """One channel for all workers.

    Args:
        kernel: the world's.
        seconds: turns a uniform into the seconds that sending one text takes.
        faults: of this world's sends.
        customers: by conversation; may be filled later.

    Attributes:
        faults: the plan of them.
        refusals_told: by worker, conversation and the instant at which a refused text had set off: when the worker was told.
    """

    def __init__(
        self,
        kernel: Kernel,
        seconds: Callable[[float], float],
        faults: Sequence[SendFault],
        customers: Mapping[str, Customer],
    ) -> None:
        self.faults = FaultPlan(faults)
        self.refusals_told: dict[tuple[str, str, float], float] = {}
        self._kernel = kernel
        self._seconds = seconds
        self._customers = customers

    def sender(self, host: Host) -> Send:
        """The `send` of a relay on this host."""
        kernel, seconds, customers = self._kernel, self._seconds, self._customers
        trace, draws = kernel.trace, kernel.draws
        has_faults = bool(self.faults.faults)

        async def send(conversation: str, text: str, *, message_ids: Sequence[str] = ()) -> None:
            """Send a text to the customer of this conversation; returns once the channel has taken it.

            Args:
                conversation: whose customer.
                text: what to send.
                message_ids: the messages that this text ends, for whoever judges.

            Raises:
                TypeError: conversation or text is no text.
                ValueError: the text has more characters than any channel takes, or half of a surrogate pair.
                SendRefused: it was surely not sent.
                TimeoutError: whether it was sent is not known.
            """
            if not isinstance(text, str) or not isinstance(conversation, str):
                raise TypeError(f"send takes a conversation and a text, not {conversation!r:.100} and {text!r:.100}")
            text = str.__str__(text)  # of a class of its own, such as a StrEnum's member, what a channel would get
            if len(text) > CHARACTERS_MAX:
                raise ValueError(f"a text of {len(text):,} characters cannot be sent; at most {CHARACTERS_MAX:,} can")
            if not text.isascii():
                text.encode()  # raises for half of a surrogate pair, as whatever sends bytes does
            delivery, begun = current_context.get(), kernel.now
            trace.add(host.name, TextSent(delivery=delivery, conversation=conversation, text=text))
            if message_ids:
                ended = tuple(message_ids)
                trace.add(host.name, TextEnds(delivery=delivery, conversation=conversation, message_ids=ended))
            purpose = f"send {conversation}"
            index = draws.next_index(host.name, purpose)
            duration = draws.seconds(seconds, host.name, purpose, index)
            fault, extra = self._fault(host.name, purpose, index) if has_faults else (None, 0.0)
            kind = None if fault is None else fault.kind
            if has_faults:
                fate = kind if kind is not None and kind in _FATES else "delivered"
                trace.add(host.name, TextFate(delivery=delivery, conversation=conversation, fate=fate))
            customer = customers.get(conversation)
            if kind == "slow":
                duration += extra
            if customer is not None and kind not in ("refused", "unknown_lost"):
                kernel.at(0.5 * duration, customer.receive, text)
            await _sleep(kernel, extra if kind in _UNKNOWN else duration)
            if kind == "refused":
                self.refusals_told[host.name, conversation, begun] = kernel.now
                raise SendRefused("the channel refused the text")
            if kind in _UNKNOWN:
                raise TimeoutError("the channel did not answer in time")

        return send

    def _fault(self, worker: str, purpose: str, index: int) -> tuple[SendFault | None, float]:
        """The first fault that hits this text, and its seconds."""
        plan, now, draws = self.faults, self._kernel.now, self._kernel.draws
        position = plan.first_hit(
            plan.watching("send"), now, lambda place, _: draws.rare(worker, f"{purpose} fault-{place}", index)
        )
        if position is None:
            return None, 0.0
        fault = plan.faults[position]
        return fault, fault.seconds.sample(draws.uniform(worker, f"{purpose} fault-{position} seconds", index))


async def _sleep(kernel: Kernel, seconds: float) -> None:
    future = asyncio.get_running_loop().create_future()
    kernel.at(seconds, _wake, future)
    await future


def _wake(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)
