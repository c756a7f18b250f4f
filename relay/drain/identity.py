"""What is written on a run so that whoever meets it knows whose it is and what it answers.

A run's metadata holds 16 pairs, values up to 512 characters. Message ids of messaging providers are long, and may hold
a telephone number, so a digest of each stands there.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from relaysim.relay.telemetry import digest

EPOCH: Final = "relay_epoch"
REQUEST: Final = "relay_request"
MESSAGES: Final = "relay_messages"


def metadata_of(epoch: int, request_id: str, message_ids: Sequence[str]) -> dict[str, str]:
    """The metadata of a run that answers these messages."""
    return {EPOCH: str(epoch), REQUEST: request_id, MESSAGES: ",".join(map(digest, message_ids))}


def is_ours(metadata: Mapping[str, str]) -> bool:
    """Whether a relay of this kind created the run."""
    return MESSAGES in metadata and REQUEST in metadata


def answers(metadata: Mapping[str, str], message_id: str) -> bool:
    """Whether the run answers this message, among others."""
    return digest(message_id) in metadata.get(MESSAGES, "").split(",")
