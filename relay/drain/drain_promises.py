"""What the policy `drain` promises, as plain data: for whoever judges it from outside, in production or in a simulation.

The names are those of docs/promises.md. Nothing here is used by the relay itself.
"""

from typing import Any

from relaysim.relay.drain.drain_settings import RENEWALS_PER_LEASE, DrainSettings
from relaysim.relay.drain.identity import EPOCH
from relaysim.relay.drain.retries import longest_delay
from relaysim.relay.messages import FRIENDLY_APOLOGY


def promises(settings: DrainSettings) -> dict[str, Any]:
    """What `drain` promises under these settings; all times in seconds."""
    return {
        "deadline_seconds": max(90.0, settings.deadline_seconds + longest_delay(settings)),
        "lease": {
            "key": f"{settings.key_prefix}lease:{{conversation}}",
            "seconds": settings.lease_seconds,
            "sweep_seconds": settings.sweep_seconds,
            "renew_seconds": settings.lease_seconds / RENEWALS_PER_LEASE,
            "guards_looks": True,
            "clears_up": True,
            "epoch_metadata": EPOCH,
            "steps": {
                "accept": ["accept"],
                "read_inbox": ["inbox"],
                "renew": ["renew"],
                "bind_thread": ["set_thread", "replace_thread"],
                "hand_over": ["take_over"],
                "end": ["end"],
                "hand_back": ["hand_back"],
                "claim": ["claim"],
                "begin_send": ["begin_send"],
                "in_order": ["intend", "started", "take_over", "begin_send", "not_sent", "end"],
            },
        },
        # A conversation that moves to a new thread takes no more of its messages along.
        "remembers": min(8, settings.moved_messages_max),
        "burst": {
            "cap_seconds": settings.burst_cap_seconds,
            "apology_span_seconds": settings.apology_span_seconds,
        },
        "late_apology": {"text": FRIENDLY_APOLOGY, "after_seconds": settings.deadline_seconds},
        "retries": {
            "ratio": settings.retry_budget_ratio,
            "reserve": settings.retry_budget_reserve,
            "refill_per_second": settings.retry_budget_refill_per_second,
            "first_seconds": settings.retry_first_seconds,
            "cap_seconds": settings.retry_cap_seconds,
            "heeds_retry_after": True,
        },
        "send_timeout_seconds": settings.send_timeout_seconds,
        "step_timeout_seconds": settings.store_timeout_seconds + settings.wait_milliseconds / 1000,
        # Pauses are jittered by a fifth.
        "poll_seconds": 0.8 * min(settings.poll_first_seconds, settings.poll_cap_seconds),
        "confirming_replicas": settings.wait_replicas,
        "forgets_texts": True,
        "withholds": ["content_filter"],
        "foreign_patience_seconds": settings.foreign_patience_seconds,
        "runs_max": settings.creations_max,
        "waiting_max": settings.inbox_messages_max,
    }
