"""Pages of lists: whoever walks them sees everything once, and a bad query gets the API's words."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relaysim.sim.backends import errors
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.pages import LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, page_of
from relaysim.sim.backends.threads import thread_errors

Item = dict[str, Any]


def made(count: int) -> list[Item]:
    """Items, oldest first."""
    return [{"id": f"msg_{number}"} for number in range(count)]


def page(items: list[Item], **query: Any) -> Any:
    """A page of messages."""
    return page_of(
        items,
        query.get("limit"),
        query.get("order"),
        query.get("after"),
        query.get("before"),
        thread_errors.no_message,
    )


def ids(items: list[Item]) -> list[str]:
    """Their ids."""
    return [item["id"] for item in items]


@given(st.integers(0, 45), st.integers(1, 12) | st.none(), st.sampled_from([None, "asc", "desc"]))
def test_walking_forwards_sees_everything_once_and_in_order(count: int, limit: int | None, order: str | None) -> None:
    items = made(count)
    seen: list[str] = []
    query: dict[str, Any] = {"limit": limit, "order": order}
    while True:
        answer = page(items, **query)
        assert len(answer["data"]) <= (limit or LIST_LIMIT_DEFAULT)
        seen += ids(answer["data"])
        if not answer["has_more"]:
            break
        query["after"] = answer["last_id"]
    assert seen == (ids(items) if order == "asc" else ids(items)[::-1])


@given(st.integers(1, 45), st.integers(1, 12), st.sampled_from(["asc", "desc"]))
def test_walking_backwards_sees_everything_before_the_cursor(count: int, limit: int, order: str) -> None:
    items = made(count)
    ordered = ids(items) if order == "asc" else ids(items)[::-1]
    seen: list[str] = []
    cursor = ordered[-1]
    while True:
        answer = page(items, limit=limit, order=order, before=cursor)
        seen = ids(answer["data"]) + seen
        if not answer["has_more"]:
            break
        cursor = answer["first_id"]
    assert seen == ordered[:-1]


def test_between_two_cursors() -> None:
    items = made(10)
    answer = page(items, order="asc", after="msg_2", before="msg_6")
    assert (ids(answer["data"]), answer["has_more"]) == (["msg_3", "msg_4", "msg_5"], False)
    assert page(items, order="asc", after="msg_6", before="msg_2")["data"] == []


def test_an_empty_page_has_neither_first_nor_last() -> None:
    assert page([]) == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def test_what_comes_back_is_not_what_is_stored() -> None:
    items = made(2)
    page(items)["data"][0]["id"] = "msg_other"
    page(items, after="msg_1")["data"][0]["id"] = "msg_other"
    assert items == made(2)


@pytest.mark.parametrize("limit", [1, LIST_LIMIT_MAX])
def test_the_ends_of_a_limits_range(limit: int) -> None:
    assert len(page(made(200), limit=limit)["data"]) == limit


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"limit": 0}, errors.integer_out_of_range("limit", 0, 1, 100)),
        ({"limit": -5}, errors.integer_out_of_range("limit", -5, 1, 100)),
        ({"limit": 101}, errors.integer_out_of_range("limit", 101, 1, 100)),
        ({"limit": 10**4000}, errors.integer_out_of_range("limit", 10**4000, 1, 100)),
        ({"limit": "5"}, errors.invalid_type("limit", "an integer", "5")),
        ({"limit": True}, errors.invalid_type("limit", "an integer", True)),
        ({"limit": 5.0}, errors.invalid_type("limit", "an integer", 5.0)),
        ({"order": "newest"}, errors.invalid_choice("order", "newest", ("asc", "desc"))),
        ({"order": ""}, errors.invalid_choice("order", "", ("asc", "desc"))),
        ({"order": ["asc"]}, errors.invalid_type("order", "one of 'asc' or 'desc'", [])),
        ({"after": 5}, errors.invalid_type("after", "a string", 5)),
        ({"before": {}}, errors.invalid_type("before", "a string", {})),
        ({"after": "msg_x"}, thread_errors.no_message("msg_x")),
        ({"after": ""}, thread_errors.no_message("")),
        ({"before": "thread_x"}, thread_errors.no_message("thread_x")),
    ],
)
def test_bad_queries(query: dict[str, Any], error: ApiError) -> None:
    with pytest.raises(ApiError) as caught:
        page(made(3), **query)
    assert (caught.value.status, caught.value.to_bytes()) == (error.status, error.to_bytes())


def test_the_words_for_a_limit_below_its_range() -> None:
    with pytest.raises(ApiError) as caught:
        page([], limit=0)
    assert caught.value.message == (
        "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead."
    )
    assert caught.value.code == "integer_below_min_value"
