"""An inbox as Redis tells it, read: entries in the order in which the customer wrote, where the channel tells of that."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from relaysim.relay.drain.store_records import Entry, EntryState, Inbox
from relaysim.relay.messages import Outcome

_STATES: Final[Mapping[str, EntryState]] = {
    "P": EntryState.PENDING,
    "R": EntryState.RUNNING,
    "S": EntryState.SENDING,
}


def read_inbox(reply: Sequence[Any]) -> Inbox:
    """What the script of that name replied."""
    now, request_id, run_id, run_at, lines, texts = reply
    words = dict(zip(lines[::2], lines[1::2], strict=True))
    by_id = dict(zip(texts[::2], texts[1::2], strict=True))
    read = [_entry(as_text(id), as_text(line), as_text(by_id.get(id, "")), int(now)) for id, line in words.items()]
    read = _in_order(read, [by_id.get(_written_key(id)) for id in words])
    entries = tuple(entry for entry, _ in read)
    batch = tuple(entry for entry, in_batch in read if in_batch)
    return Inbox(
        entries=entries,
        request_id=as_text(request_id) or None,
        run_id=as_text(run_id) or None,
        run_age_seconds=_age(int(now), int(run_at)) if run_id else None,
        batch=tuple(entry.id for entry in batch),
        attempts=max((entry.attempts for entry in batch or entries), default=0),
    )


def as_text(value: bytes | str) -> str:
    """What a client gives, be it one that decodes or one that does not."""
    return value.decode() if isinstance(value, bytes) else value


def _written_key(message_id: bytes | str) -> bytes | str:
    """The name under which the texts' hash has when a message was written."""
    return b"\0" + message_id if isinstance(message_id, bytes) else "\0" + message_id


def _in_order(read: list[tuple[Entry, bool]], written: Sequence[bytes | str | None]) -> list[tuple[Entry, bool]]:
    """In the order of writing if it is known of each, else in that of acceptance, which also decides between equal times."""
    if any(each is None for each in written):
        return sorted(read, key=lambda one: one[0].number)
    times = [float(each) for each in written if each is not None]
    ordered = sorted(zip(times, read, strict=True), key=lambda timed: (timed[0], timed[1][0].number))
    return [one for _, one in ordered]


def _age(now_milliseconds: int, then_milliseconds: int) -> float:
    # After a failover the clock is another server's, perhaps behind.
    return max(0, now_milliseconds - then_milliseconds) / 1000


def _entry(id: str, line: str, text: str, now_milliseconds: int) -> tuple[Entry, bool]:
    """An entry, and whether it is in the batch."""
    state, appended, epoch, outcome, number, accepted_at, attempts, in_batch = line.split(" ")
    entry = Entry(
        id=id,
        number=int(number),
        text=text,
        age_seconds=_age(now_milliseconds, int(accepted_at)),
        state=_STATES[state],
        appended=appended == "1",
        send_epoch=None if epoch == "-" else int(epoch),
        outcome=None if outcome == "-" else Outcome(outcome),
        attempts=int(attempts),
    )
    return entry, in_batch == "1"
