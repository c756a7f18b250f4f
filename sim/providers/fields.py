"""Keys of a table `[provider]` that most providers give a default of their own, each with its range and its meaning."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

Failure = Literal["unreachable", "broken", "timeout", "status"]
"""How a delivery failed, as the provider sees it: nobody accepted the connection; the connection broke before a response;
the deadline was over; a response came that does not acknowledge."""

FAILURES: Final[tuple[Failure, ...]] = ("unreachable", "broken", "timeout", "status")


def secret(what: str) -> Any:
    """The secret, which is this for the provider."""
    return Field(default="relaysim-secret", min_length=1, description=f"{what}: signs webhooks, or is sent along")


def deadline(seconds: float) -> Any:
    """The deadline of a webhook."""
    return Field(default=seconds, gt=0, le=3600, description="from a webhook's request to its whole response")


def repeats(*waits: float) -> Any:
    """The schedule of repeats."""
    return Field(
        default=waits,
        description="waits before the repeats of a delivery that was not acknowledged, in their order; none after the last",
    )


def jitter(share: float) -> Any:
    """The spread of that schedule."""
    return Field(default=share, ge=0, lt=1, description="share by which such a wait may be shorter or longer")


def repeats_after(*failures: Failure) -> Any:
    """What is repeated."""
    return Field(
        default=failures,
        description="what is repeated: `unreachable`, `broken` (the worker died), `timeout` (the deadline was over), "
        "`status` (the response does not acknowledge)",
    )


def in_order(kept: bool) -> Any:
    """Whether order is kept."""
    return Field(
        default=kept,
        description="a conversation's next message waits until the one before was acknowledged or given up",
    )
