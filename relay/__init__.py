"""The relay: takes customers' chat messages to OpenAI Threads and sends the replies back. Production code.

What lives here
    check_then_act.py    policy: what the incident of 4 November 2025 ran before its fix; begin with its `handle`
    cancel_and_retry.py  policy: the same with the fix that the incident report describes
    cancel_and_retry_as_run.py  policy: that fix as such servers are seen to run it
    responses_waits.py   policies on Responses: retries on its lock, a quiet window, chains without a lock
    responses_turns.py   policies on Responses: broken streams repeated, turns cancelled for newer words, function calls
    drain/               policy: a durable inbox and one worker at a time that answers it; the one for production
    responses_endings.py how a turn on Responses ends for the customer
    responses_storage.py where what was said is kept between turns on Responses
    wait_settings.py     how often something is tried, and the waits in between, as settings
    policy_settings.py   every setting, with its unit, range and default
    policy_file.py       a policy and its settings from a file: `load_policy`
    messages.py          what goes in and what comes out: `Message`, `Handled`, `Outcome`, the customers' two apologies
    threads_api.py       the part of the OpenAI client that is used, as protocols, and how a conflict is recognised
    locks.py             the two locks in Redis
    log_lines.py         the log lines that operators search for
    setting_rules.py     how settings are checked
    telemetry/           events, metrics and a dashboard
    program/             the relay as a program of its own, `relaysim-relay`; imported by nothing else here

Imports: the standard library, `openai`, `redis`, `structlog` and `prometheus_client`, nothing else, so that it runs in
production alone; `program` also `uvicorn` and `httpx2`. Time is read and slept through the running event loop only, hence
any loop will do, one in virtual time included.

Where to begin::

    relay = drain(AsyncOpenAI(), redis.asyncio.Redis(), send, assistant_id="asst_...")
    sweeps = asyncio.create_task(relay.serve())
    await relay.handle(Message(id="wamid.1", conversation="customer 1", text="Bom dia"))
"""

from relaysim.relay.cancel_and_retry import CancelAndRetry, cancel_and_retry
from relaysim.relay.cancel_and_retry_as_run import AsRunSettings, CancelAndRetryAsRun, cancel_and_retry_as_run
from relaysim.relay.check_then_act import CheckThenAct, check_then_act
from relaysim.relay.drain import Drain, DrainSettings, Health, InboxFull, InboxUnavailable, drain
from relaysim.relay.messages import (
    FRIENDLY_APOLOGY,
    GENERIC_APOLOGY,
    Handled,
    IncomingMessage,
    Message,
    Outcome,
    Policy,
    Sender,
)
from relaysim.relay.policy_file import PolicyFile, PolicyFileError, load_policy
from relaysim.relay.policy_settings import RelaySettings, RetrySettings
from relaysim.relay.responses_turns import (
    AnswerCalls,
    CallSettings,
    CancelForNewer,
    NewerSettings,
    RetryBrokenStream,
    StreamSettings,
    answer_calls,
    cancel_for_newer,
    retry_broken_stream,
)
from relaysim.relay.responses_waits import (
    Chained,
    LockWaitSettings,
    QuietWindow,
    QuietWindowSettings,
    RetryOnLock,
    TurnSettings,
    chained,
    quiet_window,
    retry_on_lock,
)
from relaysim.relay.threads_api import ThreadsClient

__all__ = [
    "FRIENDLY_APOLOGY",
    "GENERIC_APOLOGY",
    "AnswerCalls",
    "AsRunSettings",
    "CallSettings",
    "CancelAndRetry",
    "CancelAndRetryAsRun",
    "CancelForNewer",
    "Chained",
    "CheckThenAct",
    "Drain",
    "DrainSettings",
    "Handled",
    "Health",
    "InboxFull",
    "InboxUnavailable",
    "IncomingMessage",
    "LockWaitSettings",
    "Message",
    "NewerSettings",
    "Outcome",
    "Policy",
    "PolicyFile",
    "PolicyFileError",
    "QuietWindow",
    "QuietWindowSettings",
    "RelaySettings",
    "RetryBrokenStream",
    "RetryOnLock",
    "RetrySettings",
    "Sender",
    "StreamSettings",
    "ThreadsClient",
    "TurnSettings",
    "answer_calls",
    "cancel_and_retry",
    "cancel_and_retry_as_run",
    "cancel_for_newer",
    "chained",
    "check_then_act",
    "drain",
    "load_policy",
    "quiet_window",
    "retry_broken_stream",
    "retry_on_lock",
]
