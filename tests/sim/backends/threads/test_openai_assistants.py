"""Assistants: created, listed, updated, deleted; which ids exist; what a run takes from its assistant."""

from __future__ import annotations

import pytest
from openai.types.beta import Assistant

from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.threads.service import ThreadsService
from relaysim.sim.kernel import Draws

UNKNOWN = "asst_" + "u" * 24


def service(*known: str, closed: bool = True) -> ThreadsService:
    """A service that knows these assistants only, or, open, any."""
    return ThreadsService(Draws(1, 2), lambda: 1000.0, assistants=known if closed else None)


def test_an_assistant_has_exactly_the_sdks_fields() -> None:
    assistant = service().assistants.create({"model": "gpt-4.1", "name": "Ana"})
    assert set(assistant) == set(Assistant.model_fields)
    Assistant.model_validate(assistant)
    assert (assistant["model"], assistant["name"], assistant["created_at"]) == ("gpt-4.1", "Ana", 1000)


def test_a_model_is_required() -> None:
    with pytest.raises(ApiError, match="Missing required parameter: 'model'"):
        service().assistants.create({"name": "Ana"})


def test_list_update_and_delete() -> None:
    api = service()
    ids = [api.assistants.create({"model": "gpt-4o", "name": name})["id"] for name in "abc"]
    page = api.assistants.page(2, None, None, None)
    assert [item["id"] for item in page["data"]] == ids[:0:-1]
    assert page["has_more"] is True
    assert api.assistants.update(ids[0], {"name": "z"})["name"] == "z"
    assert api.assistants.retrieve(ids[0])["model"] == "gpt-4o"
    assert api.assistants.delete(ids[0]) == {"id": ids[0], "object": "assistant.deleted", "deleted": True}
    with pytest.raises(ApiError, match=f"No assistant found with id '{ids[0]}'"):
        api.assistants.retrieve(ids[0])


def test_a_run_of_an_unknown_or_deleted_assistant_is_refused() -> None:
    api = service()
    known = api.assistants.create({"model": "gpt-4o"})["id"]
    thread = api.create_thread()["id"]
    with pytest.raises(ApiError, match=f"No assistant found with id '{UNKNOWN}'") as caught:
        api.create_run(thread, assistant_id=UNKNOWN)
    assert caught.value.status == 404
    api.assistants.delete(known)
    with pytest.raises(ApiError, match="No assistant found"):
        api.create_run(thread, assistant_id=known)
    with pytest.raises(ApiError, match="Expected an ID that begins with 'asst'"):
        api.create_run(thread, assistant_id="undefined")


def test_assistants_known_from_the_beginning() -> None:
    api = service(UNKNOWN)
    assert api.assistants.retrieve(UNKNOWN)["id"] == UNKNOWN
    assert api.create_run(api.create_thread()["id"], assistant_id=UNKNOWN)["status"] == "queued"


def test_an_open_service_has_every_assistant_until_it_is_deleted() -> None:
    api = service(closed=False)
    assert api.assistants.retrieve(UNKNOWN)["model"] == "gpt-4o"
    api.assistants.delete(UNKNOWN)
    with pytest.raises(ApiError, match="No assistant found"):
        api.assistants.retrieve(UNKNOWN)


def test_a_run_takes_after_its_assistant_and_its_own_options_win() -> None:
    api = service()
    tool = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    assistant = api.assistants.create(
        {"model": "gpt-4.1", "instructions": "Be brief.", "tools": [tool], "temperature": 0.2}
    )["id"]
    plain = api.create_run(api.create_thread()["id"], assistant_id=assistant)
    assert (plain["model"], plain["instructions"], plain["temperature"]) == ("gpt-4.1", "Be brief.", 0.2)
    assert plain["tools"][0]["function"]["name"] == "weather"
    own = api.create_run(
        api.create_thread()["id"],
        assistant_id=assistant,
        model="gpt-4o-mini",
        additional_instructions="Speak Portuguese.",
        temperature=0.9,
    )
    assert (own["model"], own["instructions"], own["temperature"]) == (
        "gpt-4o-mini",
        "Be brief.\nSpeak Portuguese.",
        0.9,
    )


def test_no_more_are_kept_than_may_be() -> None:
    for closed in (True, False):
        api = service(closed=closed)
        api.assistants.kept_max = 3
        ids = [api.assistants.create({"model": "gpt-4o"})["id"] for _ in range(5)]
        assert [item["id"] for item in api.assistants.page(None, "asc", None, None)["data"]] == ids[2:]
        for _ in range(5):
            api.assistants.delete(api.assistants.create({"model": "gpt-4o"})["id"])
        assert len(api.assistants) <= 3
        assert len(api.assistants._deleted) <= 3
