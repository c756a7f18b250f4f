"""Files and vector stores: what was put in comes out again, and nothing reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.calls import RawContent
from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.other_endpoints.multipart import Upload

KEPT_MAX: Final = 10_000
"""Files, and vector stores, that are kept; of more the oldest are forgotten."""


class StoredFiles:
    """The files and vector stores of one world. A file that is put into a store is indexed at once.

    Args:
        new_id: a new id with that prefix.
        now: seconds since the Unix epoch.
    """

    def __init__(self, new_id: Callable[[str], str], now: Callable[[], float]) -> None:
        self._new_id, self._now = new_id, now
        self._files: dict[str, tuple[Object, bytes]] = {}
        self._stores: dict[str, tuple[Object, dict[str, Object]]] = {}

    def create(self, params: Mapping[str, Any]) -> Object:
        """Store an upload. Raises ApiError: 400; no file, or no purpose."""
        file, purpose = params.get("file"), params.get("purpose")
        if not isinstance(file, Upload):
            raise errors.missing_parameter("file")
        if not purpose:
            raise errors.missing_parameter("purpose")
        view = {
            "id": self._new_id("file-"),
            "object": "file",
            "bytes": len(file.content),
            "created_at": int(self._now()),
            "expires_at": None,
            "filename": file.name,
            "purpose": purpose,
            "status": "processed",
            "status_details": None,
        }
        _forget_oldest(self._files)
        self._files[view["id"]] = view, file.content
        return view

    def page(self, params: Mapping[str, Any]) -> Object:
        """All files of the purpose that is named, newest first."""
        purpose = params.get("purpose")
        return _list([view for view, _ in self._files.values() if purpose in (None, view["purpose"])][::-1])

    def retrieve(self, file_id: str) -> Object:
        """One file. Raises ApiError: 404; so do all below."""
        return self._file(file_id)[0]

    def content(self, file_id: str) -> RawContent:
        """What was uploaded."""
        return RawContent(self._file(file_id)[1], "application/octet-stream")

    def delete(self, file_id: str) -> Object:
        """Delete a file."""
        self._file(file_id)
        del self._files[file_id]
        return {"id": file_id, "object": "file", "deleted": True}

    def create_store(self, params: Mapping[str, Any]) -> Object:
        """A vector store, with the files that are named."""
        view: Object = {
            "id": self._new_id("vs_"),
            "object": "vector_store",
            "created_at": int(self._now()),
            "usage_bytes": 0,
            "name": params.get("name"),
            "status": "completed",
            "last_active_at": int(self._now()),
            "metadata": params.get("metadata") or {},
            "expires_after": params.get("expires_after"),
            "expires_at": None,
        }
        files: dict[str, Object] = {}
        _forget_oldest(self._stores)
        self._stores[view["id"]] = view, files
        for file_id in params.get("file_ids") or ():
            self.add(view["id"], {"file_id": file_id})
        return self.retrieve_store(view["id"])

    def stores(self) -> Object:
        """All vector stores, newest first."""
        return _list([self.retrieve_store(store_id) for store_id in list(self._stores)[::-1]])

    def retrieve_store(self, store_id: str) -> Object:
        """One vector store."""
        view, files = self._store(store_id)
        counts = {"in_progress": 0, "completed": len(files), "failed": 0, "cancelled": 0, "total": len(files)}
        return {**view, "file_counts": counts, "usage_bytes": sum(file["usage_bytes"] for file in files.values())}

    def update_store(self, store_id: str, params: Mapping[str, Any]) -> Object:
        """Another name, or other metadata."""
        view, _ = self._store(store_id)
        view.update({name: params[name] for name in ("name", "metadata", "expires_after") if name in params})
        return self.retrieve_store(store_id)

    def delete_store(self, store_id: str) -> Object:
        """Delete a vector store; its files stay."""
        self._store(store_id)
        del self._stores[store_id]
        return {"id": store_id, "object": "vector_store.deleted", "deleted": True}

    def add(self, store_id: str, params: Mapping[str, Any]) -> Object:
        """Put a file into a store."""
        _, files = self._store(store_id)
        file_id = params.get("file_id")
        if not isinstance(file_id, str):
            raise errors.missing_parameter("file_id")
        size = len(self._file(file_id)[1])
        files[file_id] = {
            "id": file_id,
            "object": "vector_store.file",
            "created_at": int(self._now()),
            "usage_bytes": size,
            "vector_store_id": store_id,
            "status": "completed",
            "last_error": None,
            "attributes": params.get("attributes") or {},
            "chunking_strategy": {
                "type": "static",
                "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
            },
        }
        return files[file_id]

    def of_store(self, store_id: str) -> Object:
        """The files of a store, newest first."""
        return _list(list(self._store(store_id)[1].values())[::-1])

    def one_of_store(self, store_id: str, file_id: str) -> Object:
        """A file of a store."""
        files = self._store(store_id)[1]
        if file_id not in files:
            raise errors.ApiError(404, f"No file found with id '{file_id}' in vector store '{store_id}'.")
        return files[file_id]

    def remove(self, store_id: str, file_id: str) -> Object:
        """Take a file out of a store."""
        self.one_of_store(store_id, file_id)
        del self._store(store_id)[1][file_id]
        return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}

    def _file(self, file_id: str) -> tuple[Object, bytes]:
        if file_id not in self._files:
            raise errors.ApiError(404, f"No such File object: {file_id}", param="id")
        return self._files[file_id]

    def _store(self, store_id: str) -> tuple[Object, dict[str, Object]]:
        if store_id not in self._stores:
            raise errors.ApiError(404, f"Vector store with id '{store_id}' not found.")
        return self._stores[store_id]


def _list(data: list[Object]) -> Object:
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"object": "list", "data": data, **ends, "has_more": False}


def _forget_oldest(kept: dict[str, Any]) -> None:
    if len(kept) >= KEPT_MAX:
        del kept[next(iter(kept))]
