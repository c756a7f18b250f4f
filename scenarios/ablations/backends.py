"""Backends that are `ThreadsBackend` or `ResponsesBackend` with one thing done otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relaysim.relay.drain.backend import Backend, RunView, ThreadsBackend
from relaysim.relay.drain.responses_backend import ResponsesBackend
from relaysim.relay.threads_api import text_of


class _Changed(ThreadsBackend):
    """Takes over a `ThreadsBackend`."""

    def __init__(self, backend: Backend) -> None:
        vars(self).update(vars(backend))


class OneThread(_Changed):
    """A backend that writes everything into the first thread that it is asked to write into."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._thread_id = ""

    async def start(self, thread_id: str, texts: Sequence[str], metadata: Mapping[str, str]) -> RunView:
        """Whosever texts they are."""
        self._thread_id = self._thread_id or thread_id
        return await super().start(self._thread_id, texts, metadata)


class Twice(_Changed):
    """A backend that appends each text two times."""

    async def start(self, thread_id: str, texts: Sequence[str], metadata: Mapping[str, str]) -> RunView:
        """As ever, but with each text two times."""
        return await super().start(thread_id, [text for text in texts for _ in range(2)], metadata)


class Explained(_Changed):
    """A backend whose replies come with a stack trace."""

    async def reply(self, thread_id: str, run_id: str) -> str | None:
        """The run's words, and what Python prints of an exception."""
        return f"{await super().reply(thread_id, run_id)}\n\nTraceback (most recent call last):\n  KeyError: 'tone'"


class NewestMessage(_Changed):
    """A backend whose replies are the newest message of the thread."""

    async def reply(self, thread_id: str, run_id: str) -> str | None:
        """What the assistant said last, by whichever run."""
        page = await self._answer(self._messages.list(thread_id, limit=10, order="desc"))
        return next((text_of(message) for message in page.data if message.role == "assistant"), None)


# Over Responses


class _ChangedResponses(ResponsesBackend):
    """Takes over a `ResponsesBackend`."""

    def __init__(self, backend: Backend) -> None:
        vars(self).update(vars(backend))


class Unmarked(_ChangedResponses):
    """A backend whose turns do not say whose they are."""

    def _begun(self, metadata: Mapping[str, str]) -> list[dict[str, str]]:
        return []


class Empty(_ChangedResponses):
    """A backend whose copies of a conversation are empty."""

    async def copy_thread(
        self, thread_id: str, messages_max: int, questions: Sequence[str] = (), *, without: Sequence[str] = ()
    ) -> str:
        """A new conversation."""
        return await self.open_thread()
