"""The promises by their ids, and what is counted about them.

Each promise has two counts: `breach_S1` and so on for definite breaches, and `checked_S1` for the cases in which it could
have been broken. One that was never checked has not been shown to hold. What no relay can avoid is no breach, and is counted
as a residue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PROMISES: Final[Mapping[str, str]] = {
    "S1": "every-message-ends-once",
    "S2": "nothing-sent-twice",
    "S3": "order-of-acceptance",
    "S4": "runs-created-by-the-holder",
    "S5": "taken-over-before-cancelled",
    "S6": "reply-of-its-own-run",
    "S7": "no-step-without-the-lease",
    "S8": "no-run-left-behind",
    "S9": "looked-up-before-repeated",
    "S10": "released-only-when-empty",
    "S11": "one-apology-per-burst",
    "S12": "own-conversation-only",
    "S13": "stored-once-and-whole",
    "S14": "order-of-writing",
    "S15": "words-of-the-run",
    "S16": "ended-texts-forgotten",
    "L1": "an-outcome-in-time",
    "L2": "crash-recovered-in-time",
    "L3": "burst-window-capped",
    "L4": "no-conversation-held-up",
    "L5": "retries-bounded-and-jittered",
    "L6": "nothing-asked-for-in-vain",
    "L7": "leases-kept-while-well",
}
"""What a relay must promise: S for safety, at every instant; L for liveness, once the world lets it."""

TITLES: Final[Mapping[str, str]] = {
    "S1": "An accepted message did not end exactly once",
    "S2": "Two texts arrived for one message",
    "S3": "A text left before the one for an earlier message",
    "S4": "A run was created without the conversation's lease",
    "S5": "A run was cancelled before its messages were taken over",
    "S6": "A reply came from another run than the one that covers its messages",
    "S7": "A worker acted without the lease",
    "S8": "A lease was released while its run was under way",
    "S9": "A request of unknown fate was repeated without a look",
    "S10": "A lease was released while a message waited",
    "S11": "An apology came twice, too early, or for what was answered",
    "S12": "One conversation's words reached another",
    "S13": "A message was stored twice, or not as it was written",
    "S14": "A message was stored after one that was written later",
    "S15": "A customer got words that no run wrote, or not all that it wrote",
    "S16": "The text of an ended message stayed in Redis for good",
    "L1": "A message had no outcome in time",
    "L2": "A crashed worker's conversation was not taken over in time",
    "L3": "A burst was collected for too long",
    "L4": "A conversation was held up while others were served",
    "L5": "A failed request was repeated too often or too soon",
    "L6": "A lease was asked for in vain",
    "L7": "A lease ran out although its holder was well",
}
"""A breach of each promise, as people head its story."""

_CHECKED: Final[Mapping[str, str]] = {
    "S1": "accepted messages, by a relay that keeps a ledger",
    "S2": "messages that some sent text names",
    "S3": "sent texts that name messages",
    "S4": "runs created, by a relay that holds leases",
    "S5": "accepted cancels of runs that a worker had created, by a relay that holds leases",
    "S6": "sent replies that name messages",
    "S7": "appends, creations, cancels and sends, by a relay that holds leases",
    "S8": "releases of a lease",
    "S9": "appends and creations after one whose fate was unknown",
    "S10": "releases of a lease",
    "S11": "sent apologies that name messages",
    "S12": "customers' words in threads, what else runs and threads were given, requests for known threads, and texts sent "
    "that are no reply as it was written",
    "S13": "messages in a thread",
    "S14": "messages in a thread after another one of their conversation",
    "S15": "texts sent, and messages written in the assistant's name",
    "S16": "messages that have ended, of a relay that declares to forget their texts",
    "L1": "accepted messages, by a relay that keeps a ledger",
    "L2": "crashes of a lease's holder with messages left, while another worker could take over",
    "L3": "leases of a worker that held no other one, from their taking to the first thing done",
    "L4": "leases of a worker that held others too, from their taking to the first thing done",
    "L5": "repetitions of a request that had failed",
    "L6": "requests for the lease of a conversation that a look had found, of a relay that declares that step",
    "L7": "leases under which something was done and that have ended, of a relay that declares how often it renews them",
}

_BREACH: Final[Mapping[str, str]] = {
    "S1": "accepted messages that did not end exactly once as the ledger says",
    "S2": "messages named by two texts that reached the channel",
    "S3": "texts that left before the one for an earlier message of their conversation",
    "S4": "runs created without the conversation's lease, or under another epoch than its own",
    "S5": "runs cancelled before their messages were taken over, or ended in an apology by their creator afterwards, and "
    "runs of somebody else's cancelled before the patience with them was over",
    "S6": "replies by another run than the one that covers the messages they name, or one that the worker never saw end",
    "S7": "appends, creations, cancels and sends by a worker that could know that it held no lease, and looks, where those "
    "are declared to need it; steps that took effect after later ones of their lease",
    "S8": "leases released while a run of theirs was active and its cancel not requested",
    "S9": "requests repeated although the fate of the first was unknown and nobody looked, or texts stored twice",
    "S10": "leases released while a message waited",
    "S11": "second apologies of a burst, apologies for what a sent reply covers, and apologies for what takes too long that "
    "come before the declared time, or for what was written long after",
    "S12": "words, numbers and names of one conversation stored in another one's thread or sent to its customer, "
    "texts sent to another customer, requests for foreign threads",
    "S13": "messages stored twice in their thread, or with other words, letters, signs or spaces than were written, and "
    "runs that did not read what was said before",
    "S14": "messages stored after one that was written later, although the relay had both",
    "S15": "texts with too much in them that no run wrote, with a program's error or insides, credentials or ids "
    "of the API, replies of which only a part or not every message was sent, or the words in another order, and words "
    "put into the assistant's mouth",
    "S16": "messages that had ended and whose texts were in Redis for good when the world was over",
    "L1": "messages without an outcome 90 s after acceptance or the last disturbance, or refused while nothing was wrong",
    "L2": "conversations of a crashed worker that nobody took over within a lease and a sweep, and those that were handed "
    "back and nobody took within a sweep",
    "L3": "leases whose holder, serving nobody else, did nothing for longer than a burst may be collected",
    "L4": "leases whose holder, serving others, did nothing for longer than a burst may be collected",
    "L5": "repetitions beyond the budget, waits before repetitions that are equal, that do not grow as declared, or that "
    "are shorter than a server had asked for; more runs for a message than are declared",
    "L6": "requests for a lease that somebody had held for long, or of a conversation in which nothing waited",
    "L7": "leases that ran out although their holders were well and Redis answered",
}

RESIDUES: Final[Mapping[str, str]] = {
    "residue_unknown": "messages that ended `unknown`: whether the text arrived cannot be known",
    "residue_refused": "messages that ended `lost` after the channel had refused every text for them",
    "residue_lost_lease": "steps under a lease that the Redis server had lost, before the worker could know",
    "residue_lost_writes": "what would break S1, S2, S3, S5, S11 or S14, had no failover lost unconfirmed writes",
    "residue_orphan_run": "leases released while a run of theirs was active that the worker could not know of",
    "residue_stored_twice": "texts stored twice because the first request landed after it had been looked for",
    "residue_stored_late": "messages that had ended and were stored after later ones because their request landed after it "
    "had been given up, where nobody could know",
    "residue_cut_off": "accepted messages whose time was not over when the world was cut off",
}
"""What remains of the promises where no relay can keep them: counted, and no breach."""

CONTENT_BREACHES: Final = tuple(f"breach_{each}" for each in ("S12", "S13", "S14", "S15"))
"""Breaches of what every relay owes its customers, whatever it declares: they count as breaches of transparency."""

JUDGED_COUNTS: Final[Mapping[str, str]] = {
    **{f"breach_{each}": f"{each} broken: {text}" for each, text in _BREACH.items()},
    **{f"checked_{each}": f"{each} put to the test: {text}" for each, text in _CHECKED.items()},
    **RESIDUES,
}
"""Every count of the judge, with what it means."""

BREACH_OF: Final[Mapping[str, str]] = {f"{each}-{name}": f"breach_{each}" for each, name in PROMISES.items()}
"""The count of breaches of each promise, by its id and name."""

CHECKED_OF: Final[Mapping[str, str]] = {f"{each}-{name}": f"checked_{each}" for each, name in PROMISES.items()}
"""The count of cases of each promise, by its id and name."""
