"""Every command's arguments are read as fakeredis reads them: the same values, keys, early answers and refusals.

Each of its signatures is asked for any number of arguments, drawn among keys of every type, keys that are not there, numbers
and words, beside the same signature with a plan; the second time the plan is there already.
"""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from fakeredis import FakeServer, FakeStrictRedis
from fakeredis._commands import SUPPORTED_COMMANDS, Signature
from fakeredis._core._database import CommandItem
from fakeredis._helpers import SimpleError

from relaysim.sim.redis.planned_signatures import PlannedSignature

VERSIONS = ((6,), (7,))


@pytest.fixture(scope="module")
def database() -> Any:
    server = FakeServer()
    client = FakeStrictRedis(server=server)
    client.set("text", "1")
    client.rpush("list", "a", "b")
    client.sadd("set", "a")
    client.hset("hash", "a", "1")
    client.zadd("sorted", {"a": 1.0})
    client.xadd("stream", {"a": "1"})
    return server.dbs[0]


ARGUMENTS = [
    b"text",
    b"list",
    b"set",
    b"hash",
    b"sorted",
    b"stream",
    b"none",
    b"0",
    b"1",
    b"-1",
    b"1.5",
    b"inf",
    b"(1",
    b"",
]


def _read(signature: Signature, arguments: list[bytes], database: Any, version: Any) -> Any:
    try:
        read = signature.apply(arguments, database, version)
    except SimpleError as error:
        return type(error), error.value
    except TypeError as error:  # the library's own, of a time series that is not there
        return type(error), str(error)
    if len(read) == 1:
        return read
    return [_shown(each) for each in read[0]], [_shown(each) for each in read[1]]


def _shown(value: Any) -> Any:
    if isinstance(value, CommandItem):
        return value.key, type(value.value), _plain(value.value), value.expireat, value.is_modified
    return type(value), _plain(value)


def _plain(value: Any) -> Any:
    """A value without the address that objects show of themselves."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize("version", VERSIONS)
def test_each_signature_reads_arguments_as_the_librarys_own(database: Any, version: Any) -> None:
    drawn = random.Random(7)
    read = refused = answered = 0
    for name, signature in SUPPORTED_COMMANDS.items():
        planned = PlannedSignature(signature)
        for count in range(len(signature.fixed) + 2 * len(signature.repeat) + 2):
            for _ in range(8):
                arguments = drawn.choices(ARGUMENTS, k=count)
                expected = _read(signature, arguments, database, version)
                assert _read(planned, arguments, database, version) == expected, (name, arguments)
                read += isinstance(expected[0], list)
                answered += len(expected) == 1
                refused += isinstance(expected[0], type)
    assert min(read, refused, answered) > 50, (read, refused, answered)


def test_the_items_in_the_arguments_are_those_that_are_written_back(database: Any) -> None:
    read, items = PlannedSignature(SUPPORTED_COMMANDS["lmove"]).apply(
        [b"list", b"none", b"left", b"left"], database, (7,)
    )
    assert all(one is other for one, other in zip(read[:2], items, strict=True))
    assert read[2:] == [b"left", b"left"]


def test_a_number_of_arguments_that_fits_is_not_checked_again_and_another_one_is(database: Any) -> None:
    planned = PlannedSignature(SUPPORTED_COMMANDS["get"])
    planned.apply([b"text"], database, (7,))
    planned.check_arity([b"text"], (7,))
    for arguments in ([], [b"text", b"text"]):
        with pytest.raises(SimpleError, match="wrong number of arguments"):
            planned.check_arity(arguments, (7,))
