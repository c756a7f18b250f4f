"""Goal: the simulated Redis at an address is one to whatever client connects to it: by the bytes, and by the database.

Method: asyncio's streams on hosts that reach it, with bytes as the protocol has them; a real server gives the same replies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import redis
import redis.asyncio
from redis_world import Place, live

from relaysim.sim.redis import RedisAddress
from relaysim.sim.sockets import Addresses, SocketCalls, open_sockets


def _reach(place: Place) -> None:
    addresses = Addresses()
    addresses.register(None, 6379, RedisAddress(place.link))
    open_sockets(place.host, addresses)


def _command(*fields: str) -> bytes:
    return b"".join([b"*%d\r\n" % len(fields), *(b"$%d\r\n%s\r\n" % (len(each), each.encode()) for each in fields)])


def _talk(pieces: Sequence[bytes], *, gap: float = 0.0) -> Any:
    """What the server writes when these pieces are written, and then nothing for a second."""

    async def work(place: Place) -> bytes:
        _reach(place)
        reader, writer = await asyncio.open_connection("redis", 6379)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(gap)
        await asyncio.sleep(1.0)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    with SocketCalls():
        SocketCalls.install()
        records, (answer,), _ = live("sdk", work)
    return answer, [(each.fields.command, each.fields.reply) for each in records if each.kind == "redis"]


def test_commands_may_come_in_pieces_and_several_in_one() -> None:
    whole = (
        _command("SET", "k", "v\r\n\x00")
        + _command("GET", "k")
        + _command("INCR", "k")
        + _command("LPUSH", "l", "a", "b")
    )
    expected = b"+OK\r\n$4\r\nv\r\n\x00\r\n-ERR value is not an integer or out of range\r\n:2\r\n"
    commands = [("SET", "OK"), ("GET", "4 bytes"), ("INCR", "error ResponseError"), ("LPUSH", 2)]
    assert _talk([whole]) == (expected, commands)
    assert _talk([whole[at : at + 7] for at in range(0, len(whole), 7)]) == (expected, commands)
    assert _talk([whole[at : at + 7] for at in range(0, len(whole), 7)], gap=0.25) == (expected, commands)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([("GET", "no")], (b"$-1\r\n", b"_\r\n")),
        (
            [("HSET", "h", "f", "v"), ("HGETALL", "h")],
            (b":1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n", b":1\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n"),
        ),
        (
            [("SET", "k", "v"), ("LPUSH", "k", "a")],
            (b"+OK\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",) * 2,
        ),
        ([("EVALSHA", "0" * 40, "0")], (b"-NOSCRIPT No matching script. Please use EVAL.\r\n",) * 2),
        (
            [("SUBSCRIBE", "c")],
            (b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"),
        ),
    ],
)
def test_replies_are_those_of_the_version_that_was_agreed_on(
    commands: list[tuple[str, ...]], expected: tuple[bytes, bytes]
) -> None:
    sent = b"".join(_command(*each) for each in commands)
    assert _talk([sent])[0] == expected[0]
    answer = _talk([_command("HELLO", "3", "AUTH", "default", "secret") + _command("CLIENT", "SETNAME", "n") + sent])[0]
    hello, _, rest = answer.partition(b"+OK\r\n")
    assert hello.startswith(b"%")
    assert rest == expected[1]


def test_what_is_no_command_ends_the_connection() -> None:
    answer, _ = _talk([_command("SET", "k", "v"), b"GET / HTTP/1.1\r\n\r\n"], gap=0.5)
    assert answer == b"+OK\r\n-ERR Protocol error: expected an array of bulk strings\r\n"


def test_locks_of_a_second_database_are_seen_as_those_of_the_first() -> None:
    """One is released in time, one runs out under its holder, a third of the same name in another database is held."""

    async def work(place: Place) -> None:
        _reach(place)
        first, second = (redis.asyncio.from_url(f"redis://redis/{number}") for number in (0, 1))
        for store, seconds in ((first, 60), (second, 2)):
            assert await store.set("lock:c1", b"token", nx=True, px=seconds * 1000)
        await second.set("lock:c2", b"token", nx=True, px=2000)
        await second.delete("lock:c2")
        await asyncio.sleep(5.0)
        await first.delete("lock:c1")
        await second.delete("lock:c1")
        await first.aclose()
        await second.aclose()

    with SocketCalls():
        SocketCalls.install()
        records, _, _ = live("sdk", work)
    assert [(round(each.time), each.fields.key) for each in records if each.kind == "lease.expired"] == [(2, "lock:c1")]


def test_what_was_sent_is_done_also_if_its_client_leaves_and_what_waits_is_not() -> None:
    async def work(place: Place) -> Any:
        _reach(place)
        store = redis.asyncio.Redis(host="redis", socket_timeout=None)
        _, leaving = await asyncio.open_connection("redis", 6379)
        leaving.write(_command("SET", "k", "v"))
        leaving.close()
        _, waiting = await asyncio.open_connection("redis", 6379)
        waiting.write(_command("BLPOP", "l", "0"))
        await asyncio.sleep(1.0)
        waiting.close()
        await asyncio.sleep(1.0)
        await store.rpush("l", "kept")
        seen = await store.get("k"), await store.lrange("l", 0, -1)
        await store.aclose()
        return seen

    with SocketCalls():
        SocketCalls.install()
        assert live("sdk", work)[1] == [(b"v", [b"kept"])]


def test_the_server_tells_about_itself_as_far_as_libraries_ask_when_they_start() -> None:
    async def work(place: Place) -> Any:
        _reach(place)
        store = redis.asyncio.Redis(host="redis", decode_responses=True)
        await store.set("k", "v")
        found = await store.info(), await store.info("memory"), await store.info("nothing")
        await store.aclose()
        return found

    with SocketCalls():
        SocketCalls.install()
        records, ((everything, memory, nothing),), _ = live("sdk", work)
    assert everything["redis_version"] == "8.0.0"
    assert everything["role"] == "master"
    assert everything["db0"]["keys"] == 1
    assert set(memory) == {"used_memory", "used_memory_human", "maxmemory", "maxmemory_policy"}
    assert nothing == {}
    assert [each.fields.command for each in records if each.kind == "redis"] == ["SET", "INFO", "INFO", "INFO"]
