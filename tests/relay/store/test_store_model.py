"""Any steps in any order, by holders and by those who lost the lease, with repetitions: as a model in Python has it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_arms import Arm, RecordingClient, dump

from relaysim.relay.drain.store import EntryState, Lease, LeaseLost
from relaysim.relay.messages import Outcome

CONVERSATIONS = ("c", "d:1")
IDS = ("m1", "m 2", "m:3")
OUTCOMES = (Outcome.ANSWERED, Outcome.GENERIC_APOLOGY, Outcome.UNKNOWN)

number = st.integers(0, 30)
conversation = st.sampled_from(CONVERSATIONS)
some_ids = st.lists(st.sampled_from(IDS), min_size=1, unique=True)
outcome = st.sampled_from(OUTCOMES)
request = st.sampled_from(("r1", "r2"))
in_doubt = st.sampled_from(("", "r1", "r2"))
run = st.sampled_from(("run_1", "run_2"))
thread = st.sampled_from(("thread_A", "thread_B"))

# What carries a number (before its own arguments) chooses with it among all leases, tokens or scripts so far, the latest
# first: those that are lost too.
operation = st.one_of(
    st.tuples(st.just("accept"), conversation, st.sampled_from(IDS), st.none() | number),
    st.tuples(st.just("claim"), conversation, st.none() | number),
    st.tuples(st.just("renew"), number),
    st.tuples(st.just("intend"), number, request, some_ids),
    st.tuples(st.just("started"), number, request, run, some_ids),
    st.tuples(st.just("take_over"), number, st.sampled_from((None, True, False)), in_doubt),
    st.tuples(st.just("begin_send"), number, some_ids, outcome),
    st.tuples(st.just("not_sent"), number, some_ids),
    st.tuples(st.just("end"), number, st.dictionaries(st.sampled_from(IDS), outcome, min_size=1), in_doubt),
    st.tuples(st.just("set_thread"), number, thread),
    st.tuples(st.just("replace_thread"), number, thread, thread),
    st.tuples(st.just("release"), number),
    st.tuples(st.just("hand_back"), number),
    st.tuples(st.just("lapse")),
    st.tuples(st.just("send_again"), number),
)


@dataclass
class Message:
    number: int
    state: EntryState = EntryState.PENDING
    appended: bool = False
    send_epoch: int | None = None
    outcome: Outcome | None = None
    attempts: int = 0
    in_batch: bool = False

    def leave_batch(self) -> None:
        self.in_batch = False
        if self.state is EntryState.RUNNING:
            self.state = EntryState.PENDING


@dataclass
class Conversation:
    """What the store knows of one conversation."""

    holder: str | None = None
    epoch: int = 0
    last_token: str | None = None
    freed: str | None = None
    accepted: int = 0
    inbox: dict[str, Message] = field(default_factory=dict)
    accepted_by: dict[str, str] = field(default_factory=dict)
    ledger: dict[str, Outcome] = field(default_factory=dict)
    request: str | None = None
    run: str | None = None
    thread: str | None = None

    def holds(self, lease: Lease) -> bool:
        return (self.holder, self.epoch) == (lease.token, lease.epoch)

    def take(self, token: str) -> bool:
        if self.holder is None and self.inbox and self.last_token != token:
            self.holder = self.last_token = token
            self.epoch += 1
        return self.holder == token

    def accept(self, id: str, token: str) -> tuple[bool, Outcome | None, int | None]:
        is_known = id in self.accepted_by or id in self.ledger
        if not is_known:
            self.accepted += 1
            self.inbox[id] = Message(self.accepted)
            self.accepted_by[id] = token
            has_lease = self.take(token)
        else:
            has_lease = self.holder == token or (self.accepted_by.get(id) != token and self.take(token))
        return self.accepted_by.get(id) == token, self.ledger.get(id), self.epoch if has_lease else None

    def intend(self, request: str, ids: list[str]) -> None:
        for id, message in self.inbox.items():
            counts = request != self.request or not message.in_batch
            message.leave_batch()
            if id in ids:
                message.in_batch = True
                message.attempts += counts
        self.request, self.run = request, None

    def started(self, request: str, run: str, ids: list[str]) -> None:
        is_another = self.run is None and self.request not in (None, request)
        for id, message in self.inbox.items():
            message.attempts -= is_another and message.in_batch
            if id in ids:
                message.in_batch = message.appended = True
                if message.state is EntryState.PENDING:
                    message.state = EntryState.RUNNING
            elif message.in_batch:
                message.leave_batch()
        self.request, self.run = request, run

    def take_over(self, appended: bool | None, in_doubt: str) -> None:
        for message in self.inbox.values():
            if message.in_batch:
                message.leave_batch()
                message.appended = message.appended if appended is None else appended
        self.request, self.run = in_doubt or None, None

    def begin_send(self, ids: list[str], outcome: Outcome) -> bool:
        if any(id in self.ledger for id in ids):
            return False
        for id in ids:
            if id in self.inbox:
                message = self.inbox[id]
                message.state, message.send_epoch, message.outcome = EntryState.SENDING, self.epoch, outcome
        return True

    def not_sent(self, ids: list[str]) -> None:
        for id in ids:
            message = self.inbox.get(id)
            if message is not None and message.send_epoch == self.epoch:
                has_run = message.in_batch and self.run is not None
                message.state = EntryState.RUNNING if has_run else EntryState.PENDING
                message.send_epoch = message.outcome = None

    def end(self, outcomes: dict[str, Outcome], in_doubt: str) -> None:
        had_batch = any(message.in_batch for message in self.inbox.values())
        for id, outcome in outcomes.items():
            self.ledger.setdefault(id, outcome)
            self.inbox.pop(id, None)
        has_batch = any(message.in_batch for message in self.inbox.values())
        if (had_batch and not has_batch) or (not self.inbox and self.run is not None):
            self.request, self.run = in_doubt or None, None

    def release(self, token: str) -> bool:
        if not self.inbox:
            self.holder, self.freed = None, token
        return not self.inbox


class Play:
    """The same operations on a store and on its model."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.client = RecordingClient(arm.repeating_client())
        self.store = arm.store(client=self.client)
        self.reader = arm.store()
        self.model = {name: Conversation() for name in CONVERSATIONS}
        self.leases: list[Lease] = []
        self.tokens: list[str] = []
        self.replays: list[tuple[str, ...] | None] = []  # of each script sent: the accept or claim that it was

    def token(self, choice: int | None) -> str:
        if choice is not None and self.tokens:
            return self.tokens[-1 - choice % len(self.tokens)]
        self.tokens.append(f"token {len(self.tokens)}")
        return self.tokens[-1]

    def note_lease(self, lease: Lease | None, name: str, epoch: int | None, token: str) -> None:
        if epoch is None:
            assert lease is None
            return
        assert lease is not None
        assert (lease.conversation, lease.epoch, lease.token) == (name, epoch, token)
        if not any(self._same(lease, known) for known in self.leases):
            self.leases.append(lease)

    @staticmethod
    def _same(lease: Lease, other: Lease) -> bool:
        return replace(lease, valid_until=0.0) == replace(other, valid_until=0.0)

    async def do(self, name: str, *arguments: Any) -> None:
        if name == "lapse":
            await self.arm.lapse()
            for conversation in self.model.values():
                conversation.holder = None
        elif name == "accept":
            await self.accept(*arguments)
        elif name == "claim":
            await self.claim(*arguments)
        elif name == "send_again":
            await self.send_again(*arguments)
        elif self.leases:
            choice, *rest = arguments
            await self.leased(name, self.leases[-1 - choice % len(self.leases)], rest)
        self.replays += [None] * (len(self.client.sent) - len(self.replays))

    async def accept(self, name: str, id: str, choice: int | None) -> None:
        token = self.token(choice)
        accepted = await self.store.accept(name, id, f"text of {id}", None, token=token)
        first, ended, epoch = self.model[name].accept(id, token)
        assert (accepted.first, accepted.outcome) == (first, ended)
        self.note_lease(accepted.lease, name, epoch, token)
        self.replays.append(("accept", name, id, token))

    async def claim(self, name: str, choice: int | None) -> None:
        token = self.token(choice)
        lease = await self.store.claim(name, token=token)
        model = self.model[name]
        self.note_lease(lease, name, model.epoch if model.take(token) else None, token)
        self.replays.append(("claim", name, token))

    async def send_again(self, choice: int) -> None:
        """A script that was sent earlier is processed now: of any age, its sender long gone."""
        if not self.client.sent:
            return
        index = len(self.client.sent) - 1 - choice % len(self.client.sent)
        before = await self.held()
        match self.replays[index]:
            case ("accept", name, id, token):
                _, _, epoch = self.model[name].accept(id, token)
            case ("claim", name, token):
                epoch = self.model[name].epoch if self.model[name].take(token) else None
            case _:
                await self.client.send_again(index)
                assert await self.held() == before
                return
        await self.client.send_again(index)
        self.note_lease(None if epoch is None else Lease(name, epoch, token, 0.0), name, epoch, token)

    async def held(self) -> dict[str, Any]:
        return await dump(self.arm.client, ignoring=frozenset({"redeliveries"}))

    async def leased(self, name: str, lease: Lease, arguments: list[Any]) -> None:
        model = self.model[lease.conversation]
        before = await self.held()
        try:
            reply = await self.take(name, lease, arguments)
        except LeaseLost:
            assert not model.holds(lease)
            if name in ("release", "hand_back"):
                assert model.freed != lease.token
            assert await self.held() == before
            return
        if not model.holds(lease):
            assert name in ("release", "hand_back")
            assert model.freed == lease.token
            assert reply in (True, None)
            assert await self.held() == before
            return
        match name:
            case "release":
                assert reply == model.release(lease.token)
            case "hand_back":
                model.holder, model.freed = None, lease.token
            case "set_thread":
                model.thread = model.thread or arguments[0]
                assert reply == model.thread
            case "replace_thread":
                model.thread = arguments[1] if model.thread in (None, arguments[0]) else model.thread
                assert reply == model.thread
            case "begin_send":
                assert model.begin_send(*arguments) == (reply is None)
            case "renew":
                assert self._same(reply, lease)
            case _:
                getattr(model, name)(*arguments)

    async def take(self, name: str, lease: Lease, arguments: list[Any]) -> Any:
        if name == "take_over":
            return await self.store.take_over(lease, appended=arguments[0], in_doubt=arguments[1])
        if name == "end":
            return await self.store.end(lease, arguments[0], in_doubt=arguments[1])
        if name == "begin_send":
            try:
                return await self.store.begin_send(lease, *arguments)
            except ValueError as error:
                return error
        return await getattr(self.store, name)(lease, *arguments)

    async def compare(self) -> None:
        """Whether the store says what its model says."""
        free = sorted(name for name, model in self.model.items() if model.inbox and model.holder is None)
        if sorted(await self.reader.due(10)) != free:
            await self.arm.wait(0.01)  # who is due is told to the millisecond
            assert sorted(await self.reader.due(10)) == free
        assert await self.reader.depth() == sum(bool(model.inbox) for model in self.model.values())
        for lease in self.leases:
            model = self.model[lease.conversation]
            if model.holds(lease):
                await self.compare_inbox(lease, model)
        for name, model in self.model.items():
            assert await self.reader.thread(name) == model.thread
            for id in IDS:
                assert await self.reader.outcome_of(name, id) == model.ledger.get(id)

    async def compare_inbox(self, lease: Lease, model: Conversation) -> None:
        inbox = await self.reader.inbox(lease)
        messages = model.inbox.items()
        assert [
            (one.id, one.number, one.text, one.state, one.appended, one.send_epoch, one.outcome, one.attempts)
            for one in inbox.entries
        ] == [
            (id, one.number, f"text of {id}", one.state, one.appended, one.send_epoch, one.outcome, one.attempts)
            for id, one in messages
        ]
        batch = {id: one for id, one in messages if one.in_batch}
        assert inbox.batch == tuple(batch)
        assert (inbox.request_id, inbox.run_id) == (model.request, model.run)
        assert (inbox.run_age_seconds is None) == (model.run is None)
        assert inbox.attempts == max((one.attempts for one in (batch or model.inbox).values()), default=0)


async def play(arm: Arm, operations: list[tuple[Any, ...]]) -> None:
    game = Play(arm)
    for operation in operations:
        await game.do(*operation)
        await game.compare()
    # Whoever comes last finds everything that is left.
    await game.do("lapse")
    for name in CONVERSATIONS:
        await game.do("claim", name, None)
    await game.compare()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(operations=st.lists(operation, max_size=25))
def test_the_store_does_what_its_model_does(arm: Arm, operations: list[tuple[Any, ...]]) -> None:
    arm.run(lambda: play(arm, operations))
