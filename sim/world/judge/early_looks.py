"""What a relay had when it decided: how old what it knew was, and what a sentence says of that.

A relay that looks into its inbox and acts some milliseconds later cannot know what has come in between. Which look it
decides by is known only if it declares the command; until then it is taken to know all that had come when its request left.
"""

from __future__ import annotations

from typing import Final

from relaysim.sim.trace.subjects import Message, Request, Run

_SOON_SECONDS: Final = 5.0
"""A relay acts no later than so long after the look by which it decides: between the two are some requests."""


def decided_at(run: Run) -> float:
    """When it was decided what a run is to answer: at the look before it, if that is known, else when it was created."""
    request = run.request
    return run.created if request is None or not _has_looked(request) else request.decided


def had_before(had_at: float, decided: float, request: Request | None, act: str) -> str:
    """How long a relay had had a message when it decided without it, and what to do if it could not know.

    Args:
        had_at, decided: when it got the message, and when it decided.
        request: by which it acted then.
        act: what it did, as the end of a sentence that begins with "when it".
    """
    if request is not None and _has_looked(request):
        return f", though the relay had had it for {decided - had_at:.3f} s when it last looked at what waits"
    said = f", though the relay had had it for {decided - had_at:.3f} s when it {act}"
    if decided - had_at >= _SOON_SECONDS:
        return said
    return (
        f"{said}; if it had looked at what waits before that, let it look again, or declare that look in its `promises` "
        "(`lease.steps.read_inbox`)"
    )


def crossing(earlier: Message, later: Message) -> str:
    """That the webhooks of two messages crossed, and how a relay tells which was written first; "" if they did not."""
    first, second = earlier.first_start, later.first_start
    if first is None or second is None or first <= second:
        return ""
    return (
        f"; their webhooks crossed ({earlier.id}, written {later.sent_at - earlier.sent_at:.3f} s before {later.id}, came "
        f"{first - second:.3f} s after it), and the time of writing, which each webhook carries, tells their order"
    )


def _has_looked(request: Request) -> bool:
    """Whether the look is known by which it was decided."""
    return request.decided < request.left
