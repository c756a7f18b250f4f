"""Answering while Redis is unavailable, if the settings say so: no inbox, no lease, no ledger, and none of their promises.

One message gets one run and one text. Nothing keeps another worker from doing the same for the same message, nothing
keeps the order, and nobody takes over after a crash: that is the price of answering at all.
"""

import asyncio
import random
import uuid
from functools import partial

from relaysim.relay.drain.backend import Backend, BackendError, Busy, Conflict, RunView, Unavailable
from relaysim.relay.drain.channel import Channel
from relaysim.relay.drain.drain_settings import DrainSettings
from relaysim.relay.drain.identity import metadata_of
from relaysim.relay.drain.retries import OutOfTimeError, Requests
from relaysim.relay.messages import FRIENDLY_APOLOGY, GENERIC_APOLOGY, Handled, IncomingMessage, Outcome
from relaysim.relay.telemetry import Telemetry


async def answer_without_store(
    message: IncomingMessage,
    backend: Backend,
    channel: Channel,
    requests: Requests,
    settings: DrainSettings,
    telemetry: Telemetry,
) -> Handled:
    """Take one message to its outcome.

    Raises what the channel raises, and `TimeoutError` if that takes longer than `send_timeout_seconds`.
    """
    began = asyncio.get_running_loop().time()
    until = began + settings.deadline_seconds
    telemetry.accepted(message.conversation, message.id)
    run_id: str | None = None
    attempts = 0
    outcome, text = Outcome.FRIENDLY_APOLOGY, FRIENDLY_APOLOGY
    try:
        thread_id = await _thread(message, backend, requests, until)
        metadata = metadata_of(0, uuid.uuid4().hex, [message.id])
        while run_id is None:
            attempts += 1
            try:
                start = partial(backend.start, thread_id, [message.text], metadata)
                run = await requests.once("runs.create", start, until=until)
            except (Conflict, Busy, Unavailable) as error:
                uncertain = isinstance(error, Unavailable)
                await requests.wait("runs.create", error, attempts, until)
                if uncertain:
                    run_id = await _find(backend, requests, thread_id, metadata, until)
            else:
                run_id = run.id
        created: str = run_id
        telemetry.run_created(message.conversation, created, None, 1)
        run = await _await_end(backend, requests, thread_id, created, settings, until)
        if not run.ended:  # its time is over, or it waits for tools that nobody here has: it would hold its thread
            patience_ends = asyncio.get_running_loop().time() + settings.cancel_patience_seconds
            await requests.repeat("runs.cancel", lambda: backend.cancel(thread_id, created), patience_ends)
        reply = None
        if run.has_reply:
            reply = await requests.repeat("messages.list", lambda: backend.reply(thread_id, created), until)
        outcome, text = (Outcome.GENERIC_APOLOGY, GENERIC_APOLOGY) if reply is None else (Outcome.ANSWERED, reply)
    except OutOfTimeError:
        pass
    except BackendError:
        outcome, text = Outcome.GENERIC_APOLOGY, GENERIC_APOLOGY
    try:
        async with asyncio.timeout(settings.send_timeout_seconds):
            await channel.send(message.conversation, text, message_ids=[message.id])
    except Exception:
        telemetry.send_unknown(message.conversation)
        raise
    telemetry.outcome(message.conversation, outcome, asyncio.get_running_loop().time() - began)
    return Handled(outcome, attempts, 0.0, run_id)


async def _thread(message: IncomingMessage, backend: Backend, requests: Requests, until: float) -> str:
    if message.thread_id is not None:
        return message.thread_id
    return await requests.repeat("threads.create", backend.open_thread, until)


async def _find(
    backend: Backend, requests: Requests, thread_id: str, metadata: dict[str, str], until: float
) -> str | None:
    runs = await requests.repeat("runs.list", lambda: backend.recent(thread_id), until)
    return next((run.id for run in runs if run.metadata == metadata), None)


async def _await_end(
    backend: Backend, requests: Requests, thread_id: str, run_id: str, settings: DrainSettings, until: float
) -> RunView:
    """The run when it has ended, waits for tools, or its time is over; then perhaps not as it is now."""
    pause = settings.poll_first_seconds
    run = RunView(run_id, "queued")
    while asyncio.get_running_loop().time() < until:
        await asyncio.sleep(pause * (0.8 + 0.4 * random.random()))
        pause = min(pause * settings.poll_factor, settings.poll_cap_seconds)
        try:
            run = await requests.repeat("runs.retrieve", lambda: backend.look(thread_id, run_id), until)
        except OutOfTimeError:
            break
        if run.ended or run.status == "requires_action":
            break
    return run
