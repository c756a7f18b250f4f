"""The provider in a world: it takes what bots send over HTTP, and hands texts to the channel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from relaysim.sim.kernel import Host, Kernel
from relaysim.sim.kernel.fence import refuse
from relaysim.sim.providers import (
    PROVIDERS,
    Allowance,
    Custom,
    Done,
    HttpRequest,
    HttpResponse,
    NotSimulated,
    Provider,
    Text,
)
from relaysim.sim.sockets import Addresses, BrokenConnectionError
from relaysim.sim.sockets import HttpRequest as ArrivedRequest
from relaysim.sim.sockets import HttpResponse as Answer
from relaysim.sim.world.send_faults import SendRefused
from relaysim.sim.world.simulated_channel import Channel

DEADLINES: Final[dict[str, float]] = {
    each.model_fields["kind"].default: each.model_fields["deadline_seconds"].default
    for each in PROVIDERS
    if each is not Custom  # whose deadline is the user's to say
}
"""Seconds after which each provider delivers a webhook again that nobody has acknowledged, by default."""

_OWN_HEADERS: Final = frozenset({"content-length", "connection", "transfer-encoding"})


class ProviderService:
    """One provider for all workers; an HTTP service, for `Addresses`.

    Args:
        provider: how it behaves.
        kernel: the world's.
        channel: takes the texts, with the world's faults of sends.
        notify: lets some worker get a notification.
    """

    def __init__(
        self, provider: Provider, kernel: Kernel, channel: Channel, notify: Callable[[HttpRequest], object]
    ) -> None:
        self.provider = provider
        self._kernel = kernel
        self._channel = channel
        self._notify = notify
        limit = provider.sending_limit
        self._allowance = None if limit is None else Allowance(limit)
        self._texts = 0

    def register(self, addresses: Addresses) -> None:
        """Stand at the hosts at which the provider takes texts, on any port."""
        for host in self.provider.sending_hosts:
            addresses.register(host, None, self)

    def answer(self, request: ArrivedRequest) -> Awaitable[Answer]:
        """Answer what a bot asks. It is read while the code that asks runs.

        Raises:
            LeavesSimulationError: it asks for what is not simulated.
        """
        scheme = "http" if request.port == 80 else "https"
        arrived = HttpRequest(
            request.method, f"{scheme}://{request.host}{request.target}", request.headers, request.body
        )
        asked = self.provider.read(arrived)
        if isinstance(asked, NotSimulated):
            raise refuse(asked.what, asked.remedy, also_while_loading=True)
        return self._answer(asked, request.worker)

    async def _answer(self, asked: Text | Done, worker: Host) -> Answer:
        response = await self.respond(asked, worker)
        return Answer(response.status, response.body, without_framing(response.headers))

    async def respond(self, asked: Text | Done, worker: Host) -> HttpResponse:
        """The provider's response. A text that the channel refuses is answered as a fault of the provider's; one whose fate
        is unknown with nothing: the connection ends.

        Raises:
            BrokenConnectionError: the bot does not learn whether the text was sent.
        """
        if isinstance(asked, Done):
            return asked.response
        if wait := 0.0 if self._allowance is None else self._allowance.wait(asked.conversation, self._kernel.now):
            return self.provider.limited(wait)
        try:
            number = await self.send(asked, worker)
        except SendRefused:
            return self.provider.not_sent()
        except TimeoutError:
            raise BrokenConnectionError from None
        return self.provider.sent(asked, number, self._kernel.unix_now)

    async def send(self, text: Text, host: Host) -> int:
        """Hand a text to the channel, for a worker on this host; returns its number among those that were taken.

        Raises:
            SendRefused: it was surely not sent.
            TimeoutError: whether it was sent is not known.
        """
        await self._channel.sender(host)(text.conversation, text.text)
        self._texts += 1
        for each in self.provider.notifications(text, self._texts, self._kernel.unix_now):
            self._kernel.at(each.seconds, self._notify, each.request)
        return self._texts


def without_framing(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers without those that a door sets itself."""
    return {name: value for name, value in headers.items() if name not in _OWN_HEADERS}
