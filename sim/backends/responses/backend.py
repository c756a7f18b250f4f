"""Responses with Conversations as a backend: everything else of this package, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import openai

from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.protocol import DEFAULT_OPTIONS, Request, ServiceOptions, TraceSink
from relaysim.sim.backends.responses.direct import AsyncConversations, AsyncResponses
from relaysim.sim.backends.responses.life import ResponseLives
from relaysim.sim.backends.responses.living import LivingResponses
from relaysim.sim.backends.responses.operations import OPERATIONS, ROLES
from relaysim.sim.backends.responses.profile import ResponsesProfile
from relaysim.sim.backends.responses.wire import ResponsesWire
from relaysim.sim.backends.wire import Wire
from relaysim.sim.doors.transport import BASE_URL, openai_client
from relaysim.sim.kernel import Kernel


class ResponsesBackend:
    """OpenAI Responses and Conversations, as `relaysim.sim.backends.protocol.Backend`."""

    name = "responses"
    title = "Responses API"
    base_url = BASE_URL
    operations = OPERATIONS
    profile: type[Profile] = ResponsesProfile
    roles = ROLES
    has_assistants = False
    has_events = True
    control: str | None = None

    def start(
        self,
        kernel: Kernel,
        profile: Profile,
        *,
        now: Callable[[], float],
        trace: TraceSink,
        options: ServiceOptions = DEFAULT_OPTIONS,
    ) -> LivingResponses:
        """As `Backend.start`.

        Raises:
            TypeError: the profile is none of this backend's.
        """
        if not isinstance(profile, ResponsesProfile):
            raise TypeError(f"profile: a ResponsesProfile is needed, not {type(profile).__name__}")
        service = LivingResponses(self, kernel.draws, now, trace, replier=options.replier)
        service.conversations_max = options.conversations_max
        service.lives = ResponseLives(kernel, service, profile, options.announce)
        return service

    def make_wire(
        self, *, keys: Iterable[str] | None = None, poll_after_ms: int | None = None, pretty: bool = False
    ) -> Wire:
        """As `Backend.make_wire`."""
        return ResponsesWire(keys=keys, poll_after_ms=poll_after_ms, pretty=pretty)

    def sdk_client(self, transport: Any) -> openai.AsyncOpenAI:
        """As `Backend.sdk_client`: `openai.AsyncOpenAI`."""
        return openai_client(transport)

    def direct_client(self, request: Request) -> Mapping[str, Any]:
        """As `Backend.direct_client`: `responses` and `conversations`."""
        return {"responses": AsyncResponses(request), "conversations": AsyncConversations(request)}

    async def warm_up(self, client: Any) -> None:
        """As `Backend.warm_up`."""
        await client.conversations.create()
        await client.conversations.retrieve("conv_1")
        await client.conversations.items.list("conv_1")
        await client.responses.create(model="m", input="x")
        await client.responses.retrieve("resp_1")
        await client.responses.cancel("resp_1")
        with suppress(openai.NotFoundError):
            await client.conversations.retrieve("refused")


RESPONSES: Final = ResponsesBackend()
