"""TOML written: a value on one line, and a file of tables below a comment. Python's `tomllib` only reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.items import Item


def toml_value(value: Any) -> str:
    """A value on one line, as `--set PATH=VALUE` takes it."""
    return _inline(value).as_string()


def toml_file(comment: str, content: Mapping[str, Any]) -> str:
    """A file: the comment's lines, then values and lists, then a `[table]` for each mapping, a line for each value."""
    document = tomlkit.document()
    for line in comment.splitlines():
        document.add(tomlkit.comment(line))
    # What follows a table's header belongs to that table.
    for key, value in sorted(content.items(), key=lambda item: isinstance(item[1], Mapping)):
        if isinstance(value, Mapping):
            table = tomlkit.table()
            for name, part in value.items():
                table.add(name, _inline(part, parts_on_lines=True))
            document.add(key, table)
        else:
            document.add(key, _inline(value, parts_on_lines=True))
    return tomlkit.dumps(document)


def _inline(value: Any, *, parts_on_lines: bool = False) -> Item:
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        for key, each in value.items():
            table.append(key, _inline(each))
        return table
    if isinstance(value, (list, tuple)):
        array = tomlkit.array()
        for each in value:
            array.append(_inline(each))
        array.multiline(parts_on_lines and any(isinstance(each, Mapping) for each in value))
        return array
    item: Item = tomlkit.item(value)
    return item
