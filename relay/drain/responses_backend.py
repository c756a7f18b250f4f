"""OpenAI Responses with Conversations behind `drain`'s seam.

A thread is a conversation, a run a response in the background: its id is known at once, and it can be looked at and
cancelled. What this API has not, and how it is done without:

- **No list of a conversation's responses.** A response whose creation's answer was lost cannot be found, looked at or
  cancelled while it works. So each turn begins with a message of the developer that says what the run's metadata say: it is
  linked to the conversation together with the customer's words and the reply when the response has completed, and is found
  there. If it is not there, it may be on its way, at work, or lost, and between a look and a second attempt it may complete:
  so the conversation goes on in a copy that leaves it out, and whatever becomes of it is nobody's concern. The marker
  costs about 60 tokens a turn, and the model reads it; the work of a turn that is left behind is paid for.
- **A lock that names nobody.** Who meets it waits, and goes on in a copy of the conversation if the lock stays.
- **Messages that are lost with their turn.** They are in the conversation once the response has completed, not before.
  Whether they stayed all the same is looked up, since services have been seen to keep them.
- **A function call without its output** makes a conversation refuse every further turn (captured in public reports). The
  conversation then goes on in a new one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import openai

from relaysim.relay.drain.backend import (
    AskedWaits,
    BackendError,
    Conflict,
    NoThread,
    Refused,
    RunView,
    answer_of,
    since,
    sorted_by_status,
)
from relaysim.relay.drain.identity import REQUEST, answers, is_ours
from relaysim.relay.threads_api import describe

ITEMS_LISTED: Final = 100
"""How many of a conversation's items a look shows, newest first."""

COPIED_MAX: Final = 20
"""Items that the API takes when a conversation is created."""

_MARKER: Final = "[relay] "
_FOUND: Final = "turn_"
"""Begins what stands for the id of a response that was found among the items: they do not tell its own."""

_REMEMBERED_MAX: Final = 1000
"""How many turns that were found are remembered, over all conversations; what was forgotten is looked for again."""

_SPOILT: Final = re.compile(r"No tool (output|call) found for function call")


class ResponsesBackend:
    """OpenAI Responses and Conversations through the SDK, as `relaysim.relay.drain.backend.Backend`.

    Args:
        client: an `openai.AsyncOpenAI`.
        model: which model answers.
        instructions: what it is told with each turn; empty: nothing.
        timeout_seconds: after so long without an answer a request's fate is unknown.
    """

    links_at_end = True

    def __init__(self, client: Any, *, model: str, instructions: str = "", timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        client = client.with_options(max_retries=0, timeout=timeout_seconds)
        self._responses, self._conversations = client.responses, client.conversations
        self._model = model
        self._instructions = {"instructions": instructions} if instructions else {}
        self._turns_found: dict[tuple[str, str], _Turn] = {}
        self._waits = AskedWaits(self._answer)

    async def open_thread(self) -> str:
        """As `Backend.open_thread`: a conversation."""
        return str((await self._answer(self._conversations.create())).id)

    async def copy_thread(
        self, thread_id: str, messages_max: int, questions: Sequence[str] = (), *, without: Sequence[str] = ()
    ) -> str:
        """As `Backend.copy_thread`, of 20 messages at most. Function calls, pictures and files stay behind."""
        messages_max = min(messages_max, COPIED_MAX)
        if messages_max == 0 and not questions:
            return await self.open_thread()
        turns = await self._turns(thread_id)
        said = [
            (role, text)
            for turn in turns
            if not any(answers(turn.metadata, message_id) for message_id in without)
            for role, text in turn.said
        ]
        said = said[-min(COPIED_MAX, max(messages_max, since(questions, said))) :]
        items = [{"type": "message", "role": role, "content": text} for role, text in said]
        return str((await self._answer(self._conversations.create(items=items))).id)

    async def start(self, thread_id: str, texts: Sequence[str], metadata: Mapping[str, str]) -> RunView:
        """As `Backend.start`: the marker and the customer's texts are one response's input."""
        response = await self._answer(
            self._responses.create(
                model=self._model,
                conversation=thread_id,
                input=[
                    *self._begun(metadata),
                    *({"type": "message", "role": "user", "content": text} for text in texts),
                ],
                background=True,
                metadata=dict(metadata),
                **self._instructions,
            )
        )
        return _view(response)

    def _begun(self, metadata: Mapping[str, str]) -> list[dict[str, str]]:
        """What a turn begins with: its marker."""
        return [{"type": "message", "role": "developer", "content": marker_of(metadata)}]

    async def look(self, thread_id: str, run_id: str) -> RunView:
        """As `Backend.look`."""
        if run_id.startswith(_FOUND):
            turn = await self._turn(thread_id, run_id)
            return RunView(run_id, "expired") if turn is None else turn.view()
        return _view(await self._answer(self._responses.retrieve(run_id)))

    async def recent(self, thread_id: str) -> Sequence[RunView]:
        """As `Backend.recent`: the turns whose items are in the conversation; they have ended."""
        turns = [turn for turn in reversed(await self._turns(thread_id)) if turn.metadata]
        for turn in turns:
            self._turns_found[thread_id, turn.metadata.get(REQUEST, "")] = turn
        for key in list(self._turns_found)[: max(0, len(self._turns_found) - _REMEMBERED_MAX)]:
            del self._turns_found[key]
        return [turn.view() for turn in turns]

    async def cancel(self, thread_id: str, run_id: str) -> bool:
        """As `Backend.cancel`: answered once the response has ended. What was found among the items has."""
        if run_id.startswith(_FOUND):
            return False
        try:
            response = await self._waits.heeding("cancel", run_id, lambda: self._responses.cancel(run_id))
        except Refused:
            return False
        return bool(response.status == "cancelled")

    async def reply(self, thread_id: str, run_id: str) -> str | None:
        """As `Backend.reply`: the response's own messages, in their order."""
        if run_id.startswith(_FOUND):
            turn = await self._turn(thread_id, run_id)
            return None if turn is None else turn.reply
        response = await self._answer(self._responses.retrieve(run_id))
        texts = [_text_of(item) for item in response.output if item.type == "message"]
        return "\n\n".join(text for text in texts if text) or None

    async def _turn(self, thread_id: str, run_id: str) -> "_Turn | None":
        request = run_id.removeprefix(_FOUND)
        if (known := self._turns_found.get((thread_id, request))) is not None:
            return known  # it has ended, so that it stays as it was
        turns = await self._turns(thread_id)
        return next((turn for turn in turns if turn.metadata.get(REQUEST) == request), None)

    async def _turns(self, thread_id: str) -> "list[_Turn]":
        """What is in the conversation, oldest first; what stands before the first marker is a turn without metadata.

        Looks of several purposes are one request here.
        """
        page = await self._waits.heeding(
            "items", thread_id, lambda: self._conversations.items.list(thread_id, limit=ITEMS_LISTED, order="desc")
        )
        turns = [_Turn({})]
        for item in reversed(page.data):
            if item.type != "message":
                continue
            text = _text_of(item)
            metadata = {} if item.role != "developer" or not text else metadata_in(text)
            if is_ours(metadata):
                turns.append(_Turn(metadata))
            elif item.role in ("user", "assistant") and text:
                turns[-1].said.append((item.role, text))
        return turns

    async def _answer(self, call: Any) -> Any:
        return await answer_of(call, self._timeout_seconds, _sorted)


class _Turn:
    """A turn as a conversation's items tell of it.

    metadata    what its marker says; empty: there is none
    said        role and words of its messages, in their order
    """

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self.metadata = metadata
        self.said: list[tuple[str, str]] = []

    @property
    def reply(self) -> str | None:
        """What it wrote; None: nothing."""
        return "\n\n".join(text for role, text in self.said if role == "assistant") or None

    def view(self) -> RunView:
        """As a run: with a reply it has completed, else it left its messages without one."""
        status = "failed" if self.reply is None else "completed"
        return RunView(f"{_FOUND}{self.metadata.get(REQUEST, '')}", status, self.metadata)


def marker_of(metadata: Mapping[str, str]) -> str:
    """What the marker of a turn says."""
    return _MARKER + " ".join(f"{name}={value}" for name, value in metadata.items())


def metadata_in(text: str) -> dict[str, str]:
    """The metadata that a marker tells; empty if the text is none."""
    if not text.startswith(_MARKER):
        return {}
    pairs = (pair.partition("=") for pair in text.removeprefix(_MARKER).split(" "))
    return {name: value for name, separator, value in pairs if separator}


def _text_of(item: Any) -> str | None:
    texts = [getattr(part, "text", None) for part in item.content]
    return "\n".join(text for text in texts if isinstance(text, str) and text) or None


def _view(response: Any) -> RunView:
    metadata = response.metadata if isinstance(response.metadata, Mapping) else {}
    code = getattr(getattr(response, "error", None), "code", None)
    reason = code or getattr(getattr(response, "incomplete_details", None), "reason", None)
    status = str(response.status)
    if status == "completed" and any(item.type == "function_call" for item in response.output):
        status = "failed"  # nobody here has tools
        reason = "function_call"
    return RunView(response.id, status, metadata, reason if isinstance(reason, str) else None)


def _sorted(error: openai.APIStatusError) -> BackendError:
    if not isinstance(error.body, Mapping):
        return sorted_by_status(error)
    if error.code == "conversation_locked":
        return Conflict(describe(error), None)
    sentence = str(error)
    if (error.status_code == 404 and "onversation with id" in sentence) or _SPOILT.search(sentence):
        return NoThread(describe(error))
    return sorted_by_status(error)
