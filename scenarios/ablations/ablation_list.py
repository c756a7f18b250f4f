"""Every ablation: what is removed, which promises must notice, and in which scenario."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent

WHOLE: Final = "relaysim.relay:drain"
"""The factory of the policy with all its safeguards."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """The policy without one safeguard.

    name      of its factory in `relaysim.scenarios.ablations`
    promises  that must notice, S1 to S16 and L1 to L7; others may notice, too. Or T1, for what no relay promises: that every
              message is answered, which the whole policy does in that scenario
    scenario  of this folder, in which they do
    """

    name: str
    promises: tuple[str, ...]
    scenario: str

    @property
    def factory(self) -> str:
        """As `--factory` takes it."""
        return f"relaysim.scenarios.ablations:{self.name}"


ABLATIONS: Final = (
    # The lease
    Ablation("no_renewal", ("S7", "L7"), "foreign_run"),
    Ablation("no_local_check", ("S7",), "redis_away"),
    Ablation("no_fencing", ("S2", "S7"), "holder_paused"),
    Ablation("create_without_lease", ("S4",), "meanwhile"),
    Ablation("same_epoch", ("S4",), "twice_delivered"),
    Ablation("release_without_empty_check", ("S10",), "slow_redis"),
    Ablation("due_for_ever", ("L6",), "crash_after_creation"),
    Ablation("no_sweeper", ("L2", "S1"), "crash_after_creation"),
    # Messages come in
    Ablation("no_dedup", ("S2",), "twice_delivered"),
    Ablation("acknowledge_first", ("S1",), "crash_after_acknowledgement"),
    Ablation("no_confirmation", ("S1",), "failover"),
    # Runs
    Ablation("blind_retry", ("S9",), "lost_answer"),
    Ablation("sdk_retries", ("S9",), "lost_answer"),
    Ablation("no_intention", ("S9",), "crash_after_creation"),
    Ablation("adopt_any_run", ("S6",), "foreign_run"),
    Ablation("cancel_without_takeover", ("S5",), "stuck_runs"),
    Ablation("forget_the_run", ("S8",), "stuck_runs"),
    Ablation("newest_first", ("S3",), "meanwhile"),
    # Turns on Responses
    Ablation("no_marker", ("S9",), "turn_unanswered"),
    Ablation("empty_copy", ("S13",), "turn_lost"),
    Ablation("repeat_in_place", ("S9",), "turn_overtakes"),
    Ablation("trust_predecessors", ("S9",), "turn_left_at_work"),
    Ablation("send_all_again", ("S9",), "turn_kept"),
    Ablation("wait_at_the_lock", ("T1",), "lock_that_stays"),
    # What customers write
    Ablation("one_thread_for_all", ("S12",), "neighbours"),
    Ablation("keep_texts", ("S16",), "twice_delivered"),
    Ablation("append_twice", ("S13",), "twice_delivered"),
    Ablation("order_of_webhooks", ("S14",), "crossing_webhooks"),
    # Waits
    Ablation("no_deadline", ("L1",), "stuck_runs"),
    Ablation("uncapped_burst", ("L3",), "long_burst"),
    Ablation("one_conversation_at_a_time", ("L4",), "neighbours"),
    Ablation("no_jitter", ("L5",), "api_away"),
    Ablation("no_budget", ("L5",), "api_away"),
    # Texts
    Ablation("reply_by_newest_message", ("S6",), "late_creation"),
    Ablation("errors_in_replies", ("S15",), "twice_delivered"),
    Ablation("apology_per_message", ("S11",), "api_away"),
    Ablation("send_both", ("S2",), "api_away"),
    Ablation("no_send_record", ("S2",), "crash_while_sending"),
    Ablation("send_again_after_crash", ("S2",), "crash_while_sending"),
    Ablation("repeat_unknown_send", ("S2",), "unknown_send"),
    Ablation("hopeful_send", ("S1",), "unknown_send"),
)

BY_NAME: Final[Mapping[str, Ablation]] = {ablation.name: ablation for ablation in ABLATIONS}
"""The same by their names."""


def scenario_path(name: str) -> str:
    """Where a scenario of this folder lies."""
    return str(FOLDER / f"{name}.toml")
