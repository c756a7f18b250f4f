"""What assistants answer, changed while the world runs."""

from __future__ import annotations

from typing import Any, Final

from relaysim.sim.backends.replies import EchoReplies, Replies, ScriptedReplies
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.control_errors import ControlError
from relaysim.sim.doors.server.control_models import RefusedReplies

_REFUSED: Final = (
    "replies of kind `callable` would import code into the server, which is for whoever starts it to decide: use "
    "`relaysim serve --replies FILE`, or ApiSettings(replies=...) in Python; by HTTP, kinds `echo` and `script`"
)


class RepliesInForce:
    """The replies of a server's present world: those of its settings until others are put in their place."""

    def __init__(self, server: SimulatedServer) -> None:
        self._server = server
        self._kernel = server.api.kernel  # a reset makes another one
        self._put: Replies | None = None

    @property
    def replies(self) -> Replies:
        """What assistants answer now."""
        api = self._server.api
        return self._put if self._put is not None and self._kernel is api.kernel else api.settings.replies

    def put(self, replies: Replies) -> None:
        """Let assistants answer so from now on. A turn whose answer is known already keeps it."""
        with self._server.present() as api:
            api.set_replier(replies.replier())
            self._kernel, self._put = api.kernel, replies


def allowed(given: EchoReplies | ScriptedReplies | RefusedReplies, before: Replies) -> Replies:
    """Replies that may be set by HTTP: data, or the code that is in force already.

    Raises:
        ControlError: other code.
    """
    if not isinstance(given, RefusedReplies):
        return given
    if given.model_dump() == before.model_dump():
        return before
    raise ControlError("forbidden", _REFUSED)


def written(replies: Replies) -> dict[str, Any]:
    """Replies as a request could give them."""
    return {"kind": replies.kind, **replies.model_dump(mode="json", exclude_defaults=True)}
