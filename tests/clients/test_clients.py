"""Unmodified official clients hold one scripted conversation over a socket, and see what is expected of the API.

Two of them run here: the Python SDK of the project's own environment, and the newest npm package. `run_clients.py` runs
all of them.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import run_clients
from run_clients import Client, Difference, compare

CLIENTS = {client.name: client for client in run_clients.read_clients()}
NEWEST_OF_NPM = max(
    (client for client in CLIENTS.values() if client.language == "node"),
    key=lambda client: [int(part) for part in client.version.split(".")],
)


def differences_of(client: Client, command: list[str]) -> str:
    steps = run_clients.hold_conversation(command, client.version)
    return "\n".join(compare(client.name, steps, run_clients.read_transcript(), run_clients.read_differences()))


@pytest.fixture(scope="module")
def differences():
    """Both conversations are held at once: most of each is waiting, in real time."""
    with ThreadPoolExecutor() as pool:
        reference = CLIENTS[run_clients.REFERENCE], [sys.executable, str(run_clients.HERE / "conversation.py")]
        held = {run_clients.REFERENCE: pool.submit(differences_of, *reference)}
        if run_clients.missing_tools(NEWEST_OF_NPM) is None:
            held[NEWEST_OF_NPM.name] = pool.submit(
                lambda: differences_of(NEWEST_OF_NPM, run_clients.install(NEWEST_OF_NPM))
            )
        yield held


def test_the_python_sdk_of_this_environment_sees_what_is_expected(differences):
    assert differences[run_clients.REFERENCE].result() == ""


def test_the_newest_npm_package_sees_what_is_expected(differences):
    lacking = run_clients.missing_tools(NEWEST_OF_NPM)
    if lacking is not None:
        if os.environ.get("RELAYSIM_REQUIRE_NODE") == "1":
            pytest.fail(lacking)
        pytest.skip(lacking)
    assert differences[NEWEST_OF_NPM.name].result() == ""


def test_the_table_of_clients_has_the_version_that_the_project_pins():
    pins = (run_clients.ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert f"openai=={CLIENTS[run_clients.REFERENCE].version}" in pins


def test_each_stated_difference_names_clients_that_there_are():
    for difference in run_clients.read_differences():
        assert any(difference.concerns(name) for name in CLIENTS), difference
        assert not difference.concerns(run_clients.REFERENCE), difference


class TestComparing:
    expected = ({"step": "append", "ok": False, "error": "Timeout"}, {"step": "poll", "ok": True, "times": 1})

    def test_the_same_steps_are_no_difference(self):
        assert compare("npm-9", self.expected, self.expected, ()) == []

    def test_another_value_is_one(self):
        seen = (self.expected[0], {"step": "poll", "ok": True, "times": 2})
        assert compare("npm-9", seen, self.expected, ()) == ["poll\n    times: 2\n      expected 1"]

    def test_a_field_too_few_is_one_though_it_is_null_elsewhere(self):
        expected = ({"step": "append", "ok": False, "code": None},)
        seen = ({"step": "append", "ok": False},)
        assert compare("npm-9", seen, expected, ()) == ["append\n    code: nothing\n      expected null"]

    def test_a_missing_step_is_one(self):
        assert compare("npm-9", self.expected[:1], self.expected, ()) == ["poll\n    is missing, with all that follows"]

    def test_another_step_is_one(self):
        (found,) = compare("npm-9", self.expected[1:], self.expected, ())
        assert found.startswith("poll\n    is step 1, where `append` is expected")

    def test_a_step_too_many_is_one(self):
        (found,) = compare("npm-9", self.expected, self.expected[:1], ())
        assert found.startswith("poll\n    is step 2")

    def test_a_stated_difference_is_expected_of_its_clients_and_of_no_other(self):
        stated = (Difference(("npm-*",), ("*",), {"error": "TimedOut"}, {"error": "Timeout"}),)
        seen = ({"step": "append", "ok": False, "error": "TimedOut"}, self.expected[1])
        assert compare("npm-9", seen, self.expected, stated) == []
        assert len(compare("npm-9", self.expected, self.expected, stated)) == 1
        assert compare("python-9", self.expected, self.expected, stated) == []
        assert len(compare("python-9", seen, self.expected, stated)) == 1

    def test_a_stated_difference_with_ok_is_the_whole_step(self):
        stated = (Difference(("npm-9",), ("append",), {"ok": True, "times": 1}, {}),)
        assert compare("npm-9", ({"step": "append", "ok": True, "times": 1},), self.expected[:1], stated) == []

    def test_a_stated_difference_that_nothing_needs_is_one(self):
        stated = (Difference(("npm-*",), ("append",), {"error": "Lost"}, {"error": "Gone"}),)
        (found,) = compare("npm-9", self.expected, self.expected, stated)
        assert "changes nothing" in found


def test_ids_become_placeholders_in_the_order_in_which_they_appear():
    first, second = "thread_" + "a" * 24, "thread_" + "b" * 24
    run = "run_" + "c" * 24
    assert (
        run_clients.with_placeholders(f"{second} {run} {first} {second}") == "<thread 1> <run 1> <thread 2> <thread 1>"
    )
