"""Goal: the judge knows no relay. What a relay promises it declares, and a lease of anybody's design is judged by that.

Method: the judge in a process that cannot import the relay; a bot with a lock of its own, with and without its renewal;
and declarations with mistakes.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from judged_story import PROMISES
from world_bench import run, settings

from relaysim.relay.drain.drain_promises import promises
from relaysim.relay.drain.drain_settings import DrainSettings
from relaysim.relay.messages import FRIENDLY_APOLOGY
from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.kernel import Record
from relaysim.sim.world import Session, WorldSettings
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.promises import NOTHING_DECLARED, LeasePromise, Promises, PromisesError, declared_by

pytestmark = pytest.mark.usefixtures("one_session")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


def test_the_judge_runs_where_no_relay_can_be_imported() -> None:
    code = """
import sys
class NoRelay:
    def find_spec(self, name, path=None, target=None):
        if name == "relaysim.relay" or name.startswith("relaysim.relay."):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoRelay())
sys.path.insert(0, "tests/sim/world")
from judged_story import answered_story
import relaysim.sim.world
counts = answered_story().findings().counts
print(counts["breach_S1"], counts["checked_S1"], "relaysim.relay" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "0 1 False\n", done.stderr


def test_a_world_that_cannot_be_built_leaves_nothing_that_was_never_awaited() -> None:
    gc.collect()
    with pytest.raises(PromisesError, match="must be a table"):
        run(_world("promise_everything"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(each.message) for each in caught] == []


def _world(factory: str) -> WorldSettings:
    """Two messages of one customer, half a second apart, and runs of six seconds: longer than the lock lasts."""
    made = settings(f"lease_bot:{factory}", 1.0, 1.5, workers=2)
    table = made.profile.model_dump()
    table["run_seconds"] = {"kind": "constant", "value": 6.0}
    return made.model_copy(update={"profile": type(made.profile).model_validate(table)})


def _breaches(world: WorldSettings) -> dict[str, int]:
    counts = run(world).observation["counts"]
    assert counts["checked_S7"] > 0
    assert counts["checked_S4"] > 0
    return {name.removeprefix("breach_"): n for name, n in counts.items() if name.startswith("breach_") and n}


def test_a_bot_that_keeps_its_own_lock_breaks_no_promise() -> None:
    assert _breaches(_world("lease_bot")) == {}


def test_the_missing_renewal_of_a_bots_own_lock_is_found() -> None:
    assert _breaches(_world("forgetful_bot")).get("S7", 0) > 0


def test_what_is_not_promised_is_not_judged() -> None:
    """No epochs, no ledger, no hand-over and no inbox: these have no cases."""
    counts = run(_world("forgetful_bot")).observation["counts"]
    assert {
        name: counts[f"checked_{name}"] for name in ("S1", "S3", "S5", "S10", "L1", "L2", "L3", "L4")
    } == dict.fromkeys(("S1", "S3", "S5", "S10", "L1", "L2", "L3", "L4"), 0)


def test_a_bot_that_declares_nothing_has_no_leases() -> None:
    counts = run(_world("silent_bot")).observation["counts"]
    of_leases = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S10", "S11")
    assert {counts[f"checked_{promise}"] for promise in of_leases} == {0}


def test_drain_declares_what_its_settings_say() -> None:
    declared = Promises.model_validate(promises(DrainSettings()))
    late = {"text": FRIENDLY_APOLOGY, "after_seconds": DrainSettings().deadline_seconds}
    assert declared.late_apology is not None
    assert declared.late_apology.model_dump() == late
    assert declared.lease is not None
    assert PROMISES.lease is not None
    renewed = {"renew_seconds": pytest.approx(10.0 / 3), "guards_looks": True, "clears_up": True}
    for name, value in renewed.items():
        assert getattr(declared.lease, name) == value
    steps = declared.lease.steps
    assert (steps.claim, steps.begin_send) == (("claim",), ("begin_send",))
    assert set(steps.in_order) == {"intend", "started", "take_over", "begin_send", "not_sent", "end"}
    waits = {"first_seconds": 0.5, "cap_seconds": 8.0, "heeds_retry_after": True}
    for name, value in waits.items():
        assert getattr(declared.retries, name) == value
    further = {
        "forgets_texts": True,
        "withholds": ("content_filter",),
        "foreign_patience_seconds": 10.0,
        "runs_max": 4,
        "waiting_max": 500,
    }
    for name, value in further.items():
        assert getattr(declared, name) == value
    # The rest is what stories are told by.
    left = {name: getattr(PROMISES, name) for name in (*further, "late_apology", "retries")}
    lease = declared.lease.model_copy(
        update={name: getattr(PROMISES.lease, name) for name in renewed}
        | {"steps": steps.model_copy(update={"claim": (), "begin_send": (), "in_order": ()})}
    )
    assert declared.model_copy(update={**left, "lease": lease}) == PROMISES
    given = DrainSettings(lease_seconds=6.0, key_prefix="{relay}:", poll_first_seconds=2.0, wait_replicas=2)
    declared = Promises.model_validate(promises(given))
    assert declared.lease is not None
    assert declared.lease.key == "{relay}:lease:{conversation}"
    assert declared.lease.seconds == 6.0
    assert declared.poll_seconds == pytest.approx(0.8 * 1.6)
    assert declared.confirming_replicas == 2


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (["lease"], "promises: must be a table of what the relay promises, not list"),
        ({"leases": {}}, "promises.leases: unknown key; did you mean `lease`?"),
        (
            {"lease": {"key": "lock:", "seconds": 1.0}},
            "promises.lease.key: write {conversation} once, after a prefix, as in 'lock:{conversation}'",
        ),
        (
            {"lease": {"key": "{conversation}", "seconds": 1.0}},
            "promises.lease.key: write {conversation} once, after a prefix, as in 'lock:{conversation}'",
        ),
        (
            {"lease": {"key": "k:{conversation}", "seconds": 1.0, "steps": {"read_inbox": ["LRANGE {conversation}"]}}},
            "promises.lease.steps.read_inbox: write {conversation} once, after a prefix, as in 'lock:{conversation}'",
        ),
        (
            {"lease": {"key": "k:{conversation}", "seconds": 0.0}},
            "promises.lease.seconds: must be above 0, not 0.0",
        ),
        ({"deadline_seconds": "soon"}, 'promises.deadline_seconds: must be a number, not "soon"'),
    ],
)
def test_a_mistake_in_a_declaration_is_one_clear_line(declared: Any, problem: str) -> None:
    class Relay:
        promises = declared

    with pytest.raises(PromisesError) as caught:
        declared_by(Relay())
    assert str(caught.value) == problem


def test_a_relay_without_a_declaration_promises_nothing() -> None:
    assert declared_by(object()) is NOTHING_DECLARED


def test_a_key_whose_ends_overlap_is_no_lease() -> None:
    """`bot:lock` begins and ends as the key of a lease does, and names no conversation."""
    form = LeasePromise.model_validate(
        {"key": "bot:{conversation}:lock", "seconds": 1.0, "steps": {"accept": ["take"]}}
    )
    records = [
        Record(0.0, "customer:c1", "message.sent", ("c1.m1", "c1", "Question [c1.m1]", None)),
        Record(1.0, "w1", "redis", ("c1.m1#1", "take", "bot:lock", 1)),
        Record(2.0, "w1", "redis", ("c1.m1#1", "take", "bot:c1:lock", 1)),
    ]
    history = History(ROLES, {}, form, frozenset())
    history.read(records)
    assert history.messages["c1.m1"].stored_at == 2.0
