"""Goal: a world drives anything that keeps the target's protocol, and refuses clearly what it cannot drive.

Method: bots of the tests, each as an object with `async handle` and as a program behind an address, a kind of target that is
registered here with one line; and factories that return other things.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from address_target import BehindAddress
from world_bench import run, settings, told

from relaysim.sim.world import INVARIANTS, Session, TargetError, WorldSettings
from relaysim.sim.world.target import Life
from relaysim.sim.world.target_kinds import KINDS, start_target

pytestmark = pytest.mark.usefixtures("one_session")


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


@pytest.fixture
def _addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relaysim.sim.world.target_kinds.KINDS", [*KINDS, BehindAddress])


def _world(factory: str, **tables: Any) -> WorldSettings:
    """Two messages of one customer, half a second apart, and runs of six seconds: longer than the bot's lock lasts."""
    made = settings(factory, 1.0, 1.5, **tables)
    table = made.profile.model_dump()
    table["run_seconds"] = {"kind": "constant", "value": 6.0}
    return made.model_copy(update={"profile": type(made.profile).model_validate(table)})


def _verdict(world: WorldSettings) -> dict[str, tuple[int, int]]:
    """Per invariant its breaches and its cases."""
    counts = run(world).observation["counts"]
    checked = {name: counts.get(f"checked_{name.partition('-')[0]}", counts["messages"]) for name in INVARIANTS}
    return {name: (counts[count], checked[name]) for name, count in INVARIANTS.items()}


PROGRAM = "address_target:program"
AGAIN = {"workload": {"redeliver_seconds": 5.0}}


@pytest.mark.parametrize(
    ("bot", "tables", "breached"),
    [
        ("lease_bot:lease_bot", {}, set()),
        ("lease_bot:forgetful_bot", {}, {"S7-no-step-without-the-lease"}),
        ("world_relays:raiser", AGAIN, {"T1-no-message-lost"}),
        ("world_relays:raiser", {}, {"T1-no-message-lost"}),
    ],
)
@pytest.mark.usefixtures("_addresses")
def test_a_program_behind_an_address_is_judged_as_its_async_twin(
    bot: str, tables: dict[str, Any], breached: set[str]
) -> None:
    expected = _verdict(_world(bot, **tables))
    assert {name for name, (breaches, _) in expected.items() if breaches} >= breached
    assert _verdict(_world(PROGRAM, relay={"bot": bot}, **tables)) == expected


@pytest.mark.usefixtures("_addresses")
def test_a_refusal_at_the_address_is_a_delivery_that_was_not_acknowledged() -> None:
    made = run(settings(PROGRAM, relay={"bot": "world_relays:raiser"}, **AGAIN))
    (line,) = told(made, "log")
    assert line[5] == "handle raised ConnectionError: the program answered 500"
    (failed,) = told(made, "webhook.failed")
    assert (failed[3], failed[-1]) == ("c1.m1#1", "handle raised")
    assert [sent[-1] for sent in told(made, "send")] == ["Got c1.m1"]


def test_without_its_line_the_address_is_refused() -> None:
    with pytest.raises(
        TargetError, match=r"address_target:program gave Address, which has no `handle`; return an object"
    ):
        run(settings(PROGRAM, relay={"bot": "lease_bot:lease_bot"}))


async def _coroutine(client: Any, redis: Any, send: Any) -> None: ...


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


class _Asgi:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class _Handler:
    async def handle(self, message: Any) -> None: ...


class _Yields:
    async def handle(self, message: Any) -> Any:
        yield message


WANTED = (
    "return an object with `def handle(self, message)`, plain or async, or an ASGI application, or a WSGI application"
)
NOBODY = 'and nobody delivers webhooks to it: name their provider, --provider KIND or [provider] kind = "..."'


@pytest.mark.parametrize(
    ("factory", "problem"),
    [
        (lambda *clients: None, f"bot:x gave NoneType, which has no `handle`; {WANTED}"),
        (lambda *clients: _Handler, f"bot:x gave the class _Handler and no object of it; {WANTED}"),
        (lambda *clients: "http://bot/hook", f"bot:x gave a text, 'http://bot/hook'; {WANTED}"),
        (lambda *clients: _wsgi, f"bot:x gave a WSGI application, {NOBODY}"),
        (lambda *clients: _Asgi(), f"bot:x gave an ASGI application, {NOBODY}"),
        (_wsgi, f"bot:x is a WSGI application, {NOBODY}"),
        (_Asgi(), f"bot:x is an ASGI application, {NOBODY}"),
        (lambda: _Asgi(), f"bot:x gave an ASGI application, {NOBODY}"),
        (
            lambda *clients: _Yields(),
            "bot:x gave _Yields, whose `handle` has a `yield`: calling it runs nothing of it, and nobody takes what it "
            "would yield; send with `send`, and leave out the `yield`",
        ),
        (_coroutine, f"bot:x gave a coroutine: write the factory itself as plain `def`; {WANTED}"),
    ],
)
def test_what_cannot_be_driven_is_named_with_what_can(factory: Any, problem: str) -> None:
    life = Life(host=None, openai=None, redis=None, send=None, settings={})  # type: ignore[arg-type]
    with pytest.raises(TargetError) as caught:
        start_target("bot:x", factory, life)
    assert str(caught.value) == problem


def test_what_a_factory_raises_is_not_hidden() -> None:
    def factory(*clients: Any) -> None:
        raise LookupError("no such setting")

    life = Life(host=None, openai=None, redis=None, send=None, settings={})  # type: ignore[arg-type]
    with pytest.raises(LookupError, match="no such setting"):
        start_target("bot:x", factory, life)


@pytest.mark.parametrize("seed", [1, 2])
def test_plain_code_is_judged_as_its_async_twin(seed: int) -> None:
    plain, twin = (_world(f"world_relays:{name}") for name in ("plain", "plain_twin"))
    made, twins = (run(world, seed=seed) for world in (plain, twin))
    for kind in ("send", "received", "handling.end"):
        assert told(made, kind) == told(twins, kind) != []
    assert _verdict(plain) == _verdict(twin)


CONSUMER = """
import queue, threading, time
jobs = queue.Queue()
def work():
    while True:
        send, message = jobs.get()
        time.sleep(1.0)
        send(message.conversation, "{text}")
threading.Thread(target=work, daemon=True).start()
class Bot:
    def __init__(self, send): self.send = send
    def handle(self, message): jobs.put((self.send, message))
def make(client, redis, send): return Bot(send)
"""


@pytest.mark.parametrize(
    ("text", "failed"), [("Sorry, that did not work.", "generic_failure"), ("One moment.", "lost")]
)
def test_an_apology_of_no_handling_is_for_the_message_that_nothing_else_was_sent_for(
    text: str, failed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{failed}_consumer.py").write_text(CONSUMER.format(text=text), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = settings(f"{failed}_consumer:make", 1.0, 1.5)
    counts = run(made).observation["counts"]
    assert (counts["messages"], counts[failed], counts["lost"]) == (2, 2, 2)  # it is an apology, and no answer
