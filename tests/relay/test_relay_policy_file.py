"""Goal: a policy file is either exactly what runs, or refused with all that is wrong with it, each with place and remedy.

Method: files in a temporary folder, read and built; the built relay handles a message through conflicts.
"""

from pathlib import Path
from typing import Any

import pytest
from relay_doubles import MemoryApi, MemoryRedis, api_error, append_conflict, cancel_refusal, handle

from relaysim.relay import (
    CancelAndRetry,
    CheckThenAct,
    Drain,
    Outcome,
    Policy,
    PolicyFile,
    PolicyFileError,
    RetrySettings,
    load_policy,
)

TUNED = """
schema = 1
policy = "cancel_and_retry"

[settings]
attempts = 4
first_wait_seconds = 1.5
factor = 2
max_wait_seconds = 4.0
wait_after_last_failure = false
cancels = "first_conflict"

[origin]
scenario = "incident"
judged = { worlds = 4000, profiles = ["claimed", "typical"] }
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "policy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(folder: Path, text: str) -> PolicyFile:
    return load_policy(write(folder, text))


def problems(folder: Path, text: str | bytes) -> list[str]:
    path = write(folder, text)
    with pytest.raises(PolicyFileError) as caught:
        load_policy(path)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


async def _send(conversation: str, text: str) -> None: ...


def test_what_the_file_says_is_what_runs(tmp_path: Path) -> None:
    file = load(tmp_path, TUNED)
    assert (file.policy, file.path) == ("cancel_and_retry", tmp_path / "policy.toml")
    assert dict(file.settings) == {
        "attempts": 4,
        "first_wait_seconds": 1.5,
        "factor": 2,
        "max_wait_seconds": 4.0,
        "wait_after_last_failure": False,
        "cancels": "first_conflict",
    }
    api = MemoryApi(errors={"messages.create": [append_conflict() for _ in range(9)]})
    told = handle(file.build, api=api)
    assert told.result.outcome is Outcome.FRIENDLY_APOLOGY
    assert [call[0] for call in api.of("messages.create")] == [0.0, 1.5, 4.5, 8.5]
    assert len(api.of("runs.cancel")) == 1


def test_what_belongs_to_the_deployment_goes_before_the_file(tmp_path: Path) -> None:
    made: list[str] = []

    class Api(MemoryApi):
        async def _create(self, thread_id: str, *, assistant_id: str) -> Any:
            made.append(assistant_id)
            return await super()._create(thread_id, assistant_id=assistant_id)

    file = load(tmp_path, TUNED)
    told = handle(file.build, api=Api(), assistant_id="asst_invented")
    assert told.result.outcome is Outcome.ANSWERED
    assert made == ["asst_invented"]
    with pytest.raises(ValueError, match="atempts"):
        file.build(MemoryApi(), MemoryRedis(), _send, atempts=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "kind"), [("check_then_act", CheckThenAct), ("cancel_and_retry", CancelAndRetry), ("drain", Drain)]
)
def test_every_policy_can_be_named_and_needs_no_settings(tmp_path: Path, policy: str, kind: type[Policy]) -> None:
    file = load(tmp_path, f'schema = 1\npolicy = "{policy}"\n')
    assert dict(file.settings) == {}
    store: Any = MemoryRedis()
    if policy != "drain":  # whose store is another one
        assert type(file.build(MemoryApi(), store, _send)) is kind


def test_all_that_is_wrong_is_told_at_once_with_its_place_and_remedy(tmp_path: Path) -> None:
    text = """
        schema = 2
        policy = "cancel_and_retry"
        orign = "me"
        [settings]
        atempts = 4
        factor = -1
        jitter = "some"
    """
    assert problems(tmp_path, text) == [
        "orign: there is no such key, did you mean origin?",
        "schema = 2: must be 1, the only format that this version reads",
        "settings.atempts = 4: cancel_and_retry has no such setting, did you mean attempts?",
        "settings.factor = -1: must be a number above 0",
        "settings.jitter = 'some': must be 'none' or 'full' or 'equal'",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["schema: is missing; write schema = 1", "policy: is missing; name one of "]),
        ("schema = true\npolicy = 'drain'", ["schema = True: must be 1"]),
        ("schema = 1\npolicy = 'cancel_an_retry'", ["there is no such policy, did you mean cancel_and_retry?"]),
        ("schema = 1\npolicy = ['drain']", ["there is no such policy"]),
        ("schema = 1\npolicy = 'drain'\nsettings = 3", ["settings = 3: must be a table, [settings]"]),
        ("schema = 1\npolicy = 'drain'\norigin = 'x'", ["origin = 'x': must be a table, [origin]"]),
        (
            "schema = 1\npolicy = 'check_then_act'\n[settings]\nattempts = 3",
            ["settings.attempts = 3: check_then_act has no such setting, as it never retries"],
        ),
        (
            "schema = 1\npolicy = 'cancel_and_retry'\n[settings]\nwaits = [1, 2]",
            ["settings.waits = [1, 2] has 2 waits: must have 3"],
        ),
        ("schema = = 1", ["is no TOML: "]),
        (b"schema = 1\n# \xff\n", ["line 2 is not UTF-8"]),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str | bytes, said: list[str]) -> None:
    found = problems(tmp_path, text)
    assert len(found) == len(said)
    for problem, part in zip(found, said, strict=True):
        assert part in problem


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match=r"absent\.toml: there is no such file$"):
        load_policy(tmp_path / "absent.toml")
    with pytest.raises(PolicyFileError, match=r": cannot be read: is a directory$"):
        load_policy(tmp_path)


# The settings that a policy file is tuned with


def refusing(conflicts: list[str], **errors: Any) -> MemoryApi:
    return MemoryApi(errors={"messages.create": [append_conflict(run) for run in conflicts], **errors})


def cancelled(api: MemoryApi) -> list[str]:
    return [call[2] for call in api.of("runs.cancel")]


def test_no_wait_is_longer_than_the_cap_given_or_grown() -> None:
    assert RetrySettings(max_wait_seconds=3.0).planned_waits == (2.0, 3.0, 3.0)
    assert RetrySettings(max_wait_seconds=3.0, waits=[1, 9, 2]).planned_waits == (1.0, 3.0, 2.0)
    assert RetrySettings(max_wait_seconds=0, waits=[1, 9, 2]).planned_waits == (0.0, 0.0, 0.0)
    assert RetrySettings(max_wait_seconds=8.0).planned_waits == RetrySettings().planned_waits
    # What would grow beyond all numbers is cut off before.
    assert RetrySettings(factor=10.0, attempts=500, max_wait_seconds=8.0).planned_waits == (2.0, *[8.0] * 499)


def test_each_run_is_cancelled_once_at_its_first_conflict() -> None:
    api = refusing(["run_A", "run_A", "run_B", "run_A", "run_B"])
    told = handle(api=api, attempts=6, cancels="first_conflict")
    assert cancelled(api) == ["run_A", "run_B"]
    assert told.result.outcome is Outcome.ANSWERED
    assert sum("Attempting to cancel" in line for line in told.lines) == 2
    assert sum("before retry" in line for line in told.lines) == 5


def test_a_refused_cancel_is_an_answer_and_any_other_failure_is_tried_again() -> None:
    refused = refusing(["run_A"] * 3, **{"runs.cancel": [cancel_refusal()]})
    handle(api=refused, attempts=4, cancels="first_conflict")
    assert cancelled(refused) == ["run_A"]
    failed = refusing(["run_A"] * 3, **{"runs.cancel": [api_error(500, "unavailable")]})
    handle(api=failed, attempts=4, cancels="first_conflict")
    assert cancelled(failed) == ["run_A", "run_A"]


def test_one_message_forgets_what_another_has_cancelled() -> None:
    for _ in range(2):
        api = refusing(["run_A"])
        handle(api=api, cancels="first_conflict")
        assert cancelled(api) == ["run_A"]
