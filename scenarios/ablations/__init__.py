"""Proof that every promise can be broken: `drain` without one of its safeguards, and the promise that notices.

`relaysim ablate` runs each of these relays and the whole policy in the same worlds; docs/ablations.md has the table. A
judge that is silent about a relay which lacks a safeguard would be silent about a mistake, too.

What lives here
    ablation_list.py     every ablation, the promises that must notice it, and its scenario; begin here
    relays.py            the relays, and the factories that `--factory relaysim.scenarios.ablations:NAME` names
    drainers.py          parts of theirs, by what they lack
    stores.py            stores of theirs
    backends.py          backends of theirs
    *.toml               small worlds, each with the one trouble in which something shows
    measure.py           runs them, and counts
    ablations_page.py    writes docs/ablations.md
    recorded.json        what `python -m relaysim.scenarios.ablations --record` found last
"""

from relaysim.scenarios.ablations.relays import (
    acknowledge_first,
    adopt_any_run,
    apology_per_message,
    append_twice,
    blind_retry,
    cancel_without_takeover,
    create_without_lease,
    due_for_ever,
    empty_copy,
    errors_in_replies,
    forget_the_run,
    hopeful_send,
    keep_texts,
    newest_first,
    no_budget,
    no_confirmation,
    no_deadline,
    no_dedup,
    no_fencing,
    no_intention,
    no_jitter,
    no_local_check,
    no_marker,
    no_renewal,
    no_send_record,
    no_sweeper,
    one_conversation_at_a_time,
    one_thread_for_all,
    order_of_webhooks,
    release_without_empty_check,
    repeat_in_place,
    repeat_unknown_send,
    reply_by_newest_message,
    same_epoch,
    sdk_retries,
    send_again_after_crash,
    send_all_again,
    send_both,
    trust_predecessors,
    uncapped_burst,
    wait_at_the_lock,
)

__all__ = [
    "acknowledge_first",
    "adopt_any_run",
    "apology_per_message",
    "append_twice",
    "blind_retry",
    "cancel_without_takeover",
    "create_without_lease",
    "due_for_ever",
    "empty_copy",
    "errors_in_replies",
    "forget_the_run",
    "hopeful_send",
    "keep_texts",
    "newest_first",
    "no_budget",
    "no_confirmation",
    "no_deadline",
    "no_dedup",
    "no_fencing",
    "no_intention",
    "no_jitter",
    "no_local_check",
    "no_marker",
    "no_renewal",
    "no_send_record",
    "no_sweeper",
    "one_conversation_at_a_time",
    "one_thread_for_all",
    "order_of_webhooks",
    "release_without_empty_check",
    "repeat_in_place",
    "repeat_unknown_send",
    "reply_by_newest_message",
    "same_epoch",
    "sdk_retries",
    "send_again_after_crash",
    "send_all_again",
    "send_both",
    "trust_predecessors",
    "uncapped_burst",
    "wait_at_the_lock",
]
