"""Each kind of fault does in both lanes what its row of the table says."""

from __future__ import annotations

import json
from typing import Any, get_args

import openai
import pytest
from openai_world import World, flat_profile

from relaysim.sim.doors import LANES, ApiFault, Lane, warm_up
from relaysim.sim.doors.effects import EFFECTS, FaultKind, first_event_cut

NEEDED: dict[str, dict[str, Any]] = {"status": {"status": 503}, "slow_body": {"seconds": 2.0}}
NEEDED["conversation_gone"] = {"route": "messages.*"}


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    warm_up()


def test_every_kind_has_an_effect() -> None:
    assert set(EFFECTS) == set(get_args(FaultKind))


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("kind", EFFECTS)
def test_a_lane_does_what_the_table_says(kind: FaultKind, lane: Lane) -> None:
    effect = EFFECTS[kind]
    world = World(lane, flat_profile(), [ApiFault.model_validate({"kind": kind, **NEEDED.get(kind, {})})])

    async def bot(client: Any) -> Any:
        quick = client.with_options(timeout=4.0, max_retries=0)
        try:
            return await quick.beta.threads.messages.create(world.thread, role="user", content="hi")
        except (openai.APIError, json.JSONDecodeError) as error:
            return error

    (ending,) = world.run(bot)
    ((answered, _, _, (_, status, failure)),) = world.events("response")

    # When it is processed: on its way after 0.25 s, or once its client has given up.
    served = {"in_time": [0.25], "late": [4.25], "never": []}[effect.processed]
    assert [time for time, *_ in world.events("served")] == served
    if effect.gone:
        assert world.thread not in world.service.threads
    else:
        assert len(world.service.threads[world.thread].messages) == (0 if effect.replaced else len(served))

    # What comes back, and when.
    if not effect.connects:
        assert (answered, status, failure) == (0.25, 0, "ConnectError")
    elif not effect.answered:
        assert (answered, status, failure) == (4.0, 0, "ReadTimeout")
    else:
        assert (answered, failure) == (2.5 if effect.slow else 0.5, effect.failure)
        expected = 503 if effect.replaced else 404 if effect.gone else 200
        assert status == (0 if effect.failure not in (None, "malformed") else expected)
    assert isinstance(ending, Exception) == (not effect.answered or effect.replaced or effect.damages or effect.gone)
    assert world.network.faults.fired == [1]


@pytest.mark.parametrize("lane", LANES)
def test_what_its_client_gave_up_may_be_processed_long_after(lane: Lane) -> None:
    world = World(lane, flat_profile(), [ApiFault(kind="read_timeout", seconds=30.0)])

    async def bot(client: Any) -> None:
        quick = client.with_options(timeout=4.0, max_retries=0)
        with pytest.raises(openai.APITimeoutError):
            await quick.beta.threads.messages.create(world.thread, role="user", content="hi")

    world.run(bot)
    assert [time for time, *_ in world.events("served")] == [34.0]


def test_the_first_event_of_a_stream_is_cut_between_two_characters() -> None:
    events = 'event: a\ndata: {"é": "ção"}\n\nevent: b\ndata: {}\n\n'.encode()
    assert first_event_cut(events).decode() == 'event: a\ndata: {"é": \n\n'
