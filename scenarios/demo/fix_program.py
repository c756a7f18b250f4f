"""The incident's fix, `cancel-and-retry`, as a program that takes webhooks: what the demo compares `drain` with.

It does what the incident's server did: a webhook is acknowledged at once, and what is in it is handled in memory. It reads
the variables of `relaysim-relay` and has its webhook and its `/readyz`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import openai
import redis.asyncio
import uvicorn
from prometheus_client import REGISTRY

from relaysim.relay import cancel_and_retry
from relaysim.relay.messages import IncomingMessage, Policy
from relaysim.relay.program.configuration import ConfigurationError, read_configuration
from relaysim.relay.program.intake import Intake, Limits
from relaysim.relay.program.program_metrics import ProgramMetrics
from relaysim.relay.program.sending import ProviderSender


class InMemory:
    """Takes a message in by remembering it, and nothing more."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._tasks: set[asyncio.Task[Any]] = set()

    async def handle(self, message: IncomingMessage) -> None:
        """Returns at once."""
        task = asyncio.get_running_loop().create_task(self._handled(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handled(self, message: IncomingMessage) -> None:
        await self._policy.handle(message)


async def serve() -> None:
    """Serve until a signal comes."""
    configuration = read_configuration(os.environ)
    values = configuration.values
    metrics = ProgramMetrics(REGISTRY)
    sender = ProviderSender(configuration.provider(), configuration.settings, metrics)
    policy = cancel_and_retry(
        openai.AsyncOpenAI(api_key=values["OPENAI_API_KEY"], base_url=values["OPENAI_BASE_URL"]),
        redis.asyncio.Redis.from_url(values["REDIS_URL"]),
        sender,
        assistant_id=values["RELAY_ASSISTANT_ID"],
    )
    intake = Intake(
        InMemory(policy),
        configuration.provider(),
        path=values["RELAY_WEBHOOK_PATH"],
        limits=Limits(values["RELAY_BODY_BYTES_MAX"], values["RELAY_BODY_SECONDS"], values["RELAY_WEBHOOKS_MAX"]),
        why_not=list,
        metrics=metrics,
        registry=REGISTRY,
    )
    config = uvicorn.Config(
        intake,
        host=values["RELAY_HOST"],
        port=values["RELAY_PORT"],
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    try:
        asyncio.run(serve())
    except ConfigurationError as error:
        sys.exit(str(error))
