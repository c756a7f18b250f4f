"""What the `direct` lane's calls return: objects and pages whose attributes read the API's own dicts."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.wire import request_id_header


class Record:
    """An API object: the dict's keys are attributes. Equal if the dicts are."""

    __slots__ = ("_data", "_request", "_wrapped")

    def __init__(self, data: dict[str, Any], request: str = "") -> None:
        self._data = data
        self._request = request
        self._wrapped: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "_data":  # a copy under construction
            raise AttributeError(name)
        try:
            value = self._data[name]
        except KeyError:
            kind = self._data.get("object", "object")
            raise AttributeError(
                f"this {kind} has no {name!r} (in the direct lane; lane sdk has the SDK's own)"
            ) from None
        kind = value.__class__
        if kind is not dict and kind is not list:
            return value
        wrapped = self._wrapped
        if wrapped is None:
            wrapped = self._wrapped = {}
        elif name in wrapped:
            return wrapped[name]
        # Metadata is a dict of the caller's own keys, for the SDK too; a copy, because the store has the original.
        wrapped[name] = result = dict(value) if name == "metadata" else _wrap(value)
        return result

    @property
    def _request_id(self) -> str | None:
        return request_id_header(self._request) if self._request else None

    def to_dict(self) -> dict[str, Any]:
        """The object as a dict of the caller's own."""
        return copy.deepcopy(self._data)

    def model_dump(self) -> dict[str, Any]:
        """The same as `to_dict`."""
        return copy.deepcopy(self._data)

    def to_json(self) -> str:
        """The object as JSON."""
        return json.dumps(self._data, indent=2, ensure_ascii=False)

    def __eq__(self, other: object) -> bool:
        return self._data == other._data if isinstance(other, Record) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self._data.get('object', 'Record')}({self._data!r})"


def _wrap(value: Any) -> Any:
    kind = value.__class__
    if kind is dict:
        return Record(value)
    if kind is list:
        return [_wrap(item) for item in value]
    return value


class Page:
    """One page of a list; iterating goes on to the following pages, as the SDK's does."""

    def __init__(self, request: PageRequest, payload: dict[str, Any]) -> None:
        self._pages = request
        self.object = payload["object"]
        self.data = [Record(item) for item in payload["data"]]
        self.first_id = payload["first_id"]
        self.last_id = payload["last_id"]
        self.has_more = payload["has_more"]

    def has_next_page(self) -> bool:
        """Whether there is more."""
        return bool(self.has_more and self.data)

    async def get_next_page(self) -> Page:
        """The page after this one."""
        if not self.has_next_page():
            raise RuntimeError(
                "No next page expected; please check `.has_next_page()` before calling `.get_next_page()`."
            )
        return await self._pages.after(self.data[-1].id)

    async def iter_pages(self) -> AsyncIterator[Page]:
        """This page and all that follow."""
        page = self
        while True:
            yield page
            if not page.has_next_page():
                return
            page = await page.get_next_page()

    async def __aiter__(self) -> AsyncIterator[Record]:
        async for page in self.iter_pages():
            for item in page.data:
                yield item


class PageRequest:
    """What a list method returns: await it for the first page, or iterate over everything with `async for`."""

    __slots__ = ("_call", "_request", "_timeout")

    def __init__(self, request: Callable[[Call, Any], Awaitable[Answer]], call: Call, timeout: Any) -> None:
        self._request = request
        self._call = call
        self._timeout = timeout

    async def _first(self) -> Page:
        answer = await self._request(self._call, self._timeout)
        assert answer.payload is not None
        return Page(self, answer.payload)

    def __await__(self) -> Generator[Any, None, Page]:
        return self._first().__await__()

    async def __aiter__(self) -> AsyncIterator[Record]:
        async for item in await self:
            yield item

    async def after(self, item_id: str) -> Page:
        """The page after an object."""
        call = self._call
        following = Call(call.operation, call.thread_id, params={**call.params, "after": item_id})
        return await PageRequest(self._request, following, self._timeout)
