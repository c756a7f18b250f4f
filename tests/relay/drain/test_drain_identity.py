"""What is written on a run fits into its metadata, tells nothing, and is recognised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.relay.drain.identity import answers, is_ours, metadata_of
from relaysim.relay.telemetry.events import digest

REQUEST_ID = "0123456789abcdef" * 2


@given(st.lists(st.text(), min_size=1, max_size=30, unique=True), st.text())
def test_a_run_answers_the_messages_that_are_written_on_it(message_ids: list[str], other: str) -> None:
    metadata = metadata_of(2**53, REQUEST_ID, message_ids)
    assert all(answers(metadata, message_id) for message_id in message_ids)
    assert answers(metadata, other) == (other in message_ids)
    assert is_ours(metadata)
    assert len(metadata) <= 16
    assert all(len(key) <= 64 and len(value) <= 512 for key, value in metadata.items())


def test_a_digest_hides_what_it_stands_for_and_stays_the_same() -> None:
    assert digest("wamid.HBgMNTUxMTkwMDAwMDAwMRUCABIYFA==") == "cfabfd06acafc596"
    assert len(digest("\ud800")) == 16


@pytest.mark.parametrize("metadata", [{}, {"relay_epoch": "1"}, {"relay_request": "x"}, {"purpose": "a colleague's"}])
def test_a_run_without_these_marks_is_not_ours(metadata: dict[str, str]) -> None:
    assert not is_ours(metadata)
    assert not answers(metadata, "wamid.1")
