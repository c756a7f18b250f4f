"""A second, tiny backend: the smallest that goes through every door, with another lock than the Threads API.

A turn is one request that appends and runs, as of the Responses API. A busy conversation refuses it with 409, which names no
turn; OpenAI's SDK repeats a 409 by itself. `settle_seconds` is a number that only this backend's profiles have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from pydantic import Field

from relaysim.sim.backends.calls import Answer, Call, Operation
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.protocol import DEFAULT_OPTIONS, Request
from relaysim.sim.backends.replies import Turn, checked
from relaysim.sim.backends.wire import Routes, Wire
from relaysim.sim.doors.direct import NOT_GIVEN, record_of
from relaysim.sim.doors.transport import openai_client
from relaysim.sim.kernel.distributions import Constant, Distribution
from relaysim.sim.trace.operation_roles import OperationRoles
from relaysim.sim.trace.schema import ELSEWHERE, MessageStored, RunState, ThreadDeleted


class LedgerProfile(Profile):
    settle_seconds: Distribution = Field(Constant(kind="constant", value=0.0), description="from a reply to the end")


class LedgerService:
    def __init__(self, backend: Any, kernel: Any, profile: Any, now: Any, trace: Any, replier: Any) -> None:
        self.backend, self._kernel, self._profile, self.now = backend, kernel, profile, now
        self._add, self.replier, self.traced_metadata = trace.add, replier, frozenset[str]()
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.turns: dict[str, dict[str, Any]] = {}
        self.active: dict[str, str] = {}

    def execute(self, call: Call, cause: str = "") -> Answer:
        try:
            if call.refusal is not None:
                raise call.refusal
            payload, detail = PERFORM[call.operation](self, call, cause)
        except ApiError as error:
            return Answer(error.status, error=error)
        return Answer(200, dict(payload), detail=detail)

    def find_conversation(self, call: Call) -> str | None:
        return None

    def open_conversation(self) -> str:
        conversation = f"conv_{self._kernel.draws.token('ledger', 'conversation-id', 24, len(self.messages))}"
        self.messages[conversation] = []
        return conversation

    def cut_off_reasons(self) -> dict[str, str]:
        return {}

    def start_elsewhere(self, conversation_id: str, cause: str) -> None:
        if conversation_id in self.messages and conversation_id not in self.active:
            self.start_turn(conversation_id, "", cause)

    def leave_turn(self, conversation_id: str, cause: str) -> None:
        self.start_turn(conversation_id, "A question from before", cause, stuck=True)

    def lose_conversation(self, conversation_id: str) -> None:
        if self.messages.pop(conversation_id, None) is not None:
            self.active.pop(conversation_id, None)
            self._add("api", ThreadDeleted(conversation_id, ELSEWHERE))

    def counts(self) -> tuple[int, Mapping[str, int]]:
        return len(self.messages), Counter(turn["status"] for turn in self.turns.values())

    def start_turn(self, conversation: str, text: str, cause: str, *, stuck: bool = False) -> dict[str, Any]:
        if conversation in self.active:
            raise ApiError(409, "Conversation is locked", "conflict", code="conversation_locked")
        key = f"{conversation}/{len(self.messages[conversation])}"
        turn_id = f"resp_{self._kernel.draws.token(key, 'turn-id', 24, 0)}"
        turn = {"id": turn_id, "status": "queued", "output": [], "conversation": {"id": conversation}}
        self.turns[turn_id] = turn
        self._store(conversation, "user", text, None, cause)
        self.active[conversation] = turn_id
        self._add("api", RunState(turn_id, conversation, "queued", cause))
        uniform = self._kernel.draws.uniform
        wait = self._profile.run_seconds.sample(uniform(key, "run-seconds", 0))
        wait += self._profile.settle_seconds.sample(uniform(key, "settle-seconds", 0))
        if not stuck:
            self._kernel.at(wait, self._complete, turn, conversation)
        return turn

    def create(self, call: Any, cause: str) -> tuple[Any, str]:
        conversation = call.thread_id or self.open_conversation()
        if conversation not in self.messages:
            raise ApiError(404, f"Conversation with id '{conversation}' not found.")
        turn = self.start_turn(conversation, call.params.get("input", ""), cause)
        return turn, turn["id"]

    def retrieve(self, call: Any, cause: str) -> tuple[Any, str]:
        if call.run_id not in self.turns:
            raise ApiError(404, f"Response with id '{call.run_id}' not found.")
        return self.turns[call.run_id], self.turns[call.run_id]["status"]

    def _complete(self, turn: dict[str, Any], conversation: str) -> None:
        text = checked(self.replier(Turn(self.messages[conversation], turn))).text  # type: ignore[union-attr]
        self._store(conversation, "assistant", text, turn["id"], turn["id"])
        content: list[Any] = [{"type": "output_text", "text": text, "annotations": []}]
        turn.update(status="completed", output=[{"type": "message", "content": content}])
        del self.active[conversation]
        self._add("api", RunState(turn["id"], conversation, "completed", "time"))

    def _store(self, conversation: str, role: str, text: str, turn_id: str | None, cause: str) -> None:
        message = {"role": role, "content": [{"type": "text", "text": {"value": text}}], "run_id": turn_id}
        self.messages[conversation].append(message)
        self._add("api", MessageStored(conversation, f"msg_{len(self.messages[conversation])}", role, cause, text))


BEGIN = frozenset({"responses.create"})
TURN = frozenset({"conversation", "input", "model"})
OPERATIONS = (
    Operation("responses.create", "POST", "/responses", TURN, LedgerService.create),
    Operation("responses.retrieve", "GET", "/responses/{run_id}", frozenset(), LedgerService.retrieve),
)
PERFORM = {operation.name: operation.perform for operation in OPERATIONS}


class LedgerWire(Wire):
    routes, spoken = Routes(OPERATIONS), "Ledger API"
    base_path, polled = "/ledger/v2", "responses.retrieve"

    def parse(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
        call = super().parse(method, path, headers, body)
        call.thread_id = call.params.get("conversation")  # the body names the conversation, not the path
        return call


class Ledger:
    name, title, base_url = "ledger", "Ledger API", "https://ledger.test/ledger/v2"
    operations, profile, make_wire = OPERATIONS, LedgerProfile, staticmethod(LedgerWire)
    has_assistants, has_events, control = False, False, None
    roles = OperationRoles(BEGIN, BEGIN, frozenset(), frozenset({409}), shows_turn=frozenset({"responses.retrieve"}))

    def start(self, kernel: Any, profile: Any, *, now: Any, trace: Any, options: Any = DEFAULT_OPTIONS) -> Any:
        return LedgerService(self, kernel, profile, now, trace, options.replier)

    def sdk_client(self, transport: Any) -> Any:
        return openai_client(transport, self.base_url)

    def direct_client(self, request: Request) -> Mapping[str, Any]:
        async def create(**params: Any) -> Any:
            return record_of(await request(Call("responses.create", params["conversation"], params=params), NOT_GIVEN))

        async def retrieve(response_id: str) -> Any:
            return record_of(await request(Call("responses.retrieve", run_id=response_id), NOT_GIVEN))

        return {"responses": SimpleNamespace(create=create, retrieve=retrieve)}

    async def warm_up(self, client: Any) -> None:
        await client.responses.create(model="m", conversation="conv_1", input="x")
        await client.responses.retrieve("resp_1")


LEDGER = Ledger()
