"""One process of the relay, from its start to its stop.

    start   the log, Redis, the conversation API, `drain` and its sweeps; then the socket is listened at
    serve   webhooks are taken in as long as Redis takes them, and keeps what it took
    stop    at the first SIGTERM or SIGINT: no further webhook; those that are being taken in are finished; conversations
            that are being answered are handed to the other processes, a text that is on its way being waited for. At the
            second one, or when the time for it is over, the process ends: leases lapse then, and nothing is lost

Any number of processes may run beside each other on one Redis, on one machine or many; they know nothing of each other.
"""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any, Final

import openai
import redis.asyncio
import uvicorn
from prometheus_client import REGISTRY

from relaysim.relay.drain import Drain
from relaysim.relay.drain.drain import build
from relaysim.relay.drain.store_failures import failure_of
from relaysim.relay.program.answering import LimitedDrain
from relaysim.relay.program.configuration import Configuration
from relaysim.relay.program.durability import DurabilityWatch
from relaysim.relay.program.intake import Intake, Limits
from relaysim.relay.program.program_metrics import ProgramMetrics
from relaysim.relay.program.sending import ProviderSender
from relaysim.relay.telemetry import default, emit

CONNECTIONS_MAX: Final = 64
"""Connections to Redis that one process opens; who needs a further one waits for it."""

_REQUESTS_SHARE: Final = 0.4
"""Share of the time for a stop that open webhooks may take."""


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to this program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Service:
    """See the module.

    Args:
        configuration: what to run with.
        redis_url: where Redis is, an embedded one's address included.
        listening: the socket, bound already.
    """

    def __init__(self, configuration: Configuration, redis_url: str, listening: socket.socket) -> None:
        self._configuration = configuration
        self._redis_url = redis_url
        self._listening = listening
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._redis_failure: str | None = None

    async def run(self) -> int:
        """Serve until a signal comes; returns the exit code: 0, or 1 if the service ended by itself."""
        values = self._configuration.values
        settings = self._configuration.settings
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        client = redis.asyncio.Redis.from_pool(
            redis.asyncio.BlockingConnectionPool.from_url(
                self._redis_url,
                max_connections=CONNECTIONS_MAX,
                timeout=settings.store_timeout_seconds,
                socket_connect_timeout=settings.store_timeout_seconds,
            )
        )
        api = openai.AsyncOpenAI(
            api_key=values["OPENAI_API_KEY"],
            **({"base_url": values["OPENAI_BASE_URL"]} if "OPENAI_BASE_URL" in values else {}),
        )
        metrics = ProgramMetrics(REGISTRY)
        provider = self._configuration.provider()
        sender = ProviderSender(provider, settings, metrics)
        self._relay = relay = build(
            LimitedDrain, api, client, sender, telemetry=default(), settings=self._configuration.drain_settings
        )
        assert isinstance(relay, LimitedDrain)
        relay.limit(values["RELAY_ANSWERING_MAX"], metrics)
        self._durability = durability = DurabilityWatch(
            client,
            accepts_loss=values["RELAY_WHEN_REDIS_FORGETS"] == "warn" or settings.wait_replicas > 0,
            timeout_seconds=settings.store_timeout_seconds,
            pause_seconds=min(1.0, settings.sweep_seconds),
        )
        intake = Intake(
            relay,
            provider,
            path=values["RELAY_WEBHOOK_PATH"],
            limits=Limits(values["RELAY_BODY_BYTES_MAX"], values["RELAY_BODY_SECONDS"], values["RELAY_WEBHOOKS_MAX"]),
            why_not=self.why_not,
            metrics=metrics,
            registry=REGISTRY,
        )
        stop_seconds = values["RELAY_STOP_SECONDS"]
        server = _Server(
            uvicorn.Config(
                intake,
                http="httptools",
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(_REQUESTS_SHARE * stop_seconds)),
            )
        )
        # What is loaded by now stays: a collection that looks through all of it holds webhooks up for a tenth of a second.
        gc.collect()
        gc.freeze()
        host, port = self._listening.getsockname()[:2]
        emit("listening", host=host, port=port, provider=provider.name, api=settings.api)
        working: list[asyncio.Task[Any]] = [
            loop.create_task(relay.serve()),
            loop.create_task(durability.run()),
            loop.create_task(self._look(client, settings.store_timeout_seconds, relay, metrics)),
            loop.create_task(server.serve([self._listening])),
        ]
        sweeps, _, looks, serving = working
        stopping = loop.create_task(self._stopping.wait())
        try:
            await asyncio.wait([stopping, sweeps, looks, serving], return_when=asyncio.FIRST_COMPLETED)
            by_signal = self._stopping.is_set()
            self._stopping.set()
            if not by_signal:
                _tell_what_ended({"sweeps": sweeps, "looks": looks, "server": serving})
            await self._end(relay, server, serving, stop_seconds)
        finally:
            for task in (*working, stopping):
                task.cancel()
            await asyncio.gather(*working, stopping, return_exceptions=True)
            for closing in (sender.aclose, api.close, client.aclose):
                with contextlib.suppress(Exception):
                    await closing()
        emit("stopped", "info" if by_signal else "error", by_signal=by_signal)
        return 0 if by_signal else 1

    def why_not(self) -> list[str]:
        """Why messages are not taken in, or are not answered, now; nothing: they are."""
        if self._stopping.is_set():
            return ["this process is stopping"]
        reasons = [self._redis_failure, self._durability.refusal]
        if not self._relay.knows_the_server:
            reasons.append("Redis has not yet said whether it throws anything away")
        if (refusal := self._relay.refusal) is not None:
            reasons.append(str(refusal))
        return list(dict.fromkeys(reason for reason in reasons if reason is not None))

    async def _look(
        self, client: redis.asyncio.Redis, timeout_seconds: float, relay: LimitedDrain, metrics: ProgramMetrics
    ) -> None:
        """Find out once a second whether Redis answers: whoever asks for readiness does not wait for it."""
        while True:
            metrics.answering.set(relay.answering)
            try:
                async with asyncio.timeout(timeout_seconds):
                    await client.ping()
            except Exception as error:  # whatever the client raises
                self._redis_failure = str(failure_of(error))
            else:
                self._redis_failure = None
            await asyncio.sleep(1.0)

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        else:
            emit("stopping")
        self._stopping.set()

    async def _end(self, relay: Drain, server: _Server, serving: "asyncio.Task[None]", stop_seconds: float) -> None:
        """Take no more in, finish what is being taken in, hand the rest over; within the time, or at once in a hurry."""
        began = monotonic()
        server.should_exit = True
        ending = asyncio.get_running_loop().create_task(self._hand_over(relay, serving))
        hurry = asyncio.get_running_loop().create_task(self._hurry.wait())
        done, _ = await asyncio.wait([ending, hurry], timeout=stop_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if ending not in done:
            ending.cancel()
        await asyncio.gather(ending, hurry, return_exceptions=True)
        handed_over = ending in done and ending.exception() is None
        emit(
            "handed_over", "info" if handed_over else "warning", all=handed_over, seconds=round(monotonic() - began, 3)
        )

    @staticmethod
    async def _hand_over(relay: Drain, serving: "asyncio.Task[None]") -> None:
        # Both at once: a conversation that is handed over early waits less, and what is still taken in is handed over, too.
        closing = asyncio.get_running_loop().create_task(relay.aclose())
        await asyncio.wait([serving])
        await closing
        await relay.aclose()


def _tell_what_ended(parts: Mapping[str, "asyncio.Task[Any]"]) -> None:
    """A part that must not end has ended: which, and by which error, without its text."""
    for name, task in parts.items():
        if task.done() and not task.cancelled():
            error = task.exception()
            emit("ended_by_itself", "error", part=name, error=None if error is None else type(error).__name__)
