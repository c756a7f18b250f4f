"""The assistants of a simulated service: a store, and which ids count as known. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from relaysim.sim.backends.json_values import Object, check_id
from relaysim.sim.backends.pages import page_of
from relaysim.sim.backends.threads import thread_errors
from relaysim.sim.backends.threads.parameters import check_assistant
from relaysim.sim.kernel import Draws

DEFAULTS: Final[Object] = {
    "name": None,
    "description": None,
    "model": "gpt-4o",
    "instructions": None,
    "tools": [],
    "tool_resources": {},
    "metadata": {},
    "top_p": 1.0,
    "temperature": 1.0,
    "response_format": "auto",
}


class Assistants:
    """Assistants by id.

    Args:
        draws: ids come from them.
        now: seconds since the Unix epoch.
        known: ids that exist from the beginning; None: every well-formed id is an assistant, until it is deleted.

    Attributes:
        kept_max: of more assistants than that the oldest are forgotten, and so are the oldest deletions; None: never.
    """

    def __init__(self, draws: Draws, now: Callable[[], float], known: Iterable[str] | None = None) -> None:
        self._draws = draws
        self._now = now
        self._open = known is None
        self._stored: dict[str, Object] = {}
        self._deleted: dict[str, None] = {}
        self._made = 0
        self.kept_max: int | None = None
        for assistant_id in known or ():
            self._stored[assistant_id] = self._view(assistant_id, {})

    def __len__(self) -> int:
        return len(self._stored)

    def find(self, assistant_id: str) -> Object | None:
        """The stored assistant; None for one that is known by the form of its id alone.

        Raises:
            ApiError: malformed or unknown id.
        """
        found = self._stored.get(assistant_id) if type(assistant_id) is str else None
        if found is None:
            check_id("assistant_id", assistant_id, "asst")
            if not self._open or assistant_id in self._deleted:
                raise thread_errors.no_assistant(assistant_id)
        return found

    def create(self, params: Mapping[str, Any]) -> Object:
        """Create an assistant; `model` is required."""
        given = check_assistant(params, creating=True)
        assistant_id = f"asst_{self._draws.token('assistants', 'assistant-id', 24, self._made)}"
        self._made += 1
        view = self._stored[assistant_id] = self._view(assistant_id, given)
        self._forget_oldest(self._stored)
        return dict(view)

    def page(self, limit: int | None, order: str | None, after: str | None, before: str | None) -> Object:
        """A page of the stored assistants, newest first unless `order` is `asc`."""
        return page_of(list(self._stored.values()), limit, order, after, before, thread_errors.no_assistant)

    def retrieve(self, assistant_id: str) -> Object:
        """One assistant."""
        return dict(self._kept(assistant_id))

    def update(self, assistant_id: str, params: Mapping[str, Any]) -> Object:
        """Replace what is given."""
        view = self._kept(assistant_id)
        view.update(check_assistant(params, creating=False))
        return dict(view)

    def delete(self, assistant_id: str) -> Object:
        """Delete an assistant. Its runs go on (inferred)."""
        self.find(assistant_id)
        self._stored.pop(assistant_id, None)
        if self._open:
            self._deleted[assistant_id] = None
            self._forget_oldest(self._deleted)
        return {"id": assistant_id, "object": "assistant.deleted", "deleted": True}

    def _kept(self, assistant_id: str) -> Object:
        """The stored assistant; one that was known by its form alone is stored from now on."""
        found = self.find(assistant_id)
        if found is None:
            found = self._stored[assistant_id] = self._view(assistant_id, {})
            self._forget_oldest(self._stored)
        return found

    def _forget_oldest(self, kept: dict[str, Any]) -> None:
        if self.kept_max is not None and len(kept) > self.kept_max:
            del kept[next(iter(kept))]

    def _view(self, assistant_id: str, given: Mapping[str, Any]) -> Object:
        return {
            "id": assistant_id,
            "object": "assistant",
            "created_at": int(self._now()),
            **DEFAULTS,
            **given,
        }
