"""How an answer that breaks on its way is written on the wire: one place for the transport and for the address."""

from __future__ import annotations

from typing import NamedTuple

from relaysim.sim.backends.calls import Call
from relaysim.sim.backends.wire import Wire, request_id_header
from relaysim.sim.doors.arrivals import BrokenAnswer
from relaysim.sim.doors.effects import MALFORMED


class BrokenResponse(NamedTuple):
    """What reaches the client of an answer that is damaged.

    Attributes:
        status, headers: of its head.
        content: what is sent of its body.
        length: of the body that the head announces.
        breaks: how it breaks off after that, as `Answer.failure` names it; None: it ends in order.
    """

    status: int
    headers: dict[str, str]
    content: bytes
    length: int
    breaks: str | None


def rendered_broken(wire: Wire, answer: BrokenAnswer, call: Call) -> BrokenResponse:
    """The response of an answer that breaks off, or ends in order with a damaged body."""
    request_id = request_id_header(answer.request_id)
    if answer.failure != MALFORMED:
        status, headers, content = wire.render(answer.whole, call, request_id)
        return BrokenResponse(status, headers, answer.effect.body(content), len(content), answer.failure)
    status, headers, content = wire.render(answer, call, request_id)
    if answer.error is None:
        content = answer.effect.body(content)
        headers["content-length"] = str(len(content))
    return BrokenResponse(status, headers, content, len(content), None)
