"""Stores of `drain` that lack one safeguard: a script is changed by a few words, or a step is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from relaysim.relay.drain import store_scripts
from relaysim.relay.drain.store import Store, _Script
from relaysim.relay.drain.store_records import EntryState, Inbox, Lease
from relaysim.relay.messages import Outcome

_ALL: Final = tuple(
    value for name, value in sorted(vars(store_scripts).items()) if name.isupper() and str(value).startswith("-- ")
)
"""The text of every script."""

_REFUSAL: Final = """if redis.call("GET", KEYS[1]) ~= ARGV[1] or lease[1] ~= ARGV[2] then
    return -1
end
"""
_ORDER: Final = "if step < tonumber(lease[2]) then"
_EMPTY: Final = """if redis.call("HLEN", KEYS[3]) > 0 then
    return 0
end
"""


class NoSuchWordsError(AssertionError):
    """A script no longer says what an ablation takes out of it: the ablation would remove nothing."""


def without(text: str, words: str, instead: str = "") -> str:
    """A script in which some words, which it has once, are replaced. Raises NoSuchWordsError."""
    if text.count(words) != 1:
        raise NoSuchWordsError(f"{text.splitlines()[0]}: {text.count(words)} times, not once: {words!r}")
    return text.replace(words, instead)


def _changed(*texts: str) -> Mapping[str, _Script]:
    """Scripts by their names."""
    return {script.name: script for script in map(_Script, texts)}


class ChangedStore(Store):
    """A store some of whose scripts are others."""

    changed: ClassVar[Mapping[str, _Script]] = {}

    async def _run(self, script: _Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        return await super()._run(self.changed.get(script.name, script), keys, arguments)

    async def _confirmed(self, script: _Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        return await super()._confirmed(self.changed.get(script.name, script), keys, arguments)


class UnfencedStore(ChangedStore):
    """Every step is taken for whoever asks, lease or not."""

    # The numbers of steps are compared within one lease: those of two leases' holders say nothing about each other.
    changed = _changed(
        *(
            without(text, _REFUSAL).replace(_ORDER, _ORDER.replace("if ", "if lease[1] == ARGV[2] and "))
            for text in _ALL
            if _REFUSAL in text
        )
    )


class CarelessRelease(ChangedStore):
    """The lease is released without a look at the inbox."""

    changed = _changed(without(store_scripts.RELEASE, _EMPTY))


class KeepsTexts(ChangedStore):
    """The text of a message that has ended stays in Redis."""

    changed = _changed(without(store_scripts.END, """    redis.call("HDEL", KEYS[4], unpack(gone, first, last))\n"""))


class StaysDue(ChangedStore):
    """A conversation whose messages have all ended stays among those that are looked after."""

    changed = _changed(
        without(store_scripts.END, """if left == 0 then\n    redis.call("ZREM", KEYS[5], ARGV[5])\nend\n"""),
        without(store_scripts.CLAIM, """    redis.call("ZREM", KEYS[5], ARGV[3])\n"""),
    )


class ForgetsDeliveries(ChangedStore):
    """Every delivery is a new message."""

    changed = _changed(without(store_scripts.ACCEPT, "local is_known = known[1] or known[2]", "local is_known = false"))


class StandingEpoch(ChangedStore):
    """Every lease of a conversation has the same epoch."""

    changed = _changed(
        *(
            without(text, "epoch = epoch + 1", "epoch = math.max(epoch, 1)")
            for text in (store_scripts.ACCEPT, store_scripts.CLAIM)
        )
    )


class OrderOfAcceptance(Store):
    """When a message was written is not kept."""

    async def inbox(self, lease: Lease) -> Inbox:
        """As ever, but in the order of acceptance."""
        read = await super().inbox(lease)
        return replace(read, entries=tuple(sorted(read.entries, key=lambda entry: entry.number)))


class NoIntentions(Store):
    """A run's creation is not written down before it is requested."""

    async def intend(self, lease: Lease, request_id: str, message_ids: Sequence[str]) -> bool:
        """Write nothing."""
        return True


class NoSendRecord(Store):
    """A text's sending is not written down before it leaves."""

    async def begin_send(self, lease: Lease, message_ids: Sequence[str], outcome: Outcome) -> None:
        """Write nothing."""


class NeverInDoubt(Store):
    """A text whose sending began counts as not sent."""

    async def inbox(self, lease: Lease) -> Inbox:
        """As ever, but nothing is `SENDING`."""
        read = await super().inbox(lease)
        entries = [
            replace(entry, state=EntryState.PENDING) if entry.state is EntryState.SENDING else entry
            for entry in read.entries
        ]
        return replace(read, entries=tuple(entries))
