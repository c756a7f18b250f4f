"""The service of one world, whose responses live by the kernel's clock: what a door knows as `Service`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.protocol import Backend
from relaysim.sim.backends.responses.life import ResponseLives
from relaysim.sim.backends.responses.operations import execute
from relaysim.sim.backends.responses.service import ResponsesService
from relaysim.sim.backends.responses.states import STATES
from relaysim.sim.trace.schema import ELSEWHERE, ThreadDeleted

MODEL: Final = "gpt-relaysim"
"""Whose turns are those that are there before a world begins."""


class LivingResponses(ResponsesService):
    """The service of one world, with its responses' lives.

    Attributes:
        lives: as the name says.
        conversations_max: of more than so many conversations, and of as many responses, the oldest idle ones are forgotten;
            None: none is.
    """

    lives: ResponseLives
    conversations_max: int | None = None

    def __init__(self, backend: Backend, *service: Any, **options: Any) -> None:
        super().__init__(*service, **options)
        self.backend = backend

    def execute(self, call: Call, cause: str = "") -> Answer:
        """As `Service.execute`."""
        answer = execute(self, call, cause)
        if self.conversations_max is not None:
            self._forget_idle(call.thread_id)
        return answer

    def find_conversation(self, call: Call) -> str | None:
        """As `Service.find_conversation`: that of the response which a call names, or continues."""
        response = self.responses.get(call.run_id or call.params.get("previous_response_id") or "")
        return None if response is None else response.conversation.id

    def open_conversation(self) -> str:
        """As `Service.open_conversation`."""
        return str(self.create_conversation()["id"])

    def leave_turn(self, conversation_id: str, cause: str) -> None:
        """As `Service.leave_turn`: a question, and a turn in the background that never finishes."""
        made = self.create_response(
            model=MODEL, conversation=conversation_id, input="A question from before", background=True, cause=cause
        )
        self.lives.make_stuck(made)

    def start_elsewhere(self, conversation_id: str, cause: str) -> None:
        """As `Service.start_elsewhere`: a turn in the background, without words."""
        conversation = self.conversations.get(conversation_id)
        if conversation is not None and not conversation.active:
            self.create_response(model=MODEL, conversation=conversation_id, background=True, cause=cause)

    def lose_conversation(self, conversation_id: str) -> None:
        """As `Service.lose_conversation`: a conversation that somebody deleted."""
        if conversation_id in self.conversations:
            self.forget_conversation(conversation_id)
            self._add("api", ThreadDeleted(thread_id=conversation_id, cause=ELSEWHERE))

    def cut_off_reasons(self) -> Mapping[str, str]:
        """As `Service.cut_off_reasons`, of responses."""
        details = ((each.id, each.view["incomplete_details"]) for each in self.responses.values())
        return {response_id: str(each["reason"]) for response_id, each in details if each}

    def counts(self) -> tuple[int, Mapping[str, int]]:
        """As `Service.counts`, of conversations and responses."""
        found = Counter(response.status for response in self.responses.values())
        return len(self.conversations), {state.name: found[state.name] for state in STATES}

    def _forget_idle(self, used: str | None) -> None:
        conversations, kept_max = self.conversations, self.conversations_max
        assert kept_max is not None
        if used is not None and used in conversations:
            conversations[used] = conversations.pop(used)  # to the end of the line
        if len(conversations) > kept_max:
            idle = [each.id for each in conversations.values() if not each.active]
            for conversation_id in idle[: len(conversations) - kept_max]:
                self.forget_conversation(conversation_id)
        if len(self.responses) > kept_max:
            ended = [each.id for each in self.responses.values() if each.ended]
            for response_id in ended[: len(self.responses) - kept_max]:
                del self.responses[response_id]
