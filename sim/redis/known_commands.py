"""Which commands the simulated server processes, by the names that a trace has of them."""

from __future__ import annotations

from functools import cache

from fakeredis._commands import SUPPORTED_COMMANDS

from relaysim.sim.redis.wait import OWN_COMMANDS


@cache
def command_names() -> frozenset[str]:
    """The commands' first words, in capitals: a trace names `CLIENT SETNAME` by `CLIENT`."""
    return frozenset(name.split()[0].upper() for name in (*SUPPORTED_COMMANDS, *OWN_COMMANDS))
