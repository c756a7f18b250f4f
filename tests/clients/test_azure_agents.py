"""`azure-ai-agents`, unmodified: what was measured of it comes out again, over a socket and in virtual time."""

from __future__ import annotations

import os

import pytest
import run_azure


@pytest.fixture(scope="module", autouse=True)
def client() -> None:
    try:
        run_azure.install()
    except run_azure.CannotRunError as error:
        if os.environ.get("RELAYSIM_REQUIRE_NODE") == "1":  # as in CI, where all clients can be installed
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.mark.soak
def test_it_meets_the_lock_and_sends_an_append_four_times_on_a_500() -> None:
    assert run_azure.unlike(run_azure.hold_conversation()) == []


def test_in_a_world_it_sends_them_at_the_same_seconds() -> None:
    assert [round(time, 3) for time in run_azure.appends_in_a_world()] == [0.0, 0.0, 1.6, 4.8]


def test_what_differs_is_told() -> None:
    seen = {
        **run_azure.EXPECTED,
        "status": "failed",
        "sent": {**run_azure.SENT, "500": [0.0, 0.0, 1.0, 4.8], "400": []},
    }
    assert [line.partition(":")[0] for line in run_azure.unlike(seen)] == [
        "status",
        "appends under status 400",
        "appends under status 500",
    ]
